//! Elementary functions in f32, with the same bits on every CPU.
//!
//! Multiplications, additions and divisions only, each rounded; no fused multiply-add, no table,
//! no branch that depends on data (but [`pow`]), so loops over them vectorize. Each doc line gives
//! the greatest error against the exact value, as the tests measure it.

mod activation;
mod erf;
mod exp;
mod log;
mod remainder;
mod round;
#[cfg(test)]
mod tests;
mod trig;

pub use activation::{celu, gelu_tanh, mish, selu, shrink, softsign, swish, thresholded_relu};
pub use erf::{erf, gelu};
pub use exp::{elu, exp, expm1_negative, sigmoid, silu, tanh};
pub use log::{log, pow, softplus};
pub use remainder::{floor_mod, floored, fmod};
pub use round::{ceil, floor, round_ties_even};
pub use trig::trig;

use crate::f32_rules::clamp;

/// `max(x, 0)`; NaN stays NaN.
#[inline(always)]
pub fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

/// `x` or `alpha·x` where x < 0.
#[inline(always)]
pub fn leaky_relu(x: f32, alpha: f32) -> f32 {
    let scaled = alpha * x;
    if x < 0.0 { scaled } else { x }
}

/// `clamp(alpha·x + beta, 0, 1)`.
#[inline(always)]
pub fn hard_sigmoid(x: f32, alpha: f32, beta: f32) -> f32 {
    clamp(alpha * x + beta, 0.0, 1.0)
}

/// `x·clamp(x/6 + ½, 0, 1)`, with 1/6 rounded to f32 as ONNX defines it.
#[inline(always)]
pub fn hard_swish(x: f32) -> f32 {
    x * hard_sigmoid(x, 1.0 / 6.0, 0.5)
}

/// −1, 0 or 1; +0 for both zeros, NaN for NaN.
#[inline(always)]
pub fn sign(x: f32) -> f32 {
    let unit = if x < 0.0 { -1.0 } else { 1.0 };
    let unit = if x == 0.0 { 0.0 } else { unit };
    if x.is_nan() { x } else { unit }
}

/// The correctly rounded square root; NaN below −0.
#[inline(always)]
pub fn sqrt(x: f32) -> f32 {
    libm::sqrtf(x)
}
