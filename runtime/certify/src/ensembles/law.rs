//! Probabilities of intervals of codes under noise around a value, rounded up.

use crate::{CertError, Grid};
use selvedge_noise::{Sigma, normal};

/// The law of the noise of every element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Smoothing {
    /// `round(N(0, σ²))`, σ in grid steps: certificates in ℓ2.
    Gaussian(Sigma),
    /// Uniform on the integers from −half to half: certificates in ℓ1.
    Uniform {
        /// The largest.
        half: u32,
    },
}

impl Smoothing {
    pub(super) fn check(&self) -> Result<(), CertError> {
        let fine = match self {
            Smoothing::Gaussian(sigma) => Sigma::new(sigma.numerator, sigma.denominator) == Some(*sigma),
            Smoothing::Uniform { half } => *half < 1 << 30,
        };
        if fine { Ok(()) } else { Err(CertError::Sigma) }
    }
}

/// Noise around the value of one element, saturated in the grid.
#[derive(Clone, Copy)]
pub(super) struct Around {
    pub noise: Smoothing,
    pub value: i32,
    pub grid: Grid,
}

impl Around {
    /// A number not below the probability of a code above `above` and at most `most`; `None` for no such border.
    pub fn upper(&self, above: Option<i16>, most: Option<i16>) -> f64 {
        // Saturated codes are above low − 1 and at most high.
        let above = above.filter(|&above| above >= self.grid.low);
        let most = most.filter(|&most| most < self.grid.high);
        let empty = above.is_some_and(|above| above >= self.grid.high || most.is_some_and(|most| most <= above));
        if empty || most.is_some_and(|most| most < self.grid.low) {
            return 0.0;
        }
        let [from, to] = [above, most].map(|border| border.map(|border| i64::from(border) - i64::from(self.value)));
        match self.noise {
            Smoothing::Gaussian(sigma) => gaussian(sigma, from, to),
            Smoothing::Uniform { half } => uniform(half.into(), from, to),
        }
    }
}

/// `P(from < Z ≤ to)` for the rounded Gaussian: `Φ((to + ½)/σ) − Φ((from + ½)/σ)`.
fn gaussian(sigma: Sigma, from: Option<i64>, to: Option<i64>) -> f64 {
    // An integer below 2^50 over one below 2^33: one rounding.
    let at = |border: i64| {
        let (above, below) = ((2 * border + 1) * i64::from(sigma.denominator), 2 * i64::from(sigma.numerator));
        above as f64 / below as f64
    };
    let low = from.map_or(f64::NEG_INFINITY, |border| at(border).next_down());
    let high = to.map_or(f64::INFINITY, |border| at(border).next_up());
    // In the upper tail complements keep their digits.
    let p = match low > 0.0 {
        true => normal::cdf_upper(-low) - normal::cdf_lower(-high),
        false => normal::cdf_upper(high) - normal::cdf_lower(low),
    };
    p.next_up().clamp(0.0, 1.0)
}

/// `P(from < Z ≤ to)` for Z uniform on −half..=half.
fn uniform(half: i64, from: Option<i64>, to: Option<i64>) -> f64 {
    let at = |border: i64| border.clamp(-half - 1, half);
    let count = to.map_or(half, at) - from.map_or(-half - 1, at);
    let all = 2 * half + 1;
    match count {
        count if count <= 0 => 0.0,
        count if count == all => 1.0,
        count => (count as f64 / all as f64).next_up(),
    }
}

/// The largest r with `rest + r/q < ½`, q = 2·half + 1. `None` where not even 0 is.
pub(super) fn uniform_reach(half: u32, rest: f64) -> Option<u32> {
    // Both factors and the product rounded down.
    let steps = ((0.5 - rest).next_down() * (2.0 * f64::from(half) + 1.0)).next_down();
    (steps > 0.0).then(|| (libm::ceil(steps) - 1.0) as u32)
}
