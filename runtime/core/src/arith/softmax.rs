//! Softmax: exponentials from a small table and one integer division an output.

/// Entries of the table of exponentials: 16 coarse, then 16 fine.
pub const SOFTMAX_TABLE: usize = 32;

/// `exp(−d·scale)` in fixed point (2^24 is one) for the distance `d` of a value from its row's
/// maximum: `(coarse[d/16]·fine[d mod 16] + 2^23) >> 24` with `coarse[a] = exp(−16·a·scale)` and
/// `fine[b] = exp(−b·scale)`. Entries are at most 2^24.
#[inline]
pub fn softmax_exponential(table: &[u32], d: u8) -> u32 {
    let entry = |i: usize| table.get(i).copied().unwrap_or(0) as u64;
    ((entry(d as usize / 16).wrapping_mul(entry(16 + d as usize % 16)) + (1 << 23)) >> 24) as u32
}

/// `clamp(zp + ⌊e·inv/(sum·2^t) + ½⌋)`, evaluated exactly.
///
/// `e` is the table's exponential of one entry (fixed point, 2^24 is one),
/// `sum` the row's sum of them, `inv/2^t` the reciprocal of the output scale
/// with `inv < 2^25`, `t` ≤ 16. Rows are at most 2^16 long, so that nothing
/// leaves u64.
#[inline]
pub fn softmax_probability(e: u32, sum: u64, inv: u32, t: u32, zp: i32) -> i8 {
    let sum = sum.max(1);
    let numerator = (e as u64) * (inv as u64) * 2 + (sum << (t & 63));
    // The divisor is positive: sums are below 2^47.
    let p = numerator.checked_div(sum << ((t + 1) & 63)).unwrap_or(0).min(1 << 20) as i32;
    (p + zp).clamp(-128, 127) as i8
}
