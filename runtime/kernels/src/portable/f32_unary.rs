//! f32 functions of one number, one loop a function; equal to the reference bit for bit.

use crate::f32_rules::{NAN, canonical, clamp};
use crate::math;
use crate::reference::f32_unary::zero_point;
use selvedge_core::params::unary;

/// The loop that a function is put into.
trait Map {
    fn each(self, f: impl Fn(f32) -> f32);
}

struct To<'a>(&'a [f32], &'a mut [f32]);
struct InPlace<'a>(&'a mut [f32]);

impl Map for To<'_> {
    #[inline(always)]
    fn each(self, f: impl Fn(f32) -> f32) {
        for (y, &x) in self.1.iter_mut().zip(self.0) {
            *y = canonical(f(x));
        }
    }
}

impl Map for InPlace<'_> {
    #[inline(always)]
    fn each(self, f: impl Fn(f32) -> f32) {
        for y in self.0 {
            *y = canonical(f(*y));
        }
    }
}

#[inline(always)]
pub fn unary(kind: u32, alpha: f32, beta: f32, x: &[f32], out: &mut [f32]) {
    dispatch(kind, alpha, beta, To(x, out));
}

#[inline(always)]
pub fn unary_in_place(kind: u32, alpha: f32, beta: f32, out: &mut [f32]) {
    dispatch(kind, alpha, beta, InPlace(out));
}

#[inline(always)]
fn dispatch(kind: u32, alpha: f32, beta: f32, map: impl Map) {
    match kind {
        unary::RELU => map.each(math::relu),
        unary::LEAKY_RELU => map.each(|x| math::leaky_relu(x, alpha)),
        unary::CLIP => map.each(|x| clamp(x, alpha, beta)),
        unary::SIGMOID => map.each(math::sigmoid),
        unary::TANH => map.each(math::tanh),
        unary::HARD_SIGMOID => map.each(|x| math::hard_sigmoid(x, alpha, beta)),
        unary::HARD_SWISH => map.each(math::hard_swish),
        unary::ELU => map.each(|x| math::elu(x, alpha)),
        unary::SOFTPLUS => map.each(math::softplus),
        unary::ERF => map.each(math::erf),
        unary::GELU => map.each(math::gelu),
        unary::SILU => map.each(math::silu),
        unary::EXP => map.each(math::exp),
        unary::LOG => map.each(math::log),
        unary::SQRT => map.each(math::sqrt),
        unary::RECIPROCAL => map.each(|x| 1.0 / x),
        unary::NEG => map.each(|x| -x),
        unary::ABS => map.each(f32::abs),
        unary::FLOOR => map.each(math::floor),
        unary::CEIL => map.each(math::ceil),
        unary::ROUND => map.each(math::round_ties_even),
        unary::SIGN => map.each(math::sign),
        unary::FAKE_QUANT => {
            let zero_point = zero_point(beta);
            map.each(|x| fake_quant(x, alpha, zero_point));
        }
        unary::CELU => map.each(|x| math::celu(x, alpha)),
        unary::SELU => map.each(|x| math::selu(x, alpha, beta)),
        unary::MISH => map.each(math::mish),
        unary::SOFTSIGN => map.each(math::softsign),
        unary::THRESHOLDED_RELU => map.each(|x| math::thresholded_relu(x, alpha)),
        unary::SHRINK => map.each(|x| math::shrink(x, alpha, beta)),
        unary::SWISH => map.each(|x| math::swish(x, alpha)),
        unary::GELU_TANH => map.each(math::gelu_tanh),
        _ => map.each(|_| NAN),
    }
}

/// `arith::quantize`, then `arith::dequantize`, without branches.
#[inline(always)]
fn fake_quant(x: f32, scale: f32, zero_point: i32) -> f32 {
    let q = math::round_ties_even(x / scale).clamp(-512.0, 512.0) as i32;
    let q = (q + zero_point).clamp(-128, 127);
    let y = (q - zero_point) as f32 * scale;
    if x.is_nan() { NAN } else { y }
}
