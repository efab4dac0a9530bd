//! `dense_w8__neon_4x8`, `…_dotprod_8x8`, `…_i8mm_8x8`: tiles of rows times 8 channels.

use super::dot::Dot;
use super::epilogue::{Blocks, PANELS};
use super::tile::{self, Panels};
use crate::args::*;
use crate::pack::{KR, NR};

/// Rows are read as they lie. Exact.
#[inline(always)]
pub fn dense<D: Dot>(level: D, x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, mut output: Output<'_>) {
    let panel = NR * k.next_multiple_of(KR);
    if panel == 0 || n == 0 {
        return;
    }
    let mut blocks = Blocks::NONE;
    for (i, bytes) in w.chunks(panel * PANELS).enumerate() {
        let first = i * PANELS * NR;
        // SAFETY: a level is the proof that the CPU has NEON.
        unsafe { blocks.prepare(&output, first, n, n) };
        let level = level.for_weights(bytes, rows);
        let panels = Panels { bytes, panel, channels: n - first, blocks: &blocks };
        for row in (0..rows).step_by(D::ROWS) {
            let tile = (rows - row).min(D::ROWS);
            tile::store(level, |i| &x[(row + i) * k..][..k], &panels, &mut output, row, tile);
        }
    }
}
