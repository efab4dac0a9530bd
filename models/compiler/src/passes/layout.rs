//! Brings spatial operators to the device's layout, channels last.
use super::edit::{add_constant, fresh_name, input, producer, same_grid};
use super::join_transposes::join_transposes;
use super::permute::{compose, inverse, moves_only_units, permuted, reshape_value, transpose_value};
use super::sink_transposes::sink_transposes;
use super::{dead_code, merge_duplicates};
use crate::graph::{Graph, Layout, Node, Op, Value, ValueId};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayoutStats {
    /// Spatial operators that now read channels last.
    pub converted: usize,
    /// Transposes left in the graph.
    pub transposes: usize,
}

/// Makes every spatial operator [`Layout::Nhwc`] and every Softmax work on the
/// last axis, then moves the Transposes this takes through the graph until
/// they cancel. Graph inputs and outputs keep their layout; values in between
/// tell by [`Value::perm`] how they are stored.
pub fn device_layout(graph: &mut Graph) -> LayoutStats {
    let mut converted = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        converted += usize::from(channels_last(graph, &mut index));
        last_axis_softmax(graph, &mut index);
        index += 1;
    }
    // Every round moves some Transpose down; the bound only guards against a
    // pair of rules that would undo each other.
    for _ in 0..4 * graph.nodes.len() + 16 {
        let work = merge_duplicates(graph) + sink_transposes(graph) + join_transposes(graph) + fold_flatten(graph);
        dead_code(graph);
        if work == 0 {
            break;
        }
    }
    let transposes = graph.nodes.iter().filter(|node| matches!(node.op, Op::Transpose { .. })).count();
    LayoutStats { converted, transposes }
}

/// Wraps a spatial operator into Transposes; `index` follows it.
fn channels_last(graph: &mut Graph, index: &mut usize) -> bool {
    let layout = match &mut graph.nodes[*index].op {
        Op::Conv { layout, .. }
        | Op::ConvTranspose { layout, .. }
        | Op::MaxPool { layout, .. }
        | Op::AvgPool { layout, .. }
        | Op::GroupNorm { layout, .. }
        | Op::ConvInteger { layout, .. } => layout,
        _ => return false,
    };
    if *layout == Layout::Nhwc {
        return false;
    }
    *layout = Layout::Nhwc;
    wrap(graph, index, &[0, 2, 3, 1]);
    true
}

/// A Softmax over another axis gets that axis last.
fn last_axis_softmax(graph: &mut Graph, index: &mut usize) {
    let Op::Softmax { axis } = graph.nodes[*index].op else { return };
    let rank = graph.value(graph.nodes[*index].outputs[0]).shape.len();
    if axis + 1 == rank {
        return;
    }
    let mut perm: Vec<usize> = (0..rank).filter(|&other| other != axis).collect();
    perm.push(axis);
    graph.nodes[*index].op = Op::Softmax { axis: rank - 1 };
    wrap(graph, index, &perm);
}

/// Lets node `index` read its first input transposed by `perm`, and
/// transposes its output back.
fn wrap(graph: &mut Graph, index: &mut usize, perm: &[usize]) {
    let Some(x) = input(graph, *index, 0) else { return };
    let turned = transposed(graph, index, x, perm);
    graph.nodes[*index].inputs[0] = Some(turned);
    restore_output(graph, *index, &inverse(perm));
}

/// `x` transposed by `perm`: an existing value, or a new one made in front of
/// node `index`, which then moves on.
pub(crate) fn transposed(graph: &mut Graph, index: &mut usize, x: ValueId, perm: &[usize]) -> ValueId {
    let op = transposition(perm, &graph.value(x).shape);
    let shape = permuted(&graph.value(x).shape, perm);
    let equal =
        |node: &&Node| node.op == op && node.inputs[..] == [Some(x)] && graph.value(node.outputs[0]).shape == shape;
    if let Some(node) = graph.nodes[..*index].iter().find(equal) {
        return node.outputs[0];
    }
    let source = graph.value(x);
    let name = fresh_name(graph, &format!("{}.transposed", source.name));
    let value = Value { quant: source.quant, ..Value::new(name.clone(), source.dtype, shape) };
    let id = graph.add_value(value);
    graph.nodes.insert(*index, Node { name, op, inputs: vec![Some(x)], outputs: vec![id] });
    *index += 1;
    id
}

/// The operator that transposes `shape`: a Reshape where no element moves.
pub(crate) fn transposition(perm: &[usize], shape: &[usize]) -> Op {
    if moves_only_units(perm, shape) { Op::Reshape } else { Op::Transpose { perm: perm.to_vec() } }
}

/// Node `index` has begun to compute its output in another order of axes:
/// gives it a new output and inserts the transposition by `perm` that makes
/// the old one. The ONNX name goes to the new value unless a graph output
/// needs it.
pub(crate) fn restore_output(graph: &mut Graph, index: usize, perm: &[usize]) {
    let y = graph.nodes[index].outputs[0];
    let back = inverse(perm);
    let old = graph.value(y);
    let stored = match &old.perm {
        Some(first) => compose(first, &back),
        None => back.clone(),
    };
    let mut inner = Value { quant: old.quant, ..Value::new("", old.dtype, permuted(&old.shape, &back)) };
    let derived = fresh_name(graph, &format!("{}.transposed", old.name));
    if graph.is_output(y) {
        inner.name = derived;
    } else {
        inner.perm = Some(stored).filter(|perm| !super::permute::is_identity(perm));
        let old = graph.value_mut(y);
        inner.name = std::mem::replace(&mut old.name, derived);
        old.perm = None;
    }
    let op = transposition(perm, &inner.shape);
    let inner = graph.add_value(inner);
    graph.nodes[index].outputs[0] = inner;
    let name = format!("{}.transpose", graph.nodes[index].name);
    graph.nodes.insert(index + 1, Node { name, op, inputs: vec![Some(inner)], outputs: vec![y] });
}

/// Transpose → Reshape to `[batch, K]` → Dense: the columns of the constant
/// weights are permuted instead of the data. Returns the layers changed.
fn fold_flatten(graph: &mut Graph) -> usize {
    let mut folded = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        folded += usize::from(permute_columns(graph, &mut index).is_some());
        index += 1;
    }
    folded
}

fn permute_columns(graph: &mut Graph, index: &mut usize) -> Option<()> {
    let Op::Dense { .. } = graph.nodes[*index].op else { return None };
    let (flat, weights) = (input(graph, *index, 0)?, input(graph, *index, 1)?);
    let reshape = producer(graph, flat).filter(|&node| graph.nodes[node].op == Op::Reshape)?;
    let turned = input(graph, reshape, 0)?;
    let transpose = producer(graph, turned)?;
    let Op::Transpose { perm } = &graph.nodes[transpose].op else { return None };
    let x = input(graph, transpose, 0)?;
    let (turned, target) = (graph.value(turned), graph.value(flat));
    if perm[0] != 0 || target.shape.len() != 2 || target.shape[0] != turned.shape[0] {
        return None;
    }
    if !same_grid(graph.value(x).quant, target.quant) {
        return None;
    }
    let old = graph.value(weights);
    old.f32s()?;
    if old.codes.as_ref().is_some_and(|codes| codes.block != 0 && codes.axis == 1) {
        return None;
    }
    let mut axes = turned.shape.clone();
    axes[0] = old.shape[0];
    let unfolded = transpose_value(&reshape_value(old, &axes)?, &inverse(perm));
    let permuted = reshape_value(&unfolded, &old.shape)?;
    let name = format!("{}.columns", old.name);
    let value = Value {
        name: fresh_name(graph, &format!("{}.flat", graph.value(x).name)),
        perm: None,
        io_dtype: None,
        ..target.clone()
    };
    let weights = add_constant(graph, &name, permuted);
    let node = Node { name: value.name.clone(), op: Op::Reshape, inputs: vec![Some(x)], outputs: Vec::new() };
    let flat = graph.add_value(value);
    graph.nodes.insert(*index, Node { outputs: vec![flat], ..node });
    *index += 1;
    graph.nodes[*index].inputs[0] = Some(flat);
    graph.nodes[*index].inputs[1] = Some(weights);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Build, check, check_names, count, square, transposes};
    use super::super::{fuse_activations, optimize};
    use super::*;
    use crate::graph::{Binary, QuantCodes, Reduce, Unary};

    fn pool(b: &mut Build, x: ValueId) -> ValueId {
        let [n, c, h, w] = b.graph.value(x).shape[..] else { panic!("four axes") };
        b.node(Op::MaxPool { window: square(2, 2, 0), layout: Layout::Nchw }, &[x], &[n, c, h / 2, w / 2])
    }

    /// Two residual blocks, pool, concat, global mean, classifier.
    fn residual(b: &mut Build, x: ValueId) -> ValueId {
        let stem = b.conv(x, 4, 3, 1);
        let mut h = b.unary(Unary::Relu, stem);
        for _ in 0..2 {
            let a = b.conv(h, 4, 3, 1);
            let a = b.unary(Unary::Relu, a);
            let a = b.conv(a, 4, 3, 1);
            let sum = b.binary(Binary::Add, a, h);
            h = b.unary(Unary::Relu, sum);
        }
        let pooled = pool(b, h);
        let side = b.conv(pooled, 2, 1, 1);
        let shape = b.graph.value(pooled).shape.clone();
        let joined = b.node(Op::Concat { axis: 1 }, &[pooled, side], &[shape[0], 6, shape[2], shape[3]]);
        let offset = b.random(&[6, 1, 1]);
        let scaled = b.binary(Binary::Mul, joined, offset);
        let gate = b.node(
            Op::Reduce { kind: Reduce::Mean, axes: vec![2, 3], keep_dims: true },
            &[scaled],
            &[shape[0], 6, 1, 1],
        );
        let gate = b.conv(gate, 6, 1, 1);
        let gate = b.unary(Unary::Sigmoid, gate);
        b.binary(Binary::Mul, scaled, gate)
    }

    #[test]
    fn a_residual_network_keeps_one_transpose_at_its_input() {
        for batch in [1, 2] {
            let mut b = Build::new();
            let x = b.input(&[batch, 3, 8, 8]);
            let h = residual(&mut b, x);
            let mean = Op::Reduce { kind: Reduce::Mean, axes: vec![2, 3], keep_dims: true };
            let mean = b.node(mean, &[h], &[batch, 6, 1, 1]);
            let flat = b.node(Op::Reshape, &[mean], &[batch, 6]);
            let y = b.dense(flat, 5);
            let before = b.finish(&[y]);
            let graph = check(before.clone(), optimize);
            assert_eq!(transposes(&graph), 1);
            assert!(graph.nodes[0].inputs.contains(&Some(graph.inputs[0])));
            assert!(matches!(graph.nodes[0].op, Op::Transpose { .. }));
            check_names(&before, &graph);
        }
    }

    #[test]
    fn nhwc_inputs_and_flattened_classifiers_need_none() {
        let mut b = Build::new();
        let x = b.input(&[2, 8, 8, 3]);
        let x = b.transpose(x, &[0, 3, 1, 2]);
        let h = residual(&mut b, x);
        let flat = b.node(Op::Reshape, &[h], &[2, 96]);
        let flat = b.unary(Unary::Tanh, flat);
        let y = b.dense(flat, 5);
        let w = b.graph.nodes.last().expect("dense").inputs[1].expect("weights");
        let codes = (0..480).collect();
        let codes = QuantCodes {
            bits: 8,
            signed: true,
            axis: 0,
            block: 0,
            scales: (0..5).map(|n| n as f32).collect(),
            zeros: vec![0; 5],
            codes,
            dynamic: false,
        };
        b.graph.value_mut(w).codes = Some(codes);
        let before = b.finish(&[y]);
        let graph = check(before.clone(), optimize);
        assert_eq!(transposes(&graph), 0);
        check_names(&before, &graph);
        let dense = graph.nodes.last().expect("dense");
        let w = graph.value(dense.inputs[1].expect("weights"));
        let codes = &w.codes.as_ref().expect("codes").codes;
        assert_eq!(codes[..7], [0, 16, 32, 48, 64, 80, 1], "channels innermost");
    }

    #[test]
    fn one_channel_inputs_and_feature_map_outputs() {
        let mut b = Build::new();
        let x = b.input(&[2, 1, 8, 8]);
        let y = b.conv(x, 4, 3, 1);
        let y = b.unary(Unary::Relu, y);
        let z = b.conv(y, 1, 3, 1);
        let before = b.finish(&[z, y]);
        let graph = check(before.clone(), optimize);
        assert_eq!(transposes(&graph), 1, "the output with four channels");
        check_names(&before, &graph);
    }

    #[test]
    fn one_dimensional_networks_keep_one_transpose() {
        let mut b = Build::new();
        let x = b.input(&[1, 3, 8]);
        let mut h = x;
        for _ in 0..2 {
            let [n, c, l] = b.graph.value(h).shape[..] else { panic!("three axes") };
            let unsqueezed = b.node(Op::Reshape, &[h], &[n, c, 1, l]);
            let y = b.conv(unsqueezed, 4, 1, 1);
            let y = b.node(Op::Reshape, &[y], &[n, 4, l]);
            let slope = b.random(&[4, 1]);
            let y = b.binary(Binary::PRelu, y, slope);
            h = b.unary(Unary::Relu, y);
        }
        let mean = b.node(Op::Reduce { kind: Reduce::Mean, axes: vec![2], keep_dims: false }, &[h], &[1, 4]);
        let y = b.dense(mean, 3);
        let before = b.finish(&[y]);
        let graph = check(before.clone(), optimize);
        assert_eq!(transposes(&graph), 1);
        let ops = [&graph.nodes[0].op, &graph.nodes[1].op];
        assert!(matches!(ops, [Op::Reshape, Op::Transpose { .. }]), "rows of one, channels last");
        check_names(&before, &graph);
    }

    #[test]
    fn softmax_over_channels_and_movement_follow_the_layout() {
        let mut b = Build::new();
        let x = b.input(&[1, 6, 6, 3]);
        let x = b.transpose(x, &[0, 3, 1, 2]);
        let y = b.conv(x, 4, 3, 1);
        let y = b.node(Op::Softmax { axis: 1 }, &[y], &[1, 4, 6, 6]);
        let pad = Op::Pad { begin: vec![0, 1, 0, 2], end: vec![0, 0, 1, 0], value: 0.5 };
        let y = b.node(pad, &[y], &[1, 5, 7, 8]);
        let slice = Op::Slice { start: vec![0, 4, 1, 0], step: vec![1, -2, 1, 3] };
        let y = b.node(slice, &[y], &[1, 3, 6, 3]);
        let chosen = b.indices(vec![2, 0]);
        let y = b.node(Op::Gather { axis: 1 }, &[y, chosen], &[1, 2, 6, 3]);
        let y = b.node(Op::Reduce { kind: Reduce::Max, axes: vec![1], keep_dims: false }, &[y], &[1, 6, 3]);
        let graph = check(b.finish(&[y]), optimize);
        assert_eq!(transposes(&graph), 0);
    }

    #[test]
    fn a_transpose_before_the_activation_does_not_prevent_fusing() {
        let mut b = Build::new();
        let x = b.input(&[1, 6, 6, 3]);
        let x = b.transpose(x, &[0, 3, 1, 2]);
        let y = b.conv(x, 4, 3, 1);
        let y = b.transpose(y, &[0, 2, 3, 1]);
        let y = b.unary(Unary::Relu, y);
        let y = b.fake_quant(y, 0.03, -128);
        let graph = check(b.finish(&[y]), |graph| {
            optimize(graph);
            assert_eq!(fuse_activations(graph), 0);
        });
        assert_eq!(graph.nodes.len(), 1);
        assert!(graph.value(graph.outputs[0]).quant.is_some());
        assert_eq!(count(&graph, |op| matches!(op, Op::Conv { clamp: Some(_), .. })), 1);
    }
}
