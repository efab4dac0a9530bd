//! Holm's rule on counts.

use crate::Alpha;
use selvedge_noise::binomial;

/// What Holm's rule lets pass: those with at least `least` votes, so many pixels. `least` is above `n` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Votes that are needed.
    pub least: u32,
    /// Pixels that have them.
    pub pixels: u32,
}

/// Holm's rule for the hypotheses "at most `threshold`", each with so many votes of `n`.
///
/// ```
/// use selvedge_certify::{Alpha, segmentation::holm};
/// let alpha = Alpha::ratio(1, 1000)?;
/// // Of 100 votes, 90 are needed at 1/3 of α; once 95 has passed, 89 at 1/2, and no fewer at all of it.
/// let passed = holm([95, 75, 89].into_iter(), 100, 0.75, &alpha);
/// assert_eq!((passed.least, passed.pixels), (89, 2));
/// # Ok::<(), selvedge_certify::CertError>(())
/// ```
pub fn holm(votes: impl ExactSizeIterator<Item = u32> + Clone, n: u32, threshold: f64, alpha: &Alpha) -> Passed {
    let mut passed = Passed { least: u32::MAX, pixels: 0 };
    let all = votes.len() as u64;
    while u64::from(passed.pixels) < all {
        let share = alpha.units() / (all - u64::from(passed.pixels));
        let share = Alpha::from_units(share).map_or(0.0, |share| share.lower());
        let Some(least) = binomial::min_count(n, threshold, share) else { break };
        let pixels = votes.clone().filter(|&votes| votes >= least).count() as u32;
        if pixels == passed.pixels {
            break;
        }
        passed = Passed { least, pixels };
    }
    passed
}
