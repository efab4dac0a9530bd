//! `conv2d_w8__neon_4x8`, `…_dotprod_8x8`, `…_i8mm_8x8`: implicit GEMM, tiles of pixels times 8 channels.

use super::dot::Dot;
use super::epilogue::{Blocks, PANELS};
use super::gather::Gather;
use super::tile::{self, Panels};
use crate::args::*;
use crate::pack::{KR, NR, w8_bytes};
use crate::window;

/// Scratch holds the patches of one tile; all panels of a block read them. Where a pixel is its
/// own patch the input is read as it lies. Exact.
#[inline(always)]
pub fn conv2d<D: Dot>(
    level: D,
    x: &[i8],
    w: &[i8],
    s: &ConvShape,
    pad_value: i8,
    mut output: Output<'_>,
    scratch: &mut [u8],
) {
    let (in_c, out_c) = (s.in_c / s.groups, s.out_c / s.groups);
    let k = s.kernel_h * s.kernel_w * in_c;
    let row = k.next_multiple_of(KR);
    let pixels = s.batch * s.out_h * s.out_w;
    if row == 0 || out_c == 0 {
        return;
    }
    let panel = NR * row;
    let pointwise = window::is_pointwise(s);
    let gather = Gather::new(x, s, pad_value);
    let patches: &mut [i8] = zerocopy::transmute_mut!(&mut scratch[..D::ROWS * row]);
    let mut blocks = Blocks::NONE;
    for (group, w) in w.chunks_exact(w8_bytes(out_c, k)).enumerate() {
        for (i, bytes) in w.chunks(panel * PANELS).enumerate() {
            let done = i * PANELS * NR;
            let (first, end) = (group * out_c + done, (group + 1) * out_c);
            // SAFETY: a level is the proof that the CPU has NEON.
            unsafe { blocks.prepare(&output, first, end, s.out_c) };
            let level = level.for_weights(bytes, pixels);
            let panels = Panels { bytes, panel, channels: out_c - done, blocks: &blocks };
            let (mut pixel, mut at) = (0, (0, 0, 0));
            while pixel < pixels {
                let tile = (pixels - pixel).min(D::ROWS);
                if pointwise {
                    let x = |i: usize| &x[(pixel + i) * k..][..k];
                    tile::store(level, x, &panels, &mut output, pixel, tile);
                } else {
                    for i in 0..tile {
                        // SAFETY: as above.
                        unsafe { gather.patch(at, group, &mut patches[i * row..], row) };
                        at = window::next_pixel(s, at);
                    }
                    let patches: &[i8] = patches;
                    tile::store(level, |i| &patches[i * row..][..row], &panels, &mut output, pixel, tile);
                }
                pixel += tile;
            }
        }
    }
}
