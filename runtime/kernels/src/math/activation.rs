//! Activations made of the elementary functions, each as ONNX states it.

use super::{elu, expm1_negative, sigmoid, softplus, tanh};

/// `x`, or `alpha·(e^(x/alpha) − 1)` where x < 0; alpha > 0.
#[inline(always)]
pub fn celu(x: f32, alpha: f32) -> f32 {
    let below = if x > 0.0 { 0.0 } else { x };
    let bent = alpha * expm1_negative(below / alpha);
    if x < 0.0 { bent } else { x }
}

/// `gamma·elu(x, alpha)`.
#[inline(always)]
pub fn selu(x: f32, alpha: f32, gamma: f32) -> f32 {
    gamma * elu(x, alpha)
}

/// `x·tanh(softplus(x))`; NaN for −∞ as the product is.
#[inline(always)]
pub fn mish(x: f32) -> f32 {
    x * tanh(softplus(x))
}

/// `x/(1 + |x|)`.
#[inline(always)]
pub fn softsign(x: f32) -> f32 {
    x / (1.0 + x.abs())
}

/// `x` where it is greater than alpha, else 0.
#[inline(always)]
pub fn thresholded_relu(x: f32, alpha: f32) -> f32 {
    let kept = if x > alpha { x } else { 0.0 };
    if x.is_nan() { x } else { kept }
}

/// `x + bias` below −lambda, `x − bias` above lambda, 0 between.
#[inline(always)]
pub fn shrink(x: f32, lambda: f32, bias: f32) -> f32 {
    let upper = if x > lambda { x - bias } else { 0.0 };
    let shrunk = if x < -lambda { x + bias } else { upper };
    if x.is_nan() { x } else { shrunk }
}

/// `x·sigmoid(alpha·x)`.
#[inline(always)]
pub fn swish(x: f32, alpha: f32) -> f32 {
    x * sigmoid(alpha * x)
}

/// `½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`; NaN for −∞ as the product is.
#[inline(always)]
pub fn gelu_tanh(x: f32) -> f32 {
    let inner = 0.797_884_6 * (x * x * x * 0.044_715 + x);
    0.5 * x * (1.0 + tanh(inner))
}
