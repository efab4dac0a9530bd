//! `conv2d_w8__dsp_4x8`: implicit GEMM, tiles of 4 pixels times the channels of a group.

use zerocopy::FromBytes;

use super::gather::Patches;
use super::panels::{Group, ROW, TILE};
use super::patch;
use crate::args::*;
use crate::pack::{KR, MR, w8_bytes};
use crate::window;

/// Scratch holds the patches of one tile as i16; a misaligned one, those of one pixel. Exact.
pub fn conv2d(x: &[i8], w: &[i8], s: &ConvShape, pad_value: i8, output: &mut Output<'_>, scratch: &mut [u8]) {
    let (in_c, out_c) = (s.in_c / s.groups.max(1), s.out_c / s.groups.max(1));
    let k = s.kernel_h * s.kernel_w * in_c;
    let quads = k.div_ceil(KR);
    let pixels = s.batch * s.out_h * s.out_w;
    if k == 0 || out_c == 0 {
        return;
    }
    let words = words(scratch);
    let tiles = words.len() >= quads * TILE;
    let pointwise = window::is_pointwise(s);
    let mut patches = Patches::new(x, s, pad_value);
    for (i, w) in w.chunks_exact(w8_bytes(out_c, k).max(1)).enumerate() {
        let mut group = Group::new(w, quads, i * out_c, out_c, s.out_c, output);
        let (mut pixel, mut at) = (0, (0, 0, 0));
        while pixel < pixels {
            let (rows, step) = if tiles && pixels - pixel >= MR { (MR, TILE) } else { (1, ROW) };
            for row in 0..rows {
                let to = words.get_mut(row..).unwrap_or_default();
                // Weights are zero for what follows the patch in its last quad.
                let first = (pixel + row) * k;
                match if pointwise { x.get(first..first + quads * KR) } else { None } {
                    Some(x) => patch::widen(x, to, step),
                    None => patches.widen(at, i, to, step),
                }
                at = window::next_pixel(s, at);
            }
            group.run(words, rows, pixel, output);
            pixel += rows;
        }
    }
}

/// The whole words of a scratch.
fn words(scratch: &mut [u8]) -> &mut [u32] {
    let offset = scratch.as_ptr().align_offset(align_of::<u32>());
    let bytes = scratch.get_mut(offset..).unwrap_or_default();
    let len = bytes.len() / 4 * 4;
    <[u32]>::mut_from_bytes(bytes.get_mut(..len).unwrap_or_default()).unwrap_or_default()
}
