//! The scalar form of `dense_w8`: one row times 8 channels.

use super::dot;
use super::epilogue::store;
use crate::args::*;
use crate::pack::{KR, NR, panel_channels};

/// The last, partial quad of a row is copied to a buffer padded with zeros. Exact.
pub fn dense(x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, mut output: Output<'_>) {
    if k == 0 {
        return;
    }
    let whole = k / KR * KR;
    for (row, x) in x.chunks_exact(k).take(rows).enumerate() {
        let (x, rest) = x.split_at_checked(whole).unwrap_or_default();
        let mut tail = [0i8; KR];
        tail.iter_mut().zip(rest).for_each(|(to, &from)| *to = from);
        for (i, panel) in w.chunks((NR * k.next_multiple_of(KR)).max(1)).enumerate() {
            let live = panel_channels(n, i);
            // A narrow panel has zeros behind it, so that 8 channels can be read of its last quad.
            let mut acc = dot::one_row(panel, live * KR, x);
            if !rest.is_empty() {
                let more = dot::one_row(panel.get(whole * live..).unwrap_or_default(), live * KR, &tail);
                acc.iter_mut().zip(more).for_each(|([acc], [more])| *acc = acc.wrapping_add(more));
            }
            store(&mut output, row, i * NR, n, acc.get(..live).unwrap_or_default());
        }
    }
}
