//! The range without its rarest values.

use super::Observer;
use super::histogram::Histogram;

/// Leaves out the same share of values at both ends.
///
/// `Percentile::new(99.99)` covers the quantiles 0.01 % to 99.99 %. The bounds
/// are the exact ones up to one bin of a streaming histogram (1/4096 of the
/// range or finer), never outside of the values seen. Where the covered values
/// are all equal (rarely active channels), the whole range is kept: cutting it
/// would remove the signal, not its outliers.
///
/// ```
/// use selvedge_compiler::calibrate::{Observer, Percentile};
/// let mut observer = Percentile::new(90.0);
/// observer.observe(&(0..1000).map(|i| i as f32).collect::<Vec<_>>());
/// let (lo, hi) = observer.bounds().unwrap();
/// assert!((lo - 99.0).abs() < 1.0 && (hi - 899.0).abs() < 1.0);
/// ```
#[derive(Clone, Debug)]
pub struct Percentile {
    percent: f64,
    histogram: Histogram,
    range: Option<(f32, f32)>,
}

impl Percentile {
    /// `percent` is brought into 50..=100.
    pub fn new(percent: f64) -> Self {
        let percent = if percent.is_nan() { 100.0 } else { percent.clamp(50.0, 100.0) };
        Percentile { percent, histogram: Histogram::new(), range: None }
    }
}

impl Observer for Percentile {
    fn fresh(&self) -> Box<dyn Observer> {
        Box::new(Percentile::new(self.percent))
    }

    fn observe(&mut self, data: &[f32]) {
        for &x in data {
            let (lo, hi) = self.range.unwrap_or((x, x));
            self.range = Some((lo.min(x), hi.max(x)));
        }
        self.histogram.add(data);
    }

    fn bounds(&self) -> Option<(f32, f32)> {
        let (min, max) = self.range?;
        let q = self.percent / 100.0;
        // A range whose ends fall inside of a bin takes the bin in.
        let lo = (self.histogram.quantile(1.0 - q)?.0 as f32).max(min);
        let hi = (self.histogram.quantile(q)?.1 as f32).min(max);
        if f64::from(hi) - f64::from(lo) <= self.histogram.width() { Some((min, max)) } else { Some((lo, hi)) }
    }

    fn name(&self) -> String {
        format!("percentile {}", self.percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(sorted: &[f32], q: f64) -> f32 {
        let rank = ((q * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len());
        sorted[rank - 1]
    }

    /// Oracle: the quantiles of the sorted data.
    #[test]
    fn bounds_equal_sorted_quantiles_within_one_bin() {
        let mut state = 5u64;
        let mut uniform = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        for (percent, skew) in [(99.0, 1.0), (99.9, 3.0), (99.99, 9.0), (100.0, 2.0), (50.0, 1.0)] {
            let mut data: Vec<f32> =
                (0..50_000).map(|_| ((uniform() - 0.3) * 2.0 * uniform().powf(skew) * 10.0) as f32).collect();
            let mut observer = Percentile::new(percent);
            for chunk in data.chunks(613) {
                observer.observe(chunk);
            }
            data.sort_by(f32::total_cmp);
            let (lo, hi) = observer.bounds().expect("data");
            if percent == 50.0 {
                continue; // Both quantiles coincide; the whole range is kept.
            }
            let width = observer.histogram.width() as f32;
            assert!((lo - exact(&data, 1.0 - percent / 100.0)).abs() <= width, "{percent}: {lo}");
            assert!((hi - exact(&data, percent / 100.0)).abs() <= width, "{percent}: {hi}");
            assert!(lo >= data[0] && hi <= data[data.len() - 1]);
        }
    }

    #[test]
    fn outliers_at_either_end_are_cut_alike() {
        let body: Vec<f32> = (0..99_998).map(|i| (i as f32 / 99_997.0) * 2.0 - 1.0).collect();
        let bounds = |outlier: f32| {
            let mut observer = Percentile::new(99.99);
            observer.observe(&body);
            observer.observe(&[outlier, outlier]);
            observer.bounds().expect("data")
        };
        let ((a, b), (c, d)) = (bounds(50.0), bounds(-50.0));
        assert!(b < 1.02 && c > -1.02, "{b} {c}");
        assert!((a + d).abs() < 0.02 && (b + c).abs() < 0.02);
    }

    #[test]
    fn rare_signals_keep_their_range() {
        let mut observer = Percentile::new(99.9);
        observer.observe(&vec![0.0; 100_000]);
        observer.observe(&[4.0]);
        assert_eq!(observer.bounds(), Some((0.0, 4.0)));
    }
}
