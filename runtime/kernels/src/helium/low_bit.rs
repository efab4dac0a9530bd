//! `dense_w4__helium_4x8`, `conv2d_w2__helium_4x8`, … : tiles of 4 rows or pixels, then single
//! ones, times panels of 8 channels.
//!
//! Misaligned codes and rows without elements have no loops here.

use super::epilogue::Epilogue;
use super::gather::Patches;
use super::low_groups::*;
use super::low_lines::{Layout, word_k};
use super::low_loops::{self, add_scaled, row_w2, row_w4, tile_w2, tile_w4};
use super::low_panels::*;
use super::low_w3::{LANES, row_w3, tile_w3};
use crate::args::*;
use crate::code::{Code, Width};
use crate::isa::IsaI8;
use crate::pack::{MR, NR, panel_channels};
use crate::pack_low::{SPAN, padded_k, panel_bytes};
use crate::portable::{gather, low_bit::of_conv_group};
use crate::{Portable, window};

/// Longest patch that is kept on the stack before it is arranged.
const KEPT: usize = 64;

/// Exact.
pub fn dense<C: Code>(x: &[i8], w: &LowBit<'_>, rows: usize, output: Output<'_>, scratch: &mut [u8]) {
    let layer =
        Layer::new::<C>(w, 0).filter(|layer| scratch.len() >= layer.layout.bytes(if rows < MR { 1 } else { MR }));
    let Some(layer) = layer else { return Portable.dense_low::<C>(x, w, rows, output, scratch) };
    let Some(mut epilogue) = Epilogue::new(output, rows, w.n) else { return };
    let mut args = layer.args::<C>(&mut epilogue);
    let mut row = 0;
    for_tiles(rows, |tile| {
        let (x, lines) = (x.get(row * w.k..(row + tile) * w.k)?, scratch.get_mut(..layer.layout.bytes(tile))?);
        for (i, x) in x.chunks_exact(w.k.max(1)).enumerate() {
            layer.layout.row(x, lines, tile, i);
        }
        layer.run::<C>(&mut args, lines, tile, row, &mut epilogue);
        row += tile;
        Some(())
    });
}

/// Exact.
pub fn conv2d<C: Code>(x: &[i8], w: &LowBit<'_>, s: &ConvShape, pad_value: i8, output: Output<'_>, scratch: &mut [u8]) {
    let pointwise = window::is_pointwise(s);
    let patch = if pointwise || padded_k(w.k) <= KEPT { 0 } else { padded_k(w.k) };
    let layer = Layer::new::<C>(w, 0).filter(|layer| scratch.len() >= layer.layout.bytes(MR) + patch);
    let Some(Layer { layout, .. }) = layer else {
        return Portable.conv2d_low::<C>(x, w, s, pad_value, output, scratch);
    };
    let pixels = s.batch * s.out_h * s.out_w;
    let Some(mut epilogue) = Epilogue::new(output, pixels, s.out_c) else { return };
    let mut kept = [0; KEPT];
    for group in 0..s.groups {
        let Some(layer) = of_conv_group::<C>(w, group).and_then(|w| Layer::new::<C>(&w, group * w.n)) else { return };
        let mut args = layer.args::<C>(&mut epilogue);
        let (mut pixel, mut at) = (0, (0, 0, 0));
        let mut patches = scratch
            .get(layout.bytes(MR)..)
            .filter(|_| !pointwise)
            .and_then(|rest| Patches::new(x, s, pad_value, group, rest));
        for_tiles(pixels, |tile| {
            let (lines, rest) = scratch.split_at_mut_checked(layout.bytes(MR))?;
            let lines = lines.get_mut(..layout.bytes(tile))?;
            let rows = match &mut patches {
                Some(patches) => Some(patches.next(tile, rest)?),
                None => None,
            };
            for i in 0..tile {
                if let Some(rows) = &rows {
                    // SAFETY: patches have `k` bytes, until the next ones are asked for.
                    let row = unsafe { core::slice::from_raw_parts(*rows.get(i)?, w.k) };
                    layout.row(row, lines, tile, i);
                    continue;
                }
                if pointwise {
                    layout.row(x.get((pixel + i) * w.k..(pixel + i + 1) * w.k)?, lines, tile, i);
                } else {
                    let line = if patch == 0 { &mut kept[..] } else { &mut *rest }.get_mut(..padded_k(w.k))?;
                    gather::patch(x, s, at, group, pad_value, line);
                    layout.row(zerocopy::transmute_ref!(line.get(..w.k)?), lines, tile, i);
                    at = window::next_pixel(s, at);
                }
            }
            layer.run::<C>(&mut args, lines, tile, pixel, &mut epilogue);
            pixel += tile;
            Some(())
        });
    }
}

/// Tiles of four rows, then of one.
fn for_tiles(rows: usize, mut tile: impl FnMut(usize) -> Option<()>) {
    let (tiles, single) = (rows / MR, rows % MR);
    for size in core::iter::repeat_n(MR, tiles).chain(core::iter::repeat_n(1, single)) {
        if tile(size).is_none() {
            return;
        }
    }
}

/// The channels of a layer, or of a group of a convolution.
struct Layer<'a> {
    w: LowBit<'a>,
    layout: Layout,
    first: usize,
}

impl<'a> Layer<'a> {
    /// `None` where there are no loops for it, or less than it needs.
    fn new<C: Code>(w: &LowBit<'a>, first: usize) -> Option<Self> {
        let sound = w.k > 0
            && w.n > 0
            && w.group.is_multiple_of(SPAN)
            && w.codes.as_ptr().addr().is_multiple_of(4)
            && w.codes.len() >= crate::pack_low::low_bytes(C::WIDTH, w.n, w.k);
        sound.then(|| Self { w: *w, layout: Layout::new::<C>(w), first })
    }

    /// Whether rows have one scale, that of the epilogue.
    fn is_whole(&self) -> bool {
        self.w.scales.is_empty() && self.w.offsets.is_empty() && self.layout.groups == 1
    }

    /// Whether the loops with an epilogue have its groups: each has a scale, and whole gathers.
    fn is_scaled<C: Code>(&self) -> bool {
        let whole = self.layout.groups == 1 || self.w.group.is_multiple_of(4 * word_k::<C>());
        !self.w.scales.is_empty() && self.w.offsets.is_empty() && whole
    }

    /// What the loops with an epilogue are given, where they can have the layer's full panels.
    #[inline(always)]
    fn args<C: Code>(&self, epilogue: &mut Epilogue<'_>) -> Option<Args> {
        let (w, row) = (&self.w, epilogue.channels());
        let (int8, _) = epilogue.int8().filter(|_| self.is_whole() || self.is_scaled::<C>())?;
        let blocks = w.k.div_ceil(C::WIDTH.block());
        let words = blocks * C::WIDTH.block() / word_k::<C>();
        let Gather { lanes, step, high } = Gather::of::<C>();
        let groups = if self.is_whole() { 0 } else { self.layout.groups };
        let of_group = if w.group == 0 { words } else { w.group / word_k::<C>() };
        let last = words.saturating_sub(groups.saturating_sub(1) * of_group);
        let panels = Panels {
            codes: w.codes,
            column: blocks * C::WIDTH.runs(),
            words,
            lanes,
            step,
            high,
            first: self.first,
            channels: w.n / NR * NR,
            row,
            scaled: Scaled { scales: w.scales, groups, words: of_group, last },
        };
        panels.args(&int8)
    }

    /// Stores `rows` (one or four) rows of the output from `row` on; `lines` holds theirs.
    #[inline(always)]
    fn run<C: Code>(
        &self,
        args: &mut Option<Args>,
        lines: &[u8],
        rows: usize,
        row: usize,
        epilogue: &mut Epilogue<'_>,
    ) {
        let done = args.as_mut().and_then(|args| self.in_registers::<C>(args, lines, rows, row, epilogue));
        let done = done.unwrap_or(0);
        if done * NR < self.w.n {
            self.in_memory::<C>(done, lines, rows, row, epilogue);
        }
    }

    /// Stores the full panels of int8 outputs; their number.
    #[inline(always)]
    fn in_registers<C: Code>(
        &self,
        args: &mut Args,
        lines: &[u8],
        rows: usize,
        row: usize,
        epilogue: &mut Epilogue<'_>,
    ) -> Option<usize> {
        let (channels, step) = (self.w.n / NR * NR, epilogue.channels());
        let (int8, out) = epilogue.int8()?;
        let (residual, scaled) = (int8.q.residual.is_some(), !self.w.scales.is_empty());
        if lines.len() < self.layout.bytes(rows) || rows != MR && residual {
            return None;
        }
        let out = out.get_mut(row * step + self.first..)?.get_mut(..(rows - 1) * step + channels)?;
        args.set(lines.as_ptr(), self.w.scales, out, channels);
        // SAFETY: `Panels::args` has seen to codes and arrays, `new` to the codes' alignment, above
        // to the lines and to the output, which ends with the last element of the last row.
        unsafe {
            match (C::WIDTH, rows, residual) {
                (Width::W4, MR, false) if scaled => groups_w4(args),
                (Width::W4, MR, true) if scaled => groups_add_w4(args),
                (Width::W4, ..) if scaled => group_rows_w4(args),
                (Width::W3, MR, false) if scaled => groups_w3(args),
                (Width::W3, MR, true) if scaled => groups_add_w3(args),
                (Width::W3, ..) if scaled => group_rows_w3(args),
                (_, MR, false) if scaled => groups_w2(args),
                (_, MR, true) if scaled => groups_add_w2(args),
                _ if scaled => group_rows_w2(args),
                (Width::W4, MR, false) => panels_w4(args),
                (Width::W4, MR, true) => panels_add_w4(args),
                (Width::W4, ..) => rows_w4(args),
                (Width::W3, MR, false) => panels_w3(args),
                (Width::W3, MR, true) => panels_add_w3(args),
                (Width::W3, ..) => rows_w3(args),
                (_, MR, false) => panels_w2(args),
                (_, MR, true) => panels_add_w2(args),
                _ => rows_w2(args),
            }
        }
        Some(channels / NR)
    }

    /// Stores the panels from `done` on, by way of their sums.
    #[inline(never)]
    fn in_memory<C: Code>(&self, done: usize, lines: &[u8], rows: usize, row: usize, epilogue: &mut Epilogue<'_>) {
        let (w, whole) = (&self.w, self.is_whole());
        let (mut sums, mut more) = ([[0; NR]; MR], [[0; NR]; MR]);
        for (panel, codes) in w.codes.chunks(panel_bytes(C::WIDTH, NR, w.k).max(1)).enumerate().skip(done) {
            if panel * NR >= w.n {
                return;
            }
            let live = panel_channels(w.n, panel);
            let channel = self.first + panel * NR;
            let start = epilogue.start(channel, live);
            if whole {
                self.group::<C>(codes, live, lines, rows, 0, &start, &mut sums);
            } else {
                sums = [start; MR];
                for (group, lines) in lines.chunks(self.layout.group_bytes(rows).max(1)).enumerate() {
                    self.group::<C>(codes, live, lines, rows, group, &[0; NR], &mut more);
                    self.add(panel, live, group, lines, rows, &more, &mut sums);
                }
            }
            epilogue.store(row, rows, channel, live, sums.get(..rows).unwrap_or_default());
        }
    }

    /// Sums of a k group of a panel: biases, the numbers of its rows, and the products.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "what a loop needs")]
    fn group<C: Code>(
        &self,
        codes: &[u8],
        live: usize,
        lines: &[u8],
        rows: usize,
        group: usize,
        bias: &[i32; NR],
        sums: &mut [[i32; NR]; MR],
    ) {
        let block = C::WIDTH.block();
        let words = self.layout.len(group).div_ceil(block) * block / word_k::<C>();
        let run = live * 4;
        let first = codes.as_ptr().wrapping_add(group * self.layout.group / block * C::WIDTH.runs() * run);
        let Gather { lanes, step, high } = Gather::of::<C>();
        if lines.len() < self.layout.bytes_of(group, rows) || !(1..=NR).contains(&live) {
            return;
        }
        let args = low_loops::Args {
            x: lines.as_ptr().wrapping_add(4 * rows),
            blocks: words / 4,
            tail: words % 4,
            bias: bias.as_ptr(),
            out: sums.as_mut_ptr().cast(),
            count: if rows == MR { live.div_ceil(2) } else { live.div_ceil(4) },
            step: step * run,
            words,
            at: lanes.map(|i| first.wrapping_add(i * run)),
            high: high.map(|i| i * run),
            lanes: LANES,
        };
        // SAFETY: `new` has seen to the codes and their alignment, above to the lines; biases
        // and sums have 8 entries.
        unsafe {
            match (C::WIDTH, rows) {
                (Width::W4, MR) => tile_w4(&args),
                (Width::W4, _) => row_w4(&args),
                (Width::W3, MR) => tile_w3(&args),
                (Width::W3, _) => row_w3(&args),
                (_, MR) => tile_w2(&args),
                _ => row_w2(&args),
            }
        }
    }

    /// Adds the sums of a k group times its scales, less its offsets times the sums of x.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "what a group has")]
    fn add(
        &self,
        panel: usize,
        live: usize,
        group: usize,
        lines: &[u8],
        rows: usize,
        more: &[[i32; NR]; MR],
        sums: &mut [[i32; NR]; MR],
    ) {
        let w = &self.w;
        let at = panel * NR * self.layout.groups + group * live;
        let scales = if w.scales.is_empty() { Some(&ONES[..]) } else { w.scales.get(at..) };
        let offsets = if w.offsets.is_empty() { Some(&ZEROS[..]) } else { w.offsets.get(at..) };
        let (Some(scales), Some(offsets)) = (scales, offsets) else { return };
        if scales.len() >= live && offsets.len() >= live && lines.len() >= 4 * rows && rows <= MR {
            let numbers = lines.as_ptr().cast();
            // SAFETY: as many scales and offsets as channels, a number a row.
            unsafe { add_scaled(scales, offsets, live, rows, numbers, !w.offsets.is_empty(), more, sums) }
        }
    }
}

/// What a gather fetches, in runs: its four words from the first on, those of the next gather, and
/// ahead of each word the third bits.
struct Gather {
    lanes: [usize; 4],
    step: usize,
    high: [usize; 4],
}

impl Gather {
    const fn of<C: Code>() -> Self {
        match C::WIDTH {
            Width::W3 => Self { lanes: [0, 1, 3, 4], step: 6, high: [2, 1, 2, 1] },
            Width::W4 | Width::W2 | Width::T2 => Self { lanes: [0, 1, 2, 3], step: 4, high: [0; 4] },
        }
    }
}

static ONES: [u8; NR] = [1; NR];
static ZEROS: [i16; NR] = [0; NR];
