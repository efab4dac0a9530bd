//! f32 transposed convolution, 32 or 8 output channels at a time; equal to the reference bit for bit.

use super::f32_tile::store;
use crate::args::{ConvShape, LayerF32};
use crate::f32_rules::{K_BLOCK, transposed_tap};
use crate::pack::NR;

#[inline(always)]
pub fn conv_transpose2d(x: &[f32], shape: &ConvShape, layer: &LayerF32<'_>, out: &mut [f32]) {
    let s = shape;
    let ocg = s.out_c / s.groups;
    for (pixel, out) in out.chunks_exact_mut(s.out_c).enumerate() {
        for (group, out) in out.chunks_exact_mut(ocg).enumerate() {
            let first = group * ocg;
            let mut c = 0;
            while c + 4 * NR <= ocg {
                let sums = gather::<4>(x, s, layer.weights, pixel, group, c);
                for (p, sums) in sums.iter().enumerate() {
                    let c = c + p * NR;
                    store(sums, layer, first + c, &mut out[c..c + NR]);
                }
                c += 4 * NR;
            }
            while c < ocg {
                let width = NR.min(ocg - c);
                let [sums] = gather::<1>(x, s, layer.weights, pixel, group, c);
                store(&sums, layer, first + c, &mut out[c..c + width]);
                c += width;
            }
        }
    }
}

/// Sums of `8·P` channels of a group from `c` on at one output pixel; P = 1 where fewer than 8 are left.
#[inline(always)]
fn gather<const P: usize>(
    x: &[f32],
    s: &ConvShape,
    weights: &[f32],
    pixel: usize,
    group: usize,
    c: usize,
) -> [[f32; NR]; P] {
    let (icg, ocg) = (s.in_c / s.groups, s.out_c / s.groups);
    let (row, ox) = (pixel / s.out_w, pixel % s.out_w);
    let (b, oy) = (row / s.out_h, row % s.out_h);
    let mut total = [[0.0f32; NR]; P];
    let mut block = [[0.0f32; NR]; P];
    let mut count = 0;
    for ky in 0..s.kernel_h {
        let Some(iy) = transposed_tap(oy, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h) else { continue };
        for kx in 0..s.kernel_w {
            let Some(ix) = transposed_tap(ox, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w) else { continue };
            let cell = &x[((b * s.in_h + iy) * s.in_w + ix) * s.in_c + group * icg..][..icg];
            let tap = (group * s.kernel_h + ky) * s.kernel_w + kx;
            for (&x, w) in cell.iter().zip(weights[tap * icg * ocg..].chunks_exact(ocg)) {
                for (sums, w) in block.iter_mut().zip(w[c..].chunks(NR)) {
                    multiply_add(sums, x, w);
                }
                count += 1;
                if count == K_BLOCK {
                    add(&mut total, &block);
                    block = [[0.0; NR]; P];
                    count = 0;
                }
            }
        }
    }
    add(&mut total, &block);
    total
}

#[inline(always)]
fn multiply_add(sums: &mut [f32; NR], x: f32, w: &[f32]) {
    match <&[f32; NR]>::try_from(w) {
        Ok(w) => {
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum += x * w;
            }
        }
        Err(_) => {
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum += x * w;
            }
        }
    }
}

#[inline(always)]
fn add<const P: usize>(total: &mut [[f32; NR]; P], block: &[[f32; NR]; P]) {
    for (total, block) in total.iter_mut().zip(block) {
        for (total, block) in total.iter_mut().zip(block) {
            *total += block;
        }
    }
}
