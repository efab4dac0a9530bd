//! Elementwise functions of one value: tables between int8 grids, f32 otherwise.

use super::context::Lowering;
use super::error::LowerError;
use super::spec::{Grid, unary_spec};
use crate::graph::{self, Node, Unary};
use selvedge_core::params::unary;

/// The function in f64.
pub(crate) fn eval(f: Unary, x: f64) -> f64 {
    let sigmoid = |x: f64| if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) };
    match f {
        Unary::Relu => x.max(0.0),
        Unary::LeakyRelu { alpha } => {
            if x < 0.0 {
                x * alpha as f64
            } else {
                x
            }
        }
        Unary::Clip(c) => x.max(c.lo as f64).min(c.hi as f64),
        Unary::Sigmoid => sigmoid(x),
        Unary::Tanh => x.tanh(),
        Unary::HardSigmoid { alpha, beta } => (alpha as f64 * x + beta as f64).clamp(0.0, 1.0),
        Unary::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Unary::Elu { alpha } => {
            if x < 0.0 {
                alpha as f64 * x.exp_m1()
            } else {
                x
            }
        }
        Unary::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        Unary::Erf => libm::erf(x),
        Unary::Gelu => 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2)),
        Unary::Silu => x * sigmoid(x),
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sqrt => x.sqrt(),
        Unary::Reciprocal => 1.0 / x,
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::Sign => {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                0.0
            }
        }
        Unary::Celu { alpha } => x.max(0.0) + (alpha as f64 * (x / alpha as f64).exp_m1()).min(0.0),
        Unary::Selu { alpha, gamma } => gamma as f64 * if x > 0.0 { x } else { alpha as f64 * x.exp_m1() },
        Unary::Mish => x * (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh(),
        Unary::Softsign => x / (1.0 + x.abs()),
        Unary::ThresholdedRelu { alpha } => {
            if x > alpha as f64 || x.is_nan() {
                x
            } else {
                0.0
            }
        }
        Unary::Shrink { lambda, bias } => match x {
            x if x < -lambda as f64 => x + bias as f64,
            x if x > lambda as f64 => x - bias as f64,
            x if x.is_nan() => x,
            _ => 0.0,
        },
        Unary::Swish { alpha } => x * sigmoid(alpha as f64 * x),
        Unary::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
        Unary::Sin => libm::sin(x),
        Unary::Cos => libm::cos(x),
        Unary::Tan => libm::tan(x),
        Unary::Asin => libm::asin(x),
        Unary::Acos => libm::acos(x),
        Unary::Atan => libm::atan(x),
        Unary::Sinh => libm::sinh(x),
        Unary::Cosh => libm::cosh(x),
        Unary::Asinh => libm::asinh(x),
        Unary::Acosh => libm::acosh(x),
        Unary::Atanh => libm::atanh(x),
        // Not of real numbers.
        Unary::Not => f64::NAN,
    }
}

/// Code and constants of the f32 kernel.
pub(crate) fn code(f: Unary) -> (u32, f32, f32) {
    match f {
        Unary::Relu => (unary::RELU, 0.0, 0.0),
        Unary::LeakyRelu { alpha } => (unary::LEAKY_RELU, alpha, 0.0),
        Unary::Clip(c) => (unary::CLIP, c.lo, c.hi),
        Unary::Sigmoid => (unary::SIGMOID, 0.0, 0.0),
        Unary::Tanh => (unary::TANH, 0.0, 0.0),
        Unary::HardSigmoid { alpha, beta } => (unary::HARD_SIGMOID, alpha, beta),
        Unary::HardSwish => (unary::HARD_SWISH, 0.0, 0.0),
        Unary::Elu { alpha } => (unary::ELU, alpha, 0.0),
        Unary::Softplus => (unary::SOFTPLUS, 0.0, 0.0),
        Unary::Erf => (unary::ERF, 0.0, 0.0),
        Unary::Gelu => (unary::GELU, 0.0, 0.0),
        Unary::Silu => (unary::SILU, 0.0, 0.0),
        Unary::Exp => (unary::EXP, 0.0, 0.0),
        Unary::Log => (unary::LOG, 0.0, 0.0),
        Unary::Sqrt => (unary::SQRT, 0.0, 0.0),
        Unary::Reciprocal => (unary::RECIPROCAL, 0.0, 0.0),
        Unary::Neg => (unary::NEG, 0.0, 0.0),
        Unary::Abs => (unary::ABS, 0.0, 0.0),
        Unary::Floor => (unary::FLOOR, 0.0, 0.0),
        Unary::Ceil => (unary::CEIL, 0.0, 0.0),
        Unary::Round => (unary::ROUND, 0.0, 0.0),
        Unary::Sign => (unary::SIGN, 0.0, 0.0),
        Unary::Celu { alpha } => (unary::CELU, alpha, 0.0),
        Unary::Selu { alpha, gamma } => (unary::SELU, alpha, gamma),
        Unary::Mish => (unary::MISH, 0.0, 0.0),
        Unary::Softsign => (unary::SOFTSIGN, 0.0, 0.0),
        Unary::ThresholdedRelu { alpha } => (unary::THRESHOLDED_RELU, alpha, 0.0),
        Unary::Shrink { lambda, bias } => (unary::SHRINK, lambda, bias),
        Unary::Swish { alpha } => (unary::SWISH, alpha, 0.0),
        Unary::GeluTanh => (unary::GELU_TANH, 0.0, 0.0),
        Unary::Not => (unary::NOT, 0.0, 0.0),
        Unary::Sin => (unary::SIN, 0.0, 0.0),
        Unary::Cos => (unary::COS, 0.0, 0.0),
        Unary::Tan => (unary::TAN, 0.0, 0.0),
        Unary::Asin => (unary::ASIN, 0.0, 0.0),
        Unary::Acos => (unary::ACOS, 0.0, 0.0),
        Unary::Atan => (unary::ATAN, 0.0, 0.0),
        Unary::Sinh => (unary::SINH, 0.0, 0.0),
        Unary::Cosh => (unary::COSH, 0.0, 0.0),
        Unary::Asinh => (unary::ASINH, 0.0, 0.0),
        Unary::Acosh => (unary::ACOSH, 0.0, 0.0),
        Unary::Atanh => (unary::ATANH, 0.0, 0.0),
    }
}

/// A real number on a grid: one division, ties to even, saturating; NaN becomes the zero point.
pub(crate) fn quantize_f64(y: f64, grid: Grid) -> i8 {
    if y.is_nan() {
        return grid.zp.clamp(-128, 127) as i8;
    }
    ((y / grid.scale as f64).round_ties_even() + grid.zp as f64).clamp(-128.0, 127.0) as i8
}

impl Lowering<'_> {
    pub fn lower_unary(&mut self, node: &Node, f: Unary) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        if self.graph.value(y).dtype != graph::DType::F32 {
            return self.lower_unary_int(node, f, x, y);
        }
        if let (Some(gx), Some(gy)) = (self.grid(x), self.grid(y)) {
            let spec = self.table_spec(|q| quantize_f64(eval(f, gx.real(q) as f64), gy));
            let input = self.int(x)?;
            self.produce_int(node, spec, &[Some(input)], y, gy);
            return Ok(());
        }
        let (kind, alpha, beta) = code(f);
        let input = self.float(x)?;
        self.produce_float(node, unary_spec(kind, alpha, beta), &[Some(input)], y);
        Ok(())
    }

    /// A change of grid that could not be attached to a producer.
    pub fn lower_fake_quant(&mut self, node: &Node) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        if self.graph.value(y).quant.is_none() {
            return Err(LowerError::node(self.graph, node, "its output has no grid", "check the quantization pass"));
        }
        if let Some(grid) = self.grid(x) {
            let input = self.int(x)?;
            if let Some(gy) = self.grid(y) {
                let spec = self.table_spec(|q| gy.quantize(grid.real(q)));
                self.produce_int(node, spec, &[Some(input)], y, gy);
                return Ok(());
            }
        }
        let input = self.float(x)?;
        self.settle_float(&node.name, y, input);
        Ok(())
    }
}
