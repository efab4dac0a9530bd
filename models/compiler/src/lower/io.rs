//! Graph inputs and outputs: the types the model file states.

use super::context::{Lowering, device_dtype};
use super::error::LowerError;
use super::spec::{Grid, dequantize, move_spec, quantize};
use crate::graph::{self, ActQuant, ValueId};
use crate::program::TensorId;
use selvedge_core::{DType, OpCode};

/// The grid of an uint8 tensor: codes are 128 larger than the signed ones.
fn unsigned(quant: ActQuant) -> (f32, i32) {
    (quant.scale, quant.zero_point + 128)
}

impl Lowering<'_> {
    pub fn lower_inputs(&mut self) -> Result<(), LowerError> {
        for &id in &self.graph.inputs {
            let value = self.graph.value(id);
            let name = value.name.clone();
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
        for &id in &self.graph.outputs {
            let tensor = self.output_tensor(id)?;
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
