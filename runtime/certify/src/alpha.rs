//! The probability of a false certificate, as a value that can be spent once.

/// A share of the probability that a statement is false. Neither `Copy` nor `Clone`: a share that was given to a
/// bound, or split, is gone.
///
/// ```compile_fail
/// use selvedge_certify::Alpha;
/// let alpha = Alpha::new(0.001).expect("between 0 and 1");
/// let [a, b] = alpha.split();
/// let twice = alpha.split::<2>(); // error: use of moved value
/// ```
#[derive(Debug, PartialEq)]
pub struct Alpha(f64);

impl Alpha {
    /// A share to begin with; `None` unless between 0 and 1.
    pub fn new(alpha: f64) -> Option<Self> {
        (alpha > 0.0 && alpha < 1.0).then_some(Alpha(alpha))
    }

    /// `N` equal shares whose sum is not above this one.
    pub fn split<const N: usize>(self) -> [Alpha; N] {
        let mut share = self.0 / N.max(1) as f64;
        // Rounded down far enough that the sum cannot come out above.
        share -= share * 4.0 * f64::EPSILON * N as f64;
        core::array::from_fn(|_| Alpha(share))
    }

    /// Its value.
    pub fn value(&self) -> f64 {
        self.0
    }

    /// Takes the share for a bound that fails with at most this probability.
    pub fn spend(self) -> f64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_sum_to_more_than_was_split() {
        for alpha in [0.001, 0.05, 1e-9, 0.999] {
            let parts: [Alpha; 7] = Alpha::new(alpha).expect("a share").split();
            assert!(parts.iter().map(Alpha::value).sum::<f64>() <= alpha);
            assert!(parts[0].value() > alpha / 7.0 * (1.0 - 1e-12));
        }
        for bad in [0.0, 1.0, -0.1, 2.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Alpha::new(bad), None);
        }
    }
}
