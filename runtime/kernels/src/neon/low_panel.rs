//! Panels of weights with fewer than 8 bits: their spans, scales and offsets.

use core::arch::aarch64::*;

use super::dot::{MAX_ROWS, Sums};
use super::epilogue::{Blocks, PANELS};
use super::low_codes::runs;
use super::low_tile::Tile;
use crate::args::*;
use crate::code::Code;
use crate::pack::{NR, panel_channels};
use crate::pack_low::{SPAN, groups_of, panel_bytes};

/// The most k whose sum fits 16 bits at every int8.
const MAX_GROUP: usize = 256;
/// Bytes of the runs of a span, of a width of 4 runs.
const TAIL: usize = 4 * 32;

/// How the k of a layer are grouped, with their scales and offsets.
pub struct Groups<'a> {
    /// Spans of a group, at most 8; 0: whole rows, which have an offset and no scale.
    pub spans: usize,
    /// Groups that have a scale in common; 0: all.
    shared: usize,
    scales: Values<'a, u8>,
    offsets: Values<'a, i16>,
    /// Times the scale, it is added to the offset.
    zero: i16,
}

impl<'a> Groups<'a> {
    pub fn new(w: &LowBit<'a>) -> Self {
        let (spans, shared) = match w.group {
            _ if w.scales.is_empty() && (w.group == 0 || w.offsets.is_empty()) => (0, 0),
            group @ SPAN..=MAX_GROUP => (group / SPAN, 1),
            group => (1, group / SPAN),
        };
        let zero = if w.offsets.is_empty() { i16::from(w.zero) } else { 0 };
        Self { spans, shared, scales: Values::new(w.scales, 1), offsets: Values::new(w.offsets, 0), zero }
    }
}

/// Scales or offsets, of which 8 can be read from each.
struct Values<'a, T> {
    values: &'a [T],
    /// The last 8 of them and what is read past them, from `begin` on.
    last: [T; 2 * NR],
    begin: usize,
}

impl<'a, T: Copy> Values<'a, T> {
    /// `past` lies past the end; it is all there is where there are no `values`.
    fn new(values: &'a [T], past: T) -> Self {
        let begin = values.len().saturating_sub(NR);
        let last = core::array::from_fn(|i| values.get(begin + i).copied().unwrap_or(past));
        Self { values, last, begin }
    }

    #[inline(always)]
    fn eight(&self, at: usize) -> *const T {
        if at < self.begin {
            // SAFETY: below `begin` there are 8 more.
            unsafe { self.values.as_ptr().add(at) }
        } else {
            // SAFETY: `last` has 8 from each of its first 9.
            unsafe { self.last.as_ptr().add((at - self.begin).min(NR)) }
        }
    }
}

/// The panels of a block and their epilogues.
pub struct LowPanels<'a> {
    pub w: &'a LowBit<'a>,
    pub groups: &'a Groups<'a>,
    /// The first panel of the block.
    pub first: usize,
    pub blocks: &'a Blocks,
}

impl LowPanels<'_> {
    /// Stores the first `rows` rows of a tile times each panel as output rows `row` and following.
    /// `spans` multiplies the next spans of a panel, so many, with those of the lines.
    #[inline(always)]
    pub fn store<C: Code, const R: usize>(
        &self,
        tile: &Tile<'_, R>,
        output: &mut Output<'_>,
        row: usize,
        rows: usize,
        spans: impl Fn(&mut Cursor<'_, R>, usize) -> [Sums; R],
    ) {
        let end = self.w.n.div_ceil(NR).min(self.first + PANELS);
        let (groups, of_panel) = (self.groups, groups_of(self.w.k, self.w.group) * NR);
        let per_group = if groups.spans == 0 { tile.spans() } else { groups.spans };
        for index in self.first..end {
            let live = panel_channels(self.w.n, index);
            let mut tail = [0; TAIL];
            let mut cursor = Cursor::new::<C>(self.w, index, live, tile, &mut tail);
            // SAFETY: a kernel that stores is the proof that the CPU has NEON.
            let mut total = unsafe { zero() };
            let mut at = index * of_panel;
            let (mut group, mut sharing) = (0, groups.shared);
            while cursor.left > 0 {
                let sums = spans(&mut cursor, per_group);
                // SAFETY: as above.
                unsafe { groups.add(at, &mut total, &sums, tile.group_sums(group)) };
                group += 1;
                sharing = sharing.wrapping_sub(1);
                if sharing == 0 {
                    (at, sharing) = (at + live, groups.shared);
                }
            }
            if groups.spans == 0 {
                // SAFETY: as above.
                unsafe { groups.subtract_offsets(index * NR, &mut total, tile.row_sums()) };
            }
            self.blocks.get(index - self.first).store(output, row, rows, &total);
        }
    }
}

/// No sums.
#[inline]
#[target_feature(enable = "neon")]
pub fn zero<const R: usize>() -> [Sums; R] {
    [[vdupq_n_s32(0); 2]; R]
}

impl Groups<'_> {
    /// Subtracts the offsets from `at` on times the sums of whole rows.
    #[inline]
    #[target_feature(enable = "neon")]
    fn subtract_offsets<const R: usize>(&self, at: usize, total: &mut [Sums; R], x_sums: &[i32; R]) {
        // SAFETY: 8 are readable.
        let offset = vaddq_s16(unsafe { vld1q_s16(self.offsets.eight(at)) }, vdupq_n_s16(self.zero));
        let offset = [vmovl_s16(vget_low_s16(offset)), vmovl_high_s16(offset)];
        for (total, x) in total.iter_mut().zip(x_sums) {
            let x = vdupq_n_s32(*x);
            *total = [vmlsq_s32(total[0], offset[0], x), vmlsq_s32(total[1], offset[1], x)];
        }
    }

    /// Adds the sums of a group times its scales, less its offsets times the group's sums of the
    /// rows; scales and offsets are those from `at` on.
    #[inline]
    #[target_feature(enable = "neon")]
    fn add<const R: usize>(&self, at: usize, total: &mut [Sums; R], sums: &[Sums; R], x_sums: &[[u8; 2]; MAX_ROWS]) {
        // SAFETY: 8 are readable of each.
        let (scale, offset) = unsafe { (vld1_u8(self.scales.eight(at)), vld1q_s16(self.offsets.eight(at))) };
        let scale = vreinterpretq_s16_u16(vmovl_u8(scale));
        let offset = vmlaq_s16(offset, scale, vdupq_n_s16(self.zero));
        let scale = [vmovl_s16(vget_low_s16(scale)), vmovl_high_s16(scale)];
        for ((total, sums), x) in total.iter_mut().zip(sums).zip(x_sums) {
            let x = vdupq_n_s16(i16::from_le_bytes(*x));
            let low = vmlaq_s32(total[0], sums[0], scale[0]);
            let high = vmlaq_s32(total[1], sums[1], scale[1]);
            *total = [vmlsl_s16(low, vget_low_s16(offset), vget_low_s16(x)), vmlsl_high_s16(high, offset, x)];
        }
    }
}

/// The place in a panel and in the lines of a tile.
pub struct Cursor<'a, const R: usize> {
    codes: *const u8,
    /// Bytes from a run to the next, and from a span to the next.
    stride: usize,
    step: usize,
    /// Spans ahead of which 32 bytes a run can be read in the panel, and a copy of the last one
    /// where it is not among them.
    whole: usize,
    tail: &'a [u8; TAIL],
    rows: [*const i8; R],
    at: usize,
    /// Spans ahead.
    left: usize,
}

/// A span of a panel, and where that of each row begins.
pub struct Span<const R: usize> {
    pub codes: *const u8,
    pub stride: usize,
    rows: [*const i8; R],
    at: usize,
}

impl<'a, const R: usize> Cursor<'a, R> {
    /// # Panics
    /// If the codes end before the panel does.
    #[inline(always)]
    fn new<C: Code>(w: &LowBit<'_>, panel: usize, live: usize, tile: &Tile<'_, R>, tail: &'a mut [u8; TAIL]) -> Self {
        let codes = &w.codes[panel * panel_bytes(C::WIDTH, NR, w.k)..];
        let (spans, runs, stride) = (tile.spans(), runs(C::WIDTH), live * 4);
        let step = runs * stride;
        // Bytes from a span's begin to where its last run ends.
        let reach = (runs - 1) * stride + 32;
        let mut whole = spans;
        if spans > 0 && codes.len() < (spans - 1) * step + reach {
            whole -= 1;
            assert!(whole == 0 || codes.len() >= (whole - 1) * step + reach);
            // Runs that are not there are multiplied with zeros.
            let rest = &codes[whole * step..];
            let rest = &rest[..rest.len().min(TAIL)];
            tail[..rest.len()].copy_from_slice(rest);
        }
        Self { codes: codes.as_ptr(), stride, step, whole, tail, rows: tile.rows(), at: 0, left: spans }
    }

    /// `count`, at most the spans ahead.
    #[inline(always)]
    pub fn limit(&self, count: usize) -> usize {
        count.min(self.left)
    }

    /// The next span.
    ///
    /// # Safety
    /// There is one ahead.
    #[inline(always)]
    pub unsafe fn next(&mut self) -> Span<R> {
        let codes = if self.whole > 0 { self.codes } else { self.tail.as_ptr() };
        let span = Span { codes, stride: self.stride, rows: self.rows, at: self.at };
        self.codes = self.codes.wrapping_add(self.step);
        self.whole = self.whole.wrapping_sub(1);
        self.at += SPAN;
        self.left -= 1;
        span
    }
}

impl<const R: usize> Span<R> {
    /// Half `half` of the span in line `r`.
    ///
    /// # Safety
    /// The cursor and the lines it came from are alive, `half` is 0 or 1.
    #[inline(always)]
    pub unsafe fn sixteen(&self, r: usize, half: usize) -> int8x16_t {
        // SAFETY: a line has 32 bytes for each span.
        unsafe { vld1q_s8(self.rows[r].add(self.at + 16 * half)) }
    }

    /// Where the span begins in each line.
    #[inline(always)]
    pub fn lines(&self) -> [*const i8; R] {
        self.rows.map(|row| row.wrapping_add(self.at))
    }
}
