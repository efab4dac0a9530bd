//! Operators over three spatial axes, and interpolation along one.

use super::context::Lowering;
use super::error::LowerError;
use super::spec::{Spec, move_spec};
use crate::graph::{GridMode, GridOutside, Node, Taps, WindowNd};
use selvedge_core::{Format, OpCode, params};

impl Lowering<'_> {
    fn window_nd(&self, node: &Node, w: &WindowNd) -> Result<params::WindowNd, LowerError> {
        let all = [w.kernel, w.stride, w.dilation, w.pad];
        if all.iter().flatten().any(|&v| v > u16::MAX as usize) {
            return Err(LowerError::node(self.graph, node, "a window size exceeds 65535", "use a smaller window"));
        }
        let [kernel, stride, dilation, pad] = all.map(|v| v.map(|n| n as u16));
        Ok(params::WindowNd { kernel, stride, dilation, pad })
    }

    pub fn lower_conv_nd(
        &mut self,
        node: &Node,
        window: &WindowNd,
        groups: usize,
        transposed: bool,
    ) -> Result<(), LowerError> {
        let (x, w, y) = self.binary_operands(node)?;
        let window = self.window_nd(node, window)?;
        let params = params::ConvNd { window, groups: groups as u32, transposed: transposed as u32 };
        let (weights, out) = (self.graph.value(w), self.graph.value(y));
        // Weights an output (input, transposed) channel has, times cells that meet them.
        let per = weights.elements() / weights.shape.first().copied().unwrap_or(1).max(1);
        let cells = if transposed { self.graph.value(x).elements() } else { out.elements() };
        let spec = Spec::new(OpCode::ConvNd, Format::F32, "conv_nd_f32").params(&params).macs(cells * per);
        let mut operands = vec![Some(self.float(x)?), Some(self.float(w)?)];
        if let Some(bias) = node.inputs.get(2).copied().flatten() {
            operands.push(Some(self.float(bias)?));
        }
        self.produce_float(node, spec, &operands, y);
        Ok(())
    }

    pub fn lower_max_pool_nd(&mut self, node: &Node, window: &WindowNd, column_major: bool) -> Result<(), LowerError> {
        let (x, _) = self.unary_operands(node)?;
        let window = self.window_nd(node, window)?;
        let params = params::MaxPoolNd { window, column_major: column_major as u32 };
        self.produce_with_indices(node, move_spec(OpCode::MaxPoolNd, "max_pool_nd").params(&params), x)
    }

    pub fn lower_grid_sample(
        &mut self,
        node: &Node,
        mode: GridMode,
        outside: GridOutside,
        align_corners: bool,
    ) -> Result<(), LowerError> {
        let (x, grid, y) = self.binary_operands(node)?;
        let mode = match mode {
            GridMode::Nearest => 0,
            GridMode::Linear => 1,
            GridMode::Cubic => 2,
        };
        let outside = match outside {
            GridOutside::Zeros => 0,
            GridOutside::Border => 1,
            GridOutside::Reflection => 2,
        };
        let params = params::GridSample { mode, outside, align_corners: align_corners as u32 };
        let inputs = [Some(self.float(x)?), Some(self.float(grid)?)];
        let spec = Spec::new(OpCode::GridSample, Format::F32, "grid_sample_f32").params(&params);
        self.produce_float(node, spec, &inputs, y);
        Ok(())
    }

    pub fn lower_resample(&mut self, node: &Node, axis: usize, taps: &Taps) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        self.check_rank(node, x)?;
        let params = params::Resample {
            axis: axis as u32,
            taps: taps.count as u32,
            indices: self.pool.add_array(&taps.indices),
            weights: self.pool.add_array(&taps.weights),
        };
        let spec = Spec::new(OpCode::Resample, Format::F32, "resample_f32")
            .params(&params)
            .macs(self.graph.value(y).elements() * taps.count)
            .weights_bytes(taps.indices.len() * 8);
        let input = self.float(x)?;
        self.produce_float(node, spec, &[Some(input)], y);
        Ok(())
    }
}
