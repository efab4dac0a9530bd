//! Epilogues of int8 layers: up to 8 channels of a few rows, in 32 bits where that is exact.

use selvedge_core::arith;

use crate::args::*;
use crate::portable::epilogue;

/// Stores the sums `acc[channel][row]` of a block of channels from `channel` on, of the output
/// rows from `row` on. Exact.
pub fn store<const R: usize>(output: &mut Output<'_>, row: usize, channel: usize, channels: usize, acc: &[[i32; R]]) {
    match output {
        Output::I8(q, out) => {
            let out = out.get_mut(row * channels + channel..).unwrap_or_default();
            requant(q, channel, channels, acc, out);
        }
        _ => store_words(output, row, channel, channels, acc.as_flattened(), R),
    }
}

/// Outputs of 32 bits; `rows` sums a channel.
#[inline(never)]
fn store_words(output: &mut Output<'_>, row: usize, channel: usize, channels: usize, acc: &[i32], rows: usize) {
    for (c, acc) in (channel..).zip(acc.chunks_exact(rows.max(1))) {
        for (row, acc) in (row..).zip(acc) {
            let at = row * channels + c;
            let acc = core::slice::from_ref(acc);
            match output {
                Output::I8(..) => {}
                Output::F32(scale, out) => epilogue::to_f32(scale, row, c, acc, out.get_mut(at..).unwrap_or_default()),
                Output::I32(raw, out) => epilogue::to_i32(raw, c, acc, out.get_mut(at..).unwrap_or_default()),
            }
        }
    }
}

/// `out` begins at the first channel of the first row.
fn requant<const R: usize>(q: &Requant<'_>, channel: usize, channels: usize, acc: &[[i32; R]], out: &mut [i8]) {
    let Bias::I32(bias) = q.bias else { return requant_wide(q, channel, channels, acc.as_flattened(), R, out) };
    let Some(end) = channel.checked_add(acc.len()) else { return };
    let constants = (bias.get(channel..end), q.multiplier.get(channel..end), q.shift.get(channel..end));
    let (Some(bias), Some(multiplier), Some(shift)) = constants else { return };
    let mut rows = out.chunks_mut(channels.max(1));
    let rows = [(); R].map(|()| rows.next().and_then(|row| row.get_mut(..acc.len())).unwrap_or_default());
    match q.residual {
        None => narrow(q, (bias, multiplier, shift), acc, rows, |y, _| y as i8),
        Some(r) => narrow(q, (bias, multiplier, shift), acc, rows, |y, held| {
            arith::add(y as i8, held, r.m1, r.m2, r.c, r.s, r.lo, r.hi)
        }),
    }
}

/// A bias of 32 bits.
#[inline(never)]
fn narrow<const R: usize>(
    q: &Requant<'_>,
    (bias, multiplier, shift): (&[i32], &[i32], &[i8]),
    acc: &[[i32; R]],
    mut rows: [&mut [i8]; R],
    finish: impl Fn(i32, i8) -> i8,
) {
    let (lo, hi) = (q.lo as i32, q.hi as i32);
    let constants = bias.iter().zip(multiplier).zip(shift);
    for ((c, acc), ((&bias, &m), &k)) in acc.iter().enumerate().zip(constants) {
        for (row, &acc) in rows.iter_mut().zip(acc) {
            let acc = acc.wrapping_add(bias);
            let y = if (2..=22).contains(&k) {
                // No term has a bit below 2^32, so that the high word of the product is all that
                // counts; no sum with the zero point leaves 31 bits.
                let shift = k as u32 - 1;
                let rounding = (q.zero_point * 2 + 1) << (shift - 1);
                (((acc as i64 * m as i64) >> 32) as i32).wrapping_add(rounding).wrapping_shr(shift).max(lo).min(hi)
            } else {
                requantize(q, acc as i64, m, k)
            };
            let Some(out) = row.get_mut(c) else { return };
            *out = finish(y, *out);
        }
        // Unrolled, the loop is large and no faster.
        core::hint::black_box(());
    }
}

/// A bias of 64 bits; `rows` sums a channel.
#[cold]
#[inline(never)]
fn requant_wide(q: &Requant<'_>, channel: usize, channels: usize, acc: &[i32], rows: usize, out: &mut [i8]) {
    let Bias::I64(bias) = q.bias else { return };
    let constants = (bias.get(channel..), q.multiplier.get(channel..), q.shift.get(channel..));
    let (Some(bias), Some(multiplier), Some(shift)) = constants else { return };
    let constants = bias.iter().zip(multiplier).zip(shift);
    for ((c, acc), ((&bias, &m), &k)) in acc.chunks_exact(rows.max(1)).enumerate().zip(constants) {
        for (r, &acc) in acc.iter().enumerate() {
            let Some(out) = out.get_mut(c + r * channels) else { return };
            let y = requantize(q, bias.wrapping_add(acc as i64), m, k) as i8;
            *out = match &q.residual {
                None => y,
                Some(r) => arith::add(y, *out, r.m1, r.m2, r.c, r.s, r.lo, r.hi),
            };
        }
    }
}

#[cold]
#[inline(never)]
fn requantize(q: &Requant<'_>, acc: i64, m: i32, k: i8) -> i32 {
    arith::requantize(acc, m, k, q.zero_point, q.lo as i32, q.hi as i32)
}
