//! `store_sums`: sums that several layers add up to.

use core::arch::x86_64::*;

use super::epilogue::{Block, eight};
use super::mem::load_i32;
use crate::args::Output;
use crate::pack::{MR, NR};

/// Stores sums `[rows, n]`, 4 rows times 8 channels at a time. Exact.
#[inline]
#[target_feature(enable = "avx2")]
pub fn store_sums(sums: &[i32], rows: usize, n: usize, mut output: Output<'_>) {
    for channel in (0..n).step_by(NR) {
        let live = (n - channel).min(NR);
        let block = Block::new(&output, channel, live, n);
        for row in (0..rows).step_by(MR) {
            let tile = (rows - row).min(MR);
            let mut acc = [_mm256_setzero_si256(); MR];
            for (i, acc) in acc.iter_mut().enumerate().take(tile) {
                *acc = load_i32(&eight(&sums[(row + i) * n..(row + i + 1) * n], channel));
            }
            block.store(&mut output, row, tile, acc);
        }
    }
}
