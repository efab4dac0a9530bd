//! Patches of int8 convolutions and rows of dense layers, widened to i16.

use core::arch::x86_64::*;

use super::mem::*;
use crate::args::ConvShape;
use crate::pack::KR;
use crate::window;

/// Writes `x` as i16 to the front of `to`, which is at least twice as long.
#[inline]
#[target_feature(enable = "avx2")]
pub fn widen(x: &[i8], to: &mut [u8]) {
    let to = &mut to[..x.len() * 2];
    let (x16, rest) = x.as_chunks::<16>();
    let (to16, to_rest) = to.as_chunks_mut::<32>();
    for (x, to) in x16.iter().zip(to16) {
        store_bytes32(to, _mm256_cvtepi8_epi16(load16(x)));
    }
    let (x4, rest) = rest.as_chunks::<4>();
    let (to4, to_rest) = to_rest.as_chunks_mut::<8>();
    for (x, to) in x4.iter().zip(to4) {
        *to = widen4(*x);
    }
    for (&x, to) in rest.iter().zip(to_rest.as_chunks_mut::<2>().0) {
        *to = (x as i16).to_le_bytes();
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn widen4(x: [i8; 4]) -> [u8; 8] {
    let x = i32::from_le_bytes(x.map(|x| x as u8));
    _mm_cvtsi128_si64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(x))).to_le_bytes()
}

/// Widens columns `part` of the rows of `k` elements in `x`, padded with zeros to whole quads;
/// the length of a row in bytes.
#[inline]
#[target_feature(enable = "avx2")]
pub fn rows(x: &[i8], k: usize, part: core::ops::Range<usize>, to: &mut [u8]) -> usize {
    let len = part.len().next_multiple_of(KR) * 2;
    if part.len() == k && k.is_multiple_of(KR) {
        widen(x, to);
        return len;
    }
    for (row, to) in x.chunks_exact(k).zip(to.chunks_exact_mut(len)) {
        let (to, pad) = to.split_at_mut(part.len() * 2);
        widen(&row[part.clone()], to);
        pad.fill(0);
    }
    len
}

/// Writes the patch of output pixel `at` and `group`, padded with zeros to `row` bytes, to the
/// front of `to`; what lies behind it in `to` is overwritten too.
#[inline]
#[target_feature(enable = "avx2")]
pub fn patch(
    x: &[i8],
    s: &ConvShape,
    at: (usize, usize, usize),
    group: usize,
    pad_value: i8,
    to: &mut [u8],
    row: usize,
) {
    let mut done = 0;
    let [rows, cols] = window::inside(s, at);
    let inside = rows.1 - rows.0 == s.kernel_h && cols.1 - cols.0 == s.kernel_w;
    if inside && s.dilation_w == 1 && s.groups == 1 {
        // A run for each row of the window.
        let (run, line) = (s.kernel_w * s.in_c, s.dilation_h * s.in_w * s.in_c);
        let mut start = window::cell(s, at, 0, 0) * s.in_c;
        for _ in 0..s.kernel_h {
            widen_over(&x[start..], run, &mut to[done..]);
            start += line;
            done += run * 2;
        }
        return to[done..row].fill(0);
    }
    window::patch_runs(s, at, group, |start, len| {
        let to = &mut to[done..];
        match start {
            Some(start) => widen_over(&x[start..], len, to),
            None => fill_over(pad_value as i16, len, to),
        }
        done += len * 2;
    });
    to[done..row].fill(0);
}

/// Writes the first `len` elements of `x` as i16, and up to 15 more where both have room.
#[inline]
#[target_feature(enable = "avx2")]
fn widen_over(x: &[i8], len: usize, to: &mut [u8]) {
    let mut done = 0;
    while done < len {
        let (x, to) = (&x[done..], &mut to[done * 2..]);
        match (x.first_chunk::<16>(), to.first_chunk_mut::<32>()) {
            (Some(x), Some(to)) => store_bytes32(to, _mm256_cvtepi8_epi16(load16(x))),
            _ => return widen(&x[..len - done], to),
        }
        done += 16;
    }
}

/// Writes `value` `len` times, and up to 15 times more where there is room.
#[inline]
#[target_feature(enable = "avx2")]
fn fill_over(value: i16, len: usize, to: &mut [u8]) {
    let mut done = 0;
    while done < len {
        let to = &mut to[done * 2..];
        match to.first_chunk_mut::<32>() {
            Some(to) => store_bytes32(to, _mm256_set1_epi16(value)),
            None => return to.as_chunks_mut::<2>().0[..len - done].fill(value.to_le_bytes()),
        }
        done += 16;
    }
}
