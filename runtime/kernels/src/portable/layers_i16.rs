//! Layers with int16 activations and int8 weights: products summed in i32 over blocks of k that cannot leave it,
//! blocks in i64.

use selvedge_core::arith;
use zerocopy::FromBytes;

use super::dot;
use crate::args::*;
use crate::pack::{KR, MR, NR, panel_channels, w8_bytes};
use crate::window;

/// k of a block: 256 products of at most 2^22 stay below 2^31.
pub const BLOCK: usize = 256;

/// The inner product of an instruction set.
pub trait DotI16: Copy {
    /// Sums of a block (at most [`BLOCK`] k, whole quads, of rows of one length) times the `channels` of a panel;
    /// those past `channels` are unspecified.
    fn block<const R: usize>(self, panel: &[i8], channels: usize, rows: [&[i16]; R]) -> [[i32; NR]; R];
}

impl DotI16 for crate::Portable {
    #[inline(always)]
    fn block<const R: usize>(self, panel: &[i8], channels: usize, rows: [&[i16]; R]) -> [[i32; NR]; R] {
        if dot::VECTORS { dot::dot(panel, channels, rows) } else { block_in_registers(panel, channels, rows) }
    }
}

/// For cores without vectors: 4 channels times two rows in registers.
#[inline(always)]
fn block_in_registers<const R: usize>(panel: &[i8], channels: usize, rows: [&[i16]; R]) -> [[i32; NR]; R] {
    let mut all = [[0; NR]; R];
    for first in (0..channels).step_by(4) {
        let panel = panel.get(first * KR..).unwrap_or_default();
        for (rows, all) in rows.chunks(2).zip(all.chunks_mut(2)) {
            let mut put = |row: usize, sums: [i32; 4]| {
                if let Some(to) = all.get_mut(row).and_then(|all| all.get_mut(first..first + 4)) {
                    to.copy_from_slice(&sums);
                }
            };
            match *rows {
                [a, b] => {
                    let [a, b] = four_channels(panel, channels * KR, [a, b]);
                    put(0, a);
                    put(1, b);
                }
                [a] => put(0, four_channels(panel, channels * KR, [a])[0]),
                _ => {}
            }
        }
    }
    all
}

/// Sums of rows with the first 4 channels of `panel`, whose quads of k are `stride` bytes apart. A narrow panel has zeros
/// behind it: 4 channels can be read of its last quad.
#[inline(never)]
fn four_channels<const P: usize>(panel: &[i8], stride: usize, rows: [&[i16]; P]) -> [[i32; 4]; P] {
    let mut sums = [[0i32; 4]; P];
    let rows = rows.map(|row| row.as_chunks::<KR>().0);
    for quad in 0..rows.first().map_or(0, |row| row.len()) {
        let Some(w) = panel.get(quad * stride..).and_then(<[i8]>::first_chunk::<{ 4 * KR }>) else { break };
        for (row, sums) in rows.iter().zip(&mut sums) {
            let Some(x) = row.get(quad) else { continue };
            for (w, sum) in w.as_chunks::<KR>().0.iter().zip(sums) {
                let pair = |i: usize| i32::from(x[i]) * i32::from(w[i]) + i32::from(x[i + 1]) * i32::from(w[i + 1]);
                *sum = sum.wrapping_add(pair(0)).wrapping_add(pair(2));
            }
        }
    }
    sums
}

#[inline(always)]
fn add_sums<const R: usize>(to: &mut [[i64; NR]; R], more: [[i32; NR]; R]) {
    for (to, more) in to.iter_mut().flatten().zip(more.iter().flatten()) {
        *to += i64::from(*more);
    }
}

/// Sums of rows of whole quads.
#[inline(always)]
fn sums<D: DotI16, const R: usize>(d: D, panel: &[i8], channels: usize, rows: [&[i16]; R]) -> [[i64; NR]; R] {
    let k = rows.first().map_or(0, |row| row.len());
    let mut all = [[0; NR]; R];
    for at in (0..k).step_by(BLOCK) {
        let block = rows.map(|row| row.get(at..k.min(at + BLOCK)).unwrap_or_default());
        add_sums(&mut all, d.block(panel.get(at * channels..).unwrap_or_default(), channels, block));
    }
    all
}

/// Stores the sums of neighbouring channels from `channel` on.
#[inline(always)]
fn store(q: &RequantI16<'_>, channel: usize, sums: &[i64], out: &mut [i16]) {
    let from = |at: usize| (q.bias.get(at..), q.multiplier.get(at..), q.shift.get(at..));
    let (Some(bias), Some(multiplier), Some(shift)) = from(channel) else { return };
    let constants = bias.iter().zip(multiplier).zip(shift);
    for ((out, &sum), ((&bias, &m), &k)) in out.iter_mut().zip(sums).zip(constants) {
        *out = arith::requantize(sum.wrapping_add(bias), m, k, 0, q.lo.into(), q.hi.into()) as i16;
    }
}

/// Copies the patch of output pixel `at` and `group`, padded with zeros to its length.
#[inline(always)]
fn gather(x: &[i16], s: &ConvShape, at: (usize, usize, usize), group: usize, patch: &mut [i16]) {
    let mut rest = patch;
    window::patch_runs(s, at, group, |start, len| {
        let Some((run, tail)) = core::mem::take(&mut rest).split_at_mut_checked(len) else { return };
        rest = tail;
        match start.and_then(|start| x.get(start..)?.get(..len)) {
            Some(cells) => run.copy_from_slice(cells),
            None => run.fill(0),
        }
    });
    rest.fill(0);
}

/// Scratch holds the patches of one tile of pixels, as [`crate::pack::conv_w8_scratch`] says. Exact.
#[inline(always)]
pub fn conv2d_with<D: DotI16>(
    d: D,
    x: &[i16],
    w: &[i8],
    s: &ConvShape,
    q: &RequantI16<'_>,
    out: &mut [i16],
    scratch: &mut [u8],
) {
    let groups = s.groups.max(1);
    let (in_c, out_c) = (s.in_c / groups, s.out_c / groups);
    let k = s.kernel_h * s.kernel_w * in_c;
    let row = k.next_multiple_of(KR);
    let pixels = s.batch * s.out_h * s.out_w;
    let Some(Ok(patches)) = scratch.get_mut(..MR * row * 2).map(<[i16]>::mut_from_bytes) else { return };
    if row == 0 || out_c == 0 {
        return;
    }
    let pointwise = window::is_pointwise(s) && k == row;
    for (group, w) in w.chunks_exact(w8_bytes(out_c, k).max(1)).enumerate() {
        let (mut pixel, mut at) = (0, (0, 0, 0));
        while pixel < pixels {
            let tile = (pixels - pixel).min(MR);
            let rows = if pointwise {
                x.get(pixel * k..(pixel + tile) * k).unwrap_or_default()
            } else {
                for patch in patches.chunks_exact_mut(row).take(tile) {
                    gather(x, s, at, group, patch);
                    at = window::next_pixel(s, at);
                }
                &*patches
            };
            let rows: [&[i16]; MR] = core::array::from_fn(|j| rows.get(j * row..(j + 1) * row).unwrap_or_default());
            for (i, panel) in w.chunks(NR * row).enumerate() {
                let live = panel_channels(out_c, i);
                let channel = group * out_c + i * NR;
                let mut finish = |j: usize, sums: &[i64; NR]| {
                    let at = (pixel + j) * s.out_c + channel;
                    store(q, channel, sums, out.get_mut(at..at + live).unwrap_or_default());
                };
                if tile == MR {
                    sums(d, panel, live, rows).iter().enumerate().for_each(|(j, sums)| finish(j, sums));
                } else {
                    for (j, &patch) in rows.iter().enumerate().take(tile) {
                        let [sums] = sums(d, panel, live, [patch]);
                        finish(j, &sums);
                    }
                }
            }
            pixel += tile;
        }
    }
}

/// The last, partial quad of a row is copied to a buffer padded with zeros. Exact.
#[inline(always)]
pub fn dense_with<D: DotI16>(d: D, x: &[i16], w: &[i8], k: usize, n: usize, q: &RequantI16<'_>, out: &mut [i16]) {
    if k == 0 || n == 0 {
        return;
    }
    let (mut x, mut out) = (x, out);
    while !x.is_empty() {
        let tile = if x.len() >= MR * k { MR } else { 1 };
        let Some((block, rest)) = x.split_at_checked(tile * k) else { return };
        let Some((to, further)) = out.split_at_mut_checked(tile * n) else { return };
        (x, out) = (rest, further);
        for (i, panel) in w.chunks(NR * k.next_multiple_of(KR)).enumerate() {
            let live = panel_channels(n, i);
            let mut finish = |j: usize, sums: &[i64; NR]| {
                let at = j * n + i * NR;
                store(q, i * NR, sums, to.get_mut(at..at + live).unwrap_or_default());
            };
            if tile == MR {
                let rows = core::array::from_fn(|j| block.get(j * k..(j + 1) * k).unwrap_or_default());
                dense_rows::<D, MR>(d, panel, live, rows).iter().enumerate().for_each(|(j, sums)| finish(j, sums));
            } else {
                let [sums] = dense_rows(d, panel, live, [block]);
                finish(0, &sums);
            }
        }
    }
}

#[inline(always)]
fn dense_rows<D: DotI16, const R: usize>(d: D, panel: &[i8], channels: usize, rows: [&[i16]; R]) -> [[i64; NR]; R] {
    let k = rows.first().map_or(0, |row| row.len());
    let whole = k / KR * KR;
    let mut all = sums(d, panel, channels, rows.map(|row| row.get(..whole).unwrap_or_default()));
    if whole < k {
        let mut tails = [[0; KR]; R];
        for (tail, row) in tails.iter_mut().zip(rows) {
            tail.iter_mut().zip(row.get(whole..).unwrap_or_default()).for_each(|(to, &from)| *to = from);
        }
        let panel = panel.get(whole * channels..).unwrap_or_default();
        add_sums(&mut all, d.block(panel, channels, tails.each_ref().map(|tail| &tail[..])));
    }
    all
}

/// One pixel, 8 channels, taps in pairs. Exact.
#[inline(always)]
pub fn depthwise_with(x: &[i16], w: &[i8], s: &ConvShape, q: &RequantI16<'_>, out: &mut [i16]) {
    let taps = s.kernel_h * s.kernel_w;
    if taps == 0 || s.out_c == 0 {
        return;
    }
    let mut at = (0, 0, 0);
    for out in out.chunks_exact_mut(s.out_c) {
        let [rows, cols] = window::inside(s, at);
        for (i, (block, out)) in w.chunks(NR * taps.next_multiple_of(2)).zip(out.chunks_mut(NR)).enumerate() {
            let (channel, live) = (i * NR, out.len());
            let mut all = [0i64; NR];
            let mut part = [0i32; NR];
            let mut left = BLOCK;
            for ky in rows.0..rows.1 {
                for kx in cols.0..cols.1 {
                    let start = window::cell(s, at, ky, kx) * s.in_c + channel;
                    let tap = ky * s.kernel_w + kx;
                    let w = block.get(tap / 2 * live * 2 + tap % 2..).unwrap_or_default();
                    let x = x.get(start..).unwrap_or_default();
                    if let (Some(x), Some(w)) = (x.first_chunk::<NR>(), w.first_chunk::<{ 2 * NR - 1 }>()) {
                        for (c, part) in part.iter_mut().enumerate() {
                            *part += i32::from(x[c]) * i32::from(w[2 * c]);
                        }
                    } else {
                        for ((part, &x), &w) in part.iter_mut().zip(x).zip(w.iter().step_by(2)).take(live) {
                            *part += i32::from(x) * i32::from(w);
                        }
                    }
                    left -= 1;
                    if left == 0 {
                        all.iter_mut().zip(&mut part).for_each(|(to, part)| *to += i64::from(core::mem::take(part)));
                        left = BLOCK;
                    }
                }
            }
            all.iter_mut().zip(part).for_each(|(to, part)| *to += i64::from(part));
            store(q, channel, &all, out);
        }
        at = window::next_pixel(s, at);
    }
}

/// Exact.
#[inline(always)]
pub fn add_with(a: &[i16], b: &[i16], p: &AddI16, out: &mut [i16]) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = arith::add_i16(a, b, p.m1, p.m2, p.s, p.lo, p.hi);
    }
}

/// `b` lies in `out`. Exact.
#[inline(always)]
pub fn add_in_place_with(a: &[i16], p: &AddI16, out: &mut [i16]) {
    for (out, &a) in out.iter_mut().zip(a) {
        *out = arith::add_i16(a, *out, p.m1, p.m2, p.s, p.lo, p.hi);
    }
}

/// Exact: the bounds are beyond those of int16, and rounding is that of [`super::quantize_i8`]. `false` where a
/// value is NaN.
#[inline(always)]
pub fn quantize_with(x: &[f32], scale: f32, out: &mut [i16]) -> bool {
    const ROUND: f32 = 12_582_912.0;
    let mut nan = 0;
    for (out, &x) in out.iter_mut().zip(x) {
        nan |= u32::from(x.is_nan());
        let v = x / scale;
        let v = if v > -65_536.0 { v } else { -65_536.0 };
        let v = if v < 65_536.0 { v } else { 65_536.0 };
        let code = (v + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32;
        *out = code.clamp(-32_768, 32_767) as i16;
    }
    nan == 0
}

/// Exact.
#[inline(always)]
pub fn dequantize_with(x: &[i16], scale: f32, out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = arith::dequantize_i16(x, scale);
    }
}

// Compiled here: in a firmware's own crate they would be compiled for size.

pub fn conv2d(x: &[i16], w: &[i8], s: &ConvShape, q: &RequantI16<'_>, out: &mut [i16], scratch: &mut [u8]) {
    conv2d_with(crate::Portable, x, w, s, q, out, scratch);
}

pub fn depthwise(x: &[i16], w: &[i8], s: &ConvShape, q: &RequantI16<'_>, out: &mut [i16]) {
    depthwise_with(x, w, s, q, out);
}

pub fn dense(x: &[i16], w: &[i8], k: usize, n: usize, q: &RequantI16<'_>, out: &mut [i16]) {
    dense_with(crate::Portable, x, w, k, n, q, out);
}

pub fn add_in_place(a: &[i16], p: &AddI16, out: &mut [i16]) {
    add_in_place_with(a, p, out);
}

pub fn add(a: &[i16], b: &[i16], p: &AddI16, out: &mut [i16]) {
    add_with(a, b, p, out);
}

pub fn quantize(x: &[f32], scale: f32, out: &mut [i16]) -> bool {
    quantize_with(x, scale, out)
}

pub fn dequantize(x: &[i16], scale: f32, out: &mut [f32]) {
    dequantize_with(x, scale, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::buffers::Rng;

    #[test]
    fn sums_in_registers_equal_those_in_lanes_on_every_number_of_channels() {
        let rng = &mut Rng(29);
        for channels in 1..=NR {
            for quads in 0..=BLOCK / KR {
                // The zeros behind a narrow panel.
                let mut panel = rng.i8s(quads * channels * KR);
                panel.resize(panel.len() + (NR - channels) * KR, 0);
                let rows: [std::vec::Vec<i16>; 3] =
                    core::array::from_fn(|_| (0..quads * KR).map(|_| rng.next() as i16).collect());
                let rows = rows.each_ref().map(|row| &row[..]);
                let (found, want) = (block_in_registers(&panel, channels, rows), dot::dot(&panel, channels, rows));
                for (found, want) in found.iter().zip(want) {
                    assert_eq!(found[..channels], want[..channels], "{channels} channels, {quads} quads");
                }
            }
        }
    }
}
