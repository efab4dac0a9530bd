//! f32 softmax; equal to the reference bit for bit.

use super::f32_reduce::row_lanes;
use crate::f32_rules::{canonical, combine, max};
use crate::math::exp;

#[inline(always)]
pub fn softmax(x: &[f32], row: usize, out: &mut [f32]) {
    if row == 0 {
        return;
    }
    for (x, out) in x.chunks_exact(row).zip(out.chunks_exact_mut(row)) {
        // The order of a maximum shows in the sign of zero only, which no exponential sees.
        let top = combine(&row_lanes(x, f32::NEG_INFINITY, max), max);
        for (y, &x) in out.iter_mut().zip(x) {
            *y = exp(x - top);
        }
        let sum = combine(&row_lanes(out, 0.0, |lane, e| lane + e), |a, b| a + b);
        for y in out {
            *y = canonical(*y / sum);
        }
    }
}
