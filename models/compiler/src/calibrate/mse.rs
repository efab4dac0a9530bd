//! The range of least quantization error.

use super::Observer;
use super::histogram::Histogram;

/// Steps of an int8 grid.
const STEPS: f64 = 255.0;
/// Ranges tried on each side: the whole one, and shorter ones down to 1/64 of it.
const TRIED: usize = 64;

/// Takes the range, around zero, for which the mean squared error of an int8 grid is least: what is cut off at the
/// ends against the coarser steps of a wider grid (as the MSE calibrators of TensorRT and Brevitas weigh it).
///
/// Inside of the range an element errs by step²/12 on average, outside by its distance to the end as well; both are
/// summed over a streaming histogram (bins of 1/4096 of the range or finer). Where equal or constant values are all
/// there is, the whole range is kept.
///
/// ```
/// use selvedge_compiler::calibrate::{Mse, Observer};
/// let mut observer = Mse::new();
/// observer.observe(&(0..1_000_000).map(|i| (i as f32 * 0.618).sin()).collect::<Vec<_>>());
/// observer.observe(&[5.0]);
/// let (lo, hi) = observer.bounds().unwrap();
/// assert!(lo < -0.95 && hi < 2.0, "one value of a million far out does not make every step coarse: {lo} {hi}");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Mse {
    histogram: Histogram,
    range: Option<(f32, f32)>,
    /// Elements that are zero: every grid holds them.
    zeros: u64,
}

impl Mse {
    pub fn new() -> Self {
        Mse::default()
    }
}

impl Observer for Mse {
    fn fresh(&self) -> Box<dyn Observer> {
        Box::new(Mse::new())
    }

    fn observe(&mut self, data: &[f32]) {
        for &x in data {
            let (lo, hi) = self.range.unwrap_or((x, x));
            self.range = Some((lo.min(x), hi.max(x)));
            self.zeros += u64::from(x == 0.0);
        }
        self.histogram.add(data);
    }

    fn bounds(&self) -> Option<(f32, f32)> {
        let (min, max) = self.range?;
        let (lo, hi) = (f64::from(min).min(0.0), f64::from(max).max(0.0));
        let bins: Vec<(f64, f64)> = self.histogram.bins().collect();
        let total = bins.iter().map(|(_, count)| count).sum::<f64>() - self.zeros as f64;
        // What cutting each side at a part of the range costs; with it the other side has nothing to do.
        let cut = |end: f64| -> Vec<f64> {
            let beyond = |x: f64, part: f64| if end < 0.0 { part * end - x } else { x - part * end };
            let cost = |part: f64| bins.iter().map(|&(x, count)| count * beyond(x, part).max(0.0).powi(2)).sum();
            parts().map(cost).collect()
        };
        let (below, above) = (cut(lo), cut(hi));
        let mut best = (f64::INFINITY, 1.0, 1.0);
        for (low, low_cost) in parts().zip(&below) {
            for (high, high_cost) in parts().zip(&above) {
                let step = (high * hi - low * lo) / STEPS;
                let error = low_cost + high_cost + total * step * step / 12.0;
                if error < best.0 {
                    best = (error, low, high);
                }
            }
        }
        let (_, low, high) = best;
        // An end that zero stands in for is the value's own.
        let bounds = ((low * lo) as f32, (high * hi) as f32);
        Some((if lo == 0.0 { min } else { bounds.0.max(min) }, if hi == 0.0 { max } else { bounds.1.min(max) }))
    }

    fn name(&self) -> String {
        "least squared error".into()
    }
}

/// Parts of the range that are tried, the whole first.
fn parts() -> impl Iterator<Item = f64> {
    (0..TRIED).map(|i| (TRIED - i) as f64 / TRIED as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean squared error of the int8 grid over a range, element by element.
    fn error(data: &[f32], (lo, hi): (f32, f32)) -> f64 {
        let grid = crate::quantize::activation_grid(lo, hi);
        let one = |&x: &f32| {
            let q = (f64::from(x) / f64::from(grid.scale)).round_ties_even() + f64::from(grid.zero_point);
            let back = (q.clamp(-128.0, 127.0) - f64::from(grid.zero_point)) * f64::from(grid.scale);
            (back - f64::from(x)).powi(2)
        };
        data.iter().map(one).sum::<f64>() / data.len() as f64
    }

    fn laplace(count: usize, skew: f64) -> Vec<f32> {
        let mut state = 11u64;
        let mut uniform = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        };
        let one = |_| {
            let size = -uniform().ln() as f32;
            if uniform() < skew { size } else { -size }
        };
        (0..count).map(one).collect()
    }

    /// Oracle: the error of the grid over every other pair of ends tried, on the data itself.
    #[test]
    fn no_other_range_errs_less() {
        for (skew, outliers) in [(0.5, vec![]), (0.9, vec![60.0]), (0.1, vec![-40.0, 55.0]), (1.0, vec![25.0])] {
            let mut data = laplace(20_000, skew);
            data.extend(outliers);
            let mut observer = Mse::new();
            data.chunks(999).for_each(|chunk| observer.observe(chunk));
            let bounds = observer.bounds().unwrap();
            let (min, max) = observer.range.unwrap();
            let found = error(&data, bounds);
            for low in [0.1f32, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0] {
                for high in [0.1f32, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0] {
                    let other = error(&data, (low * min.min(0.0), high * max.max(0.0)));
                    assert!(found <= other * 1.05, "{skew}: {bounds:?} errs {found}, {low} {high} {other}");
                }
            }
            assert!(found <= error(&data, (min, max)));
        }
    }

    #[test]
    fn constant_and_one_sided_values_keep_their_range() {
        let bounds = |data: &[f32]| {
            let mut observer = Mse::new();
            observer.observe(data);
            observer.bounds()
        };
        assert_eq!(bounds(&[0.0; 10]), Some((0.0, 0.0)));
        assert_eq!(bounds(&[2.5; 10]), Some((2.5, 2.5)));
        let (lo, hi) = bounds(&(1..=1000).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
        assert!(lo == 1.0 && hi > 980.0, "{lo} {hi}");
        assert_eq!(Mse::new().bounds(), None);
        let mut rare = vec![0.0; 100_000];
        rare.extend([3.0, 4.0]);
        assert!(bounds(&rare).unwrap().1 > 3.9, "a rare signal is the signal");
    }
}
