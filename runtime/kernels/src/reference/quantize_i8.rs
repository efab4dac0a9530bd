//! `quantize_i8`, `dequantize_i8`, `dynamic_quantize_i8`: one value at a time.

use selvedge_core::arith;

/// ONNX QuantizeLinear; `false` where a value is NaN.
pub fn quantize(x: &[f32], scale: f32, zero_point: i32, out: &mut [i8]) -> bool {
    for i in 0..out.len() {
        match arith::quantize(x[i], scale, zero_point) {
            Some(q) => out[i] = q,
            None => return false,
        }
    }
    true
}

/// ONNX DequantizeLinear.
pub fn dequantize(x: &[i8], scale: f32, zero_point: i32, out: &mut [f32]) {
    for i in 0..out.len() {
        out[i] = arith::dequantize(x[i], scale, zero_point);
    }
}

/// One scale a row of `row` elements; `false` where a value is NaN or infinite.
pub fn dynamic_quantize(x: &[f32], row: usize, out: &mut [i8], scales: &mut [f32]) -> bool {
    for r in 0..scales.len() {
        let x = &x[r * row..][..row];
        let mut max = 0.0f32;
        for &v in x {
            if !v.is_finite() {
                return false;
            }
            max = max.max(v.abs());
        }
        scales[r] = arith::dynamic_scale(max);
        let inverse = arith::dynamic_inverse_scale(max);
        for i in 0..row {
            out[r * row + i] = arith::quantize_dynamic(x[i], inverse);
        }
    }
    true
}
