//! The inner product with `smmla`: two rows times two channels times 8 k an instruction. Its
//! intrinsics are not stable: the instruction is written out.

use core::arch::aarch64::*;
use core::arch::asm;

use super::dot::{Dot, MAX_ROWS, Operands, Rows, Sums};
use super::tile::Panels;
use super::{NeonI8mm, dotprod};
use crate::args::Output;
use crate::pack::KR;

impl Dot for NeonI8mm {
    const ROWS: usize = MAX_ROWS;

    /// A single row has no partner and takes `sdot`.
    #[inline(always)]
    fn store<const R: usize>(self, x: &Rows<R>, panels: &Panels<'_>, output: &mut Output<'_>, row: usize, tile: usize) {
        // SAFETY: `self` is the proof that the CPU has `sdot` and `smmla`.
        unsafe {
            if R == 1 { dotprod::store(x, panels, output, row, tile) } else { store(x, panels, output, row, tile) }
        }
    }
}

#[inline(never)]
#[target_feature(enable = "neon,dotprod,i8mm")]
fn store<const R: usize>(x: &Rows<R>, panels: &Panels<'_>, output: &mut Output<'_>, row: usize, tile: usize) {
    panels.store(output, row, tile, |panel, channels| dot(panel, channels, x));
}

/// 8 k of two rows or of two channels, one behind the other.
type Pair = int8x16_t;

/// Sums of a pair of rows and each pair of channels: `[row 0, 1][channel 0, 1]` a vector.
pub type PairSums = [int32x4_t; 4];

/// Sums of each row times the `channels` of `panel`, those past them unspecified; `R` is even.
#[inline]
#[target_feature(enable = "neon,dotprod,i8mm")]
fn dot<const R: usize>(panel: &[i8], channels: usize, x: &Rows<R>) -> [Sums; R] {
    let mut from = Operands::new(panel, channels, x);
    // One for each pair of rows: the first half.
    let mut acc = [[vdupq_n_s32(0); 4]; R];
    let mut at = 0;
    while at < from.k / 8 * 8 {
        // SAFETY: the two quads of the same k.
        let w = unsafe { [from.next_quad(), from.next_quad()] };
        let w = channel_pairs(w[0], w[1]);
        for (p, acc) in acc.iter_mut().enumerate().take(R / 2) {
            // SAFETY: 8 k are left.
            let x = unsafe { vcombine_s8(from.eight(2 * p, at), from.eight(2 * p + 1, at)) };
            add(acc, w, x);
        }
        at += 8;
    }
    // One quad may be left, and one that is not whole: each with zeros for its neighbour.
    let zero = [vdupq_n_s8(0); 2];
    if at < from.k / KR * KR {
        // SAFETY: the quad of the same k.
        let w = channel_pairs(unsafe { from.next_quad() }, zero);
        for (p, acc) in acc.iter_mut().enumerate().take(R / 2) {
            // SAFETY: 4 k are left.
            add(acc, w, unsafe { quads(from.quad(2 * p, at), from.quad(2 * p + 1, at)) });
        }
        at += KR;
    }
    if at < from.k {
        // SAFETY: the last quad of k.
        let w = channel_pairs(unsafe { from.next_quad() }, zero);
        for (p, acc) in acc.iter_mut().enumerate().take(R / 2) {
            add(acc, w, quads(from.last_quad(2 * p, at), from.last_quad(2 * p + 1, at)));
        }
    }
    rows_of(acc)
}

/// The pairs of channels of two quads of a panel.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn channel_pairs(a: [int8x16_t; 2], b: [int8x16_t; 2]) -> [Pair; 4] {
    let half = |i: usize| {
        let (a, b) = (vreinterpretq_s32_s8(a[i]), vreinterpretq_s32_s8(b[i]));
        [vreinterpretq_s8_s32(vzip1q_s32(a, b)), vreinterpretq_s8_s32(vzip2q_s32(a, b))]
    };
    let ([w0, w1], [w2, w3]) = (half(0), half(1));
    [w0, w1, w2, w3]
}

/// A quad of two rows; what lies behind each is multiplied with zeros.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn quads(a: int32x4_t, b: int32x4_t) -> Pair {
    vreinterpretq_s8_s64(vzip1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)))
}

/// Adds 8 k of 8 channels times a pair of rows.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn add(acc: &mut PairSums, w: [Pair; 4], x: Pair) {
    for (acc, w) in acc.iter_mut().zip(w) {
        *acc = smmla(*acc, x, w);
    }
}

/// The sums of each row, its channels in order.
#[inline]
#[target_feature(enable = "neon,i8mm")]
pub fn rows_of<const R: usize>(acc: [PairSums; R]) -> [Sums; R] {
    let mut sums = [[vdupq_n_s32(0); 2]; R];
    for p in 0..R / 2 {
        let [a, b, c, d] = acc[p].map(|sums| vreinterpretq_s64_s32(sums));
        sums[2 * p] = [vzip1q_s64(a, b), vzip1q_s64(c, d)].map(|sums| vreinterpretq_s32_s64(sums));
        sums[2 * p + 1] = [vzip2q_s64(a, b), vzip2q_s64(c, d)].map(|sums| vreinterpretq_s32_s64(sums));
    }
    sums
}

/// Adds the 2x2 products of the two rows of 8 bytes in `x` and those in `w`.
#[inline]
#[target_feature(enable = "neon,i8mm")]
pub fn smmla(mut acc: int32x4_t, x: int8x16_t, w: int8x16_t) -> int32x4_t {
    // SAFETY: the function has the instruction's feature; registers are all it touches.
    unsafe {
        asm!(
            "smmla {acc:v}.4s, {x:v}.16b, {w:v}.16b",
            acc = inout(vreg) acc,
            x = in(vreg) x,
            w = in(vreg) w,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    acc
}
