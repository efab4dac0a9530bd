//! f32 convolution: 4 pixels are gathered into the scratch, then multiplied with the panels;
//! equal to the reference bit for bit.

use super::f32_dense::dense;
use super::f32_tile::{Panels, Tile, store};
use crate::args::{ConvShape, LayerF32};
use crate::element::Element;
use crate::f32_rules::tap;
use crate::pack::{MR, NR, f32_elements};
use crate::scratch;

#[inline(always)]
pub fn conv2d<T: Tile, E: Element>(
    tile: T,
    x: &[f32],
    shape: &ConvShape,
    layer: &LayerF32<'_, E>,
    out: &mut [f32],
    scratch: &mut [u8],
) {
    let s = shape;
    let pixels = s.batch * s.out_h * s.out_w;
    if is_pointwise(s) {
        return dense(tile, x, pixels, s.in_c, s.out_c, layer, out);
    }
    let (icg, ocg) = (s.in_c / s.groups, s.out_c / s.groups);
    let k = s.kernel_h * s.kernel_w * icg;
    let patch = scratch::as_f32(scratch, MR * k);
    let group_weights = f32_elements(ocg, k);
    let mut pixel = 0;
    while pixel < pixels {
        let valid = MR.min(pixels - pixel);
        for group in 0..s.groups {
            for m in 0..valid {
                gather(x, s, pixel + m, group * icg, &mut patch[m * k..][..k]);
            }
            // Rows behind the last pixel repeat it.
            let rows: [&[f32]; MR] = core::array::from_fn(|m| &patch[m.min(valid - 1) * k..][..k]);
            let w = Panels::packed(&layer.weights[group * group_weights..][..group_weights], k);
            let mut channel = 0;
            while channel < ocg {
                let pixels = (pixel, valid);
                let wide = ocg - channel > NR;
                let channels = (group * ocg + channel, ocg - channel);
                if wide {
                    panels::<T, E, 2>(tile, &rows, w.from(channel / NR), k, pixels, channels, s.out_c, layer, out);
                    channel += 2 * NR;
                } else {
                    panels::<T, E, 1>(tile, &rows, w.from(channel / NR), k, pixels, channels, s.out_c, layer, out);
                    channel += NR;
                }
            }
        }
        pixel += valid;
    }
}

/// Each output pixel reads the one input pixel of the same index.
fn is_pointwise(s: &ConvShape) -> bool {
    (s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.groups) == (1, 1, 1, 1, 1)
        && (s.pad_top, s.pad_left, s.out_h, s.out_w) == (0, 0, s.in_h, s.in_w)
}

/// Sums and stores P panels: `pixels` is (first, number), `channels` (first, number left in the group).
#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn panels<T: Tile, E: Element, const P: usize>(
    tile: T,
    rows: &[&[f32]; MR],
    w: Panels<'_, E>,
    k: usize,
    pixels: (usize, usize),
    channels: (usize, usize),
    out_c: usize,
    layer: &LayerF32<'_, E>,
    out: &mut [f32],
) {
    let sums = tile.sums::<E, MR, P>(rows, w, k);
    for (m, sums) in sums.iter().enumerate().take(pixels.1) {
        for (p, sums) in sums.iter().enumerate() {
            let channel = channels.0 + p * NR;
            let width = NR.min(channels.1 - p * NR);
            store(sums, layer, channel, &mut out[(pixels.0 + m) * out_c + channel..][..width]);
        }
    }
}

/// Window of one output pixel from input channel `c0` on, `[row][column][channel of the group]`.
#[inline(always)]
fn gather(x: &[f32], s: &ConvShape, pixel: usize, c0: usize, patch: &mut [f32]) {
    let icg = s.in_c / s.groups;
    let (row, ox) = (pixel / s.out_w, pixel % s.out_w);
    let (b, oy) = (row / s.out_h, row % s.out_h);
    // All columns of the window lie side by side in the input.
    let left = (ox * s.stride_w).checked_sub(s.pad_left);
    let contiguous = match left {
        Some(left) if s.dilation_w == 1 && s.groups == 1 && left + s.kernel_w <= s.in_w => Some(left),
        _ => None,
    };
    for (ky, patch) in patch.chunks_exact_mut(s.kernel_w * icg).enumerate() {
        let Some(iy) = tap(oy, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h) else {
            patch.fill(0.0);
            continue;
        };
        let line = (b * s.in_h + iy) * s.in_w;
        if let Some(left) = contiguous {
            patch.copy_from_slice(&x[(line + left) * s.in_c..][..patch.len()]);
            continue;
        }
        for (kx, cell) in patch.chunks_exact_mut(icg).enumerate() {
            match tap(ox, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w) {
                Some(ix) => cell.copy_from_slice(&x[(line + ix) * s.in_c + c0..][..icg]),
                None => cell.fill(0.0),
            }
        }
    }
}
