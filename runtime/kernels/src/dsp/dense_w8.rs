//! `dense_w8__dsp_1x4`: a row, widened once, times all panels; long rows in blocks of k.

use super::epilogue::{self, Block};
use super::panels::{self, Group, ROW};
use super::patch;
use crate::args::*;
use crate::pack::{KR, MR, NR, panel_channels};

/// k widened at a time: 1.25 KiB of stack.
const K_BLOCK: usize = 640;

type Words = [u32; K_BLOCK / KR * ROW];

/// Exact: the sums of the blocks of k add up in i32, wrapping.
pub fn dense(x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, output: &mut Output<'_>) {
    if k == 0 || n == 0 {
        return;
    }
    let mut words: Words = [0; K_BLOCK / KR * ROW];
    let quads = k.div_ceil(KR);
    let mut group = Group::new(w, quads, 0, n, n, output);
    for (row, x) in x.chunks_exact(k).enumerate().take(rows) {
        if k <= K_BLOCK {
            widen(x, &mut words);
            group.run(&words, 1, row, output);
        } else {
            long(x, w, n, row, &mut words, output);
        }
    }
}

/// A row in blocks of k.
#[inline(never)]
fn long(x: &[i8], w: &[i8], n: usize, row: usize, words: &mut Words, output: &mut Output<'_>) {
    for (i, panel) in w.chunks((NR * x.len().next_multiple_of(KR)).max(1)).enumerate() {
        let live = panel_channels(n, i);
        let mut sums = [0; NR * MR];
        for (j, x) in x.chunks(K_BLOCK).enumerate() {
            widen(x, words);
            let panel = panel.get(j * K_BLOCK * live..).unwrap_or_default();
            let before = *sums.first_chunk().unwrap_or(&[0; NR]);
            panels::panel_sums(panel, words, x.len().div_ceil(KR), live, 1, &before, &mut sums);
        }
        let block = Block { row, row_step: 1, rows: 1, channel: i * NR, live, channels: n };
        epilogue::store(output, &block, &sums, 1);
    }
}

/// Widens a row, padded with zeros to whole quads.
#[inline(never)]
fn widen(x: &[i8], to: &mut [u32]) {
    patch::widen(x, to, ROW);
    let (quads, tail) = x.as_chunks::<KR>();
    if !tail.is_empty() {
        let mut quad = [0; KR];
        quad.iter_mut().zip(tail).for_each(|(to, &from)| *to = from);
        patch::widen(&quad, to.get_mut(quads.len() * ROW..).unwrap_or_default(), ROW);
    }
}
