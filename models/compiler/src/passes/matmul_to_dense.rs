//! Turns products with a constant matrix into dense layers.
use super::edit::{add_constant, input};
use super::permute::{reshape_value, transpose_value};
use crate::graph::{Graph, Op};

/// MatMul whose second input is one constant `[K, N]` matrix becomes Dense
/// with `[N, K]` weights, codes included. Returns how many did.
pub fn matmul_to_dense(graph: &mut Graph) -> usize {
    (0..graph.nodes.len()).filter(|&index| convert(graph, index).is_some()).count()
}

fn convert(graph: &mut Graph, index: usize) -> Option<()> {
    if graph.nodes[index].op != Op::MatMul {
        return None;
    }
    let (a, b) = (input(graph, index, 0)?, input(graph, index, 1)?);
    let matrix = graph.value(b);
    let rank = matrix.shape.len();
    let out_rank = graph.value(graph.nodes[index].outputs[0]).shape.len();
    matrix.f32s()?;
    if rank < 2 || matrix.shape[..rank - 2].iter().any(|&n| n != 1) || out_rank != graph.value(a).shape.len() {
        return None;
    }
    let matrix = reshape_value(matrix, &matrix.shape[rank - 2..])?;
    let name = format!("{}.t", matrix.name);
    let weights = add_constant(graph, &name, transpose_value(&matrix, &[1, 0]));
    let node = &mut graph.nodes[index];
    node.op = Op::Dense { clamp: None };
    node.inputs = vec![Some(a), Some(weights)];
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Build, check};
    use super::*;

    #[test]
    fn constant_matrices_become_weights() {
        let mut b = Build::new();
        let x = b.input(&[2, 3, 5]);
        let m = b.random(&[5, 4]);
        let y = b.node(Op::MatMul, &[x, m], &[2, 3, 4]);
        let batch = b.random(&[2, 4, 2]);
        let z = b.node(Op::MatMul, &[y, batch], &[2, 3, 2]);
        check(b.finish(&[z]), |graph| assert_eq!(matmul_to_dense(graph), 1));
    }
}
