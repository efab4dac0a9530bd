//! The normative arithmetic of the integer program, one scalar function a rule.
//!
//! `runtime/README.md` states each rule in words. Reference kernels call these
//! functions; faster kernels equal them bit for bit.
mod dynamic;
mod elastic;
mod pool;
mod requantize;
mod rescale;
mod softmax;

pub use dynamic::{
    dequantize, dequantize_i16, dynamic_inverse_scale, dynamic_scale, onnx_dynamic_params, quantize, quantize_dynamic,
    quantize_i16,
};
pub use elastic::{ELASTIC_FRACTION, elastic_code};
pub use pool::average;
pub use requantize::requantize;
pub use rescale::{add, add_i16, mul, rescale};
pub use softmax::{SOFTMAX_TABLE, softmax_exponential, softmax_probability};

/// Rounds to the nearest integer, ties to even.
pub fn round_ties_even(x: f32) -> f32 {
    libm::rintf(x)
}
