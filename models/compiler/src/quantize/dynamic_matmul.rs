//! Products of two computed matrices, both quantized at run time.

use crate::graph::{DType, Graph, Op, ValueId};
use crate::passes::edit::fresh_name;
use crate::passes::permute::{compose, permuted};

/// Sums of so many products of ±127 stay within 2^30.
const LONGEST_ROW: usize = 1 << 16;

/// Elements that the device packs for one product.
const LARGEST_MATRIX: usize = 1 << 29;

/// Makes MatMul node `index` an int8 product; false where its operands do not allow it. A Transpose
/// that nothing else reads gives the right operand with its rows along k.
pub(super) fn quantize_matmul(graph: &mut Graph, index: usize) -> bool {
    let node = &graph.nodes[index];
    let (Op::MatMul, &[Some(a), Some(b)]) = (&node.op, &node.inputs[..]) else { return false };
    let computed = |id: ValueId| {
        let value = graph.value(id);
        !value.is_constant() && value.dtype == DType::F32 && value.quant.is_none() && value.shape.len() >= 2
    };
    let last = |id: ValueId, back: usize| graph.value(id).shape.iter().rev().nth(back).copied().unwrap_or(0);
    let batch = |id: ValueId| &graph.value(id).shape[..graph.value(id).shape.len() - 2];
    if !computed(a) || !computed(b) || batch(a) != batch(b) {
        return false;
    }
    let (k, n) = (last(a, 0), last(b, 0));
    if k == 0 || k > LONGEST_ROW || (n + 8) * (k + 4) > LARGEST_MATRIX {
        return false;
    }
    let transposed = a != b && swap_last(graph, index, b);
    graph.nodes[index].op = Op::DynamicMatMul { transposed };
    true
}

/// Swaps the last two axes of `id` in the Transpose that makes it for node `reader` alone.
fn swap_last(graph: &mut Graph, reader: usize, id: ValueId) -> bool {
    let rank = graph.value(id).shape.len();
    let swap: Vec<usize> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
    let others = graph.nodes.iter().enumerate().any(|(i, n)| i != reader && n.inputs.contains(&Some(id)));
    let maker = graph.nodes.iter_mut().find(|node| node.outputs.contains(&id));
    let Some(Op::Transpose { perm }) = maker.map(|node| &mut node.op) else { return false };
    if others || graph.outputs.contains(&id) {
        return false;
    }
    *perm = compose(perm, &swap);
    // Not the ONNX value any more: comparisons by name would take it for one.
    let name = fresh_name(graph, &format!("{}.rows", graph.value(id).name));
    let value = graph.value_mut(id);
    value.name = name;
    value.shape = permuted(&value.shape, &swap);
    value.perm = None;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::Build;

    #[test]
    fn a_private_transposition_takes_the_swap_in_a_shared_one_does_not() {
        for shared in [false, true] {
            let mut b = Build::new();
            let (x, y) = (b.input(&[1, 2, 5, 4]), b.input(&[1, 3, 2, 4]));
            let t = b.transpose(y, &[0, 2, 3, 1]);
            let z = b.node(Op::MatMul, &[x, t], &[1, 2, 5, 3]);
            let outputs = if shared { vec![z, t] } else { vec![z] };
            let mut graph = b.finish(&outputs);
            assert!(quantize_matmul(&mut graph, 1));
            assert_eq!(graph.nodes[1].op, Op::DynamicMatMul { transposed: !shared });
            let (perm, shape) = if shared { ([0, 2, 3, 1], [1, 2, 4, 3]) } else { ([0, 2, 1, 3], [1, 2, 3, 4]) };
            assert_eq!(graph.nodes[0].op, Op::Transpose { perm: perm.to_vec() });
            assert_eq!(graph.value(t).shape, shape);
        }
    }

    #[test]
    fn constants_batches_that_broadcast_and_sums_past_32_bits_stay_float() {
        let mut b = Build::new();
        let x = b.input(&[2, 5, 4]);
        let w = b.random(&[2, 4, 3]);
        let y = b.node(Op::MatMul, &[x, w], &[2, 5, 3]);
        let one = b.input(&[1, 3, 5]);
        let z = b.node(Op::MatMul, &[y, one], &[2, 5, 5]);
        let (left, right) = (b.input(&[1, 70_000]), b.input(&[70_000, 1]));
        let long = b.node(Op::MatMul, &[left, right], &[1, 1]);
        let mut graph = b.finish(&[z, long]);
        assert!((0..3).all(|index| !quantize_matmul(&mut graph, index)));
    }
}
