//! The e-process of sequential certification, bounded from below.
//!
//! For k hits in n draws of probability p and the null hypothesis p ≤ p0,
//!
//! `E(k, n) = ∫ (q/p0)^k·((1−q)/(1−p0))^(n−k) π(q) dq`, π the Beta(½, ½) law restricted to p0 ≤ q ≤ 1.
//!
//! For p ≤ p0 ≤ q one draw multiplies the integrand by `p·q/p0 + (1−p)·(1−q)/(1−p0) ≤ 1` in expectation, so E is a
//! nonnegative supermartingale that starts at 1, and by Ville's inequality it ever reaches 1/α with probability at most
//! α, however the draws are stopped. E rises with k, so "E ≥ 1/α" is "k ≥ k_min(n)".
//!
//! With q = sin²θ the law is uniform in θ on [θ0, π/2], and the logarithm of the integrand is concave in θ with a width
//! of 1/(2√n). On each of 4096 pieces a concave logarithm lies above its chord, whose integral is at least the
//! piece times the geometric mean of its ends: a sum that is never above the integral, and within 10⁻⁵ of it.

use core::f64::consts::FRAC_PI_2;

/// Pieces of the integral.
const NODES: u32 = 4096;
/// Widths to either side of the integrand's maximum that count.
const WIDTHS: f64 = 9.0;

/// A number not above ln E(k, n) against p ≤ `p0`; −∞ where there is none (k > n, n = 0, p0 outside 0 to 1).
pub fn log_e_lower(k: u32, n: u32, p0: f64) -> f64 {
    if k > n || n == 0 || !(p0 > 0.0 && p0 < 1.0) {
        return f64::NEG_INFINITY;
    }
    let (hits, misses) = (f64::from(k), f64::from(n - k));
    // Rounded up by more than the square roots and the arc tangent may be off.
    let start = libm::atan2(libm::sqrt(p0), libm::sqrt(1.0 - p0)) * (1.0 + 16.0 * f64::EPSILON);
    if start >= FRAC_PI_2 {
        return f64::NEG_INFINITY;
    }
    let mode = libm::atan2(libm::sqrt(hits), libm::sqrt(misses)).clamp(start, FRAC_PI_2);
    let width = WIDTHS * 0.5 / libm::sqrt(f64::from(n));
    let (low, high) = ((mode - width).max(start), (mode + width).min(FRAC_PI_2));
    let (log_p0, log_q0) = (libm::log(p0), libm::log1p(-p0));
    let log_at = |theta: f64| {
        let (sin, cos) = (libm::sin(theta), libm::cos(theta));
        let hit = 2.0 * libm::log(sin) - log_p0;
        // 0·∞ is 0 here: without misses the angle π/2 is as good as any.
        let miss = if misses > 0.0 { misses * (2.0 * libm::log(cos) - log_q0) } else { 0.0 };
        hits * hit + miss
    };
    let peak = log_at(mode);
    let (mut sum, mut before, mut value) = (0.0, low, log_at(low) - peak);
    for node in 1..=NODES {
        let theta = if node == NODES { high } else { low + (high - low) * (f64::from(node) / f64::from(NODES)) };
        let next = log_at(theta) - peak;
        sum += (theta - before) * libm::exp(0.5 * (value + next));
        (before, value) = (theta, next);
    }
    // Each logarithm is known to 4 roundings of its size (at most 75 at the last node) and its argument to 4.
    let logs = hits * (2.0 + log_p0.abs()) + misses * (2.0 + log_q0.abs()) + peak.abs();
    let error = 128.0 * f64::EPSILON * (logs + f64::from(n) + f64::from(NODES));
    let mean = sum / ((FRAC_PI_2 - start) * (1.0 + 8.0 * f64::EPSILON) + f64::EPSILON);
    let value = peak + libm::log(mean) - error;
    if value.is_nan() { f64::NEG_INFINITY } else { value }
}

/// Whether E(k, n) ≥ 1/alpha is proved.
pub fn rejects(k: u32, n: u32, p0: f64, alpha: f64) -> bool {
    alpha > 0.0 && log_e_lower(k, n, p0) >= -libm::log(alpha) * (1.0 + 4.0 * f64::EPSILON)
}

/// The smallest k with a proved E(k, n) ≥ 1/alpha: not below the exact one. `None` where k = n has none.
pub fn min_count(n: u32, p0: f64, alpha: f64) -> Option<u32> {
    if !rejects(n, n, p0, alpha) {
        return None;
    }
    // E(0, n) ≤ 1: not enough for any alpha below 1.
    let (mut below, mut enough) = (0u32, n);
    while enough - below > 1 {
        let middle = below + (enough - below) / 2;
        if rejects(middle, n, p0, alpha) { enough = middle } else { below = middle }
    }
    Some(enough)
}
