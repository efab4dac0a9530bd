//! The scalar form of `conv2d_w8`: implicit GEMM, pairs of pixels times 4 channels.

use zerocopy::FromBytes;

use super::dot;
use super::epilogue::store;
use super::gather;
use crate::args::*;
use crate::pack::{KR, NR, panel_channels, w8_bytes};
use crate::window;

/// Pixels of a tile.
const ROWS: usize = 2;

/// Scratch holds the patches of one tile as bytes. Exact.
pub fn conv2d(x: &[i8], w: &[i8], s: &ConvShape, pad_value: i8, mut output: Output<'_>, scratch: &mut [u8]) {
    let groups = s.groups.max(1);
    let (in_c, out_c) = (s.in_c / groups, s.out_c / groups);
    let k = s.kernel_h * s.kernel_w * in_c;
    let row = k.next_multiple_of(KR);
    let pixels = s.batch * s.out_h * s.out_w;
    let Some(Ok(patches)) = scratch.get_mut(..ROWS * row).map(<[i8]>::mut_from_bytes) else { return };
    if row == 0 || out_c == 0 {
        return;
    }
    let pointwise = window::is_pointwise(s) && k == row;
    for (group, w) in w.chunks_exact(w8_bytes(out_c, k).max(1)).enumerate() {
        let (mut pixel, mut at) = (0, (0, 0, 0));
        while pixel < pixels {
            let tile = (pixels - pixel).min(ROWS);
            let rows = if pointwise {
                x.get(pixel * k..(pixel + tile) * k).unwrap_or_default()
            } else {
                for patch in patches.chunks_exact_mut(row.max(1)).take(tile) {
                    gather::patch(x, s, at, group, pad_value, patch);
                    at = window::next_pixel(s, at);
                }
                &*patches
            };
            // A last, single pixel is computed twice and stored once.
            let (a, b) = rows.split_at_checked(row).unwrap_or_default();
            let rows = [a, if tile == ROWS { b } else { a }];
            for (i, panel) in w.chunks((NR * row).max(1)).enumerate() {
                let live = panel_channels(out_c, i);
                // A narrow panel has zeros behind it: 8 channels can be read of its last quad.
                let half = |c: usize| dot::two_rows(panel.get(c * KR..).unwrap_or_default(), live * KR, rows);
                let acc = [half(0), if live > 4 { half(4) } else { [[0; ROWS]; 4] }];
                let acc = acc.as_flattened();
                let acc = acc.get(..live).unwrap_or_default();
                let channel = group * out_c + i * NR;
                if tile == ROWS {
                    store(&mut output, pixel, channel, s.out_c, acc);
                } else {
                    let mut last = [[0]; NR];
                    last.iter_mut().zip(acc).for_each(|(last, [acc, _])| *last = [*acc]);
                    store(&mut output, pixel, channel, s.out_c, last.get(..live).unwrap_or_default());
                }
            }
            pixel += tile;
        }
    }
}
