//! The inner product of panels with fewer than 8 bits and lines of int8: what a level provides,
//! and plain NEON's.

use core::arch::aarch64::*;
use core::arch::asm;

use super::dot::{Dot, PairSums, Products};
use super::low_codes::quads;
use super::low_panel::{Cursor, LowPanels, Span};
use super::low_tile::Tile;
use crate::args::Output;
use crate::code::{Code, Width};

/// A level of NEON, for layers with weights of fewer than 8 bits.
pub trait LowDot: Dot {
    /// Brings `R` lines of whole spans to the order [`LowDot::store_low`] reads.
    #[inline(always)]
    fn arrange<const R: usize>(self, lines: &mut [i8], line: usize) {
        let _ = (lines, line);
    }

    /// The first `rows` rows of a tile times each panel, stored as output rows `row` and following.
    /// `R` is 1, 2, 4 or 8. Sums are exact for every int8, and wrap.
    fn store_low<C: Code, const R: usize>(
        self,
        tile: &Tile<'_, R>,
        panels: &LowPanels<'_>,
        output: &mut Output<'_>,
        row: usize,
        rows: usize,
    );
}

impl LowDot for Products {
    #[inline(always)]
    fn store_low<C: Code, const R: usize>(
        self,
        tile: &Tile<'_, R>,
        panels: &LowPanels<'_>,
        output: &mut Output<'_>,
        row: usize,
        rows: usize,
    ) {
        // SAFETY: a value holds the proof that the CPU has NEON.
        unsafe { store::<C, R>(tile, panels, output, row, rows) }
    }
}

#[inline(never)]
#[target_feature(enable = "neon")]
fn store<C: Code, const R: usize>(
    tile: &Tile<'_, R>,
    panels: &LowPanels<'_>,
    output: &mut Output<'_>,
    row: usize,
    rows: usize,
) {
    panels.store::<C, R>(tile, output, row, rows, |cursor, count| {
        let mut left = cursor.limit(count);
        let mut sums = [[vdupq_n_s32(0); 4]; R];
        while left > 0 {
            let count = left.min(const { budget(C::WIDTH) });
            add(&mut sums, products::<C, R>(cursor, count));
            left -= count;
        }
        sums.map(|sums| [vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3])])
    });
}

/// Spans whose products fit 16 bits: each lane takes 8 a span, of −128 and the largest number of
/// as many bits.
const fn budget(width: Width) -> usize {
    let max = (1 << width.bits()) - 1;
    i16::MAX as usize / (128 * max) / 8
}

/// Sums of 8 channels in 16 bits, the four k of a quad apart: two channels a vector.
type Narrow = [int16x8_t; 4];

/// `count` spans, at most [`budget`].
#[inline]
#[target_feature(enable = "neon")]
fn products<C: Code, const R: usize>(cursor: &mut Cursor<'_, R>, count: usize) -> [Narrow; R] {
    let mut acc = [[vdupq_n_s16(0); 4]; R];
    for _ in 0..cursor.limit(count) {
        // SAFETY: `limit` spans are ahead.
        let span = unsafe { cursor.next() };
        let mut lines = span.lines();
        add_half::<C, R, 0>(&mut acc, &span, &mut lines);
        add_half::<C, R, 1>(&mut acc, &span, &mut lines);
    }
    acc
}

/// Adds half a span of the panel and the next 16 k of each line.
#[inline]
#[target_feature(enable = "neon")]
fn add_half<C: Code, const R: usize, const HALF: usize>(
    acc: &mut [Narrow; R],
    span: &Span<R>,
    lines: &mut [*const i8; R],
) {
    // SAFETY: a cursor's span is readable.
    let w = unsafe { quads::<C, HALF>(span.codes, span.stride) };
    for [a, b] in w {
        for (acc, line) in acc.iter_mut().zip(lines.iter_mut()) {
            // SAFETY: a span has 32 bytes of each line, 8 quads.
            let x = unsafe { next_quad(line) };
            acc[0] = vmlal_s8(acc[0], vget_low_s8(a), vget_low_s8(x));
            acc[1] = vmlal_high_s8(acc[1], a, x);
            acc[2] = vmlal_s8(acc[2], vget_low_s8(b), vget_low_s8(x));
            acc[3] = vmlal_high_s8(acc[3], b, x);
        }
    }
}

/// The next 4 k of a line, in each lane. Written out, because compilers that know that both halves
/// are equal load one, and move halves of the weights instead.
///
/// # Safety
/// `line` is 4 readable bytes.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn next_quad(line: &mut *const i8) -> int8x16_t {
    let x;
    // SAFETY: the caller's claim.
    unsafe {
        asm!(
            "ld1r {{{x:v}.4s}}, [{line}], #4",
            x = lateout(vreg) x,
            line = inout(reg) *line,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    x
}

/// Adds sums of 16 bits to those of 32, two lanes a channel.
#[inline]
#[target_feature(enable = "neon")]
fn add<const R: usize>(sums: &mut [PairSums; R], narrow: [Narrow; R]) {
    for (sums, narrow) in sums.iter_mut().zip(narrow) {
        for (sums, narrow) in sums.iter_mut().zip(narrow) {
            *sums = vpadalq_s16(*sums, narrow);
        }
    }
}
