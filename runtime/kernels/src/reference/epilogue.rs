//! Epilogues of int8 layers: where one sum goes.

use selvedge_core::arith;

use crate::args::*;

/// Stores the sum of output row `row` (a pixel, or a row of a dense layer) and channel
/// `channel` of `channels`. Exact: `sum` wraps to i32 once, as the accumulators of the
/// kernels do.
pub fn store(output: &mut Output<'_>, row: usize, channel: usize, channels: usize, sum: i64) {
    let at = row * channels + channel;
    let acc = sum as i32;
    match output {
        Output::I8(q, out) => out[at] = requant(q, channel, acc, out[at]),
        Output::F32(scale, out) => out[at] = to_f32(scale, row, channel, acc),
        Output::I32(raw, out) => {
            out[at] = acc.wrapping_sub(raw.zero_point.wrapping_mul(raw.column_sum.get(channel).copied().unwrap_or(0)));
        }
    }
}

/// Requantizes; `skip` is what the output held, used by a fused residual only.
pub fn requant(q: &Requant<'_>, channel: usize, acc: i32, skip: i8) -> i8 {
    let acc = match q.bias {
        Bias::I32(bias) => acc.wrapping_add(bias[channel]) as i64,
        Bias::I64(bias) => (acc as i64).wrapping_add(bias[channel]),
    };
    let (lo, hi) = (q.lo as i32, q.hi as i32);
    let y = arith::requantize(acc, q.multiplier[channel], q.shift[channel], q.zero_point, lo, hi) as i8;
    match &q.residual {
        Some(r) => arith::add(y, skip, r.m1, r.m2, r.c, r.s, r.lo, r.hi),
        None => y,
    }
}

/// `(acc as f32)·(x_scale·w_scale) + bias`, each operation rounded once, then clamped.
pub fn to_f32(scale: &Scale<'_>, row: usize, channel: usize, acc: i32) -> f32 {
    let x_scale = if scale.x_scale.len() == 1 { scale.x_scale[0] } else { scale.x_scale[row] };
    let y = acc as f32 * (x_scale * scale.w_scale[channel]) + scale.bias[channel];
    clamp(y, scale.lo, scale.hi)
}

/// The larger of `y` and `lo`, then the smaller of that and `hi`; `lo` for NaN.
pub fn clamp(y: f32, lo: f32, hi: f32) -> f32 {
    let y = if y > lo { y } else { lo };
    if y < hi { y } else { hi }
}
