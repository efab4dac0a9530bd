//! Checked sizes.

/// Largest rank of a tensor.
pub const MAX_RANK: usize = 6;

/// Product of `dims`, or `None` past `u32::MAX`.
#[inline]
pub fn elements(dims: &[u32]) -> Option<usize> {
    let (mut n, mut past) = (1u32, 0u32);
    for &d in dims {
        let product = n as u64 * d as u64;
        n = product as u32;
        past |= (product >> 32) as u32;
    }
    (past == 0).then_some(n as usize)
}

/// `n` rounded up to a multiple of `m`.
pub const fn round_up(n: usize, m: usize) -> usize {
    n.div_ceil(m) * m
}
