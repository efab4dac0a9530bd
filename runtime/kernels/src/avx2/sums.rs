//! `store_sums`: sums that several layers add up to.

use core::arch::x86_64::*;

use super::epilogue::{Block, Blocks, PANELS, eight};
use super::mem::load_i32;
use crate::args::Output;
use crate::pack::{MR, NR};

/// Stores sums `[rows, n]`, 4 rows times 8 channels at a time. Exact.
#[inline]
#[target_feature(enable = "avx2")]
pub fn store_sums(sums: &[i32], rows: usize, n: usize, mut output: Output<'_>) {
    if rows <= MR {
        // Each epilogue is used once, where it is made.
        for channel in (0..n).step_by(NR) {
            let block = Block::new(&output, channel, (n - channel).min(NR), n);
            block.store(&mut output, 0, rows, tile(sums, 0, rows, n, channel));
        }
        return;
    }
    // Rows lie a multiple of the cache's ways apart: a block of panels takes whole lines of each.
    for begin in (0..n).step_by(PANELS * NR) {
        let end = (begin + PANELS * NR).min(n);
        let blocks = Blocks::new(&output, begin, end, n);
        for row in (0..rows).step_by(MR) {
            let live = (rows - row).min(MR);
            for (p, channel) in (begin..end).step_by(NR).enumerate() {
                blocks.get(p).store(&mut output, row, live, tile(sums, row, live, n, channel));
            }
        }
    }
}

/// 8 channels of `live` ≤ 4 rows from `row` on.
#[inline]
#[target_feature(enable = "avx2")]
fn tile(sums: &[i32], row: usize, live: usize, n: usize, channel: usize) -> [__m256i; MR] {
    let mut acc = [_mm256_setzero_si256(); MR];
    for (i, acc) in acc.iter_mut().enumerate().take(live) {
        *acc = load_i32(&eight(&sums[(row + i) * n..(row + i + 1) * n], channel));
    }
    acc
}
