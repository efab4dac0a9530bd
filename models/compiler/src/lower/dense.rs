//! Dense and MatMul.

use super::branches::{rows_at_once, sums_bytes};
use super::context::Lowering;
use super::error::LowerError;
use super::layer::{IntWeights, LayerForm, float_clamp, int_bias, int_flags, int_weights};
use super::low_bit::{Packed, dense_scratch};
use super::spec::{Grid, Spec};
use super::stored::{FloatWeights, Packing};
use crate::graph::{Clamp, LowRankBranch, Node, ValueId};
use crate::program::{ProgramStep, TensorId};
use selvedge_core::artifact::step_flags;
use selvedge_core::{DType, Format, OpCode, params};
use selvedge_kernels::{Element, pack};

/// Operands of a layer: x, constant weights, optional bias, output.
#[derive(Clone, Copy)]
pub(crate) struct LayerIo {
    pub x: ValueId,
    pub w: ValueId,
    pub bias: Option<ValueId>,
    pub y: ValueId,
}

/// A dense step without parameters.
fn dense_spec(weights: &IntWeights, branches: &[LowRankBranch], rows: usize, (n, k): (usize, usize)) -> Spec {
    let format = weights.format();
    let kernel = match format {
        Format::W4 => "dense_qs8_w4",
        Format::W3 => "dense_qs8_w3",
        Format::W2 => "dense_qs8_w2",
        Format::T2 => "dense_qs8_t2",
        _ => "dense_qs8_w8",
    };
    let ranks: usize = branches.iter().map(|branch| branch.rank).sum();
    let (op, scratch) = if branches.is_empty() {
        (OpCode::Dense, dense_scratch(&weights.rows, rows, k))
    } else {
        let at_once = rows_at_once(rows, n, k);
        (OpCode::DenseLowRank, sums_bytes(at_once, n) + dense_scratch(&weights.rows, at_once, k))
    };
    Spec::new(op, format, kernel).macs(rows * n * (k + ranks)).scratch(scratch)
}

/// The order of a dense layer's weights, `n` rows of `k`.
struct DenseRows {
    n: usize,
    k: usize,
}

impl Packing for DenseRows {
    fn pack<E: Element>(&self, rows: &[E]) -> Vec<E> {
        let mut packed = vec![E::default(); pack::f32_elements(self.n, self.k)];
        pack::pack_f32(rows, self.n, self.k, &mut packed);
        packed
    }
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
        if let LayerForm::Wide { x, y } = form {
            return self.dense_wide(node, io, clamp, (x, y));
        }
        let mut weights = int_weights(graph.value(io.w))?;
        let branches = &graph.value(io.w).branches;
        weights.add_branches(branches);
        let (n, k) = (graph.value(io.w).shape[0], graph.value(io.w).shape[1]);
        let bias = io.bias.map(|id| graph.value(id));
        let rows = graph.value(io.x).elements() / k.max(1);
        let packed = Packed::dense(&weights.rows, n, k);
        let base = dense_spec(&weights, branches, rows, (n, k));
        let (lo_f32, hi_f32) = float_clamp(clamp);
        if let LayerForm::Int { x, y } = form {
            let epilogue = super::layer::epilogue(&weights, &int_bias(bias, x.scale, &weights.scales)?, x, y)?;
            let stored = (self.pool.add_packed(&packed.bytes), packed.bytes.len());
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
            let spec = base.params(&params).flags(int_flags(&epilogue));
            let (spec, more) = self.dense_arrays(spec, &packed, n, branches);
            let spec = spec.weights_bytes(bytes + more);
            let input = self.int(io.x).map_err(|e| e.to_string())?;
            let inputs = self.with_branches(node, vec![Some(input)], (None, x.zp), (rows, k), branches)?;
            self.produce_int(node, spec, &inputs, io.y, y);
            return Ok(());
        }
        let x_grid = if let LayerForm::StaticToFloat { x } = form { Some(x) } else { None };
        let stored = (self.pool.add_packed(&packed.bytes), packed.bytes.len());
        let (arrays, bytes) = self.store_float_epilogue(&weights, bias, x_grid, stored)?;
        let params = params::DenseI8 { arrays, output_zero_point: 0, lo: -128, hi: 127, lo_f32, hi_f32 };
        let spec = base.params(&params).flags(step_flags::OUT_F32);
        let (spec, more) = self.dense_arrays(spec, &packed, n, branches);
        let spec = spec.weights_bytes(bytes + more);
        let inputs = self.sums_inputs(node, io, x_grid, (k, rows)).map_err(|e| e.to_string())?;
        let zero_point = x_grid.map_or(0, |x| x.zp);
        // Branches read the input in 8 bits also where the layer's own is stored in 4: they hold what 4 lose.
        let whole = match x_grid.is_none() && self.stores_a4(node, io, k * rows) && !branches.is_empty() {
            true => Some(self.dynamic_quantize(node, io.x, k, rows).map_err(|e| e.to_string())?.0),
            false => None,
        };
        let inputs = self.with_branches(node, inputs, (whole, zero_point), (rows, k), branches)?;
        self.produce_float(node, spec, &inputs, io.y);
        Ok(())
    }

    /// What follows a dense layer's own parameters: its groups and its branches.
    fn dense_arrays(&mut self, spec: Spec, packed: &Packed, n: usize, branches: &[LowRankBranch]) -> (Spec, usize) {
        let (mut spec, mut bytes) = self.with_groups(spec, packed);
        if !branches.is_empty() {
            let more;
            (spec, more) = self.store_branches(n, branches, spec);
            bytes += more;
        }
        (spec, bytes)
    }

    /// A dense layer's inputs: activations, their scales or none, the projections of its branches, which
    /// read `whole` where that is given.
    fn with_branches(
        &mut self,
        node: &Node,
        mut inputs: Vec<Option<TensorId>>,
        (whole, zero_point): (Option<TensorId>, i32),
        sizes: (usize, usize),
        branches: &[LowRankBranch],
    ) -> Result<Vec<Option<TensorId>>, String> {
        let x = whole.or(inputs.first().copied().flatten());
        let Some(x) = x.filter(|_| !branches.is_empty()) else { return Ok(inputs) };
        inputs.resize(2, None);
        let projections = self.down_projections(node, x, zero_point, sizes, branches)?;
        inputs.extend(projections.into_iter().map(Some));
        Ok(inputs)
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
        let inputs = self.sums_inputs(node, io, x, (row, rows))?;
        self.produce_float(node, spec, &inputs, io.y);
        Ok(())
    }

    /// The int8 input of a layer to f32, and its scales where it is quantized at run time.
    fn sums_inputs(
        &mut self,
        node: &Node,
        io: LayerIo,
        x: Option<Grid>,
        (row, rows): (usize, usize),
    ) -> Result<Vec<Option<TensorId>>, LowerError> {
        Ok(match x {
            // The static scale is part of the layer's scales.
            Some(_) => vec![Some(self.int(io.x)?)],
            None => {
                let (q, scales) = if self.stores_a4(node, io, row * rows) {
                    self.dynamic_quantize_a4(node, io.x, row, rows)?
                } else {
                    self.dynamic_quantize(node, io.x, row, rows)?
                };
                vec![Some(q), Some(scales)]
            }
        })
    }

    /// Whether a layer's input of so many elements is stored in 4 bits.
    fn stores_a4(&self, node: &Node, io: LayerIo, elements: usize) -> bool {
        let a4 = self.graph.value(io.w).low_bit.as_ref().is_some_and(|low| low.a4);
        a4 && elements > 1 && matches!(node.op, crate::graph::Op::Dense { .. })
    }

    /// Quantizes an f32 value at run time, one scale for each `row` elements.
    pub fn dynamic_quantize(
        &mut self,
        node: &Node,
        x: ValueId,
        row: usize,
        rows: usize,
    ) -> Result<(TensorId, TensorId), LowerError> {
        if let Some(&shared) = self.dynamic.get(&(x, row)) {
            return Ok(shared);
        }
        let input = self.float(x)?;
        let spec = Spec::new(OpCode::DynamicQuantize, Format::F32, "dynamic_quantize_i8")
            .params(&params::DynamicQuantize { row: row as u32 });
        // Layers that read the same value share its int8 form.
        let same = |step: &&ProgramStep| {
            step.op == spec.op && step.params == spec.params && step.inputs.first() == Some(&Some(input))
        };
        if let Some(&[q, scales]) = self.program.steps.iter().find(same).map(|step| step.outputs.as_slice()) {
            return Ok((q, scales));
        }
        let name = self.graph.value(x).name.clone();
        let dims = self.dims(input).to_vec();
        let q = self.tensor(format!("{name}/{}/i8", node.name), DType::I8, &dims, None);
        let scales = self.tensor(format!("{name}/{}/scale", node.name), DType::F32, &[rows], None);
        self.push(&node.name, spec, &[Some(input)], &[q, scales]);
        self.dynamic.insert((x, row), (q, scales));
        Ok((q, scales))
    }

    /// Quantizes an f32 value at run time and stores it in 4 bits; gives its int8 form.
    fn dynamic_quantize_a4(
        &mut self,
        node: &Node,
        x: ValueId,
        row: usize,
        rows: usize,
    ) -> Result<(TensorId, TensorId), LowerError> {
        let input = self.float(x)?;
        let params = params::DynamicQuantize { row: row as u32 };
        let store = Spec::new(OpCode::DynamicQuantize4, Format::F32, "dynamic_quantize_a4").params(&params);
        let same = |step: &&ProgramStep| {
            step.op == store.op && step.params == store.params && step.inputs.first() == Some(&Some(input))
        };
        let found = self.program.steps.iter().find(same).map(|step| (step.outputs[0], step.outputs[1]));
        let unpacked = found.and_then(|(stored, scales)| {
            let unpack = |step: &&ProgramStep| step.op == OpCode::UnpackA4 && step.inputs == [Some(stored)];
            Some((self.program.steps.iter().find(unpack)?.outputs[0], scales))
        });
        if let Some(shared) = unpacked {
            return Ok(shared);
        }
        let name = self.graph.value(x).name.clone();
        let dims = self.dims(input).to_vec();
        let bytes = selvedge_kernels::a4::row_bytes(row);
        let stored = self.tensor(format!("{name}/{}/a4", node.name), DType::U8, &[rows, bytes], None);
        let scales = self.tensor(format!("{name}/{}/scale", node.name), DType::F32, &[rows], None);
        self.push(&node.name, store, &[Some(input)], &[stored, scales]);
        let q = self.tensor(format!("{name}/{}/a4/i8", node.name), DType::I8, &dims, None);
        let unpack = Spec::new(OpCode::UnpackA4, Format::I8, "unpack_a4").params(&params);
        self.push(&node.name, unpack, &[Some(stored)], &[q]);
        Ok((q, scales))
    }

    fn dense_float(&mut self, node: &Node, io: LayerIo, clamp: Option<Clamp>) -> Result<(), LowerError> {
        let graph = self.graph;
        let (n, k) = (graph.value(io.w).shape[0], graph.value(io.w).shape[1]);
        let weights = self.float_weights(node, io.w)?;
        let stored = self.store_float(&weights, &DenseRows { n, k });
        let kernel = match stored.format {
            Format::F16 => "dense_f32_f16",
            Format::F32W8 => "dense_f32_w8",
            _ => "dense_f32",
        };
        let (bias, bias_bytes) = self.float_bias(io.bias, n);
        let (lo, hi) = float_clamp(clamp);
        let params = params::DenseF32 { weights: stored.offset, weights_bytes: stored.bytes, bias, lo, hi };
        let input = self.float(io.x)?;
        let rows = graph.value(io.x).elements() / k.max(1);
        let spec = Spec::new(OpCode::Dense, stored.format, kernel)
            .params(&params)
            .more(&stored.more)
            .macs(rows * n * k)
            .weights_bytes(stored.all_bytes + bias_bytes);
        self.produce_float(node, spec, &[Some(input)], io.y);
        Ok(())
    }

    /// The weights of a layer that runs in f32; while simulating in f32 themselves.
    pub fn float_weights(&self, node: &Node, w: ValueId) -> Result<FloatWeights, LowerError> {
        let value = self.graph.value(w);
        let weights = match value.f32s().filter(|_| self.options.simulate) {
            Some(data) => Some(FloatWeights::F32(data.to_vec())),
            None => FloatWeights::of(value),
        };
        weights.ok_or_else(|| {
            LowerError::node(self.graph, node, "its weights are not float", "dequantize them in the model")
        })
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
