//! `add_i8__dsp`: where the clamp is all of int8, it is one instruction.

use crate::args::AddI8;
use crate::portable::elementwise_i8 as portable;

fn sum(p: &AddI8, a: i8, b: i8) -> i8 {
    let sum = (a as i32).wrapping_mul(p.m1).wrapping_add(p.c).wrapping_add((b as i32).wrapping_mul(p.m2));
    (sum >> (p.s & 31)).clamp(-128, 127) as i8
}

fn is_full(p: &AddI8) -> bool {
    (p.lo, p.hi) == (-128, 127)
}

/// Exact.
pub fn add(a: &[i8], b: &[i8], p: &AddI8, out: &mut [i8]) {
    if !is_full(p) {
        return portable::add(a, b, p, out);
    }
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = sum(p, a, b);
    }
}

/// Exact; the second summand is what `out` held.
pub fn add_in_place(a: &[i8], p: &AddI8, out: &mut [i8]) {
    if !is_full(p) {
        return portable::add_in_place(a, p, out);
    }
    for (out, &a) in out.iter_mut().zip(a) {
        *out = sum(p, a, *out);
    }
}
