//! Requantize: an accumulator becomes an int8 value. One rounding, ties up.

/// `clamp(zp + ((acc·m + 2^(30+k)) >> (31+k)), lo, hi)`, evaluated exactly.
///
/// `m` is in `0..2^31`. `k` in 1..=31 is the right shift; `k` ≤ 0 stands for an
/// effective scale of ½ or more: `acc` is shifted left by `1 − k` first, then
/// `k = 1` applies. The compiler proves |acc·2^(1−k)·m| < 2^62.
#[inline]
pub fn requantize(acc: i64, m: i32, k: i8, zp: i32, lo: i32, hi: i32) -> i32 {
    let (acc, k) = if k >= 1 { (acc, k as u32) } else { (acc.wrapping_shl((1 - k as i32) as u32), 1) };
    let rounded = acc.wrapping_mul(m as i64).wrapping_add(1i64 << ((30 + k) & 63)) >> ((31 + k) & 63);
    rounded.saturating_add(zp as i64).max(lo as i64).min(hi as i64) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_up_and_signs_are_symmetric_around_them() {
        // scale 1/4: m = 2^30, k = 1.
        let y = |acc| requantize(acc, 1 << 30, 1, 0, -128, 127);
        assert_eq!([y(1), y(2), y(3), y(-1), y(-2), y(-3), y(-6)], [0, 1, 1, 0, 0, -1, -1]);
    }

    #[test]
    fn scales_of_one_half_and_more_shift_left_first() {
        // scale 3: acc << 3, then 3/8 = 0.375 = (3·2^29) / 2^32.
        assert_eq!(requantize(7, 3 << 29, -2, 0, -128, 127), 21);
        assert_eq!(requantize(-7, 3 << 29, -2, 5, -128, 127), -16);
    }

    #[test]
    fn clamps_after_the_zero_point() {
        assert_eq!(requantize(1 << 20, 1 << 30, 1, -5, -128, 100), 100);
        assert_eq!(requantize(-(1 << 20), 1 << 30, 1, 3, -7, 127), -7);
    }
}
