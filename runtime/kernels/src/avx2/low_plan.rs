//! How the sums of low-bit layers are split, and what is prepared of their activations.
//!
//! `vpmaddubsw` adds code·x of two k; a 16-bit lane then adds up the results of a *fold*: some
//! spans of one group of k. It starts from −center·(sum of its x), wrapping, so that it ends as
//! Σ (code − center)·x, which fits 16 bits; intermediate sums may wrap. A span gives a lane 8
//! results, 16 products of an x in −128..=127. With |code − center| ≤ m a fold of f spans is at
//! most 2048·m·f in magnitude:
//!
//! | codes | center | m | spans | bound |
//! |---|---|---|---|---|
//! | W4 | any of 0..=15 | 15 | 1 | 30720 |
//! | W4 | 7 | −7..=8 | 2 | −8·128·32 = −32768, 8·127·32 and 7·128·32 < 32768 |
//! | W4 | 8 | −8..=7 | 2 | 8·128·32 = 32768: one too many, so lanes start one lower |
//! | W3 | any of 0..=7 | 7 | 2 | 28672 |
//! | W2, T2 | any of 0..=3 | 3 | 5 | 30720, a code 3 in ternary weights included |
//!
//! `vpmaddwd` with the group's scale in both lanes of a channel widens a fold to 32 bits; where
//! lanes start one lower, twice the scale is added back. What offsets leave,
//! (offset − center·scale)·Σx, is taken off once a group.

use core::arch::x86_64::*;

use super::mem::*;
use crate::args::LowBit;
use crate::code::{Code, Width};
use crate::pack_low::{SPAN, groups_of};

/// The split of rows of a layer.
pub struct Plan {
    pub k: usize,
    /// Whole spans.
    pub whole: usize,
    /// Blocks of codes, and those of the partial span behind the whole ones; 0: there is none.
    pub blocks: usize,
    pub tail_blocks: usize,
    /// Groups of k, and spans of each.
    pub groups: usize,
    pub per_group: usize,
    /// Spans of a fold at most, and folds in all. The partial span is a fold.
    pub fold: usize,
    pub folds: usize,
    pub center: i16,
    /// Lanes start one lower.
    pub lower: bool,
    /// There are offsets.
    pub offsets: bool,
    /// Rows are not padded, so that records have a copy of their partial spans.
    copies_tail: bool,
}

impl Plan {
    /// Rows are `padded` with zeros to whole spans, or end with their last element.
    pub fn new<C: Code>(w: &LowBit<'_>, padded: bool) -> Self {
        let whole = w.k / SPAN;
        let offsets = !w.offsets.is_empty();
        let (fold, center) = match C::WIDTH {
            Width::W4 if offsets => (2, 7),
            Width::W4 if matches!(w.zero, 7 | 8) => (2, w.zero),
            Width::W4 => (1, w.zero),
            Width::W3 => (2, if offsets { 0 } else { w.zero }),
            Width::W2 | Width::T2 => (5, if offsets { 0 } else { w.zero }),
        };
        let per_group = if w.group < SPAN { whole } else { w.group / SPAN }.max(1);
        let partial = whole * SPAN < w.k;
        Self {
            k: w.k,
            whole,
            blocks: w.k.div_ceil(C::WIDTH.block()),
            tail_blocks: (w.k % SPAN).div_ceil(C::WIDTH.block()),
            groups: groups_of(w.k, w.group),
            per_group,
            fold,
            folds: whole / per_group * per_group.div_ceil(fold)
                + (whole % per_group).div_ceil(fold)
                + usize::from(partial),
            center: i16::from(center),
            lower: C::WIDTH == Width::W4 && center == 8,
            offsets,
            copies_tail: !padded && partial,
        }
    }

    /// Folds of a group, and of the last one, the partial span among them.
    pub fn folds_of_groups(&self) -> (usize, usize) {
        let each = self.per_group.div_ceil(self.fold);
        (each, self.folds - each * (self.groups - 1))
    }

    /// Bytes of the record of a row.
    pub const fn record(&self) -> usize {
        let sums = if self.offsets { self.groups } else { 0 };
        (self.folds + sums) * 4 + if self.copies_tail { SPAN } else { 0 }
    }
}

/// Up to 4 rows of activations, and what is prepared of them: their record holds copies of
/// partial spans `[row][32]`, then the pairs of i16 that folds start from `[fold][row][2]`, then,
/// where there are offsets, sums i32 `[group][row]`.
pub struct Tile<'a> {
    pub x: &'a [u8],
    /// From row to row.
    pub step: usize,
    pub rows: usize,
    tails: &'a [u8],
    words: &'a [[u8; 4]],
}

impl<'a> Tile<'a> {
    /// `record` is what [`prepare`] wrote.
    #[inline]
    pub fn new(plan: &Plan, x: &'a [u8], step: usize, rows: usize, record: &'a [u8]) -> Self {
        let (tails, words) = record.split_at(if plan.copies_tail { rows * SPAN } else { 0 });
        Self { x, step, rows, tails, words: words.as_chunks().0 }
    }

    /// Of each fold, those of each row.
    #[inline]
    pub fn starts(&self) -> &[[u8; 4]] {
        self.words
    }

    /// The sum of group `g` of row `row`.
    #[inline]
    pub fn sum(&self, plan: &Plan, g: usize, row: usize) -> [u8; 4] {
        self.words[(plan.folds + g) * self.rows + row]
    }

    /// The partial span of row `row`, padded with zeros.
    #[inline]
    pub fn tail(&self, plan: &Plan, row: usize) -> &[u8; SPAN] {
        let tail =
            if plan.copies_tail { &self.tails[row * SPAN..] } else { &self.x[row * self.step + plan.whole * SPAN..] };
        tail.first_chunk().unwrap_or(&[0; SPAN])
    }
}

/// Writes the record of the `rows` ≤ 4 rows of `x`, `step` apart.
#[inline]
#[target_feature(enable = "avx2")]
pub fn prepare(plan: &Plan, x: &[u8], step: usize, rows: usize, record: &mut [u8]) {
    let (tails, words) = record.split_at_mut(if plan.copies_tail { rows * SPAN } else { 0 });
    let (starts, sums) = words.as_chunks_mut::<4>().0.split_at_mut(plan.folds * rows);
    let center = _mm_set1_epi16(-plan.center);
    let lower = _mm_set1_epi16(if plan.lower { -1 } else { 0 });
    for row in 0..rows {
        let x = &x[row * step..];
        let mut tail = [0; SPAN];
        if plan.tail_blocks > 0 {
            let rest = &x[plan.whole * SPAN..plan.k];
            tail[..rest.len()].copy_from_slice(rest);
            if let Some(to) = tails.get_mut(row * SPAN..) {
                to.iter_mut().zip(tail).for_each(|(to, x)| *to = x);
            }
        }
        let mut starts = starts.iter_mut().skip(row).step_by(rows);
        let mut sums = sums.iter_mut().skip(row).step_by(rows);
        let mut pairs_of = |spans: &[[u8; SPAN]]| {
            let mut pairs = _mm256_setzero_si256();
            for span in spans {
                pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(_mm256_set1_epi8(1), load32(span)));
            }
            let pairs = _mm_add_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
            let pairs = _mm_add_epi16(pairs, _mm_shuffle_epi32::<0b01_00_11_10>(pairs));
            let pairs = _mm_add_epi16(pairs, _mm_shuffle_epi32::<0b10_11_00_01>(pairs));
            if let Some(start) = starts.next() {
                let pairs = _mm_add_epi16(_mm_mullo_epi16(pairs, center), lower);
                *start = _mm_cvtsi128_si32(pairs).to_le_bytes();
            }
            if plan.offsets { _mm_cvtsi128_si32(_mm_madd_epi16(pairs, _mm_set1_epi16(1))) } else { 0 }
        };
        let mut whole = x.as_chunks::<SPAN>().0[..plan.whole].chunks(plan.per_group);
        for g in 0..plan.groups {
            let mut sum = 0i32;
            for fold in whole.next().unwrap_or_default().chunks(plan.fold) {
                sum = sum.wrapping_add(pairs_of(fold));
            }
            if g + 1 == plan.groups && plan.tail_blocks > 0 {
                sum = sum.wrapping_add(pairs_of(&[tail]));
            }
            if let Some(to) = sums.next() {
                *to = sum.to_le_bytes();
            }
        }
    }
}
