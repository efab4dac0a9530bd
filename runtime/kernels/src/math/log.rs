//! The natural logarithm, softplus, and powers.

/// ln 2 in two parts, the first of 16 bits: its products with |k| ≤ 150 are exact.
const LN2_HI: f32 = f32::from_bits(0x3f31_7180);
const LN2_LO: f32 = f32::from_bits(0x3717_f7d1);
/// Bits of √½: mantissas are taken from [√½, √2).
const SQRT_HALF: u32 = 0x3f35_04f3;

/// ln x for positive normal and infinite x (the latter: some number).
#[inline(always)]
fn log_normal(x: f32, exponent: f32) -> f32 {
    let bits = x.to_bits().wrapping_add(0x3f80_0000 - SQRT_HALF);
    let k = ((bits >> 23) as i32 - 127) as f32 + exponent;
    let f = f32::from_bits((bits & 0x007f_ffff) + SQRT_HALF) - 1.0;
    // ln(1+f) = 2s + s·R(s²) with s = f/(2+f); minimax of R, error 5e-12.
    let s = f / (2.0 + f);
    let z = s * s;
    let r = 2.361_052_2e-1;
    let r = r * z + 2.853_589e-1;
    let r = r * z + 4.000_035_5e-1;
    let r = r * z + 6.666_666e-1;
    let r = r * z;
    let h = 0.5 * f * f;
    k * LN2_HI - ((h - (s * (h + r) + k * LN2_LO)) - f)
}

/// ln x within 1 ULP; −∞ for ±0, NaN below.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    // 2^23 makes a subnormal number normal.
    let y = log_normal(if tiny { x * 8_388_608.0 } else { x }, if tiny { -23.0 } else { 0.0 });
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f32::NAN } else { y };
    if x.is_nan() { x } else { y }
}

/// ln(1 + e) for 0 ≤ e ≤ 1.
#[inline(always)]
fn log1p(e: f32) -> f32 {
    let u = 1.0 + e;
    // What the sum 1 + e lost comes back in first order.
    log_normal(u, 0.0) + (e - (u - 1.0)) / u
}

/// ln(1 + e^x) within 2 ULP.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + log1p(super::exp(-x.abs()))
}

/// x^y as C's `pow` defines it; exact squares where y = 2. Branches on data.
#[inline]
pub fn pow(x: f32, y: f32) -> f32 {
    if y == 2.0 { x * x } else { libm::powf(x, y) }
}
