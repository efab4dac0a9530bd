//! `add_i8`, `mul_i8`, `rescale_i8`, `table_i8`: loops a compiler vectorizes.

use selvedge_core::arith;

use crate::args::*;

/// Exact.
#[inline(always)]
pub fn add(a: &[i8], b: &[i8], p: &AddI8, out: &mut [i8]) {
    let p = *p;
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = arith::add(a, b, p.m1, p.m2, p.c, p.s, p.lo, p.hi);
    }
}

/// Exact; the second summand is what `out` held.
#[inline(always)]
pub fn add_in_place(a: &[i8], p: &AddI8, out: &mut [i8]) {
    let p = *p;
    for (out, &a) in out.iter_mut().zip(a) {
        *out = arith::add(a, *out, p.m1, p.m2, p.c, p.s, p.lo, p.hi);
    }
}

/// Exact.
#[inline(always)]
pub fn mul(a: &[i8], b: &[i8], p: &MulI8, out: &mut [i8]) {
    let p = *p;
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = arith::mul(a, b, p.zp1, p.zp2, p.multiplier, p.shift, p.zero_point, p.lo, p.hi);
    }
}

/// Exact.
#[inline(always)]
pub fn rescale(x: &[i8], m: i32, c: i32, s: u32, out: &mut [i8]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = arith::rescale(x, m, c, s);
    }
}

/// Entry `x + 128` of 256.
#[inline(always)]
pub fn table(x: &[i8], table: &[i8], out: &mut [i8]) {
    let Some(table) = table.first_chunk::<256>() else { return };
    for (out, &x) in out.iter_mut().zip(x) {
        *out = table[(x as u8 ^ 0x80) as usize];
    }
}

/// As [`table`], on what `out` held.
#[inline(always)]
pub fn table_in_place(table: &[i8], out: &mut [i8]) {
    let Some(table) = table.first_chunk::<256>() else { return };
    for out in out {
        *out = table[(*out as u8 ^ 0x80) as usize];
    }
}
