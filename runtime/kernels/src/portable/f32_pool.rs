//! f32 pools, vectorized over channels; equal to the reference bit for bit.

use super::f32_reduce::{Columns, sum_columns};
use crate::args::ConvShape;
use crate::f32_rules::{LANES, canonical, max, tap};
use crate::reference::f32_pool::window_cells;

/// Calls `visit(tap, first element of the cell)` for each tap in the input, row-major.
#[inline(always)]
fn cells(s: &ConvShape, pixel: usize, mut visit: impl FnMut(usize, usize)) {
    let (row, ox) = (pixel / s.out_w, pixel % s.out_w);
    let (b, oy) = (row / s.out_h, row % s.out_h);
    for ky in 0..s.kernel_h {
        let Some(iy) = tap(oy, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h) else { continue };
        for kx in 0..s.kernel_w {
            let Some(ix) = tap(ox, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w) else { continue };
            visit(ky * s.kernel_w + kx, ((b * s.in_h + iy) * s.in_w + ix) * s.in_c);
        }
    }
}

#[inline(always)]
pub fn max_pool(x: &[f32], shape: &ConvShape, out: &mut [f32]) {
    for (pixel, out) in out.chunks_exact_mut(shape.out_c).enumerate() {
        out.fill(f32::NEG_INFINITY);
        cells(shape, pixel, |_, at| {
            for (y, &x) in out.iter_mut().zip(&x[at..]) {
                *y = max(*y, x);
            }
        });
        for y in out {
            *y = canonical(*y);
        }
    }
}

#[inline(always)]
pub fn avg_pool(x: &[f32], shape: &ConvShape, pad_end: [usize; 2], count_pad: bool, out: &mut [f32]) {
    let s = shape;
    for (pixel, out) in out.chunks_exact_mut(s.out_c).enumerate() {
        let (oy, ox) = (pixel / s.out_w % s.out_h, pixel % s.out_w);
        let n = window_cells(s, oy, ox, pad_end, count_pad) as f32;
        for (chunk, out) in out.chunks_mut(LANES).enumerate() {
            let mut columns: Columns = [[0.0; LANES]; LANES];
            cells(s, pixel, |tap, at| {
                let at = at + chunk * LANES;
                sum_columns(&mut columns, tap, &x[at..at + out.len()], |lane, x| lane + x);
            });
            let sums = super::f32_reduce::combine_columns(&columns, |a, b| a + b);
            for (y, sum) in out.iter_mut().zip(sums) {
                *y = canonical(sum / n);
            }
        }
    }
}
