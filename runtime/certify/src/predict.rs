//! The smoothed classifier's prediction (PREDICT of Cohen et al.).

use crate::alpha::Alpha;
use selvedge_noise::binomial;

/// A prediction, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The smoothed classifier's class, wrong with probability at most α.
    Class(u16),
    /// The two most frequent classes cannot be told apart.
    Abstain,
}

/// From the counts of the draws' classes: the most frequent one, unless a fair coin could have put it as far ahead of
/// the second with a probability above α (two-sided). Abstains where nothing was counted.
pub fn predict(counts: &[u32], alpha: Alpha) -> Prediction {
    let (mut first, mut second, mut class) = (0, 0, 0);
    for (index, &count) in counts.iter().enumerate() {
        if count > first {
            (second, first, class) = (first, count, index as u16);
        } else if count > second {
            second = count;
        }
    }
    let p = binomial::two_sided_half(first, second);
    if first > 0 && p <= alpha.spend() { Prediction::Class(class) } else { Prediction::Abstain }
}
