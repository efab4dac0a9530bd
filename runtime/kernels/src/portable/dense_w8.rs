//! `dense_w8__portable_4x8`: tiles of 4 rows times 8 channels.

use super::{dot, epilogue};
use crate::args::*;
use crate::pack::{KR, MR, NR, panel_channels};

/// The last, partial quad of a row is copied to a buffer padded with zeros. Exact.
#[inline(always)]
pub fn dense(x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, mut output: Output<'_>) {
    if k == 0 {
        return;
    }
    let mut row = 0;
    while row < rows {
        let tile = if rows - row >= MR { MR } else { 1 };
        let Some(block) = x.get(row * k..(row + tile) * k) else { return };
        for (i, panel) in w.chunks(NR * k.next_multiple_of(KR)).enumerate() {
            let live = panel_channels(n, i);
            let mut store = |j: usize, acc: &[i32; NR]| epilogue::store(&mut output, row + j, i * NR, live, n, acc);
            if tile == MR {
                let rows = [0, 1, 2, 3].map(|j| &block[j * k..][..k]);
                dot_rows(panel, live, rows).iter().enumerate().for_each(|(j, acc)| store(j, acc));
            } else {
                let [acc] = dot_rows(panel, live, [block]);
                store(0, &acc);
            }
        }
        row += tile;
    }
}

#[inline(always)]
fn dot_rows<const R: usize>(panel: &[i8], channels: usize, rows: [&[i8]; R]) -> [[i32; NR]; R] {
    let k = rows.first().map_or(0, |row| row.len());
    let mut acc = dot::dot(panel, channels, rows);
    if !k.is_multiple_of(KR) {
        let last = panel.get(k / KR * KR * channels..).unwrap_or_default();
        let tails = rows.map(|row| {
            let mut tail = [0i8; KR];
            tail.iter_mut().zip(row.as_chunks::<KR>().1).for_each(|(to, &from)| *to = from);
            tail
        });
        let tails: [&[i8]; R] = core::array::from_fn(|i| tails[i].as_slice());
        let more = dot::dot(last, channels, tails);
        for (acc, more) in acc.iter_mut().flatten().zip(more.into_iter().flatten()) {
            *acc = acc.wrapping_add(more);
        }
    }
    acc
}
