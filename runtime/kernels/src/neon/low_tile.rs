//! Rows of a tile in scratch, and what convolution and dense layers with weights of fewer than 8
//! bits share.
//!
//! Scratch of a tile: 1, 2, 4 or 8 lines, rows padded with zeros to whole spans; then, of each k
//! group, the sums of the 8 rows in 16 bits. A tile of 8 rows takes what `pack_low` gives to 4.

use core::arch::aarch64::*;

use super::dot::MAX_ROWS;
use super::epilogue::{Blocks, PANELS};
use super::low_dot::LowDot;
use super::low_panel::{Groups, LowPanels};
use crate::args::*;
use crate::code::{Code, W2, Width};
use crate::pack::NR;
use crate::pack_low::{SPAN, padded_k};

/// The channels `channel..` of the output that have the weights `w`, of `channels`.
pub struct Layer<'a> {
    pub w: LowBit<'a>,
    pub channel: usize,
    pub channels: usize,
}

/// The lines of a tile of `R` rows and their sums.
pub struct Tile<'a, const R: usize> {
    lines: &'a [i8],
    line: usize,
    group_sums: &'a [[[u8; 2]; MAX_ROWS]],
    row_sums: [i32; MAX_ROWS],
}

impl<const R: usize> Tile<'_, R> {
    /// Spans of a row.
    pub fn spans(&self) -> usize {
        self.line / SPAN
    }

    /// The lines, each 32 bytes for each span.
    #[inline(always)]
    pub fn rows(&self) -> [*const i8; R] {
        assert!(self.lines.len() >= R * self.line);
        // SAFETY: the lines lie in one slice.
        core::array::from_fn(|r| unsafe { self.lines.as_ptr().add(r * self.line) })
    }

    /// Sums of the rows in k group `group`, an i16 each, those past `R` unspecified; zeros where
    /// rows are whole.
    #[inline(always)]
    pub fn group_sums(&self, group: usize) -> &[[u8; 2]; MAX_ROWS] {
        &self.group_sums[group]
    }

    /// Sums of the rows, whole.
    #[inline(always)]
    pub fn row_sums(&self) -> &[i32; R] {
        const { assert!(R <= MAX_ROWS) };
        self.row_sums.first_chunk().unwrap_or(&[0; R])
    }
}

/// Multiplies `rows` rows with the panels of a layer. `fill` writes rows `row..row + tile`, padded
/// with zeros to whole spans, to the lines it is given. Exact.
#[inline(always)]
pub fn run<L: LowDot, C: Code>(
    level: L,
    layer: &Layer<'_>,
    rows: usize,
    output: &mut Output<'_>,
    scratch: &mut [u8],
    mut fill: impl FnMut(usize, usize, &mut [i8]),
) {
    let line = padded_k(layer.w.k);
    let groups = Groups::new(&layer.w);
    let mut blocks = Blocks::NONE;
    let end = layer.channel + layer.w.n;
    // The tile that scratch holds.
    let mut held = None;
    for first in (0..layer.w.n.div_ceil(NR)).step_by(PANELS) {
        // SAFETY: a level is the proof that the CPU has NEON.
        unsafe { blocks.prepare(output, layer.channel + first * NR, end, layer.channels) };
        let panels = LowPanels { w: &layer.w, groups: &groups, first, blocks: &blocks };
        for row in (0..rows).step_by(L::ROWS) {
            let tile = (rows - row).min(L::ROWS);
            let mut work = Work { level, scratch, line, panels: &panels, output, row, tile };
            let sums = held.filter(|&(held, _)| held == row).map(|(_, sums)| sums);
            if sums.is_none() {
                fill(row, tile, zerocopy::transmute_mut!(&mut work.scratch[..tile * line]));
            }
            let sums = match tile {
                0..=1 => work.tile::<C, 1>(sums),
                2 => work.tile::<C, 2>(sums),
                5.. if L::ROWS == MAX_ROWS => work.tile::<C, MAX_ROWS>(sums),
                _ => work.tile::<C, 4>(sums),
            };
            held = Some((row, sums));
        }
    }
}

/// A tile of rows and a block of panels.
struct Work<'a, 'o, L> {
    level: L,
    scratch: &'a mut [u8],
    line: usize,
    panels: &'a LowPanels<'a>,
    output: &'a mut Output<'o>,
    row: usize,
    tile: usize,
}

impl<L: LowDot> Work<'_, '_, L> {
    /// Stores the tile; returns the sums of its rows. Where they are given, the lines are ready.
    #[inline(always)]
    fn tile<C: Code, const R: usize>(&mut self, row_sums: Option<[i32; MAX_ROWS]>) -> [i32; MAX_ROWS] {
        let (lines, group_sums) = self.scratch.split_at_mut(R * self.line);
        let lines: &mut [i8] = zerocopy::transmute_mut!(lines);
        let group_sums = group_sums.as_chunks_mut().0.as_chunks_mut().0;
        let row_sums = row_sums.unwrap_or_else(|| {
            // Rows behind the last one repeat it.
            for r in self.tile..R {
                let last = (self.tile.saturating_sub(1)) * self.line;
                lines.copy_within(last..last + self.line, r * self.line);
            }
            // SAFETY: a level is the proof that the CPU has NEON.
            let sums = unsafe { sum::<R>(lines, self.line, self.panels.groups.spans, group_sums) };
            self.level.arrange::<R>(lines, self.line);
            sums
        });
        let group_sums = if self.panels.groups.spans == 0 { &[[[0; 2]; MAX_ROWS]][..] } else { group_sums };
        let tile = Tile::<R> { lines, line: self.line, group_sums, row_sums };
        match C::WIDTH {
            // One code for both: they lie alike.
            Width::T2 => self.level.store_low::<W2, R>(&tile, self.panels, self.output, self.row, self.tile),
            _ => self.level.store_low::<C, R>(&tile, self.panels, self.output, self.row, self.tile),
        }
        row_sums
    }
}

/// Sums of the rows of `line` bytes in `lines`; where `per_group` is not 0, those of each group of
/// so many spans, at most 8, go to `groups`.
#[inline(never)]
#[target_feature(enable = "neon")]
fn sum<const R: usize>(
    lines: &[i8],
    line: usize,
    per_group: usize,
    groups: &mut [[[u8; 2]; MAX_ROWS]],
) -> [i32; MAX_ROWS] {
    let mut rows = [vdupq_n_s32(0); 2];
    let mut group = vdupq_n_s16(0);
    let spans = line / SPAN;
    assert!(R <= MAX_ROWS && lines.len() >= R * line);
    let (mut at, mut left) = (0, per_group);
    for span in 0..spans {
        let mut sums = [vdupq_n_s16(0); MAX_ROWS];
        for (r, sum) in sums.iter_mut().enumerate().take(R) {
            // SAFETY: row `r` has a span of 32 bytes here.
            let [a, b] = [0, 16].map(|i| unsafe { vld1q_s8(lines.as_ptr().add(r * line + span * SPAN + i)) });
            *sum = vpadalq_s8(vpaddlq_s8(a), b);
        }
        let [a, b, c, d] = [0, 2, 4, 6].map(|r| vpaddq_s16(sums[r], sums[r + 1]));
        let sums = vpaddq_s16(vpaddq_s16(a, b), vpaddq_s16(c, d));
        rows = [vaddw_s16(rows[0], vget_low_s16(sums)), vaddw_high_s16(rows[1], sums)];
        group = vaddq_s16(group, sums);
        left = left.wrapping_sub(1);
        if left == 0 || (per_group > 0 && span + 1 == spans) {
            let to = &mut groups[at];
            // SAFETY: `to` is 16 writable bytes.
            unsafe { vst1q_u8(to.as_mut_ptr().cast(), vreinterpretq_u8_s16(group)) };
            (group, at, left) = (vdupq_n_s16(0), at + 1, per_group);
        }
    }
    let mut sums = [0; MAX_ROWS];
    super::mem::store_i32(&mut sums, rows);
    sums
}
