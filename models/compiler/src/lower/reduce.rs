//! Reductions; a mean of int8 values over neighbouring axes is an average pool.

use super::context::Lowering;
use super::error::LowerError;
use super::pool2d::average_params;
use super::spec::{Grid, Spec, move_spec};
use crate::graph::{self, Node, Reduce, ValueId};
use crate::program::TensorId;
use selvedge_core::params::reduce;
use selvedge_core::{DType, Format, OpCode, params};

pub(crate) fn code(kind: Reduce) -> u32 {
    match kind {
        Reduce::Mean => reduce::MEAN,
        Reduce::Sum => reduce::SUM,
        Reduce::Max => reduce::MAX,
        Reduce::Min => reduce::MIN,
        Reduce::Prod => reduce::PROD,
        Reduce::SumSquare => reduce::SUM_SQUARE,
        Reduce::L2 => reduce::L2,
    }
}

impl Lowering<'_> {
    pub fn lower_reduce(&mut self, node: &Node, kind: Reduce, axes: &[usize]) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        if kind == Reduce::Mean && self.mean_as_pool(node, x, y, axes)? {
            return Ok(());
        }
        if axes.iter().any(|&axis| axis >= 32) {
            return Err(LowerError::node(self.graph, node, "its rank exceeds 6", "merge axes with Reshape"));
        }
        let mask = axes.iter().fold(0u32, |mask, &axis| mask | 1 << axis);
        let params = params::Reduce { kind: code(kind), axes: mask };
        if self.graph.value(y).dtype != graph::DType::F32 {
            let input = self.native(x)?;
            let spec = Spec::new(OpCode::Reduce, Format::Int, "reduce_int").params(&params);
            return self.produce_other(node, spec, &[Some(input)], y);
        }
        let input = self.float(x)?;
        let spec = Spec::new(OpCode::Reduce, Format::F32, "reduce_f32").params(&params);
        self.produce_float(node, spec, &[Some(input)], y);
        Ok(())
    }

    /// Writes a mean over neighbouring axes as a pool over `[outer, n, 1, inner]`.
    fn mean_as_pool(&mut self, node: &Node, x: ValueId, y: ValueId, axes: &[usize]) -> Result<bool, LowerError> {
        let Some((gx, gy)) = self.average_grids(x, y) else { return Ok(false) };
        let shape = self.graph.value(x).shape.clone();
        let (Some(&first), Some(&last)) = (axes.first(), axes.last()) else { return Ok(false) };
        // Axes of length 1 between the reduced ones do not part them.
        let parted = (first..=last).any(|axis| !axes.contains(&axis) && shape[axis] != 1);
        let n: usize = axes.iter().map(|&axis| shape[axis]).product();
        let spatial = shape.len() == 4 && axes == [1, 2] && shape[1] <= 255 && shape[2] <= 255;
        if parted || (!spatial && n > u16::MAX as usize) || n > 1 << 16 {
            return Ok(false);
        }
        let outer: usize = shape[..first].iter().product();
        let inner: usize = shape[last + 1..].iter().product();
        let (rows, columns) = if spatial { (shape[1], shape[2]) } else { (n, 1) };
        let window =
            params::Window { kernel: [rows as u16, columns as u16], stride: [1, 1], dilation: [1, 1], pad: [0, 0] };
        let Some(params) = average_params(window, [0, 0], false, Some((gx, gy))) else { return Ok(false) };
        let spec = Spec::new(OpCode::AvgPool2d, Format::I8, "avg_pool_i8").params(&params);
        let mut input = self.int(x)?;
        if !spatial {
            input = self.reshape_int(node, input, &[outer, rows, columns, inner], gx);
        }
        let pooled = [outer, 1, 1, inner];
        if self.graph.value(y).shape == pooled {
            self.produce_int(node, spec, &[Some(input)], y, gy);
            return Ok(true);
        }
        let mean = self.tensor(format!("{}/mean", node.name), DType::I8, &pooled, Some(gy));
        self.push(&node.name, spec, &[Some(input)], &[mean]);
        self.produce_int(node, move_spec(OpCode::Reshape, "reshape"), &[Some(mean)], y, gy);
        Ok(true)
    }

    fn reshape_int(&mut self, node: &Node, tensor: TensorId, dims: &[usize], grid: Grid) -> TensorId {
        let reshaped = self.tensor(format!("{}/reshaped", node.name), DType::I8, dims, Some(grid));
        self.push(&node.name, move_spec(OpCode::Reshape, "reshape"), &[Some(tensor)], &[reshaped]);
        reshaped
    }
}
