//! Panels of fewer than 8 bits with `sdot`: codes are non-negative int8.

use super::NeonDotprod;
use super::dot::Sums;
use super::dotprod::add;
use super::low_codes::quads;
use super::low_dot::LowDot;
use super::low_panel::{Cursor, LowPanels, Span, zero};
use super::low_tile::Tile;
use crate::args::Output;
use crate::code::Code;

impl LowDot for NeonDotprod {
    #[inline(always)]
    fn store_low<C: Code, const R: usize>(
        self,
        tile: &Tile<'_, R>,
        panels: &LowPanels<'_>,
        output: &mut Output<'_>,
        row: usize,
        rows: usize,
    ) {
        // SAFETY: `self` is the proof that the CPU has `sdot`.
        unsafe { store::<C, R>(tile, panels, output, row, rows) }
    }
}

/// As [`LowDot::store_low`].
#[inline(never)]
#[target_feature(enable = "neon,dotprod")]
pub fn store<C: Code, const R: usize>(
    tile: &Tile<'_, R>,
    panels: &LowPanels<'_>,
    output: &mut Output<'_>,
    row: usize,
    rows: usize,
) {
    panels.store::<C, R>(tile, output, row, rows, |cursor, count| dot::<C, R>(cursor, count));
}

/// Sums of at most `count` spans.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot<C: Code, const R: usize>(cursor: &mut Cursor<'_, R>, count: usize) -> [Sums; R] {
    let mut acc = zero();
    for _ in 0..cursor.limit(count) {
        // SAFETY: `limit` spans are ahead.
        let span = unsafe { cursor.next() };
        add_half::<C, R, 0>(&mut acc, &span);
        add_half::<C, R, 1>(&mut acc, &span);
    }
    acc
}

/// Adds half a span.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn add_half<C: Code, const R: usize, const HALF: usize>(acc: &mut [Sums; R], span: &Span<R>) {
    // SAFETY: a cursor's span is readable.
    let w = unsafe { quads::<C, HALF>(span.codes, span.stride) };
    // SAFETY: the cursor is alive.
    let x = core::array::from_fn(|r| unsafe { span.sixteen(r, HALF) });
    add::<0, R>(acc, w[0], x);
    add::<1, R>(acc, w[1], x);
    add::<2, R>(acc, w[2], x);
    add::<3, R>(acc, w[3], x);
}
