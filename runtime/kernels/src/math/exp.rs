//! exp and what follows from it.

/// 1.5·2^23: adding and subtracting it rounds |x| < 2^22 to an integer, whose value stands in the low bits of the sum.
const MAGIC: f32 = 12_582_912.0;
/// ln 2 in two parts, the first of 9 bits: its products with |n| ≤ 150 are exact.
const LN2_HI: f32 = 0.693_359_4;
const LN2_LO: f32 = -2.121_944_4e-4;

/// `n` and `e^r − 1` with x = n·ln2 + r, |r| ≤ ln2/2, for |x| ≤ 104. NaN: some n, and NaN.
#[inline(always)]
fn reduce(x: f32) -> (i32, f32) {
    let t = x * core::f32::consts::LOG2_E + MAGIC;
    let n = t - MAGIC;
    let r = (x - n * LN2_HI) - n * LN2_LO;
    // Minimax of (e^r − 1 − r)/r², error of e^r 3.3e-9.
    let p = 1.381_314_5e-3;
    let p = p * r + 8.369_419e-3;
    let p = p * r + 4.166_845_6e-2;
    let p = p * r + 1.666_651_5e-1;
    let p = p * r + 4.999_999_4e-1;
    ((t.to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32), p * (r * r) + r)
}

/// 2^n for −126 ≤ n ≤ 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// e^x within 1 ULP; subnormal results are rounded like others, ∞ from 88.73, 0 below −103.98.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let (n, q) = reduce(x);
    // Two exact steps of scale, of which the last one rounds or overflows.
    let half = n >> 1;
    (1.0 + q) * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// e^x − 1 for x ≤ 0, within 2 ULP.
#[inline(always)]
pub fn expm1_negative(x: f32) -> f32 {
    let x = if x < -25.0 { -25.0 } else { x };
    let (n, q) = reduce(x);
    let s = power_of_two(n);
    s * q + (s - 1.0)
}

/// `x`, or `alpha·(e^x − 1)` where x < 0.
#[inline(always)]
pub fn elu(x: f32, alpha: f32) -> f32 {
    let bent = alpha * expm1_negative(if x > 0.0 { 0.0 } else { x });
    if x < 0.0 { bent } else { x }
}

/// 1/(1 + e^−x) within 3 ULP, also where it is small.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let numerator = if x < 0.0 { e } else { 1.0 };
    numerator / (1.0 + e)
}

/// `x·sigmoid(x)`, two roundings; NaN for −∞ as the product is.
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x * sigmoid(x)
}

/// tanh x within 2 ULP.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let z = x * x;
    // Minimax of (tanh(x)/x − 1)/x² up to 0.625, error 4.4e-9.
    let p = -5.704_530_5e-3;
    let p = p * z + 2.063_869_5e-2;
    let p = p * z - 5.373_96e-2;
    let p = p * z + 1.333_144_2e-1;
    let p = p * z - 3.333_328e-1;
    // The sum of −0 and its correction would be +0.
    let small = (x + x * (z * p)).copysign(x);
    let a = x.abs();
    let large = (1.0 - 2.0 / (exp(a + a) + 1.0)).copysign(x);
    if a < 0.625 { small } else { large }
}
