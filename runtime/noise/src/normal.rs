//! The standard normal distribution, rounded outward.
//!
//! `Φ(x) = ½·erfc(−x/√2)`, always with `y = −x/√2 ≥ 0`; for x > 0 the complement is computed and taken from 1. Only
//! +, −, ×, / and `libm` in Rust take part, so the bits are the same on every CPU. With ε = 2^−52, the parts of their
//! value that results may be off by:
//!
//! - `erfc` of the `libm` crate, FreeBSD's algorithm, is taken to be within (6 + x²)·ε. Its source says 1 ulp, which is
//!   not so: of 240 000 random arguments the worst is 2.1ε off, and glibc's version of it was found 4 ulp off in 10^10 of
//!   them. A test compares it with integer arithmetic of more than 1000 bits.
//! - y: `1/√2` and the product are rounded, together less than ε. erfc's condition number is
//!   `2y·e^(−y²)/(√π·erfc(y)) ≤ 2y² + 1 = x² + 1`, so this makes (x² + 1)·ε.
//! - halving is exact; the roundings on the way from there to the bound make less than ε.
//!
//! Bounds are moved by the sum, (8 + 2x²)·ε of their value, and by the smallest normal number for results below it. The
//! difference from 1 is moved by one ε more.

use core::f64::consts::FRAC_1_SQRT_2;

/// Beyond it Φ is below the smallest normal number, or differs from 1 by less.
const END: f64 = 38.0;

/// Part of its value that Φ(x) from [`raw`] may be off by, |x| ≤ [`END`].
fn slack(x: f64) -> f64 {
    (8.0 + 2.0 * x * x) * f64::EPSILON
}

/// Φ(x), not rounded to either side.
fn raw(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// A number not above Φ(x), at least 0; 0 for NaN. For x > 0 it is less than 10ε below, for −36 < x ≤ 0 less than
/// (16 + 4x²)·ε of Φ(x); ε = 2^−52.
pub fn cdf_lower(x: f64) -> f64 {
    if x.is_nan() || x < -END {
        return 0.0;
    }
    let x = x.min(END);
    // Near 1 the complement is the more precise one.
    let by_complement = 1.0 - raw(-x) * (1.0 + slack(x)) - f64::EPSILON;
    let direct = raw(x) * (1.0 - slack(x)) - f64::MIN_POSITIVE;
    let lower = if x > 0.0 { by_complement } else { direct };
    if lower > 0.0 { lower } else { 0.0 }
}

/// A number not below Φ(x), at most 1; 1 for NaN. As near as [`cdf_lower`].
pub fn cdf_upper(x: f64) -> f64 {
    if x.is_nan() || x > END {
        return 1.0;
    }
    let x = x.max(-END);
    let by_complement = 1.0 - raw(-x) * (1.0 - slack(x)).max(0.0) + f64::EPSILON;
    let direct = raw(x) * (1.0 + slack(x)) + f64::MIN_POSITIVE;
    let upper = if x > 0.0 { by_complement } else { direct };
    if upper < 1.0 { upper } else { 1.0 }
}

/// A number x with Φ(x) ≤ p, as large as [`cdf_upper`] can tell: not above Φ⁻¹(p). −∞ for p ≤ 0 and NaN, 38 for p ≥ 1.
///
/// That it is one is tested, not computed: x is returned because `cdf_upper(x) ≤ p`. About a hundred evaluations.
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

/// A number x with Φ(x) ≥ p, because `cdf_lower(x) ≥ p`: not below Φ⁻¹(p). +∞ for p ≥ 1 and NaN, −∞ for p ≤ 0.
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
