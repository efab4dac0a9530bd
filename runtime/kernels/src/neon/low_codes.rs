//! Codes of fewer than 8 bits as bytes. A span is 32 k of a panel: its runs of 32 bytes lie `stride`
//! bytes apart; in each, the first 16 bytes are channels 0..4, the others channels 4..8.
//!
//! A quad is 4 consecutive k: `[4 channels][4 k]` a vector, as in W8 panels.

use core::arch::aarch64::*;

use crate::code::{Code, Width};

/// Runs of a span.
pub const fn runs(width: Width) -> usize {
    match width {
        Width::W4 => 4,
        Width::W3 => 3,
        Width::W2 | Width::T2 => 2,
    }
}

/// Quads `4·HALF..4·HALF + 4` of a span, each of both halves of the channels.
///
/// # Safety
/// 32 bytes are readable at each run of the span.
#[inline]
#[target_feature(enable = "neon")]
pub unsafe fn quads<C: Code, const HALF: usize>(span: *const u8, stride: usize) -> [[int8x16_t; 2]; 4] {
    // SAFETY: the caller's claim.
    let (a, b) = unsafe { (half_quads::<C, HALF>(span, stride), half_quads::<C, HALF>(span.add(16), stride)) };
    [[a[0], b[0]], [a[1], b[1]], [a[2], b[2]], [a[3], b[3]]]
}

/// As [`quads`], of 4 channels.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn half_quads<C: Code, const HALF: usize>(span: *const u8, stride: usize) -> [int8x16_t; 4] {
    // SAFETY: the caller's claim; a span has as many runs.
    let run = |i: usize| unsafe { vld1q_u8(span.add(i * stride)) };
    match C::WIDTH {
        Width::W4 => {
            let (a, b) = (nibbles(run(2 * HALF)), nibbles(run(2 * HALF + 1)));
            [a[0], a[1], b[0], b[1]]
        }
        Width::W3 => {
            let high = run(2);
            threes(run(HALF), if HALF == 0 { high } else { vshrq_n_u8::<4>(high) })
        }
        Width::W2 | Width::T2 => twos(run(HALF)),
    }
}

/// Pairs of quads i and 4 + i of a span, i = 2·HALF and 2·HALF + 1: `[2 channels][8 k]` a vector,
/// channels 0 and 1 first.
///
/// # Safety
/// As [`quads`].
#[inline]
#[target_feature(enable = "neon")]
pub unsafe fn pairs<C: Code, const HALF: usize>(span: *const u8, stride: usize) -> [[int8x16_t; 4]; 2] {
    // SAFETY: the caller's claim.
    let (a, b) = unsafe { (half_pairs::<C, HALF>(span, stride), half_pairs::<C, HALF>(span.add(16), stride)) };
    [[a[0][0], a[1][0], b[0][0], b[1][0]], [a[0][1], a[1][1], b[0][1], b[1][1]]]
}

/// As [`pairs`], of 4 channels: two of them, then the other two.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn half_pairs<C: Code, const HALF: usize>(span: *const u8, stride: usize) -> [[int8x16_t; 2]; 2] {
    // SAFETY: the caller's claim; a span has as many runs.
    let run = |i: usize| unsafe { vld1q_u8(span.add(i * stride)) };
    match C::WIDTH {
        Width::W4 => {
            let words = zip(run(HALF), run(HALF + 2));
            [nibbles(words[0]), nibbles(words[1])]
        }
        Width::W3 => {
            let (low, high) = (zip(run(0), run(1)), run(2));
            let high = zip(high, vshrq_n_u8::<4>(high));
            [two_of::<HALF>(threes(low[0], high[0])), two_of::<HALF>(threes(low[1], high[1]))]
        }
        Width::W2 | Width::T2 => {
            let words = zip(run(0), run(1));
            [two_of::<HALF>(twos(words[0])), two_of::<HALF>(twos(words[1]))]
        }
    }
}

#[inline]
fn two_of<const HALF: usize>(quads: [int8x16_t; 4]) -> [int8x16_t; 2] {
    if HALF == 0 { [quads[0], quads[1]] } else { [quads[2], quads[3]] }
}

/// The words of channels 0 and 1 of two runs, those of channels 2 and 3.
#[inline]
#[target_feature(enable = "neon")]
fn zip(a: uint8x16_t, b: uint8x16_t) -> [uint8x16_t; 2] {
    let (a, b) = (vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b));
    [vreinterpretq_u8_u32(vzip1q_u32(a, b)), vreinterpretq_u8_u32(vzip2q_u32(a, b))]
}

/// The two codes of 4 bits of each byte.
#[inline]
#[target_feature(enable = "neon")]
fn nibbles(run: uint8x16_t) -> [int8x16_t; 2] {
    [vreinterpretq_s8_u8(vandq_u8(run, vdupq_n_u8(15))), vreinterpretq_s8_u8(vshrq_n_u8::<4>(run))]
}

/// The four codes of 2 bits of each byte.
#[inline]
#[target_feature(enable = "neon")]
fn twos(run: uint8x16_t) -> [int8x16_t; 4] {
    let mask = vdupq_n_u8(3);
    [
        vreinterpretq_s8_u8(vandq_u8(run, mask)),
        vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8::<2>(run), mask)),
        vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8::<4>(run), mask)),
        vreinterpretq_s8_u8(vshrq_n_u8::<6>(run)),
    ]
}

/// The four codes of 3 bits whose third bits are the low four of `high`.
#[inline]
#[target_feature(enable = "neon")]
fn threes(low: uint8x16_t, high: uint8x16_t) -> [int8x16_t; 4] {
    // The low two bits of `low`, above them the lowest of `high`.
    let three =
        |low: uint8x16_t, high: uint8x16_t| vreinterpretq_s8_u8(vandq_u8(vsliq_n_u8::<2>(low, high), vdupq_n_u8(7)));
    [
        three(low, high),
        three(vshrq_n_u8::<2>(low), vshrq_n_u8::<1>(high)),
        three(vshrq_n_u8::<4>(low), vshrq_n_u8::<2>(high)),
        three(vshrq_n_u8::<6>(low), vshrq_n_u8::<3>(high)),
    ]
}
