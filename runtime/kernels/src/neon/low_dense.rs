//! `dense_w4__neon_4x8`, `…_w3__neon_dotprod_8x8`, `…_t2__neon_i8mm_8x8`, … : tiles of rows times 8
//! channels of weights with fewer than 8 bits.

use super::low_dot::LowDot;
use super::low_tile::{self, Layer};
use crate::args::*;
use crate::code::Code;

/// Exact.
#[inline(always)]
pub fn dense<L: LowDot, C: Code>(
    level: L,
    x: &[i8],
    w: &LowBit<'_>,
    rows: usize,
    mut output: Output<'_>,
    scratch: &mut [u8],
) {
    let k = w.k;
    let layer = Layer { w: *w, channel: 0, channels: w.n };
    low_tile::run::<L, C>(level, &layer, rows, &mut output, scratch, |row, tile, lines| {
        let line = lines.len() / tile.max(1);
        for (r, to) in lines.chunks_exact_mut(line.max(1)).enumerate() {
            let (to, rest) = to.split_at_mut(k);
            to.copy_from_slice(&x[(row + r) * k..][..k]);
            rest.fill(0);
        }
    });
}
