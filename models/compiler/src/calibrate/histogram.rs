//! A streaming histogram whose range grows with the data.

/// Bins kept; between half and all of them span the data once it has spread.
const BINS: usize = 16384;

/// Counts in bins `[i·width, (i+1)·width)`, the width a power of two.
///
/// Where a new value falls outside, neighbouring bins are merged in pairs and
/// the width doubles. The bins stay aligned to multiples of the width, so the
/// counts are always those a histogram of the final width would have had.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    /// log2 of the width.
    exponent: i32,
    /// Index of the first bin in `counts`.
    base: i64,
    counts: Vec<u64>,
    total: u64,
}

/// Width of the first bins relative to the largest magnitude, as a power of two:
/// finer than f32 values of that magnitude need, and far from the end of i64.
const FIRST_BINS_LOG2: i32 = 40;

fn bin(x: f32, exponent: i32) -> i64 {
    (f64::from(x) * 2f64.powi(-exponent)).floor() as i64
}

impl Histogram {
    pub fn new() -> Self {
        Histogram::default()
    }

    /// Width of a bin: the resolution of [`quantile`](Self::quantile).
    pub fn width(&self) -> f64 {
        2f64.powi(self.exponent)
    }

    /// Middle and count of each bin that holds values.
    pub fn bins(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let middle = |index: usize| ((self.base + index as i64) as f64 + 0.5) * self.width();
        let held = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        held.map(move |(index, &count)| (middle(index), count as f64))
    }

    /// Adds finite values.
    pub fn add(&mut self, data: &[f32]) {
        let Some(&first) = data.first() else { return };
        let (lo, hi) = data.iter().fold((first, first), |(lo, hi), &x| (lo.min(x), hi.max(x)));
        self.cover(lo, hi);
        let scale = 2f64.powi(-self.exponent);
        for &x in data {
            let index = (f64::from(x) * scale).floor() as i64 - self.base;
            self.counts[index as usize] += 1;
        }
        self.total += data.len() as u64;
    }

    /// Makes room for values between `lo` and `hi`.
    fn cover(&mut self, lo: f32, hi: f32) {
        if self.total == 0 {
            let magnitude = f64::from(lo.abs().max(hi.abs()).max(f32::MIN_POSITIVE));
            self.exponent = magnitude.log2().ceil() as i32 - FIRST_BINS_LOG2;
        }
        let mut exponent = self.exponent;
        let (mut first, mut last);
        loop {
            let shift = (exponent - self.exponent).min(63) as u32;
            (first, last) = (bin(lo, exponent), bin(hi, exponent));
            if self.total > 0 {
                first = first.min(self.base >> shift);
                last = last.max((self.base + self.counts.len() as i64 - 1) >> shift);
            }
            // Values far above the first ones saturate the cast at small widths;
            // the difference is then far from fitting anyway.
            if (i128::from(last) - i128::from(first)) < BINS as i128 {
                break;
            }
            exponent += 1;
        }
        let shift = (exponent - self.exponent).min(63) as u32;
        let mut counts = vec![0; (last - first + 1) as usize];
        for (index, &count) in self.counts.iter().enumerate() {
            counts[(((self.base + index as i64) >> shift) - first) as usize] += count;
        }
        (self.exponent, self.base, self.counts) = (exponent, first, counts);
    }

    /// Ends of the bin that holds the value of rank `⌈q·n⌉` (the first for q = 0).
    pub fn quantile(&self, q: f64) -> Option<(f64, f64)> {
        if self.total == 0 {
            return None;
        }
        let rank = ((q * self.total as f64).ceil() as u64).clamp(1, self.total);
        let mut seen = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                let left = (self.base + index as i64) as f64 * self.width();
                return Some((left, left + self.width()));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_equals_a_histogram_of_the_final_width() {
        let data: Vec<f32> = (0..40_000).map(|i| ((i as f32) * 0.37).sin() * (1.0 + (i / 100) as f32)).collect();
        let mut grown = Histogram::new();
        for chunk in data.chunks(97) {
            grown.add(chunk);
        }
        let mut counted = std::collections::BTreeMap::new();
        for &x in &data {
            *counted.entry(bin(x, grown.exponent)).or_insert(0u64) += 1;
        }
        for (index, &count) in grown.counts.iter().enumerate() {
            assert_eq!(count, counted.get(&(grown.base + index as i64)).copied().unwrap_or(0));
        }
        let range = data.iter().fold(0f32, |m, x| m.max(x.abs())) as f64 * 2.0;
        assert!(grown.width() <= range / (BINS as f64 / 4.0));
    }

    #[test]
    fn extreme_and_equal_values_are_held() {
        let mut histogram = Histogram::new();
        histogram.add(&[f32::MIN_POSITIVE / 4.0; 3]);
        histogram.add(&[f32::MAX, -f32::MAX]);
        histogram.add(&[0.0]);
        assert_eq!(histogram.total, 6);
        let (left, right) = histogram.quantile(1.0).expect("data");
        assert!(left <= f64::from(f32::MAX) && f64::from(f32::MAX) < right);
        let mut single = Histogram::new();
        single.add(&[-3.25; 5]);
        let (left, right) = single.quantile(0.5).expect("data");
        assert!(left <= -3.25 && -3.25 < right && right - left < 1e-6);
    }
}
