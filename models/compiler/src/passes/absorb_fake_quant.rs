//! Attaches explicit FakeQuant nodes to the nodes that produce their inputs,
//! and spreads grids over nodes that only move data.
use super::edit::{bypass, fresh_name, input, insert_before, only_reader, producer, representable, same_grid};
use crate::graph::{ActQuant, DType, Graph, Op, Unary, Value};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FakeQuantStats {
    /// Nodes whose grid now belongs to the producer's output.
    pub absorbed: usize,
    /// Nodes dropped because their input was on that grid already.
    pub vanished: usize,
    /// Nodes that stay explicit.
    pub left: usize,
}

/// Lets producers write their quantized outputs directly.
///
/// A FakeQuant behind data movement (Reshape, Transpose, Slice, Gather,
/// MaxPool, Pad with a representable value) moves in front of it first, so
/// that the integers are made by the linear operator. A FakeQuant stays where
/// its input is a graph input, has another reader, or is on another grid.
pub fn absorb_fake_quant(graph: &mut Graph) -> FakeQuantStats {
    let mut stats = FakeQuantStats::default();
    let mut index = 0;
    while index < graph.nodes.len() {
        if graph.nodes[index].op == Op::FakeQuant && step(graph, index, &mut stats) {
            // The node is gone or has moved up.
            index = 0;
        } else {
            index += 1;
        }
    }
    stats.left = graph.nodes.iter().filter(|node| node.op == Op::FakeQuant).count();
    stats
}

fn step(graph: &mut Graph, index: usize, stats: &mut FakeQuantStats) -> bool {
    let (Some(x), y) = (input(graph, index, 0), graph.nodes[index].outputs[0]) else { return false };
    let Some(grid) = graph.value(y).quant else { return false };
    if graph.value(x).quant.is_some() {
        let vanished = same_grid(graph.value(x).quant, Some(grid)) && bypass(graph, index);
        stats.vanished += usize::from(vanished);
        return vanished;
    }
    let (Some(source), Some(_)) = (producer(graph, x), only_reader(graph, x)) else { return false };
    if moves_data(&graph.nodes[source].op, grid) {
        return move_up(graph, source, index, grid);
    }
    let node = &mut graph.nodes[source];
    let opaque = matches!(
        node.op,
        Op::MaxPool { .. }
            | Op::Pad { .. }
            | Op::Cast
            | Op::FakeQuant
            | Op::DynamicQuantizeLinear
            | Op::MatMulInteger
            | Op::ConvInteger { .. }
    );
    if opaque || node.outputs.len() != 1 {
        return false;
    }
    node.outputs[0] = y;
    graph.nodes.remove(index);
    stats.absorbed += 1;
    true
}

/// Whether the outputs of `op` are a selection of its inputs' elements, all on
/// `grid` if the inputs are.
fn moves_data(op: &Op, grid: ActQuant) -> bool {
    match op {
        Op::Reshape | Op::Transpose { .. } | Op::Slice { .. } | Op::Gather { .. } | Op::MaxPool { .. } => true,
        Op::Expand | Op::GatherElements { .. } => true,
        Op::Pad { value, .. } => representable(*value, grid),
        _ => false,
    }
}

/// source → FakeQuant becomes FakeQuant → source.
fn move_up(graph: &mut Graph, source: usize, index: usize, grid: ActQuant) -> bool {
    let Some(x) = input(graph, source, 0) else { return false };
    let free = matches!(graph.nodes[source].op, Op::Reshape | Op::Transpose { .. });
    let narrow = graph.value(x).quant.is_none() && only_reader(graph, x).is_some();
    let same = same_grid(graph.value(x).quant, Some(grid));
    if graph.value(x).is_constant() || !(free || narrow || same) {
        return false;
    }
    let y = graph.nodes.remove(index).outputs[0];
    graph.nodes[source].outputs[0] = y;
    let name = fresh_name(graph, &format!("{}.q", graph.value(x).name));
    let shape = graph.value(x).shape.clone();
    let perm = graph.value(x).perm.clone();
    let value = Value { quant: Some(grid), perm, ..Value::new(name, DType::F32, shape) };
    let quantized = insert_before(graph, source, Op::FakeQuant, x, value);
    graph.nodes[source + 1].inputs[0] = Some(quantized);
    true
}

/// Gives the outputs of data movement the grid of its input, so that it runs
/// on integers. Relu and Concat of equal grids keep the grid too. Returns the
/// number of values that gained a grid.
pub fn propagate_grids(graph: &mut Graph) -> usize {
    let mut gained = 0;
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let (Some(x), y) = (input(graph, index, 0), node.outputs[0]) else { continue };
        let Some(grid) = graph.value(x).quant else { continue };
        if graph.value(y).quant.is_some() || graph.value(y).dtype != DType::F32 {
            continue;
        }
        let keeps = match &node.op {
            Op::Unary(Unary::Relu) => true,
            Op::Concat { .. } => {
                node.inputs.iter().flatten().all(|&part| same_grid(graph.value(part).quant, Some(grid)))
            }
            op => moves_data(op, grid),
        };
        if keeps {
            graph.value_mut(y).quant = Some(grid);
            gained += 1;
        }
    }
    gained
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Build, check, count, square};
    use super::super::{fuse_activations, merge_duplicates};
    use super::*;
    use crate::graph::{Layout, Unary};

    fn explicit(graph: &Graph) -> usize {
        count(graph, |op| *op == Op::FakeQuant)
    }

    #[test]
    fn conv_relu_and_movement_take_the_grid() {
        let mut b = Build::new();
        let x = b.input(&[1, 2, 6, 6]);
        let xq = b.fake_quant(x, 0.02, 3);
        let y = b.conv(xq, 4, 3, 1);
        let y = b.unary(Unary::Relu, y);
        let pooled = b.node(Op::MaxPool { window: square(2, 2, 0), layout: Layout::Nchw }, &[y], &[1, 4, 3, 3]);
        let turned = b.transpose(pooled, &[0, 2, 3, 1]);
        let flat = b.node(Op::Reshape, &[turned], &[1, 36]);
        let q = b.fake_quant(flat, 0.05, -128);
        let graph = check(b.finish(&[q]), |graph| {
            fuse_activations(graph);
            let stats = absorb_fake_quant(graph);
            assert_eq!(stats, FakeQuantStats { absorbed: 1, vanished: 0, left: 1 });
            propagate_grids(graph);
        });
        assert_eq!(explicit(&graph), 1, "the graph input's");
        let conv = graph.nodes.iter().find(|node| matches!(node.op, Op::Conv { .. })).expect("a conv");
        assert_eq!(graph.value(conv.outputs[0]).quant.expect("a grid").zero_point, -128);
        assert!(graph.nodes[1..].iter().all(|node| graph.value(node.outputs[0]).quant.is_some()));
    }

    #[test]
    fn equal_grids_merge_and_others_stay() {
        let mut b = Build::new();
        let x = b.input(&[1, 8]);
        let y = b.dense(x, 8);
        let (q1, q2) = (b.fake_quant(y, 0.1, 0), b.fake_quant(y, 0.1, 0));
        let again = b.fake_quant(q2, 0.1, 0);
        let other = b.fake_quant(q1, 0.3, 5);
        let z = b.binary(crate::graph::Binary::Add, again, other);
        let graph = check(b.finish(&[z]), |graph| {
            merge_duplicates(graph);
            let stats = absorb_fake_quant(graph);
            assert_eq!(stats, FakeQuantStats { absorbed: 1, vanished: 1, left: 1 });
        });
        assert_eq!(explicit(&graph), 1);
    }

    #[test]
    fn a_float_output_keeps_the_quantizer_apart() {
        let mut b = Build::new();
        let x = b.input(&[1, 8]);
        let y = b.dense(x, 8);
        let q = b.fake_quant(y, 0.1, 0);
        let graph = check(b.finish(&[y, q]), |graph| {
            assert_eq!(absorb_fake_quant(graph).left, 1);
        });
        assert_eq!(explicit(&graph), 1);
    }

    #[test]
    fn a_pad_off_the_grid_is_not_crossed() {
        let mut b = Build::new();
        let x = b.input(&[1, 4]);
        let y = b.dense(x, 4);
        let pad = Op::Pad { begin: vec![0, 1], end: vec![0, 1], value: 0.123 };
        let padded = b.node(pad, &[y], &[1, 6]);
        let q = b.fake_quant(padded, 0.1, 0);
        check(b.finish(&[q]), |graph| assert_eq!(absorb_fake_quant(graph).left, 1));
    }
}
