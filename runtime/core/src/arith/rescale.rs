//! Addition, product and change of grid of int8 values; addition of int16 ones.

use super::requantize;

/// `clamp((q1·m1 + q2·m2 + c) >> s, lo, hi)`, all in i32.
///
/// `c` folds both input zero points, the output zero point and the rounding
/// half. The compiler proves that no sum leaves i32. Subtraction has a
/// negative `m2`.
#[inline]
#[allow(clippy::too_many_arguments)]
pub fn add(q1: i8, q2: i8, m1: i32, m2: i32, c: i32, s: u32, lo: i8, hi: i8) -> i8 {
    let sum = (q1 as i32).wrapping_mul(m1).wrapping_add((q2 as i32).wrapping_mul(m2)).wrapping_add(c);
    (sum >> (s & 31)).max(lo as i32).min(hi as i32) as i8
}

/// Sum of two int16 values around 0: `clamp((q1·m1 + q2·m2 + 2^(s−1)) >> s, lo, hi)` in i64, with `s` in 1..=46.
#[inline]
pub fn add_i16(q1: i16, q2: i16, m1: i32, m2: i32, s: u32, lo: i16, hi: i16) -> i16 {
    let sum = i64::from(q1) * i64::from(m1) + i64::from(q2) * i64::from(m2);
    let half = (1i64 << (s & 63)) >> 1;
    (sum.wrapping_add(half) >> (s & 63)).max(i64::from(lo)).min(i64::from(hi)) as i16
}

/// `clamp((q·m + c) >> s, −128, 127)` in i32: a value moves to another grid.
#[inline]
pub fn rescale(q: i8, m: i32, c: i32, s: u32) -> i8 {
    ((q as i32).wrapping_mul(m).wrapping_add(c) >> (s & 31)).clamp(-128, 127) as i8
}

/// Product of two values: `(q1 − zp1)(q2 − zp2)` requantized.
#[inline]
#[allow(clippy::too_many_arguments)]
pub fn mul(q1: i8, q2: i8, zp1: i32, zp2: i32, m: i32, k: i8, zp: i32, lo: i8, hi: i8) -> i8 {
    let acc = (q1 as i32 - zp1).wrapping_mul(q2 as i32 - zp2);
    requantize(acc as i64, m, k, zp, lo as i32, hi as i32) as i8
}
