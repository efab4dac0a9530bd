//! From probabilities to radii, rounded down, with the price of finite precision.
//!
//! The noise that is drawn has a law at most τ from the rounded Gaussian in total variation. Let p bound from below
//! the probability of class A at x under the law that is drawn. Under the rounded Gaussian it is at least p − τ; it
//! equals that of a classifier of a continuous Gaussian input (data processing: Voráček and Hein 2023), so at distance
//! r it is at least Φ(Φ⁻¹(p − τ) − r/σ) (Cohen et al. 2019); and the law that is drawn has at most τ less. A keeps
//! more than one half where `r < σ·(Φ⁻¹(p − τ) − Φ⁻¹(½ + τ))`, under either law.

use selvedge_noise::{Sigma, normal};

/// The standard deviation of the noise and how far its law may be from the rounded Gaussian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    sigma: Sigma,
    tau: f64,
}

impl Price {
    /// `sigma` in grid steps; `tau` as `NoiseTable::tv_price` gives it for the input's dimensions.
    pub fn new(sigma: Sigma, tau: f64) -> Self {
        // NaN and negative numbers are no distances: nothing can be certified with them.
        Price { sigma, tau: if tau >= 0.0 { tau } else { 1.0 } }
    }

    /// Total variation.
    pub fn tau(&self) -> f64 {
        self.tau
    }

    /// σ in grid steps, rounded down.
    pub(crate) fn sigma_lower(&self) -> f64 {
        self.sigma.value().next_down()
    }

    /// A number not above Φ⁻¹(p − τ): where a class stands under the rounded Gaussian, in σ.
    pub(crate) fn standing(&self, p_lower: f64) -> f64 {
        normal::quantile_lower((p_lower - self.tau).next_down())
    }

    /// A number not below Φ⁻¹(½ + τ).
    fn half(&self) -> f64 {
        normal::quantile_upper((0.5 + self.tau).next_up())
    }

    /// A number not above `σ·(Φ⁻¹(p − τ) − Φ⁻¹(½ + τ))`, in grid steps. Not above 0: no certificate.
    pub fn radius(&self, p_lower: f64) -> f64 {
        let sigmas = self.standing(p_lower) - self.half();
        self.steps(sigmas.next_down())
    }

    /// [`Price::radius`] of `1 − rest_upper`, which keeps the digits of a small rest: a number not above
    /// `σ·(−Φ⁻¹(rest + τ) − Φ⁻¹(½ + τ))`.
    pub fn radius_of_rest(&self, rest_upper: f64) -> f64 {
        let sigmas = -normal::quantile_upper((rest_upper + self.tau).next_up()) - self.half();
        self.steps(sigmas.next_down())
    }

    /// The radius of a lower bound for class A and an upper bound for every other class, in grid steps, rounded down.
    ///
    /// Without a price `σ/2·(Φ⁻¹(pA) − Φ⁻¹(pB))`. With a = Φ⁻¹(pA − τ), b = Φ⁻¹(pB + τ), m = (a + b)/2 the classes
    /// at distance `σ·((a − b)/2 − s)` have at least Φ(m + s) − τ and at most Φ(m − s) + τ; these differ by more than 0
    /// if 2s·φ(|m| + s) > 2τ, which `s = τ/φ(|m| + 1/1024)` has, rounded up, as long as s < 1/1024.
    pub fn radius_two_class(&self, a_lower: f64, b_upper: f64) -> f64 {
        let a = self.standing(a_lower);
        let b = normal::quantile_upper((b_upper + self.tau).next_up());
        if !(a.is_finite() && b.is_finite()) {
            return f64::NEG_INFINITY;
        }
        let Some(slack) = slack(self.tau, 0.5 * (a + b).abs()) else { return f64::NEG_INFINITY };
        self.steps(((0.5 * (a - b)).next_down() - slack).next_down())
    }

    /// The radius of a lower bound for a difference of two expectations of values in 0 to 1, in grid steps, rounded down.
    ///
    /// Without a price `σ·√(π/2)·m`: smoothing makes a function with values in −1 to 1 Lipschitz with the constant
    /// √(2/π)/σ. The difference is known to 2τ at x and changes by 2τ at the other end, so m − 4τ takes the place of m.
    pub fn radius_margin(&self, margin_lower: f64) -> f64 {
        // √(π/2), rounded down.
        let sigmas = (margin_lower - 4.0 * self.tau).next_down() * 1.253_314_137_315_500_1;
        self.steps(sigmas.next_down())
    }

    pub(crate) fn steps(&self, sigmas: f64) -> f64 {
        match sigmas > 0.0 {
            true => (sigmas * self.sigma_lower()).next_down(),
            false => sigmas,
        }
    }

    /// A number p0 so that more than p0 at x (under the law that is drawn) keeps the class within the closed ball of
    /// squared radius `r2`: `Φ(√r2/σ + Φ⁻¹(½ + τ)) + τ`, rounded up.
    pub fn null_probability(&self, r2: u64) -> f64 {
        let radius = libm::sqrt(r2 as f64).next_up().next_up();
        let sigmas = (radius / self.sigma_lower()).next_up();
        (normal::cdf_upper((sigmas + self.half()).next_up()) + self.tau).next_up()
    }
}

/// The Lipschitz constant of the Gaussian smoothed version of a function of *real* vectors that has the constant
/// `lipschitz` and values in an interval of length `range`: `L·erf(w/(2√2·L·σ))`, rounded up; never above L, nor above its
/// limit for large L, `w/(σ·√(2π))` (Delattre et al. 2024; the worst function is a ramp of width w/L). NaN or not
/// positive arguments: ∞.
///
/// A function of codes is a step function of real vectors and has no L there, so certificates on grids use the limit:
/// [`Price::radius_margin`].
pub fn smoothed_lipschitz(lipschitz: f64, sigma: f64, range: f64) -> f64 {
    if !(lipschitz > 0.0 && sigma > 0.0 && range > 0.0) {
        return f64::INFINITY;
    }
    let up = 1.0 + 4.0 * f64::EPSILON;
    // 1/√(2π), rounded up.
    let limit = range / sigma * 0.398_942_280_401_432_75 * up;
    // erf(x) = 2·Φ(√2·x) − 1
    let erf = 2.0 * normal::cdf_upper(range / (2.0 * lipschitz * sigma) * up) - 1.0;
    (lipschitz * erf * up).min(lipschitz).min(limit)
}

/// A number s < 1/1024 with `s·φ(far + 1/1024) > tau`, 0 for 0: an interval of length s that lies within far + s of 0 has
/// a normal probability above `tau`. `None` where there is none.
pub(crate) fn slack(tau: f64, far: f64) -> Option<f64> {
    const SMALL: f64 = 1.0 / 1024.0;
    let far = far + SMALL;
    // 1/φ(x) = √(2π)·e^(x²/2)
    let slack = tau * 2.506_628_274_631_001 * libm::exp(0.5 * far * far) * 1.000_000_1;
    // False for NaN too.
    (slack < SMALL).then_some(slack)
}

/// Squared grid steps within an open ball of this radius: `⌈R²⌉ − 1`. `None` for no ball.
pub fn open_ball(radius: f64) -> Option<u64> {
    closed_ball(radius).map(|floor| if floor as f64 == square(radius) { floor.saturating_sub(1) } else { floor })
}

/// Squared grid steps within a closed ball of this radius: `⌊R²⌋`. `None` for no ball.
pub fn closed_ball(radius: f64) -> Option<u64> {
    // Above 2^31 steps there is no input.
    (radius > 0.0 && radius < 2_147_483_648.0).then(|| square(radius) as u64)
}

/// A number not above the square.
fn square(radius: f64) -> f64 {
    (radius * radius).next_down().max(0.0)
}

/// Whether a certificate of squared radius `r2` covers a perturbation, both in grid steps; exact.
///
/// ```
/// assert!(selvedge_certify::covers(&[3, -4], 25) && !selvedge_certify::covers(&[3, -4], 24));
/// ```
pub fn covers(delta: &[i32], r2: u64) -> bool {
    let mut left = r2;
    delta.iter().all(|&d| {
        let square = u64::from(d.unsigned_abs()) * u64::from(d.unsigned_abs());
        let enough = square <= left;
        left = left.saturating_sub(square);
        enough
    })
}

/// Whether an ℓ1 certificate of so many steps covers a perturbation; exact.
pub fn covers_l1(delta: &[i32], r1: u32) -> bool {
    let mut left = r1;
    delta.iter().all(|d| left.checked_sub(d.unsigned_abs()).map(|rest| left = rest).is_some())
}

/// Whether an ℓ0 certificate of so many positions covers a perturbation, one entry a position; exact.
pub fn covers_l0(delta: &[i32], rho: u32) -> bool {
    delta.iter().filter(|&&d| d != 0).count() as u64 <= u64::from(rho)
}
