//! Graph inputs and outputs: the types the model file states.

use super::context::{Lowering, device_dtype};
use super::error::LowerError;
use super::spec::{Grid, dequantize, move_spec, quantize};
use crate::graph::{self, ActQuant, ValueId};
use crate::program::{ProgramState, ProgramTensor, TensorId};
use selvedge_core::{DType, OpCode};

/// The grid of an uint8 tensor: codes are 128 larger than the signed ones.
fn unsigned(quant: ActQuant) -> (f32, i32) {
    (quant.scale, quant.zero_point + 128)
}

impl Lowering<'_> {
    pub fn lower_inputs(&mut self) -> Result<(), LowerError> {
        for (place, &id) in self.graph.inputs.iter().enumerate() {
            let value = self.graph.value(id);
            let name = value.name.clone();
            if let Some(form) = self.integer_input(place) {
                let grid = Grid { scale: form.scale, zp: 0 };
                let input = self.value_tensor(id, name, form.dtype, Some(grid));
                self.program.inputs.push(input);
                self.set_native(id, input);
                continue;
            }
            let io = value.io_dtype.unwrap_or(value.dtype);
            let dtype = device_dtype(io)
                .filter(|_| !(value.quant.is_some() && matches!(io, graph::DType::I16 | graph::DType::U16)));
            let dtype = dtype
                .ok_or_else(|| LowerError::value(&name, format!("is an input of type {io:?}"), "feed it as float32"))?;
            let input = self.value_tensor(id, name.clone(), dtype, None);
            self.program.inputs.push(input);
            let Some(quant) = value.quant else {
                self.set_native(id, input);
                continue;
            };
            let grid = Grid { scale: quant.scale, zp: quant.zero_point };
            let signed = match dtype {
                DType::I8 => {
                    self.program.tensors[input].quant = Some((quant.scale, quant.zero_point));
                    input
                }
                DType::U8 => {
                    self.program.tensors[input].quant = Some(unsigned(quant));
                    let flipped = self.value_tensor(id, format!("{name}/i8"), DType::I8, Some(grid));
                    self.push(&name, move_spec(OpCode::FlipSign, "flip_sign"), &[Some(input)], &[flipped]);
                    flipped
                }
                _ => {
                    self.settle_float(&name, id, input);
                    continue;
                }
            };
            if self.options.simulate {
                let real = self.value_tensor(id, format!("{name}/f32"), DType::F32, None);
                self.push(&name, dequantize(grid), &[Some(signed)], &[real]);
                self.set_native(id, real);
            } else {
                self.set_native(id, signed);
            }
        }
        Ok(())
    }

    pub fn lower_outputs(&mut self) -> Result<(), LowerError> {
        for (place, &id) in self.graph.outputs.iter().enumerate() {
            let kept = self.integer_output(place).and_then(|_| self.integer_states.get(&id).copied());
            let tensor = kept.map_or_else(|| self.output_tensor(id), Ok)?;
            let used = self.program.inputs.contains(&tensor) || self.program.outputs.contains(&tensor);
            let record = self.program.tensors[tensor].clone();
            if !used && !record.is_const() {
                self.program.outputs.push(tensor);
                continue;
            }
            let copy = self.tensor(record.name.clone(), record.dtype, &record.dims, None);
            self.program.tensors[copy].quant = record.quant;
            self.push(&record.name, move_spec(OpCode::Reshape, "reshape"), &[Some(tensor)], &[copy]);
            self.program.outputs.push(copy);
        }
        Ok(())
    }

    /// The states with their bytes before the first run.
    pub fn lower_states(&mut self) -> Result<(), LowerError> {
        for state in &self.graph.states {
            let tensor = &self.program.tensors[self.program.inputs[state.input]];
            let end = &self.program.tensors[self.program.outputs[state.output]];
            if (tensor.dtype, &tensor.dims, tensor.quant) != (end.dtype, &end.dims, end.quant) {
                let kind = |t: &ProgramTensor| format!("{} {:?}", t.dtype.name(), t.dims);
                let reason = format!("is a state of {}, `{}` of {}", kind(tensor), end.name, kind(end));
                return Err(LowerError::value(&tensor.name, reason, "name an input and an output of one kind"));
            }
            let reals = match state.initial.is_empty() {
                true => vec![0.0; tensor.elements()],
                false => state.initial.clone(),
            };
            let (scale, zp) = tensor.quant.unwrap_or((1.0, 0));
            let code = |v: f32, lo: f32, hi: f32| (v / scale).round_ties_even().max(lo).min(hi) as i32;
            let bytes: Vec<u8> = match tensor.dtype {
                DType::F32 => reals.iter().flat_map(|v| v.to_le_bytes()).collect(),
                DType::I8 => reals.iter().map(|&v| (code(v, -512.0, 512.0) + zp).clamp(-128, 127) as u8).collect(),
                DType::I16 => reals.iter().flat_map(|&v| (code(v, -32768.0, 32767.0) as i16).to_le_bytes()).collect(),
                _ if reals.iter().all(|&v| v == 0.0) => vec![0; tensor.bytes()],
                other => {
                    let reason = format!("is a state of type {} that does not start at 0", other.name());
                    return Err(LowerError::value(&tensor.name, reason, "cast it to float32 in the model"));
                }
            };
            let zeros = bytes.iter().all(|&byte| byte == 0);
            let initial = if zeros { None } else { Some(self.pool.add_constant(&bytes, 4)) };
            self.program.states.push(ProgramState { input: state.input, output: state.output, initial });
        }
        Ok(())
    }

    fn output_tensor(&mut self, id: ValueId) -> Result<TensorId, LowerError> {
        let value = self.graph.value(id);
        let (name, io) = (value.name.clone(), value.io_dtype.unwrap_or(value.dtype));
        let Some(quant) = value.quant.filter(|_| io != graph::DType::F32) else {
            return if value.dtype == graph::DType::F32 { self.float(id) } else { self.native(id) };
        };
        if quant.bits != 8 || !matches!(io, graph::DType::I8 | graph::DType::U8) {
            let reason = format!("is an output of type {io:?}");
            return Err(LowerError::value(&name, reason, "end the model with DequantizeLinear"));
        }
        let grid = Grid { scale: quant.scale, zp: quant.zero_point };
        let signed = if self.options.simulate {
            let real = self.float(id)?;
            let q = self.value_tensor(id, self.name(id, DType::I8), DType::I8, Some(grid));
            self.push(&name, quantize(grid), &[Some(real)], &[q]);
            q
        } else {
            self.int(id)?
        };
        if io == graph::DType::I8 {
            return Ok(signed);
        }
        let flipped = self.value_tensor(id, name.clone(), DType::U8, None);
        self.program.tensors[flipped].quant = Some(unsigned(quant));
        self.push(&name, move_spec(OpCode::FlipSign, "flip_sign"), &[Some(signed)], &[flipped]);
        Ok(flipped)
    }
}
