//! `dense_w4__avx2_4x16`, `conv2d_w4__avx2_4x16`, … : tiles of 4 rows or patches times 16 channels
//! of weights with fewer than 8 bits.

use core::arch::x86_64::*;

use super::epilogue::{Block, Blocks, PANELS};
use super::low_plan::{Plan, Tile, prepare};
use super::low_tile::{self, Panels};
use crate::args::*;
use crate::code::{Code, Width};
use crate::pack::{MR, NR};
use crate::pack_low::padded_k;
use crate::portable::gather;
use crate::portable::low_bit::{self, of_conv_group};
use crate::window;

/// Exact. Scratch holds the records of as many rows as it has room for, at least those of a
/// tile; the rows themselves are read where they lie.
#[inline]
#[target_feature(enable = "avx2")]
pub fn dense<C: Code>(x: &[i8], w: &LowBit<'_>, rows: usize, mut output: Output<'_>, scratch: &mut [u8]) {
    if w.k == 0 || w.n == 0 {
        return low_bit::dense::<C>(x, w, rows, output, scratch);
    }
    let plan = Plan::new::<C>(w, false);
    run_rows::<C>(&plan, x, w, rows, &mut output, scratch);
}

/// Exact. A pixel's patch is itself, or is gathered in scratch, its record behind it.
#[inline]
#[target_feature(enable = "avx2")]
pub fn conv2d<C: Code>(
    x: &[i8],
    w: &LowBit<'_>,
    s: &ConvShape,
    pad_value: i8,
    mut output: Output<'_>,
    scratch: &mut [u8],
) {
    if w.k == 0 || w.n == 0 {
        return low_bit::conv2d::<C>(x, w, s, pad_value, output, scratch);
    }
    let pixels = s.batch * s.out_h * s.out_w;
    let pointwise = window::is_pointwise(s);
    let plan = Plan::new::<C>(w, !pointwise);
    if pointwise {
        return run_rows::<C>(&plan, x, w, pixels, &mut output, scratch);
    }
    let (line, all) = (padded_k(w.k), w.n.div_ceil(NR));
    let (patches, record) = scratch.split_at_mut(MR * line);
    for group in 0..s.groups {
        let Some(w) = of_conv_group::<C>(w, group) else { return };
        let first = group * w.n;
        for begin in (0..all).step_by(PANELS) {
            let end = (begin + PANELS).min(all);
            let blocks = Blocks::new(&output, first + begin * NR, first + w.n, s.out_c);
            let (mut pixel, mut at) = (0, (0, 0, 0));
            while pixel < pixels {
                let rows = (pixels - pixel).min(MR);
                for patch in patches.chunks_mut(line).take(rows) {
                    gather::patch(x, s, at, group, pad_value, patch);
                    at = window::next_pixel(s, at);
                }
                prepare(&plan, patches, line, rows, record);
                let tile = Tile::new(&plan, patches, line, rows, record);
                let mut panel = begin;
                while panel < end {
                    let panels = Panels::new::<C>(&plan, &w, panel);
                    let count = together(w.n, panel, end, 2);
                    let raised = raised(&plan, &panels, count);
                    tile_sums::<C>(&plan, &panels, count, &tile, &raised, |p, row, rows, acc| {
                        blocks.get(panel + p - begin).store(&mut output, pixel + row, rows, acc);
                    });
                    panel += count;
                }
                pixel += rows;
            }
        }
    }
}

/// Panels of a tile of one row at most.
const WIDE: usize = 4;

/// Bytes of the rows whose records are made together, which then lie in the second cache.
const ROWS: usize = 1 << 18;

/// Rows `[rows, k]`, in chunks whose records scratch has room for.
#[target_feature(enable = "avx2")]
fn run_rows<C: Code>(plan: &Plan, x: &[i8], w: &LowBit<'_>, rows: usize, output: &mut Output<'_>, scratch: &mut [u8]) {
    let x: &[u8] = zerocopy::transmute_ref!(x);
    let (k, record, all) = (w.k, plan.record(), w.n.div_ceil(NR));
    // Whole tiles, or what there is.
    let room = (scratch.len() / record).min((ROWS / k).max(MR));
    let room = if room > MR { room / MR * MR } else { room };
    for (chunk, x) in x[..rows * k].chunks(room * k).enumerate() {
        for (x, record) in x.chunks(MR * k).zip(scratch.chunks_mut(MR * record)) {
            prepare(plan, x, k, x.len() / k, record);
        }
        let most = if x.len() > k { 2 } else { WIDE };
        let mut panel = 0;
        while panel < all {
            let panels = Panels::new::<C>(plan, w, panel);
            let count = together(w.n, panel, all, most);
            let raised = raised(plan, &panels, count);
            let blocks: [Block; WIDE] = core::array::from_fn(|p| {
                let channel = ((panel + p) * NR).min(w.n);
                Block::new(output, channel, if p < count { (w.n - channel).min(NR) } else { 0 }, w.n)
            });
            for (i, (x, record)) in x.chunks(MR * k).zip(scratch.chunks(MR * record)).enumerate() {
                let tile = Tile::new(plan, x, k, x.len() / k, record);
                tile_sums::<C>(plan, &panels, count, &tile, &raised, |p, row, rows, acc| {
                    blocks[p].store(output, chunk * room + i * MR + row, rows, acc);
                });
            }
            panel += count;
        }
    }
}

/// How many panels from `panel` on, of those before `end`, a tile takes: 1, or 2 or [`WIDE`] whole
/// ones, `most` at most.
fn together(n: usize, panel: usize, end: usize, most: usize) -> usize {
    let whole = (n / NR).min(end).saturating_sub(panel);
    match whole.min(most) {
        WIDE.. => WIDE,
        2 | 3 => 2,
        _ => 1,
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn raised(plan: &Plan, panels: &Panels<'_>, count: usize) -> [__m256i; WIDE] {
    let mut raised = [_mm256_setzero_si256(); WIDE];
    for (p, raised) in raised.iter_mut().enumerate().take(count) {
        *raised = panels.raised(plan, p);
    }
    raised
}

/// `store(panel, first row, rows, sums)` of the parts of a tile.
#[inline]
#[target_feature(enable = "avx2")]
#[allow(clippy::needless_range_loop, reason = "the array is not copied")]
fn tile_sums<C: Code>(
    plan: &Plan,
    panels: &Panels<'_>,
    count: usize,
    tile: &Tile<'_>,
    raised: &[__m256i; WIDE],
    mut store: impl FnMut(usize, usize, usize, [__m256i; MR]),
) {
    let mut sums = [[_mm256_setzero_si256(); MR]; WIDE];
    let mut row = 0;
    while row < tile.rows {
        let rows = match tile.rows - row {
            1 => 1,
            2 | 3 => 2,
            _ => MR,
        };
        match (rows, count) {
            (1, WIDE) => match streams::<C>(plan, panels) {
                2 => one_row::<C, 2>(plan, panels, tile, row, raised, &mut sums),
                _ => one_row::<C, WIDE>(plan, panels, tile, row, raised, &mut sums),
            },
            (1, 2) => low_tile::sums::<C, 1, 2>(plan, panels, tile, row, raised, &mut sums),
            (1, _) => low_tile::sums::<C, 1, 1>(plan, panels, tile, row, raised, &mut sums),
            (2, 2) => low_tile::sums::<C, 2, 2>(plan, panels, tile, row, raised, &mut sums),
            (2, _) => low_tile::sums::<C, 2, 1>(plan, panels, tile, row, raised, &mut sums),
            (_, 2) => low_tile::sums::<C, MR, 2>(plan, panels, tile, row, raised, &mut sums),
            (_, _) => low_tile::sums::<C, MR, 1>(plan, panels, tile, row, raised, &mut sums),
        }
        for p in 0..count.min(WIDE) {
            store(p, row, rows, sums[p]);
        }
        row += rows;
    }
}

/// Panels a single row is multiplied with at a time: weights that lie in the second cache are
/// read fastest with many, weights from memory in two streams; W3 is bound by its arithmetic.
fn streams<C: Code>(plan: &Plan, panels: &Panels<'_>) -> usize {
    /// Bytes of weights that the second cache is taken to hold.
    const CACHED: usize = 1 << 19;
    match C::WIDTH {
        _ if plan.blocks * C::WIDTH.runs() * 4 * panels.rows <= CACHED => WIDE,
        Width::W4 | Width::W2 | Width::T2 => 2,
        Width::W3 => WIDE,
    }
}

/// Sums of one row of a tile times [`WIDE`] panels, `P` at a time.
#[inline]
#[target_feature(enable = "avx2")]
fn one_row<C: Code, const P: usize>(
    plan: &Plan,
    panels: &Panels<'_>,
    tile: &Tile<'_>,
    row: usize,
    raised: &[__m256i; WIDE],
    sums: &mut [[__m256i; MR]; WIDE],
) {
    for (i, (sums, raised)) in sums.as_chunks_mut::<P>().0.iter_mut().zip(raised.as_chunks::<P>().0).enumerate() {
        let panels = panels.from::<C>(plan, i * P, NR);
        low_tile::sums::<C, 1, P>(plan, &panels, tile, row, raised, sums);
    }
}
