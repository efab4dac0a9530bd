//! f32 matrix products: the definition.

use crate::args::LayerF32;
use crate::element::Element;
use crate::f32_rules::{BlockedSum, canonical, epilogue};
use crate::pack::NR;

/// Rows `[rows, k]` times a packed matrix of `n` rows of `k`.
pub fn dense<E: Element>(x: &[f32], k: usize, n: usize, layer: &LayerF32<'_, E>, out: &mut [f32]) {
    for (at, y) in out.iter_mut().enumerate() {
        let (row, j) = (at / n, at % n);
        let mut sum = BlockedSum::default();
        for i in 0..k {
            sum.add(x[row * k + i] * layer.weights[j / NR * (NR * k) + i * NR + j % NR].widen());
        }
        let mut sum = [sum.finish()];
        E::scale(layer.scales, j, &mut sum);
        *y = epilogue(sum[0], layer.bias.get(j).copied(), layer.lo, layer.hi);
    }
}

/// `[m, k]` times `[k, n]`, row-major.
pub fn matmul(a: &[f32], b: &[f32], k: usize, n: usize, out: &mut [f32]) {
    for (at, y) in out.iter_mut().enumerate() {
        let (row, j) = (at / n, at % n);
        let mut sum = BlockedSum::default();
        for i in 0..k {
            sum.add(a[row * k + i] * b[i * n + j]);
        }
        *y = canonical(sum.finish());
    }
}
