//! f32 functions of two numbers: the definition.

use crate::f32_rules::{NAN, clamp, max, min};
use crate::math;
use selvedge_core::params::binary;

/// Function `kind` (`selvedge_core::params::binary`), not clamped; unknown kinds give NaN.
pub fn apply(kind: u32, a: f32, b: f32) -> f32 {
    match kind {
        binary::ADD => a + b,
        binary::SUB => a - b,
        binary::MUL => a * b,
        binary::DIV => a / b,
        binary::MAX => max(a, b),
        binary::MIN => min(a, b),
        binary::POW => math::pow(a, b),
        binary::PRELU => math::leaky_relu(a, b),
        binary::MOD => math::floor_mod(a, b),
        binary::FMOD => math::fmod(a, b),
        _ => NAN,
    }
}

/// An operand of length 1 serves every element.
pub fn binary(kind: u32, a: &[f32], b: &[f32], lo: f32, hi: f32, out: &mut [f32]) {
    for (i, y) in out.iter_mut().enumerate() {
        let left = a[if a.len() == 1 { 0 } else { i }];
        let right = b[if b.len() == 1 { 0 } else { i }];
        *y = clamp(apply(kind, left, right), lo, hi);
    }
}
