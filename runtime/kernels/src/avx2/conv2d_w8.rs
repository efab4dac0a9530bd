//! `conv2d_w8__avx2_4x8`: implicit GEMM, tiles of 4 pixels times 8 channels.

use core::arch::x86_64::*;

use super::epilogue::{Blocks, PANELS};
use super::{dot, gather};
use crate::args::*;
use crate::pack::{KR, MR, NR, panel_channels, w8_bytes};
use crate::window;

/// Scratch holds the patches of one tile as i16; all panels of a block read them. Exact.
#[inline]
#[target_feature(enable = "avx2")]
pub fn conv2d(x: &[i8], w: &[i8], s: &ConvShape, pad_value: i8, mut output: Output<'_>, scratch: &mut [u8]) {
    let (in_c, out_c) = (s.in_c / s.groups, s.out_c / s.groups);
    let k = s.kernel_h * s.kernel_w * in_c;
    let row = k.next_multiple_of(KR) * 2;
    let pixels = s.batch * s.out_h * s.out_w;
    if row == 0 || out_c == 0 {
        return;
    }
    let panel = NR * row / 2;
    let pointwise = window::is_pointwise(s);
    let patches = &mut scratch[..MR * row];
    for (group, w) in w.chunks_exact(w8_bytes(out_c, k)).enumerate() {
        for (i, panels) in w.chunks(panel * PANELS).enumerate() {
            let (first, end) = (group * out_c + i * PANELS * NR, (group + 1) * out_c);
            let blocks = Blocks::new(&output, first, end, s.out_c);
            let (mut pixel, mut at) = (0, (0, 0, 0));
            while pixel < pixels {
                let tile = (pixels - pixel).min(MR);
                if pointwise {
                    gather::rows(&x[pixel * k..(pixel + tile) * k], k, 0..k, patches);
                } else {
                    for i in 0..tile {
                        gather::patch(x, s, at, group, pad_value, &mut patches[i * row..], row);
                        at = window::next_pixel(s, at);
                    }
                }
                for (j, panel) in panels.chunks(panel).enumerate() {
                    let channels = panel_channels(out_c, i * PANELS + j);
                    blocks.get(j).store(&mut output, pixel, tile, tile_sums(panel, channels, patches, row, tile));
                }
                pixel += tile;
            }
        }
    }
}

/// Sums of the first `tile` ≤ 4 rows of `row` bytes; the others are zero.
#[inline]
#[target_feature(enable = "avx2")]
pub fn tile_sums(panel: &[i8], channels: usize, rows: &[u8], row: usize, tile: usize) -> [__m256i; MR] {
    let zero = _mm256_setzero_si256();
    let at = |i: usize| &rows[i * row..][..row];
    match tile {
        1 => {
            let [a] = dot::dot(panel, channels, [at(0)]);
            [a, zero, zero, zero]
        }
        2 => {
            let [a, b] = dot::dot(panel, channels, [at(0), at(1)]);
            [a, b, zero, zero]
        }
        3 => {
            let [a, b, c] = dot::dot(panel, channels, [at(0), at(1), at(2)]);
            [a, b, c, zero]
        }
        _ => dot::dot(panel, channels, [at(0), at(1), at(2), at(3)]),
    }
}
