//! ONNX's own integer operators: MatMulInteger, ConvInteger, DynamicQuantizeLinear.

use super::context::Lowering;
use super::conv::ConvPlan;
use super::error::LowerError;
use super::layer::row_sums;
use super::spec::{Spec, move_spec};
use crate::graph::{self, Constant, Layout, Node, ValueId, Window};
use crate::program::TensorId;
use selvedge_core::artifact::step_flags;
use selvedge_core::params::{LayerArrays, NONE};
use selvedge_core::{DType, Format, OpCode, params};
use selvedge_kernels::pack;

/// Codes of an 8-bit constant.
fn codes(value: &graph::Value) -> Option<Vec<i32>> {
    match value.data.as_ref()? {
        Constant::I8(v) => Some(v.iter().map(|&x| x as i32).collect()),
        Constant::U8(v) => Some(v.iter().map(|&x| x as i32).collect()),
        _ => None,
    }
}

impl Lowering<'_> {
    /// The constant matrix less its zero point, as i8. `channel` tells the output channel of an index.
    fn integer_weights(&self, node: &Node, channel: impl Fn(usize) -> usize) -> Result<Vec<i8>, LowerError> {
        let refuse = |reason: &str, remedy: &str| LowerError::node(self.graph, node, reason, remedy);
        let weights = node.inputs.get(1).copied().flatten().and_then(|id| codes(self.graph.value(id)));
        let weights = weights.ok_or_else(|| refuse("its second operand is not an 8-bit constant", "make it one"))?;
        let zeros = match node.inputs.get(3).copied().flatten() {
            None => vec![0],
            Some(id) => codes(self.graph.value(id))
                .ok_or_else(|| refuse("its weights' zero point is not constant", "make it an initializer"))?,
        };
        let zero = |index: usize| if zeros.len() == 1 { Some(&zeros[0]) } else { zeros.get(channel(index)) };
        let shifted: Option<Vec<i8>> =
            weights.iter().enumerate().map(|(i, &w)| i8::try_from(w - zero(i)?).ok()).collect();
        shifted.ok_or_else(|| refuse("its weights less their zero point exceed int8", "quantize them symmetrically"))
    }

    /// `x` and its zero point as signed 8-bit tensors.
    fn signed_operand(&mut self, node: &Node) -> Result<(TensorId, Option<TensorId>), LowerError> {
        let get = |index: usize| node.inputs.get(index).copied().flatten();
        let x = get(0).ok_or_else(|| LowerError::node(self.graph, node, "an operand is missing", "check the model"))?;
        let zero = get(2);
        if zero.is_some_and(|id| self.graph.value(id).elements() != 1) {
            return Err(LowerError::node(self.graph, node, "its zero point is not a scalar", "use one per tensor"));
        }
        match self.graph.value(x).dtype {
            graph::DType::I8 => {
                let zero = zero.map(|id| self.native(id)).transpose()?;
                Ok((self.native(x)?, zero))
            }
            graph::DType::U8 => {
                let flipped = self.flip_sign(node, x)?;
                // Without a zero point uint8 codes start at 0: at −128 once flipped.
                let zero = match zero {
                    Some(id) => match codes(self.graph.value(id)) {
                        Some(code) => self.signed_scalar(node, (code[0] - 128) as i8),
                        None => self.flip_sign(node, id)?,
                    },
                    None => self.signed_scalar(node, -128),
                };
                Ok((flipped, Some(zero)))
            }
            other => {
                let reason = format!("its first operand has type {other:?}");
                Err(LowerError::node(self.graph, node, reason, "quantize it to 8 bits"))
            }
        }
    }

    fn signed_scalar(&mut self, node: &Node, value: i8) -> TensorId {
        self.constant(&format!("{}/zero_point", node.name), DType::I8, &[], &value.to_le_bytes(), None)
    }

    fn flip_sign(&mut self, node: &Node, id: ValueId) -> Result<TensorId, LowerError> {
        let input = self.native(id)?;
        let flipped = self.value_tensor(id, format!("{}/i8", self.graph.value(id).name), DType::I8, None);
        self.push(&node.name, move_spec(OpCode::FlipSign, "flip_sign"), &[Some(input)], &[flipped]);
        Ok(flipped)
    }

    fn raw_arrays(&mut self, rows: &[i8], channels: usize, packed: &[i8]) -> (LayerArrays, usize) {
        let per = rows.len() / channels.max(1);
        let sums: Vec<i32> = rows.chunks(per.max(1)).map(|row| row_sums(row).0 as i32).collect();
        let arrays = LayerArrays {
            weights: self.pool.add_packed(packed),
            weights_bytes: packed.len() as u32,
            bias: NONE,
            multiplier: self.pool.add_array(&sums),
            shift: NONE,
        };
        (arrays, packed.len() + channels * 4)
    }

    pub fn lower_matmul_integer(&mut self, node: &Node) -> Result<(), LowerError> {
        let (_, b, y) = self.binary_operands(node)?;
        let &[k, n] = self.graph.value(b).shape.as_slice() else {
            return Err(LowerError::node(self.graph, node, "its second operand is not a matrix", "use rank 2"));
        };
        let matrix = self.integer_weights(node, |index| index % n.max(1))?;
        let rows: Vec<i8> = (0..n * k).map(|i| matrix[i % k * n + i / k]).collect();
        let mut packed = vec![0; pack::w8_bytes(n, k)];
        pack::pack_w8(&rows, n, k, &mut packed);
        let (arrays, bytes) = self.raw_arrays(&rows, n, &packed);
        let params = params::DenseI8 {
            arrays,
            output_zero_point: 0,
            lo: i32::MIN,
            hi: i32::MAX,
            lo_f32: f32::NEG_INFINITY,
            hi_f32: f32::INFINITY,
        };
        let spec = Spec::new(OpCode::Dense, Format::W8, "dense_qs8_w8")
            .params(&params)
            .flags(step_flags::OUT_I32)
            .macs(self.graph.value(y).elements() * k)
            .weights_bytes(bytes);
        let (input, zero) = self.signed_operand(node)?;
        let inputs: Vec<_> = std::iter::once(Some(input)).chain(zero.map(Some)).collect();
        self.produce_other(node, spec, &inputs, y)
    }

    pub fn lower_conv_integer(
        &mut self,
        node: &Node,
        window: &Window,
        groups: usize,
        layout: Layout,
    ) -> Result<(), LowerError> {
        self.require_nhwc(node, layout)?;
        let (x, w, y) = self.binary_operands(node)?;
        let plan: ConvPlan = self.conv_plan(node, x, y, window, groups)?;
        let per = (self.graph.value(w).elements() / plan.shape.out_c.max(1)).max(1);
        let rows = self.integer_weights(node, |index| index / per)?;
        let packed = plan.pack_int(&rows);
        let (arrays, bytes) = self.raw_arrays(&rows, plan.shape.out_c, &packed);
        let params = params::ConvI8 {
            window: plan.window,
            groups: groups as u32,
            arrays,
            pad_value: 0,
            output_zero_point: 0,
            lo: i32::MIN,
            hi: i32::MAX,
            lo_f32: f32::NEG_INFINITY,
            hi_f32: f32::INFINITY,
        };
        let kernel = if plan.depthwise { "depthwise_qs8_w8" } else { "conv2d_qs8_w8" };
        let spec = Spec::new(plan.op(), Format::W8, kernel)
            .params(&params)
            .flags(step_flags::OUT_I32)
            .macs(plan.macs())
            .scratch(plan.int_scratch())
            .weights_bytes(bytes);
        let (input, zero) = self.signed_operand(node)?;
        let inputs: Vec<_> = std::iter::once(Some(input)).chain(zero.map(Some)).collect();
        self.produce_other(node, spec, &inputs, y)
    }

    pub fn lower_dynamic_quantize_linear(&mut self, node: &Node) -> Result<(), LowerError> {
        let (x, _) = self.unary_operands(node)?;
        if node.outputs.len() != 3 {
            return Err(LowerError::node(self.graph, node, "it needs three outputs", "check the model file"));
        }
        let input = self.float(x)?;
        let outputs: Vec<TensorId> = node.outputs.iter().map(|&id| self.other_target(id)).collect::<Result<_, _>>()?;
        let spec = Spec::new(OpCode::DynamicQuantizeLinear, Format::F32, "dynamic_quantize_linear");
        self.push(&node.name, spec, &[Some(input)], &outputs);
        for (&id, &tensor) in node.outputs.iter().zip(&outputs) {
            self.set_native(id, tensor);
        }
        Ok(())
    }
}
