//! From a probability to a radius, rounded down at every step.

use selvedge_noise::{Sigma, normal};

/// The radius, in grid steps, in which a class with probability at least `p` stays the smoothed prediction; `tv` is how
/// far the noise drawn is from the rounded Gaussian: `σ·(Φ⁻¹(p − tv) − Φ⁻¹(½ + tv))`, rounded down. `None` where that
/// is not above 0.
pub fn radius(p: f64, tv: f64, sigma: Sigma) -> Option<f64> {
    if !((0.0..0.5).contains(&tv) && p > 0.5 && p <= 1.0) {
        return None;
    }
    // One rounding each, moved outward.
    let low = (p - tv) * (1.0 - f64::EPSILON);
    let middle = (0.5 + tv) * (1.0 + f64::EPSILON);
    let middle = if tv == 0.0 { 0.0 } else { normal::quantile_upper(middle) };
    let steps = normal::quantile_lower(low) - middle;
    let radius = steps * sigma.value() * (1.0 - 8.0 * f64::EPSILON);
    (radius > 0.0 && radius.is_finite()).then_some(radius)
}

/// The same as a whole number: the largest r2 such that every change δ of the codes with `Σδ² ≤ r2` lies within the
/// radius (the ball is open: r2 is below the radius' square).
pub fn radius_squared(p: f64, tv: f64, sigma: Sigma) -> Option<u64> {
    let square = radius(p, tv, sigma)?;
    let square = square * square * (1.0 - 4.0 * f64::EPSILON);
    let whole = libm::ceil(square) - 1.0;
    // Above 2^53 f64 has no whole numbers in between; no radius of 16-bit codes comes near.
    Some(whole.clamp(0.0, 9.0e15) as u64)
}

/// Whether a certificate covers the change of codes `delta`.
pub fn covers(r2: u64, delta: impl IntoIterator<Item = i32>) -> bool {
    let mut sum = 0u64;
    for d in delta {
        let square = u64::from(d.unsigned_abs()) * u64::from(d.unsigned_abs());
        match sum.checked_add(square) {
            Some(more) => sum = more,
            None => return false,
        }
    }
    sum <= r2
}
