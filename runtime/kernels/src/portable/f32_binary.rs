//! f32 functions of two numbers, one loop a function and a way to broadcast; equal to the reference bit for bit.

use crate::f32_rules::{NAN, clamp, max, min};
use crate::math;
use selvedge_core::params::binary;

#[inline(always)]
pub fn binary(kind: u32, a: &[f32], b: &[f32], lo: f32, hi: f32, out: &mut [f32]) {
    match kind {
        binary::ADD => map(a, b, lo, hi, out, |a, b| a + b),
        binary::SUB => map(a, b, lo, hi, out, |a, b| a - b),
        binary::MUL => map(a, b, lo, hi, out, |a, b| a * b),
        binary::DIV => map(a, b, lo, hi, out, |a, b| a / b),
        binary::MAX => map(a, b, lo, hi, out, max),
        binary::MIN => map(a, b, lo, hi, out, min),
        binary::POW if matches!(b, &[2.0]) => map(a, b, lo, hi, out, |a, _| a * a),
        binary::POW => map(a, b, lo, hi, out, math::pow),
        binary::PRELU => map(a, b, lo, hi, out, math::leaky_relu),
        binary::MOD | binary::FMOD => remainders(kind == binary::MOD, a, b, lo, hi, out),
        _ => out.fill(NAN),
    }
}

/// One loop for both remainders and every broadcast: they are rare, and a firmware with any function of two
/// numbers carries them.
#[inline(never)]
fn remainders(floor: bool, a: &[f32], b: &[f32], lo: f32, hi: f32, out: &mut [f32]) {
    for (i, y) in out.iter_mut().enumerate() {
        let at = |x: &[f32]| if let &[x] = x { x } else { x.get(i).copied().unwrap_or(NAN) };
        let (a, b) = (at(a), at(b));
        let rest = math::fmod(a, b);
        *y = clamp(if floor { math::floored(rest, b) } else { rest }, lo, hi);
    }
}

#[inline(always)]
fn map(a: &[f32], b: &[f32], lo: f32, hi: f32, out: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    if let &[b] = b {
        for (y, &a) in out.iter_mut().zip(a) {
            *y = clamp(f(a, b), lo, hi);
        }
    } else if let &[a] = a {
        for (y, &b) in out.iter_mut().zip(b) {
            *y = clamp(f(a, b), lo, hi);
        }
    } else {
        for (y, (&a, &b)) in out.iter_mut().zip(a.iter().zip(b)) {
            *y = clamp(f(a, b), lo, hi);
        }
    }
}
