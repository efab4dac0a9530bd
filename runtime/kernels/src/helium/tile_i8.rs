//! Convolution tiles whose outputs are int8: four pixels times the channels of a group, sums
//! and epilogue of a channel in registers.
//!
//! Sums are made as in [`super::dot`]. The four sums of a channel become one vector, which the
//! channel's multiplier and shift, as scalars, requantize; a scatter store puts a byte into each
//! of the four output pixels. The loops are in [`super::tile_loops`].

use super::tile_loops::*;
use crate::args::Requant;
use crate::pack::{KR, MR, NR};

/// Largest k of which a row fits one vector.
const SHORT: usize = 16;

/// The int8 epilogue of a layer: biases of 32 bits, shifts in 1..=31.
#[derive(Clone, Copy)]
pub struct Int8<'a> {
    pub q: &'a Requant<'a>,
    pub bias: &'a [i32],
}

/// What the loops are given; they know where each field lies.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct Args {
    rows: [*const i8; MR],
    /// Whole vectors of k, and k beyond them.
    blocks: usize,
    tail: usize,
    multiplier: *const i32,
    shift: *const i8,
    out: *const i8,
    /// Where the first panel's outputs of the first pixel end.
    panel_end: *const i8,
    zero_point: i32,
    /// From the words behind a panel's first ones to the next panel.
    panel_step: usize,
    /// Where the outputs of the first pixel end.
    end: *const i8,
    /// Channels of a panel.
    width: usize,
    lo: i32,
    hi: i32,
    panel: *const i8,
    bias: *const i32,
    k: usize,
    /// From one 16 k of a channel to the next.
    step: usize,
    /// Byte offsets of the four words of a channel that hold 16 k.
    words: [usize; 4],
    /// Byte offsets of the four pixels in the output.
    pixels: [usize; MR],
    /// m1, m2, c, −s, lo, hi of a fused residual.
    residual: [i32; 6],
}

const _: () = assert!(core::mem::offset_of!(Args, lo) == 56 && core::mem::offset_of!(Args, residual) == 112);

/// The panels of a group: those of 8 channels, and the narrow one behind them.
pub struct Panels {
    full: Args,
    narrow: Args,
    full_channels: usize,
    residual: bool,
    k: usize,
    /// From a pixel's outputs to the next one's.
    pixel_step: usize,
}

impl Panels {
    /// `channels` channels from `channel` on of a layer with outputs of `pixel_step` channels.
    ///
    /// `w` is `w8_bytes(channels, k)` long and aligned to 4 bytes, the arrays of `int8` have `channel + channels`
    /// entries.
    #[inline]
    pub fn new(int8: &Int8<'_>, w: &[i8], channel: usize, channels: usize, k: usize, pixel_step: usize) -> Self {
        let row = k.next_multiple_of(KR);
        let panels = |first: usize, width: usize| {
            let word = width * KR;
            let short = k <= SHORT;
            // Lanes past a short k multiply zeros of the rows: any readable word will do.
            let offset = |i: usize| if short && i * KR >= k { 0 } else { i * word };
            // A load that moves on begins a step before the first.
            let back = match (short, width) {
                (true, _) => 4,
                (false, NR) => 4 * word,
                (false, _) => 0,
            };
            Args {
                rows: [w.as_ptr(); MR],
                blocks: k / SHORT,
                tail: k % SHORT,
                multiplier: int8.q.multiplier.as_ptr().wrapping_add(channel + first),
                shift: int8.q.shift.as_ptr().wrapping_add(channel + first),
                out: core::ptr::null(),
                panel_end: core::ptr::null(),
                zero_point: int8.q.zero_point,
                panel_step: (row * NR).wrapping_sub(NR * KR),
                end: core::ptr::null(),
                width,
                lo: int8.q.lo as i32,
                hi: int8.q.hi as i32,
                panel: w.as_ptr().wrapping_add(first * row).wrapping_sub(back),
                bias: int8.bias.as_ptr().wrapping_add(channel + first),
                k,
                step: 4 * word,
                words: [offset(0), offset(1), offset(2), offset(3)],
                pixels: [0, 1, 2, 3].map(|i| i * pixel_step),
                residual: int8
                    .q
                    .residual
                    .map_or([0; 6], |r| [r.m1, r.m2, r.c, -((r.s & 31) as i32), r.lo as i32, r.hi as i32]),
            }
        };
        let full_channels = channels / NR * NR;
        Self {
            full: panels(0, NR),
            narrow: panels(full_channels, channels - full_channels),
            full_channels,
            residual: int8.q.residual.is_some(),
            k,
            pixel_step,
        }
    }

    /// Computes the channels of `tile` ≤ 4 pixels, the first at `out`. Exact.
    ///
    /// # Safety
    /// What `new` was given lives and is as it says; each row has `k` readable bytes; the
    /// channels of `tile` ≥ 1 pixels, `pixel_step` bytes apart, can be written from `out` on.
    #[inline]
    pub unsafe fn tile(&mut self, rows: [*const i8; MR], tile: usize, out: *mut i8) {
        let rest = self.narrow.width;
        for (args, first, channels) in
            [(&mut self.full, 0, self.full_channels), (&mut self.narrow, self.full_channels, rest)]
        {
            if channels == 0 {
                continue;
            }
            args.rows = rows;
            args.out = out.wrapping_add(first);
            args.panel_end = args.out.wrapping_add(args.width);
            args.end = args.out.wrapping_add(channels);
            if tile < MR {
                // The last pixel is computed again.
                args.pixels = [0, 1, 2, 3].map(|i: usize| i.min(tile - 1) * self.pixel_step);
            }
            // SAFETY: the caller's claims.
            unsafe {
                match (self.k <= SHORT, args.width == NR, self.residual) {
                    (true, _, false) => short_panels(args),
                    (true, _, true) => short_panels_add(args),
                    (_, true, false) => full_panels(args),
                    (_, true, true) => full_panels_add(args),
                    (_, false, false) => narrow_panel(args),
                    (_, false, true) => narrow_panel_add(args),
                }
            }
        }
    }
}
