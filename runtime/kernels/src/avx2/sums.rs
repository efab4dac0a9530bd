//! `store_sums`: sums that several layers add up to.

use core::arch::x86_64::*;

use super::epilogue::{Blocks, PANELS, eight};
use super::mem::load_i32;
use crate::args::Output;
use crate::pack::{MR, NR};

/// Stores sums `[rows, n]`, 4 rows times 8 channels at a time. Exact.
#[inline]
#[target_feature(enable = "avx2")]
pub fn store_sums(sums: &[i32], rows: usize, n: usize, mut output: Output<'_>) {
    // Rows lie a multiple of the cache's ways apart: a block of panels takes whole lines of each.
    for begin in (0..n).step_by(PANELS * NR) {
        let end = (begin + PANELS * NR).min(n);
        let blocks = Blocks::new(&output, begin, end, n);
        for row in (0..rows).step_by(MR) {
            let tile = (rows - row).min(MR);
            for (p, channel) in (begin..end).step_by(NR).enumerate() {
                let mut acc = [_mm256_setzero_si256(); MR];
                for (i, acc) in acc.iter_mut().enumerate().take(tile) {
                    *acc = load_i32(&eight(&sums[(row + i) * n..(row + i + 1) * n], channel));
                }
                blocks.get(p).store(&mut output, row, tile, acc);
            }
        }
    }
}
