//! Between f32 and int8 or int16: static grids (ONNX), per-row dynamic grids (ours).

use super::round_ties_even;

/// ONNX QuantizeLinear to a signed 8-bit grid: `clamp(rint(x / scale) + zp)`.
/// `None` for NaN.
#[inline]
pub fn quantize(x: f32, scale: f32, zp: i32) -> Option<i8> {
    if x.is_nan() {
        return None;
    }
    // The cast saturates; ±512 leaves room for any zero point and keeps the sum small.
    let q = round_ties_even(x / scale).clamp(-512.0, 512.0) as i32;
    Some((q + zp).clamp(-128, 127) as i8)
}

/// ONNX DequantizeLinear: `(q − zp)·scale`.
#[inline]
pub fn dequantize(q: i8, scale: f32, zp: i32) -> f32 {
    (q as i32 - zp) as f32 * scale
}

/// ONNX QuantizeLinear to a signed 16-bit grid around 0: `clamp(rint(x / scale))`. `None` for NaN.
#[inline]
pub fn quantize_i16(x: f32, scale: f32) -> Option<i16> {
    // The cast saturates.
    if x.is_nan() { None } else { Some(round_ties_even(x / scale) as i16) }
}

/// `q·scale`.
#[inline]
pub fn dequantize_i16(q: i16, scale: f32) -> f32 {
    f32::from(q) * scale
}

/// `127 / max|x|` of a row, one IEEE division; 0 where `max_abs` < 2^−100.
#[inline]
pub fn dynamic_inverse_scale(max_abs: f32) -> f32 {
    if max_abs < f32::from_bits(27 << 23) { 0.0 } else { 127.0 / max_abs }
}

/// The scale that belongs to [`dynamic_inverse_scale`]: `max|x| / 127`.
#[inline]
pub fn dynamic_scale(max_abs: f32) -> f32 {
    if max_abs < f32::from_bits(27 << 23) { 0.0 } else { max_abs / 127.0 }
}

/// `clamp(rint(x·inv), ±127)`. NaN is refused by the caller, who has seen the row's maximum.
#[inline]
pub fn quantize_dynamic(x: f32, inv: f32) -> i8 {
    round_ties_even(x * inv).clamp(-127.0, 127.0) as i8
}

/// Scale and zero point of ONNX DynamicQuantizeLinear for a tensor with this range.
#[inline]
pub fn onnx_dynamic_params(min: f32, max: f32) -> (f32, u8) {
    let (min, max) = (min.min(0.0), max.max(0.0));
    let scale = (max - min) / 255.0;
    if scale == 0.0 {
        return (1.0, 0);
    }
    (scale, round_ties_even((0.0 - min) / scale).clamp(0.0, 255.0) as u8)
}
