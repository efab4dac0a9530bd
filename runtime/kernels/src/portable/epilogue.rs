//! Epilogues of int8 layers, up to 8 channels of one row at a time.

use selvedge_core::arith;

use crate::args::*;
use crate::pack::NR;

/// The element of a per-channel array.
#[inline(always)]
fn per_channel<T: Copy + Default>(values: &[T], channel: usize) -> T {
    values.get(channel).copied().unwrap_or_default()
}

/// Stores the sums `acc` of `live` channels from `channel` on, of output row `row`. Exact.
#[inline(always)]
pub fn store(output: &mut Output<'_>, row: usize, channel: usize, live: usize, channels: usize, acc: &[i32; NR]) {
    let at = row * channels + channel;
    match output {
        Output::I8(q, out) => {
            let Some(out) = out.get_mut(at..at + live) else { return };
            requant(q, channel, acc, out);
        }
        Output::F32(scale, out) => {
            let Some(out) = out.get_mut(at..at + live) else { return };
            to_f32(scale, row, channel, acc, out);
        }
        Output::I32(raw, out) => {
            let Some(out) = out.get_mut(at..at + live) else { return };
            to_i32(raw, channel, acc, out);
        }
    }
}

/// Adds `more << shift` to `sums`, wrapping; with a negative shift `more` is rounded to the right,
/// half up, in 64 bits. Exact.
#[inline(always)]
pub fn add_branch(sums: &mut [i32], more: &[i32], shift: i32) {
    if shift >= 0 {
        let pairs = sums.iter_mut().zip(more);
        pairs.for_each(|(sum, more)| *sum = sum.wrapping_add(more.wrapping_shl(shift as u32)));
    } else {
        let shift = shift.unsigned_abs().min(31);
        let half = 1i64 << (shift - 1);
        let pairs = sums.iter_mut().zip(more);
        pairs.for_each(|(sum, &more)| *sum = sum.wrapping_add(((more as i64 + half) >> shift) as i32));
    }
}

/// Stores sums `[rows, n]`. Exact.
#[inline(always)]
pub fn store_rows(sums: &[i32], rows: usize, n: usize, mut output: Output<'_>) {
    for (row, sums) in sums.chunks(n.max(1)).enumerate().take(rows) {
        for (i, block) in sums.chunks(NR).enumerate() {
            let mut acc = [0; NR];
            acc.iter_mut().zip(block).for_each(|(to, &from)| *to = from);
            store(&mut output, row, i * NR, block.len(), n, &acc);
        }
    }
}

/// The channels from `channel` on of output row `row`. Exact: each operation rounds once.
#[inline(always)]
pub fn to_f32(scale: &Scale<'_>, row: usize, channel: usize, acc: &[i32], out: &mut [f32]) {
    let row = if scale.x_scale.len() == 1 { 0 } else { row };
    let x_scale = per_channel(scale.x_scale, row);
    for (i, (out, &acc)) in out.iter_mut().zip(acc).enumerate() {
        let w_scale = per_channel(scale.w_scale, channel + i);
        let y = acc as f32 * (x_scale * w_scale) + per_channel(scale.bias, channel + i);
        let y = if y > scale.lo { y } else { scale.lo };
        *out = if y < scale.hi { y } else { scale.hi };
    }
}

/// The channels from `channel` on. Exact.
#[inline(always)]
pub fn to_i32(raw: &Raw<'_>, channel: usize, acc: &[i32], out: &mut [i32]) {
    for (i, (out, &acc)) in out.iter_mut().zip(acc).enumerate() {
        *out = acc.wrapping_sub(raw.zero_point.wrapping_mul(per_channel(raw.column_sum, channel + i)));
    }
}

#[inline(always)]
fn requant(q: &Requant<'_>, channel: usize, acc: &[i32; NR], out: &mut [i8]) {
    let (lo, hi) = (q.lo as i32, q.hi as i32);
    for (i, (out, &acc)) in out.iter_mut().zip(acc).enumerate() {
        let c = channel + i;
        let acc = match q.bias {
            Bias::I32(bias) => acc.wrapping_add(per_channel(bias, c)) as i64,
            Bias::I64(bias) => (acc as i64).wrapping_add(per_channel(bias, c)),
        };
        let (m, k) = (per_channel(q.multiplier, c), per_channel(q.shift, c));
        let y = arith::requantize(acc, m, k, q.zero_point, lo, hi) as i8;
        *out = match &q.residual {
            Some(r) => arith::add(y, *out, r.m1, r.m2, r.c, r.s, r.lo, r.hi),
            None => y,
        };
    }
}
