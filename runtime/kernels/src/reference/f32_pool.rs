//! f32 pools: the definition.

use crate::args::ConvShape;
use crate::f32_rules::{LANES, canonical, combine, max, tap};

/// The greatest cell under the window, from −∞; NaN if one is NaN.
pub fn max_pool(x: &[f32], shape: &ConvShape, out: &mut [f32]) {
    let s = shape;
    for (at, y) in out.iter_mut().enumerate() {
        let (pixel, c) = (at / s.out_c, at % s.out_c);
        let (row, ox) = (pixel / s.out_w, pixel % s.out_w);
        let (b, oy) = (row / s.out_h, row % s.out_h);
        let mut best = f32::NEG_INFINITY;
        for ky in 0..s.kernel_h {
            let Some(iy) = tap(oy, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h) else { continue };
            for kx in 0..s.kernel_w {
                let Some(ix) = tap(ox, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w) else { continue };
                best = max(best, x[((b * s.in_h + iy) * s.in_w + ix) * s.in_c + c]);
            }
        }
        *y = canonical(best);
    }
}

/// Sum over number: tap `i` (row-major in the window) adds into lane `i % 8` where it lies in the
/// input. The number is that of the cells in the input, with `count_pad` also of those in the
/// padding (`pad_end` rows and columns behind the input), and at least 1.
pub fn avg_pool(x: &[f32], shape: &ConvShape, pad_end: [usize; 2], count_pad: bool, out: &mut [f32]) {
    let s = shape;
    for (at, y) in out.iter_mut().enumerate() {
        let (pixel, c) = (at / s.out_c, at % s.out_c);
        let (row, ox) = (pixel / s.out_w, pixel % s.out_w);
        let (b, oy) = (row / s.out_h, row % s.out_h);
        let mut lanes = [0.0; LANES];
        for ky in 0..s.kernel_h {
            let Some(iy) = tap(oy, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h) else { continue };
            for kx in 0..s.kernel_w {
                let Some(ix) = tap(ox, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w) else { continue };
                lanes[(ky * s.kernel_w + kx) % LANES] += x[((b * s.in_h + iy) * s.in_w + ix) * s.in_c + c];
            }
        }
        let n = window_cells(s, oy, ox, pad_end, count_pad);
        *y = canonical(combine(&lanes, |a, b| a + b) / n as f32);
    }
}

/// Cells that an average divides by.
pub fn window_cells(shape: &ConvShape, oy: usize, ox: usize, pad_end: [usize; 2], count_pad: bool) -> usize {
    let s = shape;
    // With padding, the window slides over a plane that starts `pad` before the input.
    let (rows, columns) = if count_pad {
        let height = s.pad_top + s.in_h + pad_end[0];
        let width = s.pad_left + s.in_w + pad_end[1];
        (
            (0..s.kernel_h).filter(|&ky| tap(oy, s.stride_h, ky, s.dilation_h, 0, height).is_some()).count(),
            (0..s.kernel_w).filter(|&kx| tap(ox, s.stride_w, kx, s.dilation_w, 0, width).is_some()).count(),
        )
    } else {
        (
            (0..s.kernel_h).filter(|&ky| tap(oy, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h).is_some()).count(),
            (0..s.kernel_w).filter(|&kx| tap(ox, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w).is_some()).count(),
        )
    };
    (rows * columns).max(1)
}
