//! `add_i8__neon`, `mul_i8__neon_1x8`, `rescale_i8__neon`, `table_i8__neon_1x16`.

use core::arch::aarch64::*;

use super::mem::*;
use super::rounding::{Addition, Rounding, clamp};
use crate::args::*;
use crate::portable;

/// Exact.
#[inline]
#[target_feature(enable = "neon")]
pub fn add(a: &[i8], b: &[i8], p: &AddI8, out: &mut [i8]) {
    let addition = Addition::new(p.m1, p.m2, p.c, p.s, p.lo, p.hi);
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let (out, out_rest) = out.as_chunks_mut::<8>();
    for ((a, b), out) in a.iter().zip(b).zip(out) {
        store8(out, addition.apply(load8(a), load8(b)));
    }
    portable::elementwise_i8::add(a_rest, b_rest, p, out_rest);
}

/// Exact; the second summand is what `out` held.
#[inline]
#[target_feature(enable = "neon")]
pub fn add_in_place(a: &[i8], p: &AddI8, out: &mut [i8]) {
    let addition = Addition::new(p.m1, p.m2, p.c, p.s, p.lo, p.hi);
    let (a, a_rest) = a.as_chunks::<8>();
    let (out, out_rest) = out.as_chunks_mut::<8>();
    for (a, out) in a.iter().zip(out) {
        store8(out, addition.apply(load8(a), load8(out)));
    }
    portable::elementwise_i8::add_in_place(a_rest, p, out_rest);
}

/// Exact; a shift outside of 1..=31, or a zero point that is no int8, takes the portable form.
#[inline]
#[target_feature(enable = "neon")]
pub fn mul(a: &[i8], b: &[i8], p: &MulI8, out: &mut [i8]) {
    let zero_points = (i8::try_from(p.zp1), i8::try_from(p.zp2), i8::try_from(p.zero_point));
    let (Ok(zp1), Ok(zp2), Ok(zero_point)) = zero_points else {
        return portable::elementwise_i8::mul(a, b, p, out);
    };
    if !(1..=31).contains(&p.shift) {
        return portable::elementwise_i8::mul(a, b, p, out);
    }
    let rounding = Rounding::new([vdupq_n_s32(p.multiplier); 2], [vdupq_n_s32(p.shift as i32); 2], zero_point);
    let (zp1, zp2) = (vdup_n_s8(zp1), vdup_n_s8(zp2));
    let (lo, hi) = (vdup_n_s8(p.lo), vdup_n_s8(p.hi));
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let (out, out_rest) = out.as_chunks_mut::<8>();
    for ((a, b), out) in a.iter().zip(b).zip(out) {
        let (a, b) = (vsubl_s8(load8(a), zp1), vsubl_s8(load8(b), zp2));
        let products = [vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b)];
        store8(out, clamp(rounding.apply(products), lo, hi));
    }
    portable::elementwise_i8::mul(a_rest, b_rest, p, out_rest);
}

/// Exact.
#[inline]
#[target_feature(enable = "neon")]
pub fn rescale(x: &[i8], m: i32, c: i32, s: u32, out: &mut [i8]) {
    let (m4, c4, shift) = (vdupq_n_s32(m), vdupq_n_s32(c), vdupq_n_s32(-((s & 31) as i32)));
    let part = |x: int32x4_t| vqmovn_s32(vshlq_s32(vmlaq_s32(c4, x, m4), shift));
    let (x, rest) = x.as_chunks::<8>();
    let (out, out_rest) = out.as_chunks_mut::<8>();
    for (x, out) in x.iter().zip(out) {
        let x = vmovl_s8(load8(x));
        let (low, high) = (part(vmovl_s16(vget_low_s16(x))), part(vmovl_high_s16(x)));
        store8(out, vqmovn_s16(vcombine_s16(low, high)));
    }
    portable::elementwise_i8::rescale(rest, m, c, s, out_rest);
}

/// 256 entries in registers, 64 a lookup.
struct Table([int8x16x4_t; 4]);

impl Table {
    #[inline]
    #[target_feature(enable = "neon")]
    fn new(table: &[i8; 256]) -> Self {
        let quarters = table.as_chunks::<64>().0;
        Self(core::array::from_fn(|i| {
            let [a, b, c, d] = core::array::from_fn(|j| load16(&quarters[i].as_chunks::<16>().0[j]));
            int8x16x4_t(a, b, c, d)
        }))
    }

    /// Entry `x + 128` of each value: an index outside of a quarter leaves the lane.
    #[inline]
    #[target_feature(enable = "neon")]
    fn apply(&self, x: int8x16_t) -> int8x16_t {
        let index = veorq_u8(vreinterpretq_u8_s8(x), vdupq_n_u8(0x80));
        let y = vqtbl4q_s8(self.0[0], index);
        let y = vqtbx4q_s8(y, self.0[1], vsubq_u8(index, vdupq_n_u8(64)));
        let y = vqtbx4q_s8(y, self.0[2], vsubq_u8(index, vdupq_n_u8(128)));
        vqtbx4q_s8(y, self.0[3], vsubq_u8(index, vdupq_n_u8(192)))
    }
}

/// Entry `x + 128` of 256.
#[inline]
#[target_feature(enable = "neon")]
pub fn table(x: &[i8], table: &[i8], out: &mut [i8]) {
    let Some(entries) = table.first_chunk::<256>() else { return };
    let registers = Table::new(entries);
    let (x, rest) = x.as_chunks::<16>();
    let (out, out_rest) = out.as_chunks_mut::<16>();
    for (x, out) in x.iter().zip(out) {
        store16(out, registers.apply(load16(x)));
    }
    portable::elementwise_i8::table(rest, table, out_rest);
}

/// As [`table`], on what `out` held.
#[inline]
#[target_feature(enable = "neon")]
pub fn table_in_place(table: &[i8], out: &mut [i8]) {
    let Some(entries) = table.first_chunk::<256>() else { return };
    let registers = Table::new(entries);
    let (out, rest) = out.as_chunks_mut::<16>();
    for out in out {
        store16(out, registers.apply(load16(out)));
    }
    portable::elementwise_i8::table_in_place(table, rest);
}
