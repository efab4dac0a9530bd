//! Dense and MatMul.

use super::context::Lowering;
use super::error::LowerError;
use super::layer::{LayerForm, float_clamp, int_bias, int_flags, int_weights};
use super::spec::{Grid, Spec};
use crate::graph::{Clamp, Node, ValueId};
use crate::program::TensorId;
use selvedge_core::artifact::step_flags;
use selvedge_core::{DType, Format, OpCode, params};
use selvedge_kernels::pack;

/// Operands of a layer: x, constant weights, optional bias, output.
#[derive(Clone, Copy)]
pub(crate) struct LayerIo {
    pub x: ValueId,
    pub w: ValueId,
    pub bias: Option<ValueId>,
    pub y: ValueId,
}

impl Lowering<'_> {
    pub fn layer_io(&self, node: &Node) -> Result<LayerIo, LowerError> {
        let get = |index: usize| node.inputs.get(index).copied().flatten();
        let (Some(x), Some(w), Some(&y)) = (get(0), get(1), node.outputs.first()) else {
            return Err(LowerError::node(self.graph, node, "an operand is missing", "check the model file"));
        };
        if !self.graph.value(w).is_constant() {
            return Err(LowerError::node(self.graph, node, "its weights are computed", "make them an initializer"));
        }
        if get(2).is_some_and(|bias| self.graph.value(bias).f32s().is_none()) {
            return Err(LowerError::node(self.graph, node, "its bias is not a constant", "make it an initializer"));
        }
        Ok(LayerIo { x, w, bias: get(2), y })
    }

    pub fn lower_dense(&mut self, node: &Node, clamp: Option<Clamp>) -> Result<(), LowerError> {
        let io = self.layer_io(node)?;
        let form = self.layer_form(io.x, io.w, io.y);
        if !matches!(form, LayerForm::Float) {
            match self.dense_int(node, io, clamp, form) {
                Ok(()) => return Ok(()),
                Err(reason) => self.note(node, format!("runs in f32: {reason}")),
            }
        }
        self.dense_float(node, io, clamp)
    }

    fn dense_int(&mut self, node: &Node, io: LayerIo, clamp: Option<Clamp>, form: LayerForm) -> Result<(), String> {
        let graph = self.graph;
        let weights = int_weights(graph.value(io.w))?;
        let (n, k) = (graph.value(io.w).shape[0], graph.value(io.w).shape[1]);
        let bias = io.bias.map(|id| graph.value(id));
        let rows = graph.value(io.x).elements() / k.max(1);
        let mut packed = vec![0i8; pack::w8_bytes(n, k)];
        pack::pack_w8(&weights.rows, n, k, &mut packed);
        let base = Spec::new(OpCode::Dense, Format::W8, "dense_qs8_w8").macs(rows * n * k);
        let (lo_f32, hi_f32) = float_clamp(clamp);
        if let LayerForm::Int { x, y } = form {
            let epilogue = super::layer::epilogue(&weights, &int_bias(bias, x.scale, &weights.scales)?, x, y)?;
            let stored = (self.pool.add_packed(&packed), packed.len());
            let (arrays, bytes) = self.store_epilogue(&epilogue, stored);
            let (lo, hi) = y.clamp(clamp);
            let params = params::DenseI8 {
                arrays,
                output_zero_point: y.zp,
                lo: lo as i32,
                hi: hi as i32,
                lo_f32: f32::NEG_INFINITY,
                hi_f32: f32::INFINITY,
            };
            let spec = base.params(&params).flags(int_flags(&epilogue)).weights_bytes(bytes);
            let input = self.int(io.x).map_err(|e| e.to_string())?;
            self.produce_int(node, spec, &[Some(input)], io.y, y);
            return Ok(());
        }
        let x_grid = if let LayerForm::StaticToFloat { x } = form { Some(x) } else { None };
        let stored = (self.pool.add_packed(&packed), packed.len());
        let (arrays, bytes) = self.store_float_epilogue(&weights, bias, x_grid, stored)?;
        let params = params::DenseI8 { arrays, output_zero_point: 0, lo: -128, hi: 127, lo_f32, hi_f32 };
        let spec = base.params(&params).flags(step_flags::OUT_F32).weights_bytes(bytes);
        self.float_from_sums(node, spec, io, x_grid, (k, rows)).map_err(|e| e.to_string())
    }

    /// Pushes a layer whose int8 sums become f32. Without a grid the input is quantized at run
    /// time, one scale for each of `rows` runs of `row` elements.
    pub fn float_from_sums(
        &mut self,
        node: &Node,
        spec: Spec,
        io: LayerIo,
        x: Option<Grid>,
        (row, rows): (usize, usize),
    ) -> Result<(), LowerError> {
        let inputs = match x {
            // The static scale is part of the layer's scales.
            Some(_) => vec![Some(self.int(io.x)?)],
            None => {
                let (q, scales) = self.dynamic_quantize(node, io.x, row, rows)?;
                vec![Some(q), Some(scales)]
            }
        };
        self.produce_float(node, spec, &inputs, io.y);
        Ok(())
    }

    /// Quantizes an f32 value at run time, one scale for each `row` elements.
    pub fn dynamic_quantize(
        &mut self,
        node: &Node,
        x: ValueId,
        row: usize,
        rows: usize,
    ) -> Result<(TensorId, TensorId), LowerError> {
        let input = self.float(x)?;
        let name = self.graph.value(x).name.clone();
        let dims = self.dims(input).to_vec();
        let q = self.tensor(format!("{name}/{}/i8", node.name), DType::I8, &dims, None);
        let scales = self.tensor(format!("{name}/{}/scale", node.name), DType::F32, &[rows], None);
        let spec = Spec::new(OpCode::DynamicQuantize, Format::F32, "dynamic_quantize_i8")
            .params(&params::DynamicQuantize { row: row as u32 });
        self.push(&node.name, spec, &[Some(input)], &[q, scales]);
        Ok((q, scales))
    }

    fn dense_float(&mut self, node: &Node, io: LayerIo, clamp: Option<Clamp>) -> Result<(), LowerError> {
        let graph = self.graph;
        let weights = graph.value(io.w);
        let data = weights.f32s().ok_or_else(|| {
            LowerError::node(graph, node, "its weights are not float", "dequantize them in the model")
        })?;
        let (n, k) = (weights.shape[0], weights.shape[1]);
        let mut packed = vec![0f32; pack::f32_elements(n, k)];
        pack::pack_f32(data, n, k, &mut packed);
        let (bias, bias_bytes) = self.float_bias(io.bias, n);
        let (lo, hi) = float_clamp(clamp);
        let weights_bytes = packed.len() * 4;
        let params = params::DenseF32 {
            weights: self.pool.add_packed(&packed),
            weights_bytes: weights_bytes as u32,
            bias,
            lo,
            hi,
        };
        let input = self.float(io.x)?;
        let rows = graph.value(io.x).elements() / k.max(1);
        let spec = Spec::new(OpCode::Dense, Format::F32, "dense_f32")
            .params(&params)
            .macs(rows * n * k)
            .weights_bytes(weights_bytes + bias_bytes);
        self.produce_float(node, spec, &[Some(input)], io.y);
        Ok(())
    }

    /// Stores an f32 bias; its offset (or `NONE`) and bytes.
    pub fn float_bias(&mut self, bias: Option<ValueId>, channels: usize) -> (u32, usize) {
        let Some(data) = bias.and_then(|id| self.graph.value(id).f32s()) else { return (params::NONE, 0) };
        let values = if data.len() == channels { data.to_vec() } else { vec![data[0]; channels] };
        (self.pool.add_channels(&values), pack::padded_channels(channels) * 4)
    }

    pub fn lower_matmul(&mut self, node: &Node) -> Result<(), LowerError> {
        let (a, b, y) = self.binary_operands(node)?;
        let k = self.graph.value(a).shape.last().copied().unwrap_or(1);
        let macs = self.graph.value(y).elements() * k;
        let inputs = [Some(self.float(a)?), Some(self.float(b)?)];
        self.produce_float(node, Spec::new(OpCode::MatMul, Format::F32, "matmul_f32").macs(macs), &inputs, y);
        Ok(())
    }

    /// Two operands and the output.
    pub fn binary_operands(&self, node: &Node) -> Result<(ValueId, ValueId, ValueId), LowerError> {
        match (node.inputs.as_slice(), node.outputs.first()) {
            (&[Some(a), Some(b), ..], Some(&y)) => Ok((a, b, y)),
            _ => Err(LowerError::node(self.graph, node, "an operand is missing", "check the model file")),
        }
    }

    /// One operand and the output.
    pub fn unary_operands(&self, node: &Node) -> Result<(ValueId, ValueId), LowerError> {
        match (node.inputs.as_slice(), node.outputs.first()) {
            (&[Some(x), ..], Some(&y)) => Ok((x, y)),
            _ => Err(LowerError::node(self.graph, node, "an operand is missing", "check the model file")),
        }
    }
}
