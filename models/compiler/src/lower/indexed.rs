//! Expand, and operators whose indices are data: gathers, scatters, TopK.

use super::context::Lowering;
use super::error::LowerError;
use super::spec::{Spec, move_spec};
use crate::graph::{DType, Node, Scattering, ValueId};
use crate::program::TensorId;
use selvedge_core::{DType as Device, OpCode, params};

impl Lowering<'_> {
    pub fn lower_expand(&mut self, node: &Node) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        self.check_rank(node, y)?;
        self.produce_moved(node, move_spec(OpCode::Expand, "expand"), x, y)
    }

    pub fn lower_gather_elements(&mut self, node: &Node, nd: bool, axis: usize) -> Result<(), LowerError> {
        let (x, indices, y) = self.binary_operands(node)?;
        let second = self.indices(node, indices)?;
        let params = params::GatherElements { kind: nd as u32, axis: axis as u32 };
        let spec = move_spec(OpCode::GatherElements, "gather_elements").params(&params);
        self.produce_moved_with(node, spec, x, Some(second), y)
    }

    pub fn lower_scatter(
        &mut self,
        node: &Node,
        nd: bool,
        axis: usize,
        reduction: Scattering,
    ) -> Result<(), LowerError> {
        let (x, indices, y) = self.binary_operands(node)?;
        let updates = node.inputs.get(2).copied().flatten();
        let updates =
            updates.ok_or_else(|| LowerError::node(self.graph, node, "it has no updates", "check the model"))?;
        let reduction = match reduction {
            Scattering::Replace => params::scatter::REPLACE,
            Scattering::Add => params::scatter::ADD,
            Scattering::Mul => params::scatter::MUL,
            Scattering::Min => params::scatter::MIN,
            Scattering::Max => params::scatter::MAX,
        };
        let params = params::Scatter { kind: nd as u32, axis: axis as u32, reduction };
        let spec = move_spec(OpCode::Scatter, "scatter").params(&params);
        let second = self.indices(node, indices)?;
        if self.graph.value(x).dtype != DType::F32 {
            let operands = [Some(self.native(x)?), Some(second), Some(self.native(updates)?)];
            return self.produce_other(node, spec, &operands, y);
        }
        let operands = [Some(self.float(x)?), Some(second), Some(self.float(updates)?)];
        self.produce_float(node, spec, &operands, y);
        Ok(())
    }

    pub fn lower_top_k(&mut self, node: &Node, axis: usize, largest: bool) -> Result<(), LowerError> {
        let (x, _) = self.unary_operands(node)?;
        let params = params::TopK { axis: axis as u32, largest: largest as u32 };
        self.produce_with_indices(node, move_spec(OpCode::TopK, "top_k").params(&params), x)
    }

    /// Indices as the device reads them.
    fn indices(&mut self, node: &Node, id: ValueId) -> Result<TensorId, LowerError> {
        if !matches!(self.graph.value(id).dtype, DType::I64 | DType::I32) {
            return Err(LowerError::node(self.graph, node, "its indices are not int64 or int32", "cast them to int64"));
        }
        self.native(id)
    }

    /// Pushes a step that selects elements of `x` and tells their indices, keeping the grid of `x`.
    pub fn produce_with_indices(&mut self, node: &Node, spec: Spec, x: ValueId) -> Result<(), LowerError> {
        let &[y, at] = node.outputs.as_slice() else {
            return Err(LowerError::node(self.graph, node, "it needs two outputs", "check the model file"));
        };
        let indices = self.other_target(at)?;
        if self.graph.value(x).dtype != DType::F32 {
            let (input, values) = (self.native(x)?, self.other_target(y)?);
            self.push(&node.name, spec, &[Some(input)], &[values, indices]);
            self.set_native(y, values);
        } else if let Some(grid) = self.grid(x) {
            let input = self.int(x)?;
            let name = if self.grid(y) == Some(grid) { self.name(y, Device::I8) } else { self.raw_name(y) };
            let values = self.value_tensor(y, name, Device::I8, Some(grid));
            self.push(&node.name, spec, &[Some(input)], &[values, indices]);
            self.settle_int(&node.name, y, values, grid);
        } else {
            let (input, values) = (self.float(x)?, self.float_target(y));
            self.push(&node.name, spec, &[Some(input)], &[values, indices]);
            self.settle_float(&node.name, y, values);
        }
        self.set_native(at, indices);
        Ok(())
    }
}
