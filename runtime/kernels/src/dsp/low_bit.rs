//! `dense_w4__dsp_4x8`, `conv2d_w2__dsp_4x8`, … : tiles of 4 rows or pixels, then single ones,
//! times the channels of a group.
//!
//! Offsets without scales and rows without elements have no loops here; nor have codes of 3 bits in
//! Arm code, which lacks Thumb's repeated masks.

use zerocopy::FromBytes;

use super::asm;
use super::epilogue::{self, Block};
use super::gather::Patches;
use super::low_lines::Layout;
use super::low_row::{row_w2, row_w4};
use super::low_tile::{Groups, Steps, Task, tile_w2, tile_w4};
#[cfg(selvedge_thumb2)]
use super::low_w3::{row_w3, tile_w3};
use super::panels;
use crate::args::*;
use crate::code::{Code, Width};
use crate::isa::IsaI8;
use crate::pack::{MR, NR, panel_channels};
use crate::pack_low::{SPAN, panel_bytes};
use crate::portable::low_bit::of_conv_group;
use crate::{Portable, window};

/// The loops count fewer than 2^15 words of a channel.
const MAX_K: usize = 1 << 17;

/// Exact.
pub fn dense<C: Code>(x: &[i8], w: &LowBit<'_>, rows: usize, mut output: Output<'_>, scratch: &mut [u8]) {
    let Some(layer) = Layer::new::<C>(w, 0, w.n) else {
        return Portable.dense_low::<C>(x, w, rows, output, scratch);
    };
    let mut fused = layer.fused::<C>(&output);
    let Ok(words) = <[u32]>::mut_from_bytes(scratch) else { return };
    let mut row = 0;
    while row < rows {
        let tile = if rows - row >= MR { MR } else { 1 };
        layer.layout.rows(x.get(row * w.k..(row + tile) * w.k).unwrap_or_default(), words, tile);
        layer.run::<C>(&mut fused, words, tile, row, &mut output);
        row += tile;
    }
}

/// Exact.
pub fn conv2d<C: Code>(
    x: &[i8],
    w: &LowBit<'_>,
    s: &ConvShape,
    pad_value: i8,
    mut output: Output<'_>,
    scratch: &mut [u8],
) {
    if Layer::kind::<C>(w).is_none() {
        return Portable.conv2d_low::<C>(x, w, s, pad_value, output, scratch);
    }
    let Ok(words) = <[u32]>::mut_from_bytes(scratch) else { return };
    let pixels = s.batch * s.out_h * s.out_w;
    let pointwise = window::is_pointwise(s);
    let mut patches = Patches::new(x, s, pad_value);
    for group in 0..s.groups {
        let Some(w) = of_conv_group::<C>(w, group) else { return };
        let Some(layer) = Layer::new::<C>(&w, group * w.n, s.out_c) else { return };
        let mut fused = layer.fused::<C>(&output);
        let layout = layer.layout;
        let (mut pixel, mut at) = (0, (0, 0, 0));
        while pixel < pixels {
            let tile = if pixels - pixel >= MR { MR } else { 1 };
            if pointwise {
                layout.rows(x.get(pixel * w.k..(pixel + tile) * w.k).unwrap_or_default(), words, tile);
            } else {
                for i in 0..tile {
                    layout.patch((&mut patches, group), at, words, tile, i);
                    at = window::next_pixel(s, at);
                }
                layout.part(words, tile);
                layout.sum(words, tile);
            }
            layer.run::<C>(&mut fused, words, tile, pixel, &mut output);
            pixel += tile;
        }
    }
}

/// The channels of a layer, or of a group of a convolution.
struct Layer<'a> {
    w: LowBit<'a>,
    layout: Layout,
    kind: Groups,
    /// Words of a channel.
    words: usize,
    /// Of one row, whose turns are words, and of four, whose turns are spans.
    steps: [Steps; 2],
    first: usize,
    channels: usize,
}

impl<'a> Layer<'a> {
    /// `None` where there are no loops for it, or less than it needs.
    fn new<C: Code>(w: &LowBit<'a>, first: usize, channels: usize) -> Option<Self> {
        let kind = Self::kind::<C>(w)?;
        let layout = Layout::new(w, C::WIDTH, kind)?;
        let words = w.k.div_ceil(C::WIDTH.block()) * C::WIDTH.runs();
        let values = w.n * layout.groups;
        let whole = w.codes.len() >= panel_bytes(C::WIDTH, w.n, w.k)
            && (kind == Groups::Whole || w.scales.len() >= values)
            && (kind != Groups::Offset || w.offsets.len() >= values);
        let steps = if kind == Groups::Spans {
            [Steps::new(w.k, layout.group, C::WIDTH.block()), Steps::new(w.k, layout.group, SPAN)]
        } else {
            [Steps::default(); 2]
        };
        whole.then_some(Self { w: *w, layout, kind, words, steps, first, channels })
    }

    /// What the loops work on, where they have an epilogue for the layer.
    fn fused<C: Code>(&self, output: &Output<'_>) -> Option<Task> {
        let Output::I8(q, _) = output else { return None };
        let codes = zerocopy::transmute_ref!(self.w.codes);
        let task = panels::fused(codes, self.words, self.first, self.w.n, self.channels, q)?;
        Some(self.task::<C>(task, 0))
    }

    /// `None` where there are no loops for the layer.
    fn kind<C: Code>(w: &LowBit<'_>) -> Option<Groups> {
        let loops = cfg!(selvedge_thumb2) || C::WIDTH != Width::W3;
        if !loops || w.k == 0 || w.n == 0 || w.k >= MAX_K || !w.group.is_multiple_of(SPAN) {
            return None;
        }
        match (w.scales.is_empty(), w.offsets.is_empty()) {
            (true, true) if w.group == 0 => Some(Groups::Whole),
            (false, true) if w.k.next_multiple_of(C::WIDTH.block()).is_multiple_of(SPAN) => Some(Groups::Spans),
            (false, true) => Some(Groups::Scaled),
            (false, false) => Some(Groups::Offset),
            _ => None,
        }
    }

    /// Stores `rows` (one or four) rows of the output from `row` on; `x` holds theirs.
    fn run<C: Code>(&self, fused: &mut Option<Task>, x: &[u32], rows: usize, row: usize, output: &mut Output<'_>) {
        if x.len() < self.layout.words(rows) {
            return;
        }
        let at = row * self.channels + self.first;
        match (output, fused) {
            (Output::I8(_, out), Some(task)) if rows == MR || task.layer.mode != asm::Mode::Residual => {
                let Some(out) = out.get_mut(at..at + (rows - 1) * self.channels + self.w.n) else { return };
                (task.layer.channel, task.layer.x, task.layer.out) = (0, x.as_ptr(), out.as_mut_ptr());
                task.steps = self.steps[usize::from(rows == MR)];
                let single = rows == MR && self.kind == Groups::Spans && self.layout.groups == 1;
                task.kind = if single && C::WIDTH != Width::W3 { Groups::Single } else { self.kind };
                (task.scales, task.offsets, task.skip) = (self.w.scales.as_ptr(), self.w.offsets.as_ptr(), 0);
                // SAFETY: `new` has seen to codes, scales and offsets, this function to x, `fused`
                // to arrays and shifts; `out` ends with the last element of the last row.
                unsafe { run::<C>(task, rows) }
            }
            (output, _) => self.sums::<C>(x, rows, row, output),
        }
    }

    /// What the loops work on, from `panel` on.
    fn task<C: Code>(&self, layer: asm::Task, panel: usize) -> Task {
        let (block, w) = (C::WIDTH.block(), &self.w);
        let place = panel * NR * self.layout.groups;
        Task {
            layer,
            mask: match C::WIDTH {
                Width::W4 => 0xf_000f,
                Width::W3 => 0x7_0007,
                Width::W2 | Width::T2 => 0x3_0003,
            },
            scales: w.scales.as_ptr().wrapping_add(place),
            offsets: w.offsets.as_ptr().wrapping_add(place),
            live: 0,
            span: 0,
            words: self.layout.group / block * C::WIDTH.runs(),
            left: 0,
            groups: self.layout.groups,
            totals: [0; MR],
            kind: self.kind,
            skip: 0,
            sums: [0; MR],
            reached: [0; 2],
            steps: Steps::default(),
        }
    }

    #[cold]
    #[inline(never)]
    fn sums<C: Code>(&self, x: &[u32], rows: usize, row: usize, output: &mut Output<'_>) {
        let mut sums = [0; NR * MR];
        for panel in 0..self.w.n.div_ceil(NR) {
            let live = panel_channels(self.w.n, panel);
            let codes = self.w.codes.get(panel * panel_bytes(C::WIDTH, NR, self.w.k)..).unwrap_or_default();
            let zeros = [0; NR];
            let layer = panels::sums_task(zerocopy::transmute_ref!(codes), x, self.words, live, &zeros, &mut sums);
            let mut task = self.task::<C>(layer, panel);
            task.steps = self.steps[usize::from(rows == MR)];
            // SAFETY: `new` has seen to codes, scales and offsets, `run` to x; the zeros serve as
            // the arrays of eight channels, two of which do not matter, and there is room for four
            // sums of each.
            unsafe { run::<C>(&mut task, rows) };
            let channel = self.first + panel * NR;
            let block = Block { row, row_step: 1, rows, channel, live, channels: self.channels };
            epilogue::store(output, &block, &sums, rows);
        }
    }
}

/// # Safety
/// That of [`tile_w4`] for four rows, of [`row_w4`] for one.
unsafe fn run<C: Code>(task: &mut Task, rows: usize) {
    // SAFETY: the caller's claim.
    unsafe {
        match (C::WIDTH, rows) {
            (Width::W4, MR) => tile_w4(task),
            (Width::W4, _) => row_w4(task),
            #[cfg(selvedge_thumb2)]
            (Width::W3, MR) => tile_w3(task),
            #[cfg(selvedge_thumb2)]
            (Width::W3, _) => row_w3(task),
            (_, MR) => tile_w2(task),
            _ => row_w2(task),
        }
    }
}
