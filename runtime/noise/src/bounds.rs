//! Bounds for means and distribution functions from samples, rounded up.

/// Rounding of a handful of operations, added to every bound.
const ROUNDING: f64 = 1.0 + 32.0 * f64::EPSILON;

/// Probabilities below the smallest normal number are refused too: their halves are not exact.
fn usable(n: u32, delta: f64) -> bool {
    n > 0 && delta >= f64::MIN_POSITIVE && delta < 1.0
}

/// How far the mean of `n` values in 0 to 1 may lie above their expectation, with probability at most `delta`
/// (Hoeffding 1963): `√(ln(1/δ)/(2n))`. ∞ for n = 0 and a delta outside 0 to 1.
pub fn hoeffding(n: u32, delta: f64) -> f64 {
    if !usable(n, delta) {
        return f64::INFINITY;
    }
    libm::sqrt(-libm::log(delta) / (2.0 * f64::from(n))) * ROUNDING
}

/// The same from the sample variance (divisor n − 1; Maurer and Pontil 2009):
/// `√(2V·ln(2/δ)/n) + 7·ln(2/δ)/(3(n − 1))`. ∞ for n < 2, a negative variance and NaN.
pub fn empirical_bernstein(n: u32, variance: f64, delta: f64) -> f64 {
    if !usable(n, delta) || n < 2 || variance.is_nan() || variance < 0.0 {
        return f64::INFINITY;
    }
    let log = libm::log(2.0 / delta);
    let n = f64::from(n);
    (libm::sqrt(2.0 * variance * log / n) + 7.0 * log / (3.0 * (n - 1.0))) * ROUNDING
}

/// How far an empirical distribution function of `n` values may lie above (or below) the real one, anywhere, with
/// probability at most `delta` (Massart 1990): `√(ln(1/δ)/(2n))`. The theorem holds for δ ≤ ½; for a larger one the
/// shift is that of ½.
pub fn dkw_one_sided(n: u32, delta: f64) -> f64 {
    hoeffding(n, if delta > 0.5 && delta < 1.0 { 0.5 } else { delta })
}

/// The same to both sides at once: `√(ln(2/δ)/(2n))`. For any δ in 0 to 1.
pub fn dkw_two_sided(n: u32, delta: f64) -> f64 {
    if !usable(n, delta) {
        return f64::INFINITY;
    }
    hoeffding(n, delta / 2.0)
}

/// What randomized ablation (Levine and Feizi 2020) takes off: a number not below the probability
/// `1 − C(d − ρ, k)/C(d, k)` that `keep` of `dimensions` places, chosen at random, meet one of `changed` places. 1 where
/// more are kept or changed than there are.
pub fn ablation(dimensions: u32, keep: u32, changed: u32) -> f64 {
    if keep > dimensions || changed > dimensions - keep {
        return 1.0;
    }
    // C(d − ρ, k)/C(d, k) = Π (d − a − i)/(d − i) over i < b, for {a, b} = {k, ρ} either way.
    let (more, fewer) = (keep.max(changed), keep.min(changed));
    let mut untouched = 1.0f64;
    for i in 0..fewer {
        untouched *= f64::from(dimensions - more - i) / f64::from(dimensions - i);
        // Not above (1 − m/d)^m after m factors: below this after some √d of them.
        if untouched < f64::EPSILON / 4.0 {
            return 1.0;
        }
    }
    // Two roundings a factor, at most 2^20 of them.
    let met = 1.0 - untouched * (1.0 - 2.0 * f64::from(fewer) * f64::EPSILON);
    if fewer == 0 { 0.0 } else { (met + f64::EPSILON).min(1.0) }
}
