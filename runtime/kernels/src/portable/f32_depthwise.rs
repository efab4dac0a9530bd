//! f32 depthwise convolution: tap by tap, all channels of a pixel side by side; equal to the
//! reference bit for bit.

use crate::args::{ConvShape, LayerF32};
use crate::element::Element;
use crate::f32_rules::{K_BLOCK, clamp, epilogue, tap};
use crate::pack::{NR, padded_channels};

#[inline(always)]
pub fn depthwise<E: Element>(x: &[f32], shape: &ConvShape, layer: &LayerF32<'_, E>, out: &mut [f32]) {
    if shape.kernel_h * shape.kernel_w <= K_BLOCK {
        one_block(x, shape, layer, out);
    } else {
        many_blocks(x, shape, layer, out);
    }
}

/// The input's cell under a tap of an output pixel.
#[inline(always)]
fn cell<'a>(x: &'a [f32], s: &ConvShape, pixel: usize, ky: usize, kx: usize) -> Option<&'a [f32]> {
    let (row, ox) = (pixel / s.out_w, pixel % s.out_w);
    let (b, oy) = (row / s.out_h, row % s.out_h);
    let iy = tap(oy, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h)?;
    let ix = tap(ox, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w)?;
    Some(&x[((b * s.in_h + iy) * s.in_w + ix) * s.in_c..][..s.in_c])
}

/// The sums are one block: the output itself holds them.
#[inline(always)]
fn one_block<E: Element>(x: &[f32], s: &ConvShape, layer: &LayerF32<'_, E>, out: &mut [f32]) {
    let padded = padded_channels(s.in_c);
    for (pixel, out) in out.chunks_exact_mut(s.out_c).enumerate() {
        out.fill(0.0);
        for ky in 0..s.kernel_h {
            for kx in 0..s.kernel_w {
                let w = &layer.weights[(ky * s.kernel_w + kx) * padded..][..s.in_c];
                multiply_add(out, cell(x, s, pixel, ky, kx), w);
            }
        }
        E::scale(layer.scales, 0, out);
        if layer.bias.is_empty() {
            for y in out {
                *y = clamp(*y, layer.lo, layer.hi);
            }
        } else {
            for (y, b) in out.iter_mut().zip(layer.bias) {
                *y = clamp(*y + b, layer.lo, layer.hi);
            }
        }
    }
}

/// Kernels of more than [`K_BLOCK`] taps, 8 channels at a time.
#[inline(always)]
fn many_blocks<E: Element>(x: &[f32], s: &ConvShape, layer: &LayerF32<'_, E>, out: &mut [f32]) {
    let padded = padded_channels(s.in_c);
    let taps = s.kernel_h * s.kernel_w;
    for (pixel, out) in out.chunks_exact_mut(s.out_c).enumerate() {
        for (chunk, out) in out.chunks_mut(NR).enumerate() {
            let channels = chunk * NR..chunk * NR + out.len();
            let mut total = [0.0; NR];
            for start in (0..taps).step_by(K_BLOCK) {
                let mut block = [0.0; NR];
                for at in start..taps.min(start + K_BLOCK) {
                    let cell = cell(x, s, pixel, at / s.kernel_w, at % s.kernel_w);
                    let w = &layer.weights[at * padded..][channels.clone()];
                    multiply_add(&mut block[..w.len()], cell.map(|cell| &cell[channels.clone()]), w);
                }
                for (total, block) in total.iter_mut().zip(block) {
                    *total += block;
                }
            }
            E::scale(layer.scales, channels.start, &mut total);
            for ((y, sum), c) in out.iter_mut().zip(total).zip(channels) {
                *y = epilogue(sum, layer.bias.get(c).copied(), layer.lo, layer.hi);
            }
        }
    }
}

/// Cells outside of the input hold 0 and are multiplied like others.
#[inline(always)]
fn multiply_add<E: Element>(sums: &mut [f32], cell: Option<&[f32]>, w: &[E]) {
    match cell {
        Some(cell) => {
            for (sum, (x, w)) in sums.iter_mut().zip(cell.iter().zip(w)) {
                *sum += x * w.widen();
            }
        }
        None => {
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum += 0.0 * w.widen();
            }
        }
    }
}
