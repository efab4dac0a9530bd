//! f32 layer normalization: the definition.

use crate::args::LayerNormF32;
use crate::f32_rules::{LANES, canonical, combine};
use crate::math::sqrt;

/// `(x − mean)·(1/√(variance + ε))·γ + β` by rows. Mean and variance are sums in eight lanes over
/// the length; the variance is that of the differences from the mean; each operation is rounded.
pub fn layer_norm(x: &[f32], norm: &LayerNormF32<'_>, out: &mut [f32]) {
    let row = norm.gamma.len();
    if row == 0 {
        return;
    }
    for (x, out) in x.chunks_exact(row).zip(out.chunks_exact_mut(row)) {
        let mean = sum(x.iter().copied()) / row as f32;
        let variance = sum(x.iter().map(|v| (v - mean) * (v - mean))) / row as f32;
        let inverse = 1.0 / sqrt(variance + norm.epsilon);
        for i in 0..row {
            out[i] = canonical((x[i] - mean) * inverse * norm.gamma[i] + norm.beta[i]);
        }
    }
}

fn sum(values: impl Iterator<Item = f32>) -> f32 {
    let mut lanes = [0.0; LANES];
    for (i, v) in values.enumerate() {
        lanes[i % LANES] += v;
    }
    combine(&lanes, |a, b| a + b)
}
