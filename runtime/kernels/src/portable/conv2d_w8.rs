//! `conv2d_w8__portable_4x8`: implicit GEMM, tiles of 4 pixels times 8 channels.

use super::{dot, epilogue, gather};
use crate::args::*;
use crate::pack::{KR, MR, NR, panel_channels, w8_bytes};
use crate::window;

/// Scratch holds the patches of one tile as bytes. Exact.
#[inline(always)]
pub fn conv2d(x: &[i8], w: &[i8], s: &ConvShape, pad_value: i8, mut output: Output<'_>, scratch: &mut [u8]) {
    let (in_c, out_c) = (s.in_c / s.groups, s.out_c / s.groups);
    let k = s.kernel_h * s.kernel_w * in_c;
    let row = k.next_multiple_of(KR);
    let pixels = s.batch * s.out_h * s.out_w;
    if row == 0 || out_c == 0 {
        return;
    }
    for (group, w) in w.chunks_exact(w8_bytes(out_c, k)).enumerate() {
        let (mut pixel, mut at) = (0, (0, 0, 0));
        while pixel < pixels {
            let tile = (pixels - pixel).min(MR);
            let Some(patches) = scratch.get_mut(..MR * row) else { return };
            for patch in patches.chunks_exact_mut(row).take(tile) {
                gather::patch(x, s, at, group, pad_value, patch);
                at = window::next_pixel(s, at);
            }
            for (i, panel) in w.chunks(NR * row).enumerate() {
                let live = panel_channels(out_c, i);
                let channel = group * out_c + i * NR;
                let mut store =
                    |j: usize, acc: &[i32; NR]| epilogue::store(&mut output, pixel + j, channel, live, s.out_c, acc);
                if tile == MR {
                    let rows = [0, 1, 2, 3].map(|j| &patches[j * row..][..row]);
                    let acc = dot::dot(panel, live, rows);
                    acc.iter().enumerate().for_each(|(j, acc)| store(j, acc));
                } else {
                    for (j, patch) in patches.chunks_exact(row).take(tile).enumerate() {
                        let [acc] = dot::dot(panel, live, [patch]);
                        store(j, &acc);
                    }
                }
            }
            pixel += tile;
        }
    }
}
