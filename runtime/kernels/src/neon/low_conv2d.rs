//! `conv2d_w4__neon_4x8`, `…_w3__neon_dotprod_8x8`, `…_t2__neon_i8mm_8x8`, … : implicit GEMM, tiles
//! of pixels times 8 channels of weights with fewer than 8 bits.

use super::gather::Gather;
use super::low_dot::LowDot;
use super::low_tile::{self, Layer};
use crate::args::*;
use crate::code::Code;
use crate::pack::KR;
use crate::portable::low_bit::of_conv_group;
use crate::window;

/// Exact.
#[inline(always)]
pub fn conv2d<L: LowDot, C: Code>(
    level: L,
    x: &[i8],
    w: &LowBit<'_>,
    s: &ConvShape,
    pad_value: i8,
    mut output: Output<'_>,
    scratch: &mut [u8],
) {
    let out_c = s.out_c / s.groups;
    let pixels = s.batch * s.out_h * s.out_w;
    if w.k == 0 || out_c == 0 {
        return;
    }
    let pointwise = window::is_pointwise(s);
    let gather = Gather::new(x, s, pad_value);
    for group in 0..s.groups {
        let Some(w) = of_conv_group::<C>(w, group) else { return };
        let (k, quads) = (w.k, w.k.next_multiple_of(KR));
        let layer = Layer { w, channel: group * out_c, channels: s.out_c };
        low_tile::run::<L, C>(level, &layer, pixels, &mut output, scratch, |pixel, tile, lines| {
            let line = lines.len() / tile.max(1);
            let mut at = (pixel / (s.out_h * s.out_w), pixel / s.out_w % s.out_h, pixel % s.out_w);
            for r in 0..tile {
                let to = &mut lines[r * line..];
                if pointwise {
                    to[..k].copy_from_slice(&x[(pixel + r) * k..][..k]);
                    to[k..line].fill(0);
                } else {
                    // SAFETY: a level is the proof that the CPU has NEON.
                    unsafe { gather.patch(at, group, to, quads) };
                    to[quads..line].fill(0);
                    at = window::next_pixel(s, at);
                }
            }
        });
    }
}
