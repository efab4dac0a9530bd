//! Pools over two spatial axes, and means that are pools.

use super::context::Lowering;
use super::conv::window_params;
use super::error::LowerError;
use super::spec::{Grid, Spec, move_spec};
use crate::graph::{DType, Layout, Node, ValueId, Window};
use selvedge_core::{DType as Device, Format, OpCode, params};

/// `m/2^t ≈ ratio` with m in `[2^23, 2^24)` and t ≤ 38; `None` where the ratio is too large.
pub(crate) fn average_ratio(x_scale: f32, y_scale: f32) -> Option<(i32, u32)> {
    if x_scale == y_scale {
        return Some((1 << 23, 23));
    }
    let ratio = x_scale as f64 / y_scale as f64;
    (0..=38u32).rev().find_map(|t| {
        let m = (ratio * 2f64.powi(t as i32)).round_ties_even();
        (m < 2f64.powi(24)).then_some((m as i32, t))
    })
}

/// Parameters of an average pool; the integer fields from both grids.
pub(crate) fn average_params(
    window: params::Window,
    pad_end: [usize; 2],
    count_include_pad: bool,
    grids: Option<(Grid, Grid)>,
) -> Option<params::AvgPool> {
    let (multiplier, shift) = match grids {
        Some((x, y)) => average_ratio(x.scale, y.scale)?,
        None => (0, 0),
    };
    let (x, y) = grids.unwrap_or((Grid { scale: 1.0, zp: 0 }, Grid { scale: 1.0, zp: 0 }));
    Some(params::AvgPool {
        window,
        pad_end: [pad_end[0] as u16, pad_end[1] as u16],
        count_include_pad: count_include_pad as u32,
        input_zero_point: x.zp,
        multiplier,
        shift,
        output_zero_point: y.zp,
        lo: -128,
        hi: 127,
    })
}

impl Lowering<'_> {
    pub fn lower_max_pool(&mut self, node: &Node, window: &Window, layout: Layout) -> Result<(), LowerError> {
        self.require_nhwc(node, layout)?;
        let (x, y) = self.unary_operands(node)?;
        self.spatial(node, x, y, window, 1)?;
        let params = params::MaxPool { window: window_params(window) };
        if let Some(grid) = self.grid(x) {
            let spec = Spec::new(OpCode::MaxPool2d, Format::I8, "max_pool_i8").params(&params);
            let input = self.int(x)?;
            self.produce_int(node, spec, &[Some(input)], y, grid);
            return Ok(());
        }
        if let dtype @ (DType::I8 | DType::U8) = self.graph.value(x).dtype {
            return self.max_pool_codes(node, x, y, &params, dtype == DType::U8);
        }
        let spec = Spec::new(OpCode::MaxPool2d, Format::F32, "max_pool_f32").params(&params);
        let input = self.float(x)?;
        self.produce_float(node, spec, &[Some(input)], y);
        Ok(())
    }

    /// A pool of integers that are on no grid; unsigned ones with their top bit flipped.
    fn max_pool_codes(
        &mut self,
        node: &Node,
        x: ValueId,
        y: ValueId,
        params: &params::MaxPool,
        unsigned: bool,
    ) -> Result<(), LowerError> {
        let spec = Spec::new(OpCode::MaxPool2d, Format::I8, "max_pool_i8").params(params);
        let input = self.native(x)?;
        if !unsigned {
            return self.produce_other(node, spec, &[Some(input)], y);
        }
        let flip = || move_spec(OpCode::FlipSign, "flip_sign");
        let signed = self.value_tensor(x, format!("{}/signed", node.name), Device::I8, None);
        self.push(&node.name, flip(), &[Some(input)], &[signed]);
        let pooled = self.value_tensor(y, format!("{}/pooled", node.name), Device::I8, None);
        self.push(&node.name, spec, &[Some(signed)], &[pooled]);
        self.produce_other(node, flip(), &[Some(pooled)], y)
    }

    pub fn lower_avg_pool(
        &mut self,
        node: &Node,
        window: &Window,
        layout: Layout,
        count_include_pad: bool,
    ) -> Result<(), LowerError> {
        self.require_nhwc(node, layout)?;
        let (x, y) = self.unary_operands(node)?;
        self.spatial(node, x, y, window, 1)?;
        let stored = window_params(window);
        let pad_end = [window.pads[2], window.pads[3]];
        if let Some(grids) = self.average_grids(x, y) {
            if let Some(params) = average_params(stored, pad_end, count_include_pad, Some(grids)) {
                let spec = Spec::new(OpCode::AvgPool2d, Format::I8, "avg_pool_i8").params(&params);
                let input = self.int(x)?;
                self.produce_int(node, spec, &[Some(input)], y, grids.1);
                return Ok(());
            }
            self.note(node, "runs in f32: the ratio of its scales is out of range");
        }
        let params = average_params(stored, pad_end, count_include_pad, None)
            .ok_or_else(|| LowerError::node(self.graph, node, "its window cannot be stored", "use a smaller one"))?;
        let spec = Spec::new(OpCode::AvgPool2d, Format::F32, "avg_pool_f32").params(&params);
        let input = self.float(x)?;
        self.produce_float(node, spec, &[Some(input)], y);
        Ok(())
    }

    /// Grids of an averaging step: both must be known.
    pub fn average_grids(&self, x: ValueId, y: ValueId) -> Option<(Grid, Grid)> {
        Some((self.grid(x)?, self.grid(y)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_ratios_are_normalized() {
        assert_eq!(average_ratio(0.3, 0.3), Some((1 << 23, 23)));
        for (x, y) in [(0.3f32, 0.11f32), (0.01, 0.9), (5.0, 0.02)] {
            let (m, t) = average_ratio(x, y).expect("in range");
            assert!((1 << 23..1 << 24).contains(&m) && t <= 38);
            assert!((m as f64 / 2f64.powi(t as i32) / (x as f64 / y as f64) - 1.0).abs() < 1e-6);
        }
        assert!(average_ratio(1e9, 1e-9).is_none());
    }
}
