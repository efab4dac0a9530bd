//! `dense_w8__avx2_4x8`: tiles of 4 rows times 8 channels; k in blocks, channels in blocks of panels.

use core::arch::x86_64::*;

use super::conv2d_w8::tile_sums;
use super::epilogue::{Block, Blocks, PANELS};
use super::gather;
use crate::args::*;
use crate::pack::{KR, MR, NR, panel_channels};

/// Elements widened at a time: 8 KiB of stack, 1024 k of 4 rows or 4096 of one.
const BLOCK: usize = 4096;

/// k of a block of `tile` rows, whole quads.
const fn k_block(tile: usize) -> usize {
    BLOCK / if tile == 0 { 1 } else { tile } / KR * KR
}

/// Exact: the sums of the blocks of k add up in i32, wrapping.
#[inline]
#[target_feature(enable = "avx2")]
pub fn dense(x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, mut output: Output<'_>) {
    let panel = NR * k.next_multiple_of(KR);
    if panel == 0 || n == 0 {
        return;
    }
    let mut widened = [0u8; BLOCK * 2];
    for (i, panels) in w.chunks(panel * PANELS).enumerate() {
        let first = i * PANELS * NR;
        // With one tile of rows each epilogue is used once, where it is made.
        let blocks = (rows > MR).then(|| Blocks::new(&output, first, n, n));
        let mut store = |row, tile, j: usize, sums| match &blocks {
            Some(blocks) => blocks.get(j).store(&mut output, row, tile, sums),
            None => {
                let channel = first + j * NR;
                Block::new(&output, channel, (n - channel).min(NR), n).store(&mut output, row, tile, sums);
            }
        };
        let mut row = 0;
        while row < rows {
            let tile = (rows - row).min(MR);
            let block = &x[row * k..(row + tile) * k];
            if k <= k_block(tile) {
                let len = gather::rows(block, k, 0..k, &mut widened);
                for (j, panel) in panels.chunks(panel).enumerate() {
                    let channels = panel_channels(n, i * PANELS + j);
                    store(row, tile, j, tile_sums(panel, channels, &widened, len, tile));
                }
            } else {
                let left = n - first;
                let sums = blocked_sums(block, k, panels, left, tile, &mut widened);
                for (j, sums) in sums.into_iter().enumerate().take(left.div_ceil(NR)) {
                    store(row, tile, j, sums);
                }
            }
            row += tile;
        }
    }
}

/// Sums of up to [`PANELS`] panels, of `channels` in all, k in blocks.
#[inline]
#[target_feature(enable = "avx2")]
fn blocked_sums(
    block: &[i8],
    k: usize,
    panels: &[i8],
    channels: usize,
    tile: usize,
    widened: &mut [u8],
) -> [[__m256i; MR]; PANELS] {
    let mut sums = [[_mm256_setzero_si256(); MR]; PANELS];
    for begin in (0..k).step_by(k_block(tile)) {
        let end = (begin + k_block(tile)).min(k);
        let len = gather::rows(block, k, begin..end, widened);
        for (j, (panel, sums)) in panels.chunks(NR * k.next_multiple_of(KR)).zip(&mut sums).enumerate() {
            let channels = panel_channels(channels, j);
            let more = tile_sums(&panel[begin * channels..], channels, widened, len, tile);
            for (sum, more) in sums.iter_mut().zip(more) {
                *sum = _mm256_add_epi32(*sum, more);
            }
        }
    }
    sums
}
