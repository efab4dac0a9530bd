//! Operators that move elements: Reshape, Transpose, Pad, Slice, Gather, Cast.

use super::context::Lowering;
use super::error::LowerError;
use super::softmax::transpose_spec;
use super::spec::{Spec, move_spec};
use crate::graph::{self, Node, ValueId};
use selvedge_core::shape::MAX_RANK;
use selvedge_core::{OpCode, arith, params};

impl Lowering<'_> {
    /// Moves `x` with further operands already lowered, keeping its grid.
    pub fn produce_moved(&mut self, node: &Node, spec: Spec, x: ValueId, y: ValueId) -> Result<(), LowerError> {
        self.produce_moved_with(node, spec, x, None, y)
    }

    pub fn produce_moved_with(
        &mut self,
        node: &Node,
        spec: Spec,
        x: ValueId,
        second: Option<usize>,
        y: ValueId,
    ) -> Result<(), LowerError> {
        let operands = |first: usize| match second {
            Some(second) => vec![Some(first), Some(second)],
            None => vec![Some(first)],
        };
        if self.graph.value(x).dtype != graph::DType::F32 {
            let input = self.native(x)?;
            return self.produce_other(node, spec, &operands(input), y);
        }
        if let Some(grid) = self.grid(x) {
            let input = self.int(x)?;
            self.produce_int(node, spec, &operands(input), y, grid);
            return Ok(());
        }
        if let Some(scale) = self.wide_scale(x) {
            let input = self.wide(x)?;
            self.produce_wide(node, spec, &operands(input), y, scale);
            return Ok(());
        }
        let input = self.float(x)?;
        self.produce_float(node, spec, &operands(input), y);
        Ok(())
    }

    pub fn check_rank(&self, node: &Node, x: ValueId) -> Result<(), LowerError> {
        if self.graph.value(x).shape.len() <= MAX_RANK {
            return Ok(());
        }
        let reason = format!("its rank exceeds {MAX_RANK}");
        Err(LowerError::node(self.graph, node, reason, "merge axes with Reshape"))
    }

    pub fn lower_reshape(&mut self, node: &Node) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        self.produce_moved(node, move_spec(OpCode::Reshape, "reshape"), x, y)
    }

    pub fn lower_transpose(&mut self, node: &Node, perm: &[usize]) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        self.check_rank(node, x)?;
        // Moving axes of length 1 past others leaves the bytes in place.
        let shape = &self.graph.value(x).shape;
        let long: Vec<usize> = perm.iter().copied().filter(|&axis| shape[axis] != 1).collect();
        if long.is_sorted() {
            return self.produce_moved(node, move_spec(OpCode::Reshape, "reshape"), x, y);
        }
        self.produce_moved(node, transpose_spec(perm), x, y)
    }

    pub fn lower_pad(&mut self, node: &Node, begin: &[usize], value: f32) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        self.check_rank(node, x)?;
        let mut params = params::Pad { begin: [0; 6], value: [0; 8] };
        for (to, &from) in params.begin.iter_mut().zip(begin) {
            *to = from as u32;
        }
        let mut set = |bytes: &[u8]| params.value[..bytes.len()].copy_from_slice(bytes);
        match (self.graph.value(x).dtype, self.grid(x)) {
            (_, Some(grid)) => set(&grid.quantize(value).to_le_bytes()),
            (graph::DType::F32, None) => match self.wide_scale(x) {
                Some(scale) => set(&arith::quantize_i16(value, scale).unwrap_or(0).to_le_bytes()),
                None => set(&value.to_le_bytes()),
            },
            (graph::DType::I64, _) => set(&(value as i64).to_le_bytes()),
            (graph::DType::I32, _) => set(&(value as i32).to_le_bytes()),
            (graph::DType::I16, _) => set(&(value as i16).to_le_bytes()),
            (graph::DType::I8, _) => set(&(value as i8).to_le_bytes()),
            (graph::DType::U8, _) => set(&(value as u8).to_le_bytes()),
            (graph::DType::U16, _) => set(&(value as u16).to_le_bytes()),
            (graph::DType::U32, _) => set(&(value as u32).to_le_bytes()),
            (graph::DType::U64, _) => set(&(value as u64).to_le_bytes()),
            (graph::DType::Bool, _) => set(&[(value != 0.0) as u8]),
        }
        self.produce_moved(node, move_spec(OpCode::Pad, "pad").params(&params), x, y)
    }

    pub fn lower_slice(&mut self, node: &Node, start: &[usize], step: &[isize]) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        self.check_rank(node, x)?;
        let mut params = params::Slice { start: [0; 6], step: [1; 6] };
        for axis in 0..start.len() {
            params.start[axis] = start[axis] as u32;
            params.step[axis] = step[axis] as i32;
        }
        self.produce_moved(node, move_spec(OpCode::Slice, "slice").params(&params), x, y)
    }

    pub fn lower_gather(&mut self, node: &Node, axis: usize) -> Result<(), LowerError> {
        let (x, indices, y) = self.binary_operands(node)?;
        if !matches!(self.graph.value(indices).dtype, graph::DType::I64 | graph::DType::I32) {
            return Err(LowerError::node(self.graph, node, "its indices are not int64 or int32", "cast them to int64"));
        }
        let second = self.native(indices)?;
        if let Some(spec) = self.quantized_table(x, axis) {
            self.produce_float(node, spec, &[Some(second)], y);
            return Ok(());
        }
        let spec = move_spec(OpCode::Gather, "gather").params(&params::Gather { axis: axis as u32 });
        self.produce_moved_with(node, spec, x, Some(second), y)
    }

    pub fn lower_cast(&mut self, node: &Node) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        let (from, to) = (self.graph.value(x).dtype, self.graph.value(y).dtype);
        if from == to {
            return self.lower_reshape(node);
        }
        let input = if from == graph::DType::F32 { self.float(x)? } else { self.native(x)? };
        let spec = move_spec(OpCode::Cast, "cast");
        if to == graph::DType::F32 {
            self.produce_float(node, spec, &[Some(input)], y);
            return Ok(());
        }
        self.produce_other(node, spec, &[Some(input)], y)
    }
}
