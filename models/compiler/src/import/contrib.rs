//! Operators of the domain `com.microsoft` that are several standard ones.
//!
//! Sources: ONNX Runtime's `docs/ContribOperators.md`. The quantized forms of single operators are in `qops.rs`.

use tract_onnx::pb::{AttributeProto, NodeProto, attribute_proto::AttributeType};

use super::attrs;
use super::error::{NodeResult, Result, bad, refuse};
use super::model::{Model, named};
use super::tensor::{Data, Tensor};
use crate::graph::QuantCodes;

/// Operators that [`expand`] rewrites.
pub(crate) const EXPANDED: &[&str] = &[
    "BiasGelu",
    "DynamicQuantizeMatMul",
    "FastGelu",
    "MatMulIntegerToFloat",
    "MatMulNBits",
    "QuickGelu",
    "SimplifiedLayerNormalization",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
];

/// Most bits of a code of MatMulNBits.
const MAX_BITS: i64 = 8;

/// Rewrites the nodes of `model` in place.
pub(crate) fn expand(model: &mut Model) -> Result<()> {
    for node in std::mem::take(&mut model.nodes) {
        if !EXPANDED.contains(&node.op_type.as_str()) {
            model.nodes.push(node);
            continue;
        }
        let mut steps = Steps { model, node: &node, made: Vec::new() };
        let done = match node.op_type.as_str() {
            "BiasGelu" => steps.bias_gelu("none"),
            "FastGelu" => steps.bias_gelu("tanh"),
            "QuickGelu" => steps.quick_gelu(),
            "DynamicQuantizeMatMul" => steps.dynamic_quantize_matmul(),
            "MatMulIntegerToFloat" => steps.matmul_integer_to_float(),
            "MatMulNBits" => steps.matmul_n_bits(),
            "SkipLayerNormalization" => steps.skip_norm("LayerNormalization"),
            "SkipSimplifiedLayerNormalization" => steps.skip_norm("RMSNormalization"),
            _ => steps.norm("RMSNormalization", node.input.first().cloned().unwrap_or_default(), node.input.get(1..2)),
        };
        let made = steps.made;
        done.map_err(|e| named(&node, e))?;
        model.nodes.extend(made);
    }
    model.prune();
    Ok(())
}

/// The standard nodes that take the place of one.
struct Steps<'a> {
    model: &'a mut Model,
    node: &'a NodeProto,
    made: Vec<NodeProto>,
}

impl Steps<'_> {
    fn given(&self, i: usize) -> Option<String> {
        self.node.input.get(i).filter(|n| !n.is_empty()).cloned()
    }

    fn required(&self, i: usize) -> NodeResult<String> {
        self.given(i).map_or_else(|| bad(format!("input {i} is missing")), Ok)
    }

    fn push(&mut self, op: &str, input: Vec<String>, output: Vec<String>, attribute: Vec<AttributeProto>) {
        let name = attrs::node_name(self.node);
        self.made.push(NodeProto { op_type: op.into(), name, input, output, attribute, ..Default::default() });
    }

    /// A node between others; its output.
    fn step(&mut self, op: &str, input: Vec<String>, attribute: Vec<AttributeProto>) -> String {
        let base = self.node.output.first().cloned().unwrap_or_default();
        let output = self.model.fresh(&format!("{base}_{}", op.to_lowercase()));
        self.push(op, input, vec![output.clone()], attribute);
        output
    }

    /// The last node, onto the node's own output.
    fn last(&mut self, op: &str, input: Vec<String>, attribute: Vec<AttributeProto>) {
        let output = self.node.output.first().cloned().unwrap_or_default();
        self.push(op, input, vec![output], attribute);
    }

    fn constant(&mut self, base: &str, tensor: Tensor) -> String {
        let name = self.model.fresh(base);
        self.model.consts.insert(name.clone(), tensor);
        name
    }

    fn bias_gelu(&mut self, form: &str) -> NodeResult<()> {
        let mut x = self.required(0)?;
        if let Some(bias) = self.given(1) {
            x = self.step("Add", vec![x, bias], vec![]);
        }
        self.last("Gelu", vec![x], vec![text("approximate", form)]);
        Ok(())
    }

    /// x · sigmoid(alpha · x)
    fn quick_gelu(&mut self) -> NodeResult<()> {
        let x = self.required(0)?;
        let alpha = Tensor::f32(vec![], vec![attrs::float(self.node, "alpha", 1.702)?]);
        let alpha = self.constant("quick_gelu_alpha", alpha);
        let scaled = self.step("Mul", vec![x.clone(), alpha], vec![]);
        let gate = self.step("Sigmoid", vec![scaled], vec![]);
        self.last("Mul", vec![x, gate], vec![]);
        Ok(())
    }

    fn dynamic_quantize_matmul(&mut self) -> NodeResult<()> {
        let (a, b, b_scale) = (self.required(0)?, self.required(1)?, self.required(2)?);
        let outputs: Vec<String> =
            ["code", "scale", "zero"].iter().map(|part| self.model.fresh(&format!("{a}_{part}"))).collect();
        self.push("DynamicQuantizeLinear", vec![a], outputs.clone(), vec![]);
        let [code, scale, zero] = <[String; 3]>::try_from(outputs).unwrap_or_default();
        self.scaled_integers([code, b, zero, self.given(3).unwrap_or_default()], [scale, b_scale], self.given(4));
        Ok(())
    }

    fn matmul_integer_to_float(&mut self) -> NodeResult<()> {
        let factors = [self.required(0)?, self.required(1)?];
        let scales = [self.required(2)?, self.required(3)?];
        let [a, b] = factors;
        let zeros = [self.given(4).unwrap_or_default(), self.given(5).unwrap_or_default()];
        let [a_zero, b_zero] = zeros;
        self.scaled_integers([a, b, a_zero, b_zero], scales, self.given(6));
        Ok(())
    }

    /// The integer product of two matrices, times both scales, plus a bias.
    fn scaled_integers(&mut self, product: [String; 4], [a, b]: [String; 2], bias: Option<String>) {
        let sum = self.step("MatMulInteger", product.into(), vec![]);
        let real = self.step("Cast", vec![sum], vec![int("to", 1)]);
        let scale = self.step("Mul", vec![a, b], vec![]);
        match bias {
            None => self.last("Mul", vec![real, scale], vec![]),
            Some(bias) => {
                let real = self.step("Mul", vec![real, scale], vec![]);
                self.last("Add", vec![real, bias], vec![]);
            }
        }
    }

    fn skip_norm(&mut self, op: &str) -> NodeResult<()> {
        let simplified = op == "RMSNormalization";
        let mut x = self.step("Add", vec![self.required(0)?, self.required(1)?], vec![]);
        if let Some(bias) = self.given(if simplified { 3 } else { 4 }) {
            x = self.step("Add", vec![x, bias], vec![]);
        }
        if let Some(sum) = self.node.output.get(3).filter(|o| !o.is_empty()) {
            self.push("Identity", vec![x.clone()], vec![sum.clone()], vec![]);
        }
        if self.node.output.iter().skip(1).take(2).any(|o| !o.is_empty()) {
            return refuse("its mean and deviation as outputs", "export the model for inference");
        }
        self.norm(op, x, self.node.input.get(2..if simplified { 3 } else { 4 }))
    }

    /// A normalization of the last axis.
    fn norm(&mut self, op: &str, x: String, parameters: Option<&[String]>) -> NodeResult<()> {
        let epsilon = attrs::float(self.node, "epsilon", 1e-5)?;
        let axis = attrs::int(self.node, "axis", -1)?;
        let parameters = parameters.unwrap_or_default().iter().filter(|n| !n.is_empty()).cloned();
        let input = std::iter::once(x).chain(parameters).collect();
        self.last(op, input, vec![int("axis", axis), float("epsilon", epsilon)]);
        Ok(())
    }

    /// Weights `[N, K]` as blocks of codes along K, each block in whole bytes, low bits first.
    fn matmul_n_bits(&mut self) -> NodeResult<()> {
        let node = self.node;
        let bits = attrs::int(node, "bits", 4)?;
        let size = |name: &str| match usize::try_from(attrs::int(node, name, 0)?) {
            Ok(v @ 1..) => Ok(v),
            _ => bad(format!("attribute `{name}` is not positive")),
        };
        let (k, n, block) = (size("K")?, size("N")?, size("block_size")?);
        if ![2, 4, MAX_BITS].contains(&bits) {
            return refuse(format!("codes of {bits} bits"), "quantize to 2, 4 or 8 bits");
        }
        if self.given(4).is_some_and(|g| !g.is_empty()) {
            return refuse("blocks in another order (g_idx)", "quantize without activation reordering");
        }
        let per_byte = (8 / bits) as usize;
        let blocks = k.div_ceil(block);
        let total = |n: usize, each: usize| n.checked_mul(each).filter(|&n| n <= i32::MAX as usize);
        let (Some(elements), Some(packed), Some(scale_count)) =
            (total(n, k), total(n * blocks.min(1 << 31), block.div_ceil(per_byte)), total(n, blocks))
        else {
            return bad(format!("N {n} and K {k} are too large"));
        };
        let read = |i: usize| match self.given(i).map(|name| self.model.consts.get(&name)) {
            None => Ok(None),
            Some(Some(t)) => Ok(Some(t.clone())),
            Some(None) => refuse(format!("its input {i} is computed at run time"), "make the weights constants"),
        };
        let (Some(codes), Some(scales)) = (read(1)?, read(2)?) else { return bad("weights or scales are missing") };
        let (Some(bytes), Some(scales)) = (codes.i32s(), scales.f32s()) else {
            return bad("its weights are not bytes or its scales not floats");
        };
        if bytes.len() != packed || scales.len() != scale_count {
            return bad(format!(
                "{} bytes of weights and {} scales, expected {packed} and {scale_count} for N {n}, K {k}, block_size {block}",
                bytes.len(),
                scales.len()
            ));
        }
        let code =
            |bytes: &[i32], at: usize| (bytes[at / per_byte] >> (at % per_byte * bits as usize)) & ((1 << bits) - 1);
        let zero_bytes = blocks.div_ceil(per_byte);
        let zeros = read(3)?;
        let zero: Box<dyn Fn(usize, usize) -> i32> = match zeros.as_ref().map(|z| (&z.data, z.len())) {
            None => Box::new(move |_, _| 1 << (bits - 1)),
            Some((Data::I32(v), len)) if len == n * zero_bytes => {
                Box::new(move |row, at| code(&v[row * zero_bytes..][..zero_bytes], at))
            }
            Some(_) => return refuse("zero points that are not packed codes", "quantize with integer zero points"),
        };
        let row_bytes = blocks * block.div_ceil(per_byte);
        let (mut all, mut real) = (vec![0; elements], vec![0.0; elements]);
        let (mut all_scales, mut all_zeros) = (vec![0.0; scale_count], vec![0; scale_count]);
        for row in 0..n {
            let bytes = &bytes[row * row_bytes..][..row_bytes];
            for at in 0..blocks {
                all_scales[at * n + row] = scales[row * blocks + at];
                all_zeros[at * n + row] = zero(row, at);
            }
            for i in 0..k {
                let (at, within) = (i / block, i % block);
                let bytes = &bytes[at * block.div_ceil(per_byte)..];
                all[i * n + row] = code(bytes, within);
                real[i * n + row] = (all[i * n + row] - all_zeros[at * n + row]) as f32 * scales[row * blocks + at];
            }
        }
        let codes = QuantCodes {
            bits: bits as u8,
            signed: false,
            axis: 0,
            block,
            scales: all_scales,
            zeros: all_zeros,
            codes: all,
            dynamic: false,
        };
        let weights = Tensor { codes: Some(codes), ..Tensor::f32(vec![k, n], real) };
        let weights = self.constant(&format!("{}_dequantized", self.required(1)?), weights);
        let x = self.required(0)?;
        match self.given(5) {
            None => self.last("MatMul", vec![x, weights], vec![]),
            Some(bias) => {
                let product = self.step("MatMul", vec![x, weights], vec![]);
                self.last("Add", vec![product, bias], vec![]);
            }
        }
        Ok(())
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i, ..Default::default() }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Float as i32, f, ..Default::default() }
}

fn text(name: &str, s: &str) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::String as i32, s: s.into(), ..Default::default() }
}
