//! Checked sizes.

/// Largest rank of a tensor.
pub const MAX_RANK: usize = 6;

/// Product of `dims`, or `None` past `u32::MAX`.
pub fn elements(dims: &[u32]) -> Option<usize> {
    let mut n: u32 = 1;
    for &d in dims {
        n = n.checked_mul(d)?;
    }
    Some(n as usize)
}

/// `n` rounded up to a multiple of `m`.
pub const fn round_up(n: usize, m: usize) -> usize {
    n.div_ceil(m) * m
}
