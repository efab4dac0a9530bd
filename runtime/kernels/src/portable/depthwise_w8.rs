//! `depthwise_w8__portable_1x8`: one pixel, 8 channels, taps in pairs.

use super::epilogue;
use crate::args::*;
use crate::pack::{NR, panel_channels};
use crate::window;

/// Taps whose cells are looked up once a pixel; those past it, once a block.
const TAPS: usize = 32;

/// Taps in the padding read `pad_value`. Needs no scratch. Exact.
#[inline(always)]
pub fn depthwise(x: &[i8], w: &[i8], s: &ConvShape, pad_value: i8, mut output: Output<'_>, _scratch: &mut [u8]) {
    let taps = s.kernel_h * s.kernel_w;
    if taps == 0 {
        return;
    }
    let mut at = (0, 0, 0);
    for pixel in 0..s.batch * s.out_h * s.out_w {
        let [rows, cols] = window::inside(s, at);
        let start = |tap: usize| {
            let (ky, kx) = (tap / s.kernel_w, tap % s.kernel_w);
            let inside = (rows.0..rows.1).contains(&ky) && (cols.0..cols.1).contains(&kx);
            if inside { window::cell(s, at, ky, kx) * s.in_c } else { usize::MAX }
        };
        let mut starts = [usize::MAX; TAPS];
        starts.iter_mut().take(taps).enumerate().for_each(|(tap, to)| *to = start(tap));
        for (i, block) in w.chunks(NR * taps.next_multiple_of(2)).enumerate() {
            let channel = i * NR;
            let live = panel_channels(s.out_c, i);
            let cells = |tap: usize| {
                let start = starts.get(tap).copied().unwrap_or_else(|| start(tap));
                let x = x.get(start.saturating_add(channel)..).unwrap_or_default();
                match x.first_chunk::<NR>() {
                    Some(x) => *x,
                    None if start == usize::MAX => [pad_value; NR],
                    None => core::array::from_fn(|c| x.get(c).copied().unwrap_or_default()),
                }
            };
            let mut acc = [0i32; NR];
            for pair in 0..taps.div_ceil(2) {
                let Some(w) = block.get(pair * live * 2..).and_then(<[i8]>::first_chunk::<{ NR * 2 }>) else { break };
                // The partner of a last, odd tap has weight zero.
                let (a, b) = (cells(pair * 2), cells((pair * 2 + 1).min(taps - 1)));
                for (c, acc) in acc.iter_mut().enumerate() {
                    let sum = a[c] as i32 * w[c * 2] as i32 + b[c] as i32 * w[c * 2 + 1] as i32;
                    *acc = acc.wrapping_add(sum);
                }
            }
            epilogue::store(&mut output, pixel, channel, live, s.out_c, &acc);
        }
        at = window::next_pixel(s, at);
    }
}
