//! The error function and GELU.

use super::exp;

/// erf x within 2 ULP.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let a = x.abs();
    // 1 from 3.92 on.
    let t = if a > 4.0 { 4.0 } else { a };
    // Minimax of erf(x)/x − 1 in x² up to 0.93, error 1.8e-8.
    let z = t * t;
    let p = -5.953_741e-4;
    let p = p * z + 4.985_94e-3;
    let p = p * z - 2.676_172e-2;
    let p = p * z + 1.128_168_25e-1;
    let p = p * z - 3.761_248e-1;
    let p = p * z + 1.283_791_5e-1;
    let small = x + x * p;
    // Minimax of −ln(1 − erf t)/t − 1 from 0.92 to 4, error of erf 3e-9.
    let q = -2.139_848_5e-4;
    let q = q * t + 3.214_954_9e-3;
    let q = q * t - 2.288_996_2e-2;
    let q = q * t + 1.052_618_4e-1;
    let q = q * t + 6.357_183_5e-1;
    let q = q * t + 1.285_143_6e-1;
    let large = (1.0 - exp(-(t + t * q))).copysign(x);
    if a < 0.925 { small } else { large }
}

/// `½·x·(1 + erf(x/√2))` in this order; NaN for −∞ as the product is.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * core::f32::consts::FRAC_1_SQRT_2))
}
