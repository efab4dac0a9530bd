//! `quantize_i8`, `dequantize_i8`, `dynamic_quantize_i8`: loops a compiler vectorizes.

use selvedge_core::arith;

/// 1.5·2^23: adding it rounds |v| < 2^22 to an integer, ties to even, in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Rounds |v| ≤ 512.
#[inline(always)]
fn round_ties_even(v: f32) -> i32 {
    (v + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32
}

#[inline(always)]
fn clamp(v: f32, bound: f32) -> f32 {
    let v = if v > -bound { v } else { -bound };
    if v < bound { v } else { bound }
}

/// Exact: clamping to integers commutes with rounding. `false` where a value is NaN.
#[inline(always)]
pub fn quantize(x: &[f32], scale: f32, zero_point: i32, out: &mut [i8]) -> bool {
    let mut nan = 0;
    for (out, &x) in out.iter_mut().zip(x) {
        nan |= x.is_nan() as u32;
        let v = x / scale;
        let v = if v.is_nan() { 0.0 } else { v };
        *out = round_ties_even(clamp(v, 512.0)).wrapping_add(zero_point).clamp(-128, 127) as i8;
    }
    nan == 0
}

/// Exact.
#[inline(always)]
pub fn dequantize(x: &[i8], scale: f32, zero_point: i32, out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = arith::dequantize(x, scale, zero_point);
    }
}

/// Exact. The bits of magnitudes order as their values; NaN and infinity come last.
#[inline(always)]
pub fn dynamic_quantize(x: &[f32], row: usize, out: &mut [i8], scales: &mut [f32]) -> bool {
    let row = row.max(1);
    for ((x, out), scale) in x.chunks(row).zip(out.chunks_mut(row)).zip(scales) {
        let max = x.iter().fold(0, |max: u32, v| max.max(v.to_bits() & 0x7fff_ffff));
        let max = f32::from_bits(max);
        if !max.is_finite() {
            return false;
        }
        *scale = arith::dynamic_scale(max);
        let inverse = arith::dynamic_inverse_scale(max);
        for (out, &x) in out.iter_mut().zip(x) {
            *out = round_ties_even(clamp(x * inverse, 127.0)) as i8;
        }
    }
    true
}
