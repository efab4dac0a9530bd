//! Panels of fewer than 8 bits with `smmla`: codes are non-negative int8.
//!
//! Lines lie in pairs: of span s, 32 bytes of line 2p are `[quads i and 4 + i][rows 2p, 2p + 1]`
//! for i = 0 and 1, those of line 2p + 1 for i = 2 and 3.

use core::arch::aarch64::*;

use super::dot::{MAX_ROWS, Sums};
use super::i8mm::{PairSums, rows_of, smmla};
use super::low_codes::pairs;
use super::low_dot::LowDot;
use super::low_panel::{Cursor, LowPanels, Span};
use super::low_tile::Tile;
use super::{NeonI8mm, low_dotprod};
use crate::args::Output;
use crate::code::Code;

impl LowDot for NeonI8mm {
    #[inline(always)]
    fn arrange<const R: usize>(self, lines: &mut [i8], line: usize) {
        if R > 1 {
            for pair in lines[..R * line].chunks_exact_mut((2 * line).max(1)) {
                let (a, b) = pair.split_at_mut(line);
                for (a, b) in a.as_chunks_mut().0.iter_mut().zip(b.as_chunks_mut().0) {
                    // SAFETY: `self` is the proof that the CPU has NEON.
                    unsafe { arrange(a, b) };
                }
            }
        }
    }

    /// A single row has no partner and takes `sdot`.
    #[inline(always)]
    fn store_low<C: Code, const R: usize>(
        self,
        tile: &Tile<'_, R>,
        panels: &LowPanels<'_>,
        output: &mut Output<'_>,
        row: usize,
        rows: usize,
    ) {
        // SAFETY: `self` is the proof that the CPU has `sdot` and `smmla`.
        unsafe {
            if R == 1 {
                low_dotprod::store::<C, R>(tile, panels, output, row, rows)
            } else {
                store::<C, R>(tile, panels, output, row, rows)
            }
        }
    }
}

/// One span of two rows.
#[inline]
#[target_feature(enable = "neon")]
fn arrange(a: &mut [i8; 32], b: &mut [i8; 32]) {
    let load = |x: &[i8; 32]| {
        // SAFETY: `x` is 32 readable bytes.
        let [x, y] = unsafe { [vld1q_s8(x.as_ptr()), vld1q_s8(x.as_ptr().add(16))] };
        let (x, y) = (vreinterpretq_s32_s8(x), vreinterpretq_s32_s8(y));
        [vreinterpretq_s64_s32(vzip1q_s32(x, y)), vreinterpretq_s64_s32(vzip2q_s32(x, y))]
    };
    let store = |x: int64x2_t, y: int64x2_t, to: &mut [i8; 32]| {
        let [even, odd] = [vzip1q_s64(x, y), vzip2q_s64(x, y)].map(|pair| vreinterpretq_s8_s64(pair));
        // SAFETY: `to` is 32 writable bytes.
        unsafe {
            vst1q_s8(to.as_mut_ptr(), even);
            vst1q_s8(to.as_mut_ptr().add(16), odd);
        }
    };
    let (x, y) = (load(a), load(b));
    store(x[0], y[0], a);
    store(x[1], y[1], b);
}

#[inline(never)]
#[target_feature(enable = "neon,dotprod,i8mm")]
fn store<C: Code, const R: usize>(
    tile: &Tile<'_, R>,
    panels: &LowPanels<'_>,
    output: &mut Output<'_>,
    row: usize,
    rows: usize,
) {
    panels.store::<C, R>(tile, output, row, rows, |cursor, count| dot::<C, R>(cursor, count));
}

/// Sums of at most `count` spans; `R` is even.
#[inline]
#[target_feature(enable = "neon,dotprod,i8mm")]
fn dot<C: Code, const R: usize>(cursor: &mut Cursor<'_, R>, count: usize) -> [Sums; R] {
    const { assert!(R <= MAX_ROWS) };
    // One for each pair of rows: the first half.
    let mut acc: [PairSums; R] = [[vdupq_n_s32(0); 4]; R];
    for _ in 0..cursor.limit(count) {
        // SAFETY: `limit` spans are ahead.
        let span = unsafe { cursor.next() };
        add_half::<C, R, 0>(&mut acc, &span);
        add_half::<C, R, 1>(&mut acc, &span);
    }
    rows_of(acc)
}

/// Adds half a span.
#[inline]
#[target_feature(enable = "neon,dotprod,i8mm")]
fn add_half<C: Code, const R: usize, const HALF: usize>(acc: &mut [PairSums; R], span: &Span<R>) {
    // SAFETY: a cursor's span is readable.
    let w = unsafe { pairs::<C, HALF>(span.codes, span.stride) };
    for (i, w) in w.into_iter().enumerate() {
        for (p, acc) in acc.iter_mut().enumerate().take(R / 2) {
            // SAFETY: the cursor is alive.
            let x = unsafe { span.sixteen(2 * p + HALF, i) };
            for (acc, w) in acc.iter_mut().zip(w) {
                *acc = smmla(*acc, x, w);
            }
        }
    }
}
