//! f32 functions of one number: the definition.

use crate::f32_rules::{NAN, canonical, clamp};
use crate::math;
use selvedge_core::{arith, params::unary};

/// Function `kind` with its constants (`selvedge_core::params::unary`); unknown kinds give NaN.
pub fn apply(kind: u32, alpha: f32, beta: f32, x: f32) -> f32 {
    canonical(match kind {
        unary::RELU => math::relu(x),
        unary::LEAKY_RELU => math::leaky_relu(x, alpha),
        unary::CLIP => clamp(x, alpha, beta),
        unary::SIGMOID => math::sigmoid(x),
        unary::TANH => math::tanh(x),
        unary::HARD_SIGMOID => math::hard_sigmoid(x, alpha, beta),
        unary::HARD_SWISH => math::hard_swish(x),
        unary::ELU => math::elu(x, alpha),
        unary::SOFTPLUS => math::softplus(x),
        unary::ERF => math::erf(x),
        unary::GELU => math::gelu(x),
        unary::SILU => math::silu(x),
        unary::EXP => math::exp(x),
        unary::LOG => math::log(x),
        unary::SQRT => math::sqrt(x),
        unary::RECIPROCAL => 1.0 / x,
        unary::NEG => -x,
        unary::ABS => x.abs(),
        unary::FLOOR => math::floor(x),
        unary::CEIL => math::ceil(x),
        unary::ROUND => math::round_ties_even(x),
        unary::SIGN => math::sign(x),
        unary::FAKE_QUANT => fake_quant(x, alpha, zero_point(beta)),
        unary::CELU => math::celu(x, alpha),
        unary::SELU => math::selu(x, alpha, beta),
        unary::MISH => math::mish(x),
        unary::SOFTSIGN => math::softsign(x),
        unary::THRESHOLDED_RELU => math::thresholded_relu(x, alpha),
        unary::SHRINK => math::shrink(x, alpha, beta),
        unary::SWISH => math::swish(x, alpha),
        unary::GELU_TANH => math::gelu_tanh(x),
        _ => NAN,
    })
}

/// The zero point on the signed 8-bit grid; NaN is 0.
#[inline(always)]
pub fn zero_point(beta: f32) -> i32 {
    (beta as i32).clamp(-128, 127)
}

/// Quantized and dequantized again; NaN for NaN.
fn fake_quant(x: f32, scale: f32, zero_point: i32) -> f32 {
    match arith::quantize(x, scale, zero_point) {
        Some(q) => arith::dequantize(q, scale, zero_point),
        None => NAN,
    }
}

pub fn unary(kind: u32, alpha: f32, beta: f32, x: &[f32], out: &mut [f32]) {
    for (y, &x) in out.iter_mut().zip(x) {
        *y = apply(kind, alpha, beta, x);
    }
}

pub fn unary_in_place(kind: u32, alpha: f32, beta: f32, out: &mut [f32]) {
    for y in out {
        *y = apply(kind, alpha, beta, *y);
    }
}
