//! The inner product with `sdot`. Its intrinsics are not stable: the instruction is written out.

use core::arch::aarch64::*;
use core::arch::asm;

use super::NeonDotprod;
use super::dot::{Dot, MAX_ROWS, Operands, Rows, Sums};
use super::tile::Panels;
use crate::args::Output;
use crate::pack::KR;

impl Dot for NeonDotprod {
    const ROWS: usize = MAX_ROWS;

    #[inline(always)]
    fn store<const R: usize>(self, x: &Rows<R>, panels: &Panels<'_>, output: &mut Output<'_>, row: usize, tile: usize) {
        // SAFETY: `self` is the proof that the CPU has `sdot`.
        unsafe { store(x, panels, output, row, tile) }
    }
}

/// As [`Dot::store`].
#[inline(never)]
#[target_feature(enable = "neon,dotprod")]
pub fn store<const R: usize>(x: &Rows<R>, panels: &Panels<'_>, output: &mut Output<'_>, row: usize, tile: usize) {
    panels.store(output, row, tile, |panel, channels| dot(panel, channels, x));
}

/// Sums of each row times the `channels` of `panel`, those past them unspecified.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot<const R: usize>(panel: &[i8], channels: usize, x: &Rows<R>) -> [Sums; R] {
    let mut from = Operands::new(panel, channels, x);
    let mut acc = [[vdupq_n_s32(0); 2]; R];
    let mut at = 0;
    while at < from.k / 16 * 16 {
        // SAFETY: 16 k are left.
        let x = unsafe { from.sixteen(at) };
        // SAFETY: these are the four quads of the same k.
        let w = unsafe { [from.next_quad(), from.next_quad(), from.next_quad(), from.next_quad()] };
        add::<0, R>(&mut acc, w[0], x);
        add::<1, R>(&mut acc, w[1], x);
        add::<2, R>(&mut acc, w[2], x);
        add::<3, R>(&mut acc, w[3], x);
        at += 16;
    }
    while at < from.k / KR * KR {
        // SAFETY: the quad of the same k.
        let w = unsafe { from.next_quad() };
        // SAFETY: 4 k are left.
        let x = core::array::from_fn(|r| unsafe { vreinterpretq_s8_s32(from.quad(r, at)) });
        add::<0, R>(&mut acc, w, x);
        at += KR;
    }
    if at < from.k {
        // SAFETY: the last quad of k.
        let w = unsafe { from.next_quad() };
        let x = core::array::from_fn(|r| vreinterpretq_s8_s32(from.last_quad(r, at)));
        add::<0, R>(&mut acc, w, x);
    }
    acc
}

/// Adds a quad of 8 channels times quad `LANE` of `x`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub fn add<const LANE: u32, const R: usize>(acc: &mut [Sums; R], w: [int8x16_t; 2], x: [int8x16_t; R]) {
    for (acc, x) in acc.iter_mut().zip(x) {
        acc[0] = sdot::<LANE>(acc[0], w[0], x);
        acc[1] = sdot::<LANE>(acc[1], w[1], x);
    }
}

/// Adds to each lane the product of its four bytes of `w` and the four bytes of lane `LANE` of `x`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot<const LANE: u32>(mut acc: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: the function has the instruction's feature; registers are all it touches.
    unsafe {
        asm!(
            "sdot {acc:v}.4s, {w:v}.16b, {x:v}.4b[{lane}]",
            acc = inout(vreg) acc,
            w = in(vreg) w,
            x = in(vreg) x,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    acc
}
