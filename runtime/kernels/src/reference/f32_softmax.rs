//! f32 softmax: the definition.

use crate::f32_rules::{LANES, canonical, combine, max};
use crate::math::exp;

/// `e^(x − max)` over its sum, by rows. Elements at −∞ give 0; a row that holds NaN or +∞, or
/// nothing but −∞, gives NaN.
pub fn softmax(x: &[f32], row: usize, out: &mut [f32]) {
    if row == 0 {
        return;
    }
    for (x, out) in x.chunks_exact(row).zip(out.chunks_exact_mut(row)) {
        let top = x.iter().fold(f32::NEG_INFINITY, |top, &v| max(top, v));
        let mut lanes = [0.0; LANES];
        for (i, (y, &v)) in out.iter_mut().zip(x).enumerate() {
            *y = exp(v - top);
            lanes[i % LANES] += *y;
        }
        let sum = combine(&lanes, |a, b| a + b);
        for y in out {
            *y = canonical(*y / sum);
        }
    }
}
