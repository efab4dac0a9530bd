//! `add_i8`, `mul_i8`, `rescale_i8`, `table_i8`: one value at a time.

use selvedge_core::arith;

use crate::args::*;

pub fn add(a: &[i8], b: &[i8], p: &AddI8, out: &mut [i8]) {
    for i in 0..out.len() {
        out[i] = arith::add(a[i], b[i], p.m1, p.m2, p.c, p.s, p.lo, p.hi);
    }
}

/// The second summand is what `out` held.
pub fn add_in_place(a: &[i8], p: &AddI8, out: &mut [i8]) {
    for i in 0..out.len() {
        out[i] = arith::add(a[i], out[i], p.m1, p.m2, p.c, p.s, p.lo, p.hi);
    }
}

pub fn mul(a: &[i8], b: &[i8], p: &MulI8, out: &mut [i8]) {
    for i in 0..out.len() {
        out[i] = arith::mul(a[i], b[i], p.zp1, p.zp2, p.multiplier, p.shift, p.zero_point, p.lo, p.hi);
    }
}

pub fn rescale(x: &[i8], m: i32, c: i32, s: u32, out: &mut [i8]) {
    for i in 0..out.len() {
        out[i] = arith::rescale(x[i], m, c, s);
    }
}

/// Entry `x + 128` of 256.
pub fn table(x: &[i8], table: &[i8], out: &mut [i8]) {
    for i in 0..out.len() {
        out[i] = table[(x[i] as i32 + 128) as usize];
    }
}

pub fn table_in_place(table: &[i8], out: &mut [i8]) {
    for y in out {
        *y = table[(*y as i32 + 128) as usize];
    }
}
