//! f32 reductions: the definition.

use crate::f32_rules::{LANES, NAN, canonical, combine, max, min};
use crate::math::sqrt;
use selvedge_core::params::reduce;

/// What a lane starts from.
#[inline(always)]
pub fn initial(kind: u32) -> f32 {
    match kind {
        reduce::MAX => f32::NEG_INFINITY,
        reduce::MIN => f32::INFINITY,
        reduce::PROD => 1.0,
        _ => 0.0,
    }
}

/// How two lanes are joined.
#[inline(always)]
pub fn join(kind: u32, a: f32, b: f32) -> f32 {
    match kind {
        reduce::MEAN | reduce::SUM | reduce::SUM_SQUARE | reduce::L2 => a + b,
        reduce::MAX => max(a, b),
        reduce::MIN => min(a, b),
        reduce::PROD => a * b,
        _ => NAN,
    }
}

/// A lane with one more element.
#[inline(always)]
pub fn step(kind: u32, lane: f32, x: f32) -> f32 {
    match kind {
        reduce::SUM_SQUARE | reduce::L2 => lane + x * x,
        _ => join(kind, lane, x),
    }
}

/// What is stored.
#[inline(always)]
pub fn finish(kind: u32, v: f32, n: usize) -> f32 {
    canonical(match kind {
        reduce::MEAN => v / n as f32,
        reduce::L2 => sqrt(v),
        _ => v,
    })
}

/// `[outer, n, inner]` to `[outer, inner]`; unknown kinds give NaN.
pub fn reduce(kind: u32, x: &[f32], n: usize, inner: usize, out: &mut [f32]) {
    for (at, y) in out.iter_mut().enumerate() {
        let (outer, j) = (at / inner, at % inner);
        let mut lanes = [initial(kind); LANES];
        for i in 0..n {
            let lane = &mut lanes[i % LANES];
            *lane = step(kind, *lane, x[(outer * n + i) * inner + j]);
        }
        *y = finish(kind, combine(&lanes, |a, b| join(kind, a, b)), n);
    }
}
