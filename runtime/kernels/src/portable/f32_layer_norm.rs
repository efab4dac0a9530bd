//! f32 layer normalization; equal to the reference bit for bit.

use super::f32_reduce::row_lanes;
use crate::args::LayerNormF32;
use crate::f32_rules::{canonical, combine};
use crate::math::sqrt;

#[inline(always)]
pub fn layer_norm(x: &[f32], norm: &LayerNormF32<'_>, out: &mut [f32]) {
    let row = norm.gamma.len();
    if row == 0 {
        return;
    }
    let add = |a: f32, b: f32| a + b;
    for (x, out) in x.chunks_exact(row).zip(out.chunks_exact_mut(row)) {
        let mean = combine(&row_lanes(x, 0.0, add), add) / row as f32;
        let square = |lane: f32, v: f32| {
            let d = v - mean;
            lane + d * d
        };
        let variance = combine(&row_lanes(x, 0.0, square), add) / row as f32;
        let inverse = 1.0 / sqrt(variance + norm.epsilon);
        for ((y, &v), (&gamma, &beta)) in out.iter_mut().zip(x).zip(norm.gamma.iter().zip(norm.beta)) {
            *y = canonical((v - mean) * inverse * gamma + beta);
        }
    }
}
