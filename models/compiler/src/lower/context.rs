//! What every op's lowering shares: tensors of values, steps, changes of grid.

use super::error::LowerError;
use super::pool::WeightPool;
use super::spec::{Grid, Spec, binary_spec, dequantize, dequantize_i16, quantize, quantize_i16, unary_spec};
use super::wide::wide_codes;
use super::{LowerOptions, TargetSpec};
use crate::graph::{self, Graph, Node, ValueId};
use crate::program::{Program, ProgramStep, ProgramTensor, Storage, TensorId};
use selvedge_core::{DType, Format, OpCode, arith, params};
use std::collections::HashMap;
use zerocopy::IntoBytes;

pub(crate) struct Lowering<'g> {
    pub graph: &'g Graph,
    pub options: LowerOptions,
    pub program: Program,
    pub pool: WeightPool,
    /// The tensor each value lives in: i8 or i16 for quantized activations, else by dtype.
    native: Vec<Option<TensorId>>,
    /// Dequantized copies, shared between consumers.
    float: Vec<Option<TensorId>>,
    int_constants: HashMap<ValueId, TensorId>,
    /// States that an int8 recurrent layer stored as integers.
    pub integer_states: HashMap<ValueId, TensorId>,
    /// Values quantized at run time, by the length of a row: codes and scales, shared by all readers.
    pub dynamic: HashMap<(ValueId, usize), (TensorId, TensorId)>,
}

/// The device's element type.
pub(crate) fn device_dtype(dtype: graph::DType) -> Option<DType> {
    Some(match dtype {
        graph::DType::F32 => DType::F32,
        graph::DType::I8 => DType::I8,
        graph::DType::U8 => DType::U8,
        graph::DType::I16 => DType::I16,
        graph::DType::U16 => DType::U16,
        graph::DType::U32 => DType::U32,
        graph::DType::U64 => DType::U64,
        graph::DType::I32 => DType::I32,
        graph::DType::I64 => DType::I64,
        graph::DType::Bool => DType::Bool,
    })
}

impl<'g> Lowering<'g> {
    pub fn new(graph: &'g Graph, target: &TargetSpec, options: LowerOptions) -> Self {
        let mut program = Program { name: graph.name.clone(), ..Program::default() };
        program.meta.insert("compiler".into(), env!("CARGO_PKG_VERSION").into());
        program.meta.insert("target".into(), target.name().into());
        program.meta.insert("f32".into(), "exact".into());
        if !graph.name.is_empty() {
            program.meta.insert("source".into(), graph.name.clone());
        }
        let n = graph.values.len();
        Lowering {
            graph,
            options,
            program,
            pool: WeightPool::new(options.stage),
            native: vec![None; n],
            float: vec![None; n],
            int_constants: HashMap::new(),
            integer_states: HashMap::new(),
            dynamic: HashMap::new(),
        }
    }

    /// The int8 grid of a value, also of a constant that was quantized; none while simulating.
    pub fn grid(&self, id: ValueId) -> Option<Grid> {
        if self.options.simulate {
            return None;
        }
        let value = self.graph.value(id);
        if let (true, Some(codes)) = (value.is_constant(), &value.codes) {
            if codes.bits > 8 || codes.scales.len() != 1 || codes.block != 0 {
                return None;
            }
            let shift = code_shift(codes);
            let zp = codes.zeros.first().copied().unwrap_or(0) - shift;
            return (-128..=127).contains(&zp).then_some(Grid { scale: codes.scales[0], zp });
        }
        let quant = value.quant.filter(|q| q.bits == 8)?;
        Some(Grid { scale: quant.scale, zp: quant.zero_point })
    }

    /// Element type under which a value's tensor carries the bare ONNX name.
    pub fn bare_dtype(&self, id: ValueId) -> Option<DType> {
        let value = self.graph.value(id);
        if self.graph.inputs.contains(&id) || self.graph.is_output(id) {
            return device_dtype(value.io_dtype.unwrap_or(value.dtype));
        }
        match self.grid(id) {
            Some(_) => Some(DType::I8),
            None if self.wide_scale(id).is_some() => Some(DType::I16),
            None => device_dtype(value.dtype),
        }
    }

    /// Name of the tensor that holds a value as `dtype`.
    pub fn name(&self, id: ValueId, dtype: DType) -> String {
        let name = &self.graph.value(id).name;
        if self.bare_dtype(id) == Some(dtype) { name.clone() } else { format!("{name}/{}", dtype.name()) }
    }

    pub fn raw_name(&self, id: ValueId) -> String {
        format!("{}/raw", self.graph.value(id).name)
    }

    pub fn tensor(&mut self, name: String, dtype: DType, dims: &[usize], grid: Option<Grid>) -> TensorId {
        let quant = grid.and_then(Grid::quant);
        let tensor = ProgramTensor {
            name,
            dtype,
            dims: dims.to_vec(),
            quant,
            storage: Storage::Arena,
            perm: None,
            channels: None,
        };
        self.program.tensors.push(tensor);
        self.program.tensors.len() - 1
    }

    /// A tensor for a value, with the value's shape and permutation.
    pub fn value_tensor(&mut self, id: ValueId, name: String, dtype: DType, grid: Option<Grid>) -> TensorId {
        let value = self.graph.value(id);
        let tensor = self.tensor(name, dtype, &value.shape, grid);
        self.program.tensors[tensor].perm = value.perm.clone();
        self.program.tensors[tensor].channels = value.channels.clone();
        tensor
    }

    pub fn constant(&mut self, name: &str, dtype: DType, dims: &[usize], bytes: &[u8], grid: Option<Grid>) -> TensorId {
        let offset = self.pool.add_constant(bytes, dtype.size().max(4));
        let tensor = self.tensor(name.to_string(), dtype, dims, grid);
        self.program.tensors[tensor].storage = Storage::Const(offset);
        tensor
    }

    pub fn push(&mut self, node: &str, spec: Spec, inputs: &[Option<TensorId>], outputs: &[TensorId]) {
        let mut inputs = inputs.to_vec();
        let block = if self.options.stage { self.block(&spec, &mut inputs) } else { 0..0 };
        self.program.steps.push(ProgramStep {
            op: spec.op,
            format: spec.format,
            flags: spec.flags,
            inputs,
            outputs: outputs.to_vec(),
            params: spec.params,
            scratch_bytes: spec.scratch,
            in_place: None,
            name: node.to_string(),
            macs: spec.macs,
            weights_bytes: spec.weights_bytes,
            kernel: spec.kernel.to_string(),
            block,
        });
    }

    pub fn dims(&self, tensor: TensorId) -> &[usize] {
        &self.program.tensors[tensor].dims
    }

    pub fn set_native(&mut self, id: ValueId, tensor: TensorId) {
        self.native[id.index()] = Some(tensor);
    }

    /// The tensor a value lives in, whatever its type.
    pub fn native(&mut self, id: ValueId) -> Result<TensorId, LowerError> {
        if let Some(tensor) = self.native[id.index()] {
            return Ok(tensor);
        }
        let value = self.graph.value(id);
        let Some(data) = &value.data else {
            return Err(LowerError::value(&value.name, "is read before it is computed", "run the graph passes first"));
        };
        let bools: Vec<u8>;
        let requantized: Vec<f32>;
        let bytes = match data {
            graph::Constant::F32(v) => match (&value.codes, value.quant.filter(|q| q.bits == 8)) {
                (None, Some(q)) => {
                    let grid = Grid { scale: q.scale, zp: q.zero_point };
                    requantized = v.iter().map(|&x| grid.real(grid.quantize(x))).collect();
                    requantized.as_bytes()
                }
                (None, None) if value.quant.is_some_and(|q| q.is_wide()) => {
                    let scale = value.quant.map_or(1.0, |q| q.scale);
                    requantized = wide_codes(v, scale).map(|q| arith::dequantize_i16(q, scale)).collect();
                    requantized.as_bytes()
                }
                _ => v.as_bytes(),
            },
            graph::Constant::I64(v) => v.as_bytes(),
            graph::Constant::I32(v) => v.as_bytes(),
            graph::Constant::I8(v) => v.as_bytes(),
            graph::Constant::U8(v) => v.as_bytes(),
            graph::Constant::I16(v) => v.as_bytes(),
            graph::Constant::U16(v) => v.as_bytes(),
            graph::Constant::U32(v) => v.as_bytes(),
            graph::Constant::U64(v) => v.as_bytes(),
            graph::Constant::Bool(v) => {
                bools = v.iter().map(|&b| b as u8).collect();
                &bools
            }
        };
        let dtype = device_dtype(data.dtype()).unwrap_or(DType::F32);
        let (name, shape, perm) = (value.name.clone(), value.shape.clone(), value.perm.clone());
        let tensor = self.constant(&name, dtype, &shape, bytes, None);
        self.program.tensors[tensor].perm = perm;
        self.set_native(id, tensor);
        Ok(tensor)
    }

    /// The value as f32, dequantized where it lives on a grid.
    pub fn float(&mut self, id: ValueId) -> Result<TensorId, LowerError> {
        let value = self.graph.value(id);
        if value.dtype != graph::DType::F32 {
            let reason = format!("has type {:?} where f32 is needed", value.dtype);
            return Err(LowerError::value(&value.name, reason, "insert a Cast to float in the model"));
        }
        let spec = match (self.grid(id), self.wide_scale(id)) {
            _ if value.is_constant() => return self.native(id),
            (Some(grid), _) => dequantize(grid),
            (None, Some(scale)) => dequantize_i16(scale),
            (None, None) => return self.native(id),
        };
        if let Some(tensor) = self.float[id.index()] {
            return Ok(tensor);
        }
        let from = self.native(id)?;
        let tensor = self.value_tensor(id, self.name(id, DType::F32), DType::F32, None);
        self.push(&value.name, spec, &[Some(from)], &[tensor]);
        self.float[id.index()] = Some(tensor);
        Ok(tensor)
    }

    /// The value as int8 on its [`grid`](Self::grid).
    pub fn int(&mut self, id: ValueId) -> Result<TensorId, LowerError> {
        let value = self.graph.value(id);
        if !value.is_constant() {
            return self.native(id);
        }
        if let Some(&tensor) = self.int_constants.get(&id) {
            return Ok(tensor);
        }
        let remedy = "quantize the constant per tensor";
        let grid = self.grid(id).ok_or_else(|| LowerError::value(&value.name, "has no int8 grid", remedy))?;
        let q: Vec<i8> = match &value.codes {
            Some(codes) => {
                let shift = code_shift(codes);
                codes.codes.iter().map(|c| (c - shift) as i8).collect()
            }
            None => value.f32s().unwrap_or(&[]).iter().map(|&x| grid.quantize(x)).collect(),
        };
        let (name, shape) = (value.name.clone(), value.shape.clone());
        let tensor = self.constant(&name, DType::I8, &shape, q.as_bytes(), Some(grid));
        self.program.tensors[tensor].perm = value.perm.clone();
        self.int_constants.insert(id, tensor);
        Ok(tensor)
    }

    /// Pushes a step whose int8 result lies on the grid `on`, and brings it to the value's own form.
    pub fn produce_int(&mut self, node: &Node, spec: Spec, inputs: &[Option<TensorId>], out: ValueId, on: Grid) {
        let same = self.grid(out) == Some(on);
        let name = if same { self.name(out, DType::I8) } else { self.raw_name(out) };
        let tensor = self.value_tensor(out, name, DType::I8, Some(on));
        self.push(&node.name, spec, inputs, &[tensor]);
        self.settle_int(&node.name, out, tensor, on);
    }

    /// Gives a value the int8 tensor that holds it on the grid `on`, requantizing where needed.
    pub fn settle_int(&mut self, node: &str, out: ValueId, tensor: TensorId, on: Grid) {
        match self.grid(out) {
            Some(grid) if grid == on => self.set_native(out, tensor),
            Some(grid) => {
                let spec = self.table_spec(|q| grid.quantize(on.real(q)));
                let moved = self.value_tensor(out, self.name(out, DType::I8), DType::I8, Some(grid));
                self.push(node, spec, &[Some(tensor)], &[moved]);
                self.set_native(out, moved);
            }
            None => {
                let quantized = self.graph.value(out).quant.is_some();
                let name = if quantized { self.raw_name(out) } else { self.name(out, DType::F32) };
                let real = self.value_tensor(out, name, DType::F32, None);
                self.push(node, dequantize(on), &[Some(tensor)], &[real]);
                self.settle_float(node, out, real);
            }
        }
    }

    /// Pushes a step with an f32 result and brings it to the value's own form.
    pub fn produce_float(&mut self, node: &Node, spec: Spec, inputs: &[Option<TensorId>], out: ValueId) {
        let tensor = self.float_target(out);
        self.push(&node.name, spec, inputs, &[tensor]);
        self.settle_float(&node.name, out, tensor);
    }

    /// The tensor an f32 step writes for a value, before [`settle_float`](Self::settle_float).
    pub fn float_target(&mut self, out: ValueId) -> TensorId {
        let quantized = self.graph.value(out).quant.is_some();
        let name = if quantized { self.raw_name(out) } else { self.name(out, DType::F32) };
        self.value_tensor(out, name, DType::F32, None)
    }

    /// Gives a value the f32 tensor that holds it, quantized (or fake-quantized) where it has a grid.
    pub fn settle_float(&mut self, node: &str, out: ValueId, tensor: TensorId) {
        let Some(quant) = self.graph.value(out).quant else {
            return self.set_native(out, tensor);
        };
        if let Some(grid) = self.grid(out) {
            let q = self.value_tensor(out, self.name(out, DType::I8), DType::I8, Some(grid));
            self.push(node, quantize(grid), &[Some(tensor)], &[q]);
            return self.set_native(out, q);
        }
        if let Some(scale) = self.wide_scale(out) {
            let q = self.wide_tensor(out, scale);
            self.push(node, quantize_i16(scale), &[Some(tensor)], &[q]);
            return self.set_native(out, q);
        }
        let last = self.fake_quant(node, out, tensor, quant);
        self.set_native(out, last);
    }

    /// Quantizes and dequantizes in f32. 16-bit grids take four exact elementwise steps.
    fn fake_quant(&mut self, node: &str, out: ValueId, tensor: TensorId, quant: graph::ActQuant) -> TensorId {
        use params::{binary, unary};
        let mut final_name = self.name(out, DType::F32);
        if self.graph.inputs.contains(&out) {
            final_name.push_str("/grid");
        }
        if quant.bits == 8 {
            let result = self.value_tensor(out, final_name, DType::F32, None);
            let spec = unary_spec(unary::FAKE_QUANT, quant.scale, quant.zero_point as f32);
            self.push(node, spec, &[Some(tensor)], &[result]);
            return result;
        }
        let scale = self.constant(&self.raw_name(out), DType::F32, &[], &quant.scale.to_le_bytes(), None);
        let (lo, hi) = (-32768 - quant.zero_point, 32767 - quant.zero_point);
        let chain = [
            (binary_spec(binary::DIV, None), true),
            (unary_spec(unary::ROUND, 0.0, 0.0), false),
            (unary_spec(unary::CLIP, lo as f32, hi as f32), false),
            (binary_spec(binary::MUL, None), true),
        ];
        let mut current = tensor;
        let last = chain.len() - 1;
        for (index, (spec, scaled)) in chain.into_iter().enumerate() {
            let name = if index == last { final_name.clone() } else { self.raw_name(out) };
            let next = self.value_tensor(out, name, DType::F32, None);
            let inputs: &[_] = if scaled { &[Some(current), Some(scale)] } else { &[Some(current)] };
            self.push(node, spec, inputs, &[next]);
            current = next;
        }
        current
    }

    /// Pushes a step whose output has the value's own type, neither f32 nor quantized.
    pub fn produce_other(
        &mut self,
        node: &Node,
        spec: Spec,
        inputs: &[Option<TensorId>],
        out: ValueId,
    ) -> Result<(), LowerError> {
        let tensor = self.other_target(out)?;
        self.push(&node.name, spec, inputs, &[tensor]);
        self.set_native(out, tensor);
        Ok(())
    }

    pub fn other_target(&mut self, out: ValueId) -> Result<TensorId, LowerError> {
        let value = self.graph.value(out);
        let dtype = device_dtype(value.dtype)
            .ok_or_else(|| LowerError::value(&value.name, "has type uint16", "cast it to int32 in the model"))?;
        Ok(self.value_tensor(out, value.name.clone(), dtype, None))
    }

    /// A 256-entry table made by `f`.
    pub fn table_spec(&mut self, f: impl Fn(i8) -> i8) -> Spec {
        let table: Vec<i8> = (-128..=127).map(|q| f(q as i8)).collect();
        let table = self.pool.add_packed(&table);
        Spec {
            weights_bytes: 256,
            ..Spec::new(OpCode::Table, Format::I8, "table_i8").params(&params::TableI8 { table })
        }
    }

    pub fn note(&mut self, node: &Node, why: impl AsRef<str>) {
        self.program.notes.push(format!("{}: {}", node.name, why.as_ref()));
    }
}

/// 128 where unsigned codes do not fit i8 as they are.
pub(crate) fn code_shift(codes: &graph::QuantCodes) -> i32 {
    if !codes.signed && codes.bits == 8 { 128 } else { 0 }
}
