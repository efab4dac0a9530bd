//! Epilogues of int8 layers: 8 channels of a few rows at a time.

use core::arch::aarch64::*;

use selvedge_core::arith;

use super::dot::Sums;
use super::mem::*;
use super::rounding::{Addition, Rounding, WideRounding, clamp, plus};
use crate::args::*;
use crate::pack::NR;

/// 8 elements of a per-channel array from `channel` on; zeros past its end.
fn eight<T: Copy + Default>(values: &[T], channel: usize) -> [T; NR] {
    let rest = values.get(channel..).unwrap_or_default();
    match rest.first_chunk::<NR>() {
        Some(values) => *values,
        None => core::array::from_fn(|i| rest.get(i).copied().unwrap_or_default()),
    }
}

/// Constants of 8 channels.
#[derive(Clone, Copy)]
enum Constants {
    Requant(Rounding, Sums),
    Wide(WideRounding),
    /// A shift above 31, a zero point that is no int8, and what no layer has.
    Scalar,
    F32 {
        scale: [float32x4_t; 2],
        bias: [float32x4_t; 2],
    },
    I32 {
        correction: Sums,
    },
}

/// The epilogue of 8 channels of a layer, `live` of which exist.
#[derive(Clone, Copy)]
pub struct Block {
    constants: Constants,
    channel: usize,
    live: usize,
    channels: usize,
}

/// Panels whose epilogues are prepared together.
pub const PANELS: usize = 16;

/// The epilogues of up to [`PANELS`] panels.
pub struct Blocks([Block; PANELS]);

impl Blocks {
    pub const NONE: Self = Self([Block { constants: Constants::Scalar, channel: 0, live: 0, channels: 0 }; PANELS]);

    /// Prepares panels of 8 channels from `channel` on, of `channels`, `end` the first that is not
    /// theirs.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn prepare(&mut self, output: &Output<'_>, channel: usize, end: usize, channels: usize) {
        for (block, channel) in self.0.iter_mut().zip((channel..end).step_by(NR)) {
            *block = Block::new(output, channel, (end - channel).min(NR), channels);
        }
    }

    /// The epilogue of panel `i` of them.
    #[inline]
    pub fn get(&self, i: usize) -> &Block {
        &self.0[i % PANELS]
    }
}

impl Block {
    /// `live` ≤ 8 channels from `channel` on, of `channels`.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn new(output: &Output<'_>, channel: usize, live: usize, channels: usize) -> Self {
        let constants = match output {
            Output::I8(q, _) => Self::requant(q, channel, live),
            Output::F32(scale, _) => Constants::F32 {
                scale: load_f32(&eight(scale.w_scale, channel)),
                bias: load_f32(&eight(scale.bias, channel)),
            },
            Output::I32(raw, _) => {
                let sums = load_i32(&eight(raw.column_sum, channel));
                Constants::I32 { correction: sums.map(|sums| vmulq_s32(sums, vdupq_n_s32(raw.zero_point))) }
            }
        };
        Self { constants, channel, live, channels }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn requant(q: &Requant<'_>, channel: usize, live: usize) -> Constants {
        let Ok(zero_point) = i8::try_from(q.zero_point) else { return Constants::Scalar };
        let mut shifts: [i8; NR] = eight(q.shift, channel);
        if live < NR {
            shifts[live..].fill(1);
        }
        let k = load8(&shifts);
        let (least, most) = (vminv_s8(k), vmaxv_s8(k));
        if least < -31 || most > 31 {
            return Constants::Scalar;
        }
        let k = vmovl_s8(k);
        let k = [vmovl_s16(vget_low_s16(k)), vmovl_high_s16(k)];
        let m = load_i32(&eight(q.multiplier, channel));
        let (narrow, bias) = match q.bias {
            Bias::I32(bias) => (load_i32(&eight(bias, channel)), None),
            Bias::I64(bias) => ([vdupq_n_s32(0); 2], Some(eight(bias, channel))),
        };
        if bias.is_none() && least >= 1 {
            return Constants::Requant(Rounding::new(m, k, zero_point), narrow);
        }
        let bias = load_i64(&bias.unwrap_or_default());
        Constants::Wide(WideRounding { m, k, narrow, bias, zero_point: vdupq_n_s16(zero_point as i16) })
    }

    /// Stores the sums of the first `rows` of `R` output rows from `row` on. Exact.
    #[inline(always)]
    pub fn store<const R: usize>(&self, output: &mut Output<'_>, row: usize, rows: usize, acc: &[Sums; R]) {
        match (&mut *output, &self.constants) {
            (Output::I8(q, out), Constants::Requant(rounding, bias)) if q.residual.is_none() => {
                // SAFETY: a block is made only where the CPU has NEON.
                let y = unsafe { rounding.bytes(*bias, q, acc) };
                if self.live == NR && rows == R {
                    let out = &mut out[row * self.channels + self.channel..][..(R - 1) * self.channels + NR];
                    for (i, y) in y.into_iter().enumerate() {
                        // SAFETY: the slice reaches to the 8 bytes of row R − 1.
                        unsafe { vst1_s8(out.as_mut_ptr().add(i * self.channels), y) };
                    }
                } else {
                    // SAFETY: as above.
                    unsafe { self.store_some(out, row, rows, &y) };
                }
            }
            // SAFETY: as above.
            _ => unsafe { self.store_rare(output, row, rows, acc) },
        }
    }

    /// The last rows or channels of a layer.
    #[inline(never)]
    #[target_feature(enable = "neon")]
    fn store_some(&self, out: &mut [i8], row: usize, rows: usize, y: &[int8x8_t]) {
        for (i, y) in y.iter().enumerate().take(rows) {
            let mut bytes = [0; NR];
            store8(&mut bytes, *y);
            self.copy(&bytes, out, row + i);
        }
    }

    /// What is not int8 of normal layers.
    #[inline(never)]
    #[target_feature(enable = "neon")]
    fn store_rare(&self, output: &mut Output<'_>, row: usize, rows: usize, acc: &[Sums]) {
        let acc = acc.iter().take(rows).enumerate().map(|(i, acc)| (row + i, *acc));
        match output {
            Output::I8(q, out) => {
                let (lo, hi) = (vdup_n_s8(q.lo), vdup_n_s8(q.hi));
                let residual = q.residual.map(|r| Addition::new(r.m1, r.m2, r.c, r.s, r.lo, r.hi));
                for (row, acc) in acc {
                    let y = match &self.constants {
                        Constants::Requant(rounding, bias) => rounding.apply(plus(acc, *bias)),
                        Constants::Wide(rounding) => rounding.apply(acc),
                        _ => load8(&self.requantize_scalar(q, acc)),
                    };
                    let mut y = clamp(y, lo, hi);
                    if let Some(residual) = &residual {
                        let at = row * self.channels + self.channel;
                        y = residual.apply(y, load8(&eight(&out[at..at + self.live], 0)));
                    }
                    let mut bytes = [0; NR];
                    store8(&mut bytes, y);
                    self.copy(&bytes, out, row);
                }
            }
            Output::F32(scale, out) => acc.for_each(|(row, acc)| self.store_f32(scale, out, row, acc)),
            Output::I32(_, out) => {
                let Constants::I32 { correction } = self.constants else { return };
                for (row, acc) in acc {
                    let mut y = [0; NR];
                    store_i32(&mut y, [vsubq_s32(acc[0], correction[0]), vsubq_s32(acc[1], correction[1])]);
                    self.copy(&y, out, row);
                }
            }
        }
    }

    /// The live elements of output row `row`.
    #[inline]
    fn copy<T: Copy>(&self, y: &[T; NR], out: &mut [T], row: usize) {
        let at = row * self.channels + self.channel;
        if self.live == NR {
            out[at..at + NR].copy_from_slice(y);
        } else {
            out[at..at + self.live].copy_from_slice(&y[..self.live]);
        }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn store_f32(&self, p: &Scale<'_>, out: &mut [f32], row: usize, acc: Sums) {
        let Constants::F32 { scale, bias } = self.constants else { return };
        let (lo, hi) = (vdupq_n_f32(p.lo), vdupq_n_f32(p.hi));
        let x_scale = vdupq_n_f32(if p.x_scale.len() == 1 { p.x_scale[0] } else { p.x_scale[row] });
        let part = |i: usize| {
            let y = vmulq_f32(vcvtq_f32_s32(acc[i]), vmulq_f32(x_scale, scale[i]));
            let y = vaddq_f32(y, bias[i]);
            // Of equal values, and where one is NaN, the bound.
            let y = vbslq_f32(vcgtq_f32(y, lo), y, lo);
            vbslq_f32(vcltq_f32(y, hi), y, hi)
        };
        let mut y = [0.0; NR];
        store_f32(&mut y, [part(0), part(1)]);
        self.copy(&y, out, row);
    }

    #[cold]
    #[target_feature(enable = "neon")]
    fn requantize_scalar(&self, q: &Requant<'_>, acc: Sums) -> [i8; NR] {
        let (mut lanes, m, k) = ([0; NR], eight(q.multiplier, self.channel), eight(q.shift, self.channel));
        store_i32(&mut lanes, acc);
        core::array::from_fn(|i| {
            let acc = match q.bias {
                Bias::I32(bias) => lanes[i].wrapping_add(eight(bias, self.channel)[i]) as i64,
                Bias::I64(bias) => (lanes[i] as i64).wrapping_add(eight(bias, self.channel)[i]),
            };
            arith::requantize(acc, m[i], k[i], q.zero_point, q.lo as i32, q.hi as i32) as i8
        })
    }
}
