//! Products of two computed matrices in int8.

use super::context::Lowering;
use super::error::LowerError;
use super::softmax::transpose_spec;
use super::spec::Spec;
use crate::graph::{Node, ValueId};
use crate::program::TensorId;
use selvedge_core::{DType, Format, OpCode, params};
use selvedge_kernels::pack;

impl Lowering<'_> {
    pub fn lower_dynamic_matmul(&mut self, node: &Node, transposed: bool) -> Result<(), LowerError> {
        let (a, b, y) = self.binary_operands(node)?;
        let k = self.graph.value(a).shape.last().copied().unwrap_or(1);
        let n = self.graph.value(y).shape.last().copied().unwrap_or(1);
        let macs = self.graph.value(y).elements() * k;
        if self.options.simulate {
            let inputs = [Some(self.float(a)?), Some(self.right(node, b, !transposed)?)];
            self.produce_float(node, Spec::new(OpCode::MatMul, Format::F32, "matmul_f32").macs(macs), &inputs, y);
            return Ok(());
        }
        let (a, a_scales) = self.dynamic_quantize(node, a, k, self.graph.value(a).elements() / k.max(1))?;
        let (b, b_scales) = if transposed {
            self.dynamic_quantize(node, b, k, self.graph.value(b).elements() / k.max(1))?
        } else {
            let right = self.right(node, b, false)?;
            self.quantize_rows(node, right, k)
        };
        let spec = Spec::new(OpCode::MatMul, Format::I8, "matmul_i8").macs(macs).scratch(pack::matmul_i8_scratch(n, k));
        self.produce_float(node, spec, &[Some(a), Some(a_scales), Some(b), Some(b_scales)], y);
        Ok(())
    }

    /// The right operand in f32, its last two axes swapped unless `as_it_is`.
    fn right(&mut self, node: &Node, b: ValueId, as_it_is: bool) -> Result<TensorId, LowerError> {
        let input = self.float(b)?;
        if as_it_is {
            return Ok(input);
        }
        let mut dims = self.dims(input).to_vec();
        let rank = dims.len();
        dims.swap(rank - 2, rank - 1);
        let mut perm: Vec<usize> = (0..rank).collect();
        perm.swap(rank - 2, rank - 1);
        let turned = self.tensor(format!("{}/turned", node.name), DType::F32, &dims, None);
        self.push(&node.name, transpose_spec(&perm), &[Some(input)], &[turned]);
        Ok(turned)
    }

    /// Codes and scales of an f32 tensor, one scale for each `row` elements.
    fn quantize_rows(&mut self, node: &Node, input: TensorId, row: usize) -> (TensorId, TensorId) {
        let dims = self.dims(input).to_vec();
        let rows = dims.iter().product::<usize>() / row.max(1);
        let q = self.tensor(format!("{}/turned/i8", node.name), DType::I8, &dims, None);
        let scales = self.tensor(format!("{}/turned/scale", node.name), DType::F32, &[rows], None);
        let spec = Spec::new(OpCode::DynamicQuantize, Format::F32, "dynamic_quantize_i8")
            .params(&params::DynamicQuantize { row: row as u32 });
        self.push(&node.name, spec, &[Some(input)], &[q, scales]);
        (q, scales)
    }
}
