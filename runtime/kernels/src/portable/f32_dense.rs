//! f32 matrix products in tiles of 4 rows and 8 or 16 columns; equal to the reference bit for bit.

use super::f32_tile::{Panels, Tile, product, store};
use crate::args::LayerF32;
use crate::element::Element;
use crate::f32_rules::{K_BLOCK, canonical};
use crate::pack::NR;

#[inline(always)]
pub fn dense<T: Tile, E: Element>(
    tile: T,
    x: &[f32],
    rows: usize,
    k: usize,
    n: usize,
    layer: &LayerF32<'_, E>,
    out: &mut [f32],
) {
    let w = Panels::packed(layer.weights, k);
    product(tile, x, rows, k, w, n.div_ceil(NR), |row, panel, sums| {
        let channel = panel * NR;
        let width = NR.min(n - channel);
        store(sums, layer, channel, &mut out[row * n + channel..][..width]);
    });
}

#[inline(always)]
pub fn matmul<T: Tile>(tile: T, a: &[f32], b: &[f32], m: usize, k: usize, n: usize, out: &mut [f32]) {
    let w = Panels { data: b, panel_stride: NR, k_stride: n };
    product(tile, a, m, k, w, n / NR, |row, panel, sums| {
        let y: &mut [f32] = &mut out[row * n + panel * NR..][..NR];
        for (y, &sum) in y.iter_mut().zip(sums) {
            *y = canonical(sum);
        }
    });
    let first = n - n % NR;
    if first == n {
        return;
    }
    for row in 0..m {
        let sums = narrow(&a[row * k..][..k], b, n, first);
        for (y, sum) in out[row * n + first..(row + 1) * n].iter_mut().zip(sums) {
            *y = canonical(sum);
        }
    }
}

/// One row times the columns from `first` on, fewer than 8.
#[inline(always)]
fn narrow(a: &[f32], b: &[f32], n: usize, first: usize) -> [f32; NR] {
    let mut total = [0.0; NR];
    for (block, a) in a.chunks(K_BLOCK).enumerate() {
        let mut sums = [0.0; NR];
        for (i, &a) in a.iter().enumerate() {
            let at = (block * K_BLOCK + i) * n;
            for (sum, &b) in sums.iter_mut().zip(&b[at + first..at + n]) {
                *sum += a * b;
            }
        }
        for (total, sum) in total.iter_mut().zip(sums) {
            *total += sum;
        }
    }
    total
}
