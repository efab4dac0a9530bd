//! Binary elementwise operators and BatchNorm.

use super::context::Lowering;
use super::error::LowerError;
use super::requant::{multiplier, rescale_constants};
use super::spec::{Grid, Spec, binary_spec};
use super::table::quantize_f64;
use crate::graph::{self, Binary, Clamp, Node, ValueId};
use selvedge_core::{DType, Format, OpCode, params};

/// The operator in f64.
fn eval(kind: Binary, a: f64, b: f64) -> f64 {
    match kind {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        Binary::Pow => a.powf(b),
        Binary::PRelu => {
            if a >= 0.0 {
                a
            } else {
                a * b
            }
        }
        Binary::Fmod => a % b,
        Binary::Mod => {
            let r = a % b;
            if r != 0.0 && (r < 0.0) != (b < 0.0) { r + b } else { r }
        }
        // Not of real numbers.
        Binary::And | Binary::Or | Binary::Xor | Binary::ShiftLeft | Binary::ShiftRight => f64::NAN,
    }
}

pub(crate) fn code(kind: Binary) -> u32 {
    use params::binary;
    match kind {
        Binary::Add => binary::ADD,
        Binary::Sub => binary::SUB,
        Binary::Mul => binary::MUL,
        Binary::Div => binary::DIV,
        Binary::Max => binary::MAX,
        Binary::Min => binary::MIN,
        Binary::Pow => binary::POW,
        Binary::PRelu => binary::PRELU,
        Binary::Mod => binary::MOD,
        Binary::Fmod => binary::FMOD,
        Binary::And => binary::AND,
        Binary::Or => binary::OR,
        Binary::Xor => binary::XOR,
        Binary::ShiftLeft => binary::SHIFT_LEFT,
        Binary::ShiftRight => binary::SHIFT_RIGHT,
    }
}

impl Lowering<'_> {
    pub fn lower_binary(&mut self, node: &Node, kind: Binary, clamp: Option<Clamp>) -> Result<(), LowerError> {
        let (a, b, y) = self.binary_operands(node)?;
        if self.graph.value(y).dtype != graph::DType::F32 {
            return self.lower_binary_int(node, kind);
        }
        if let Some(gy) = self.grid(y) {
            if self.binary_table(node, kind, clamp, gy)? {
                return Ok(());
            }
            if let (Some(ga), Some(gb)) = (self.grid(a), self.grid(b)) {
                if let Some(spec) = int_spec(kind, clamp, ga, gb, gy) {
                    let inputs = [Some(self.int(a)?), Some(self.int(b)?)];
                    self.produce_int(node, spec, &inputs, y, gy);
                    return Ok(());
                }
                if matches!(kind, Binary::Add | Binary::Sub | Binary::Mul) {
                    self.note(node, "runs in f32: the ratio of its scales is out of range");
                }
            }
        }
        if self.binary_wide(node, kind, clamp)? {
            return Ok(());
        }
        let inputs = [Some(self.float(a)?), Some(self.float(b)?)];
        self.produce_float(node, binary_spec(code(kind), clamp), &inputs, y);
        Ok(())
    }

    /// With one operand a single constant, the operator is a function of one value: a table.
    fn binary_table(&mut self, node: &Node, kind: Binary, clamp: Option<Clamp>, gy: Grid) -> Result<bool, LowerError> {
        let (a, b, y) = self.binary_operands(node)?;
        let scalar = |id: ValueId| {
            let value = self.graph.value(id);
            let data = value.f32s().filter(|data| data.len() == 1)?[0];
            // A constant that our quantizer put on a grid counts as what it is there.
            let grid = if value.codes.is_none() { self.grid(id) } else { None };
            Some(grid.map_or(data, |grid| grid.real(grid.quantize(data))) as f64)
        };
        let apply = |v: f64| clamp.map_or(v, |c| v.max(c.lo as f64).min(c.hi as f64));
        let same_shape = |id: ValueId| self.graph.value(id).elements() == self.graph.value(y).elements();
        let (x, gx, constant, flipped) = match (self.grid(a), self.grid(b), scalar(a), scalar(b)) {
            (Some(gx), _, None, Some(c)) if same_shape(a) => (a, gx, c, false),
            (_, Some(gx), Some(c), None) if same_shape(b) => (b, gx, c, true),
            _ => return Ok(false),
        };
        let spec = self.table_spec(|q| {
            let x = gx.real(q) as f64;
            let value = if flipped { eval(kind, constant, x) } else { eval(kind, x, constant) };
            quantize_f64(apply(value), gy)
        });
        let input = self.int(x)?;
        self.produce_int(node, spec, &[Some(input)], y, gy);
        Ok(true)
    }

    /// In inference form: one product and one sum per channel.
    pub fn lower_batch_norm(&mut self, node: &Node, epsilon: f32) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        let rank = self.graph.value(x).shape.len();
        let mut arrays = Vec::new();
        for index in 1..5 {
            let data = node.inputs.get(index).copied().flatten().and_then(|id| self.graph.value(id).f32s());
            arrays.push(data.ok_or_else(|| {
                let remedy = "make scale, bias, mean and variance initializers";
                LowerError::node(self.graph, node, "its parameters are not constant", remedy)
            })?);
        }
        let [scale, bias, mean, variance] = arrays[..] else { unreachable!("four arrays were pushed") };
        let factor: Vec<f32> = scale.iter().zip(variance).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
        let offset: Vec<f32> = bias.iter().zip(mean).zip(&factor).map(|((b, m), f)| b - m * f).collect();
        let mut dims = vec![1; rank.max(2)];
        dims[1] = factor.len();
        let bytes = |v: &[f32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let factor = self.constant(&format!("{}/factor", node.name), DType::F32, &dims, &bytes(&factor), None);
        let offset = self.constant(&format!("{}/offset", node.name), DType::F32, &dims, &bytes(&offset), None);
        let input = self.float(x)?;
        let scaled = self.value_tensor(y, format!("{}/scaled", node.name), DType::F32, None);
        self.push(&node.name, binary_spec(params::binary::MUL, None), &[Some(input), Some(factor)], &[scaled]);
        self.produce_float(node, binary_spec(params::binary::ADD, None), &[Some(scaled), Some(offset)], y);
        Ok(())
    }
}

/// The integer step of Add, Sub and Mul; `None` for other kinds and extreme ratios.
fn int_spec(kind: Binary, clamp: Option<Clamp>, a: Grid, b: Grid, y: Grid) -> Option<Spec> {
    let (lo, hi) = y.clamp(clamp);
    let (lo, hi) = (lo as i32, hi as i32);
    match kind {
        Binary::Add | Binary::Sub => {
            let sign = if kind == Binary::Sub { -1.0 } else { 1.0 };
            let ratios = [a.scale as f64 / y.scale as f64, sign * b.scale as f64 / y.scale as f64];
            let (m, c, s) = rescale_constants(&ratios, &[a.zp, b.zp], y.zp)?;
            let params = params::AddI8 { m1: m[0], m2: m[1], c, s, lo, hi };
            Some(Spec::new(OpCode::Add, Format::I8, "add_i8").params(&params))
        }
        Binary::Mul => {
            let (m, k) = multiplier(a.scale as f64 * b.scale as f64 / y.scale as f64);
            // |acc| ≤ 255²: shifted left by 1 − k it must stay below 2^31.
            if 1 - (k as i32) > 15 {
                return None;
            }
            let params = params::MulI8 {
                zero_point: [a.zp, b.zp],
                multiplier: m,
                shift: k as i32,
                output_zero_point: y.zp,
                lo,
                hi,
            };
            Some(Spec::new(OpCode::Mul, Format::I8, "mul_i8").params(&params))
        }
        _ => None,
    }
}
