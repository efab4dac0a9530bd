//! Epilogues that the inner loops do not have: sums to f32 or i32, wide biases, shifts below 2.

use crate::args::*;
use crate::pack::NR;
use crate::portable;

/// Which outputs a block of sums belongs to.
#[derive(Clone, Copy)]
pub struct Block {
    /// The first row (pixel), the distance of rows and their number.
    pub row: usize,
    pub row_step: usize,
    pub rows: usize,
    /// The first channel, their number, and the channels of a row of the output.
    pub channel: usize,
    pub live: usize,
    pub channels: usize,
}

/// The element of a per-channel array.
#[inline(always)]
pub fn per_channel<T: Copy + Default>(values: &[T], channel: usize) -> T {
    values.get(channel).copied().unwrap_or_default()
}

/// Stores sums, those of a channel side by side, `step` from those of the next. Exact.
#[cold]
#[inline(never)]
pub fn store(output: &mut Output<'_>, block: &Block, sums: &[i32], step: usize) {
    for channel in 0..block.live {
        for i in 0..block.rows {
            let (row, sum) = (block.row + i * block.row_step, per_channel(sums, channel * step + i));
            store_one(output, row, block.channel + channel, block.channels, sum);
        }
    }
}

/// Stores the sum of one output. Exact.
#[inline(never)]
pub fn store_one(output: &mut Output<'_>, row: usize, channel: usize, channels: usize, sum: i32) {
    let mut sums = [0; NR];
    sums[0] = sum;
    portable::epilogue::store(output, row, channel, 1, channels, &sums);
}
