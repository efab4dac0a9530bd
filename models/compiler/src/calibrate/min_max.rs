//! The whole range, outliers included.

use super::Observer;

/// Covers every value seen: nothing saturates on the calibration data.
///
/// ```
/// use selvedge_compiler::calibrate::{MinMax, Observer};
/// let mut observer = MinMax::new();
/// observer.observe(&[0.5, -2.0, 1.0]);
/// assert_eq!(observer.bounds(), Some((-2.0, 1.0)));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MinMax {
    bounds: Option<(f32, f32)>,
}

impl MinMax {
    pub fn new() -> Self {
        MinMax::default()
    }
}

impl Observer for MinMax {
    fn fresh(&self) -> Box<dyn Observer> {
        Box::new(MinMax::new())
    }

    fn observe(&mut self, data: &[f32]) {
        for &x in data {
            let (lo, hi) = self.bounds.unwrap_or((x, x));
            self.bounds = Some((lo.min(x), hi.max(x)));
        }
    }

    fn bounds(&self) -> Option<(f32, f32)> {
        self.bounds
    }

    fn name(&self) -> String {
        "min-max".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn min_max_starts_empty_and_forgets_nothing() {
        let mut observer = MinMax::new();
        assert_eq!(observer.bounds(), None);
        observer.observe(&[3.0]);
        assert_eq!(observer.bounds(), Some((3.0, 3.0)));
        observer.observe(&[-1.0, 2.0]);
        observer.observe(&[]);
        assert_eq!(observer.bounds(), Some((-1.0, 3.0)));
        assert_eq!(observer.fresh().bounds(), None);
    }
}
