//! The standard normal distribution, rounded outward.
//!
//! Φ comes from `erfc` of the `libm` crate, a port of FreeBSD's, whose error is below 1 ulp by its documentation; here
//! it is taken to be below 4. The argument `x/√2` is off by at most 1.5·2^−53 of itself, which changes erfc by at most
//! (2 + x²)·2^−53 of itself. Bounds are moved by (8 + 2x²)·2^−52 of their value, more than both together.

use core::f64::consts::FRAC_1_SQRT_2;

/// Part of its value that Φ(x) from [`raw`] may be off by.
fn slack(x: f64) -> f64 {
    (8.0 + 2.0 * x * x) * f64::EPSILON
}

/// Φ(x), not rounded to either side.
fn raw(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// A number not above Φ(x), at least 0; 0 for NaN.
pub fn cdf_lower(x: f64) -> f64 {
    if x.is_nan() {
        return 0.0;
    }
    // Near 1 the complement is the more precise one.
    let by_complement = 1.0 - raw(-x) * (1.0 + slack(x)) - f64::EPSILON;
    let direct = raw(x) * (1.0 - slack(x)) - f64::MIN_POSITIVE;
    let lower = if x > 0.0 { by_complement } else { direct };
    if lower > 0.0 { lower } else { 0.0 }
}

/// A number not below Φ(x), at most 1; 1 for NaN.
pub fn cdf_upper(x: f64) -> f64 {
    if x.is_nan() {
        return 1.0;
    }
    let by_complement = 1.0 - raw(-x) * (1.0 - slack(x)).max(0.0) + f64::EPSILON;
    let direct = raw(x) * (1.0 + slack(x)) + f64::MIN_POSITIVE;
    let upper = if x > 0.0 { by_complement } else { direct };
    if upper < 1.0 { upper } else { 1.0 }
}

/// Ends of the range in which quantiles are searched; Φ(−38) is below the smallest normal number.
const END: f64 = 38.0;

/// A number x with Φ(x) ≤ p, as large as `cdf_upper` can tell: not above Φ⁻¹(p). −∞ for p ≤ 0 and NaN.
pub fn quantile_lower(p: f64) -> f64 {
    if p.is_nan() || p <= cdf_upper(-END) {
        return f64::NEG_INFINITY;
    }
    let (mut low, mut high) = (-END, END);
    // Halving until neighbours: low always has cdf_upper(low) ≤ p.
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return low;
        }
        if cdf_upper(middle) <= p { low = middle } else { high = middle }
    }
}

/// A number x with Φ(x) ≥ p: not below Φ⁻¹(p). +∞ for p ≥ 1 and NaN.
pub fn quantile_upper(p: f64) -> f64 {
    if p.is_nan() || p >= 1.0 {
        return f64::INFINITY;
    }
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let (mut low, mut high) = (-END, END);
    if cdf_lower(high) < p {
        return f64::INFINITY;
    }
    if cdf_lower(low) >= p {
        return low;
    }
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return high;
        }
        if cdf_lower(middle) >= p { high = middle } else { low = middle }
    }
}
