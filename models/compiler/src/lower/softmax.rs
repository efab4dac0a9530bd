//! Softmax over one axis; the kernels know the last one only.

use super::context::Lowering;
use super::error::LowerError;
use super::spec::{Grid, Spec, move_spec};
use crate::graph::Node;
use crate::program::TensorId;
use selvedge_core::{Format, OpCode, params};
use zerocopy::IntoBytes;

/// Longest row of the integer softmax: nothing leaves u64 up to it.
const LONGEST_ROW: usize = 1 << 16;

/// `inv / 2^t ≈ 1/s_y` with `inv < 2^25` and the largest t up to 16.
fn inverse_scale(scale: f32) -> Option<(u32, u32)> {
    (0..=16u32).rev().find_map(|t| {
        let inv = (2f64.powi(t as i32) / scale as f64).round_ties_even();
        (inv >= 1.0 && inv < 2f64.powi(25)).then_some((inv as u32, t))
    })
}

/// The table of `arith::softmax_exponential`: `round(2^24·exp(−d·s_x))` of distances in steps of
/// 16, then of 1.
fn exponentials(scale: f32) -> Vec<u32> {
    let entry = |d: u32| (2f64.powi(24) * (-(d as f64) * scale as f64).exp()).round_ties_even() as u32;
    (0..16).map(|a| entry(16 * a)).chain((0..16).map(entry)).collect()
}

impl Lowering<'_> {
    pub fn lower_softmax(&mut self, node: &Node, axis: usize) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        let shape = self.graph.value(x).shape.clone();
        let last = shape.len().saturating_sub(1);
        let int = match (self.grid(x), self.grid(y)) {
            (Some(gx), Some(gy)) if shape.get(axis).is_some_and(|&n| n <= LONGEST_ROW) => {
                inverse_scale(gy.scale).map(|inverse| (gx, gy, inverse))
            }
            _ => None,
        };
        let Some((gx, gy, (inverse, shift))) = int else {
            let input = self.float(x)?;
            let spec = Spec::new(OpCode::Softmax, Format::F32, "softmax_f32");
            if axis == last {
                self.produce_float(node, spec, &[Some(input)], y);
                return Ok(());
            }
            let swapped = self.swap_axes(node, input, axis, last);
            let dims = self.dims(swapped).to_vec();
            let dtype = self.program.tensors[swapped].dtype;
            let raw = self.tensor(format!("{}/softmax", node.name), dtype, &dims, None);
            self.push(&node.name, spec, &[Some(swapped)], &[raw]);
            let back = self.swap_spec(shape.len(), axis, last);
            self.produce_float(node, back, &[Some(raw)], y);
            return Ok(());
        };
        let table = exponentials(gx.scale);
        let params =
            params::SoftmaxI8 { table: self.pool.add(table.as_bytes(), 4), inverse, shift, output_zero_point: gy.zp };
        let spec = Spec::new(OpCode::Softmax, Format::I8, "softmax_i8").params(&params).weights_bytes(table.len() * 4);
        let input = self.int(x)?;
        if axis == last {
            self.produce_int(node, spec, &[Some(input)], y, gy);
            return Ok(());
        }
        let swapped = self.swap_axes(node, input, axis, last);
        let dims = self.dims(swapped).to_vec();
        let dtype = self.program.tensors[swapped].dtype;
        let raw = self.tensor(format!("{}/softmax", node.name), dtype, &dims, Some(gy));
        self.push(&node.name, spec, &[Some(swapped)], &[raw]);
        let back = self.swap_spec(shape.len(), axis, last);
        self.produce_int(node, back, &[Some(raw)], y, gy);
        Ok(())
    }

    fn swap_spec(&self, rank: usize, a: usize, b: usize) -> Spec {
        let mut perm: Vec<usize> = (0..rank).collect();
        perm.swap(a, b);
        transpose_spec(&perm)
    }

    fn swap_axes(&mut self, node: &Node, tensor: TensorId, a: usize, b: usize) -> TensorId {
        let (dtype, quant) = (self.program.tensors[tensor].dtype, self.program.tensors[tensor].quant);
        let mut dims = self.dims(tensor).to_vec();
        dims.swap(a, b);
        let grid = quant.map(|(scale, zp)| Grid { scale, zp });
        let swapped = self.tensor(format!("{}/swapped", node.name), dtype, &dims, grid);
        let spec = self.swap_spec(dims.len(), a, b);
        self.push(&node.name, spec, &[Some(tensor)], &[swapped]);
        swapped
    }
}

/// A Transpose step; perm must have at most 8 axes.
pub(crate) fn transpose_spec(perm: &[usize]) -> Spec {
    let mut bytes = [0u8; 8];
    for (to, from) in bytes.iter_mut().zip(perm) {
        *to = *from as u8;
    }
    move_spec(OpCode::Transpose, "transpose").params(&params::Transpose { perm: bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_scales_are_exact_for_powers_of_two() {
        assert_eq!(inverse_scale(1.0 / 256.0), Some((1 << 24, 16)));
        assert_eq!(inverse_scale(1.0 / 1024.0), Some((1 << 24, 14)));
        let (inv, t) = inverse_scale(0.0041).expect("in range");
        assert!((inv as f64 / 2f64.powi(t as i32) * 0.0041 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn exponentials_are_within_a_step_of_exp_on_all_distances() {
        for scale in [1e-4f32, 0.004, 0.1, 0.5, 3.0] {
            let table = exponentials(scale);
            for d in 0..=255u8 {
                let exact = 2f64.powi(24) * (-(d as f64) * scale as f64).exp();
                let found = selvedge_core::arith::softmax_exponential(&table, d) as f64;
                assert!((found - exact).abs() <= 1.6, "distance {d} of scale {scale}: {found}, exact {exact}");
            }
        }
    }
}
