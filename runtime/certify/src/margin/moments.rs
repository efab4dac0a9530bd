//! Sums of weights and of their squares, and the bounds of their expectation.

use super::UNIT;
use selvedge_noise::bounds;

/// Σ and Σ² of the weights of one class, exact: 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    /// Σ of the weights.
    pub sum: u64,
    /// Σ of their squares.
    pub squares: u64,
}

impl Moments {
    /// Adds the weight of one draw, at most [`UNIT`].
    pub fn add(&mut self, weight: u16) {
        // 2^31 draws of 2^30 each.
        self.sum = self.sum.saturating_add(u64::from(weight));
        self.squares = self.squares.saturating_add(u64::from(weight) * u64::from(weight));
    }

    /// Adds those of other draws.
    pub fn merge(&mut self, other: &Self) {
        self.sum = self.sum.saturating_add(other.sum);
        self.squares = self.squares.saturating_add(other.squares);
    }

    /// A number not below the sample variance (divisor n − 1) of `n` weights, [`UNIT`] being 1. ∞ for n < 2 and sums that
    /// no n weights have.
    pub fn variance(&self, n: u32) -> f64 {
        let (sum, squares) = (u128::from(self.sum), u128::from(self.squares));
        if sum * sum > u128::from(n) * squares || squares > sum * u128::from(UNIT) {
            return f64::INFINITY;
        }
        variance(i128::from(self.sum), u128::from(self.squares), n, f64::from(UNIT))
    }

    /// A number that exceeds the expected weight of `n` independent draws with a probability of at most `share`
    /// (Maurer and Pontil 2009). Not above the mean minus their bound.
    pub fn lower_bound(&self, n: u32, share: f64) -> f64 {
        let lower = mean(self.sum, n).next_down() - bounds::empirical_bernstein(n, self.variance(n), share);
        if lower.is_nan() { f64::NEG_INFINITY } else { lower.next_down() }
    }

    /// A number below the expected weight with a probability of at most `share`.
    pub fn upper_bound(&self, n: u32, share: f64) -> f64 {
        let upper = mean(self.sum, n).next_up() + bounds::empirical_bernstein(n, self.variance(n), share);
        if upper.is_nan() { f64::INFINITY } else { upper.next_up() }
    }
}

/// The nearest number to `sum/n` in units, or a neighbour; NaN for n = 0.
fn mean(sum: u64, n: u32) -> f64 {
    sum as f64 / (f64::from(n) * f64::from(UNIT))
}

/// `(n·Σx² − (Σx)²)/(n·(n − 1)·unit²)`, rounded up.
fn variance(sum: i128, squares: u128, n: u32, unit: f64) -> f64 {
    if n < 2 {
        return f64::INFINITY;
    }
    let spread = (u128::from(n) * squares).saturating_sub(sum.unsigned_abs().saturating_mul(sum.unsigned_abs()));
    let pairs = f64::from(n) * f64::from(n - 1);
    // Three roundings.
    spread as f64 / (pairs * unit * unit) * (1.0 + 4.0 * f64::EPSILON)
}

/// A number that exceeds the expectation of the difference of two weights, from their moments and Σ of their product,
/// with a probability of at most `share`: the same bound for (difference + 1)/2, which lies in 0 to 1.
pub(crate) fn difference_lower(a: &Moments, b: &Moments, product: u64, n: u32, share: f64) -> f64 {
    let sum = i128::from(a.sum) - i128::from(b.sum);
    // Σ(a − b)²
    let squares = (u128::from(a.squares) + u128::from(b.squares)).saturating_sub(2 * u128::from(product));
    let deviation = bounds::empirical_bernstein(n, variance(sum, squares, n, 2.0 * f64::from(UNIT)), share);
    let mean = sum as f64 / (f64::from(n) * f64::from(UNIT));
    let lower = mean.next_down() - 2.0 * deviation;
    if lower.is_nan() { f64::NEG_INFINITY } else { lower.next_down() }
}
