//! Rounding of sums to int8, 8 channels at a time.

use core::arch::aarch64::*;

use super::dot::Sums;
use crate::args::Requant;

/// Requantization of 8 channels: the high half of the doubled product is ⌊acc·m/2^31⌋, which a
/// rounding shift by k completes; one rounding in all. Exact for k in 1..=31.
#[derive(Clone, Copy)]
pub struct Rounding {
    m: Sums,
    /// −k
    shift: Sums,
    zero_point: int16x8_t,
}

impl Rounding {
    /// `m` and `k` of 8 channels.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn new(m: Sums, k: Sums, zero_point: i8) -> Self {
        Self { m, shift: k.map(|k| vnegq_s32(k)), zero_point: vdupq_n_s16(zero_point as i16) }
    }

    /// The clamped outputs of a few rows.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn bytes<const R: usize>(&self, bias: Sums, q: &Requant<'_>, acc: &[Sums; R]) -> [int8x8_t; R] {
        let (lo, hi) = (vdup_n_s8(q.lo), vdup_n_s8(q.hi));
        acc.map(|acc| clamp(self.apply(plus(acc, bias)), lo, hi))
    }

    /// Zero point + rounded `acc`, saturated to int8.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn apply(&self, acc: Sums) -> int8x8_t {
        let y0 = vrshlq_s32(vqdmulhq_s32(acc[0], self.m[0]), self.shift[0]);
        let y1 = vrshlq_s32(vqdmulhq_s32(acc[1], self.m[1]), self.shift[1]);
        to_i8([y0, y1], self.zero_point)
    }
}

#[inline]
#[target_feature(enable = "neon")]
pub fn plus(a: Sums, b: Sums) -> Sums {
    [vaddq_s32(a[0], b[0]), vaddq_s32(a[1], b[1])]
}

/// Zero point + `y`, saturated to int8: 16 bits suffice for what is inside.
#[inline]
#[target_feature(enable = "neon")]
fn to_i8(y: Sums, zero_point: int16x8_t) -> int8x8_t {
    let y = vqmovn_high_s32(vqmovn_s32(y[0]), y[1]);
    vqmovn_s16(vqaddq_s16(y, zero_point))
}

/// Requantization of 8 channels in 64 bits, which wrap: biases of 64 bits, and shifts to the left.
#[derive(Clone, Copy)]
pub struct WideRounding {
    pub m: Sums,
    pub k: Sums,
    /// Added in 32 bits.
    pub narrow: Sums,
    /// Added in 64 bits.
    pub bias: [int64x2_t; 4],
    pub zero_point: int16x8_t,
}

impl WideRounding {
    /// Zero point + rounded sum of `acc` and the biases, saturated to int8.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn apply(&self, acc: Sums) -> int8x8_t {
        let acc = plus(acc, self.narrow);
        let four = |i: usize| {
            let (acc, m, k) = (acc[i], self.m[i], self.k[i]);
            let low = self.two(self.bias[2 * i], vget_low_s32(acc), vget_low_s32(m), vget_low_s32(k));
            let high = self.two(self.bias[2 * i + 1], vget_high_s32(acc), vget_high_s32(m), vget_high_s32(k));
            vcombine_s32(low, high)
        };
        to_i8([four(0), four(1)], self.zero_point)
    }

    /// Rounded values of two channels, saturated to 32 bits.
    #[inline]
    #[target_feature(enable = "neon")]
    fn two(&self, bias: int64x2_t, acc: int32x2_t, m: int32x2_t, k: int32x2_t) -> int32x2_t {
        let one = vdup_n_s32(1);
        let left = vmax_s32(vsub_s32(one, k), vdup_n_s32(0));
        let right = vadd_s32(vmax_s32(k, one), vdup_n_s32(31));
        let acc = vshlq_s64(vaddw_s32(bias, acc), vmovl_s32(left));
        let low = vmull_u32(vmovn_u64(vreinterpretq_u64_s64(acc)), vreinterpret_u32_s32(m));
        let high = vshlq_n_s64::<32>(vmull_s32(vshrn_n_s64::<32>(acc), m));
        let product = vaddq_s64(vreinterpretq_s64_u64(low), high);
        let half = vshlq_s64(vdupq_n_s64(1), vmovl_s32(vsub_s32(right, one)));
        vqmovn_s64(vshlq_s64(vaddq_s64(product, half), vmovl_s32(vneg_s32(right))))
    }
}

/// `clamp((a·m1 + b·m2 + c) >> s, lo, hi)` of 8 values, all in 32 bits.
#[derive(Clone, Copy)]
pub struct Addition {
    m: [int32x4_t; 2],
    c: int32x4_t,
    shift: int32x4_t,
    lo: int8x8_t,
    hi: int8x8_t,
}

impl Addition {
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn new(m1: i32, m2: i32, c: i32, s: u32, lo: i8, hi: i8) -> Self {
        Self {
            m: [vdupq_n_s32(m1), vdupq_n_s32(m2)],
            c: vdupq_n_s32(c),
            shift: vdupq_n_s32(-((s & 31) as i32)),
            lo: vdup_n_s8(lo),
            hi: vdup_n_s8(hi),
        }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    pub fn apply(&self, a: int8x8_t, b: int8x8_t) -> int8x8_t {
        let (a, b) = (vmovl_s8(a), vmovl_s8(b));
        let part = |a: int32x4_t, b: int32x4_t| {
            let sum = vmlaq_s32(vmlaq_s32(self.c, a, self.m[0]), b, self.m[1]);
            vqmovn_s32(vshlq_s32(sum, self.shift))
        };
        let low = part(vmovl_s16(vget_low_s16(a)), vmovl_s16(vget_low_s16(b)));
        let high = part(vmovl_high_s16(a), vmovl_high_s16(b));
        clamp(vqmovn_s16(vcombine_s16(low, high)), self.lo, self.hi)
    }
}

#[inline]
#[target_feature(enable = "neon")]
pub fn clamp(y: int8x8_t, lo: int8x8_t, hi: int8x8_t) -> int8x8_t {
    vmin_s8(vmax_s8(y, lo), hi)
}
