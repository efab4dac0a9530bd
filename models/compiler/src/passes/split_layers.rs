//! Cuts large layers into parts of some output channels each, joined by a Concat.
//!
//! Every output channel is computed as before, so the result is the same, bit for bit. It lets a
//! layer run whose weights are read into less memory than all of them take.
use super::drop_channels::keep_outputs;
use super::edit::{add_constant, fresh_name};
use crate::graph::{Graph, Layout, Node, Op, QuantCodes, StoredWeights, Value, ValueId};
use crate::plan::short;
use selvedge_kernels::{pack, pack_low};

/// Channels that packed weights hold together.
const PANEL: usize = 8;
/// Bytes a channel takes beside its weights: bias, multiplier, shift, at their widest.
const ARRAYS: usize = 13;
/// Alignment of the arrays.
const SLACK: usize = 64;

/// Splits each Conv (one group) and Dense whose weights take more than `limit` bytes. Layers of
/// which not even eight channels fit stay whole. Gives a sentence for each layer it split.
pub fn split_layers(graph: &mut Graph, limit: usize) -> Vec<String> {
    let mut notes = Vec::new();
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for node in std::mem::take(&mut graph.nodes) {
        match part_channels(graph, &node, limit) {
            Some((outs, part)) => {
                notes.push(format!(
                    "{}: its {outs} channels run in {} parts, so that each part's weights take at most {limit} bytes",
                    short(&node.name),
                    outs.div_ceil(part)
                ));
                split(graph, node, outs, part, &mut nodes);
            }
            None => nodes.push(node),
        }
    }
    graph.nodes = nodes;
    notes
}

/// Output channels of a layer that has to be split, and those of each part.
fn part_channels(graph: &Graph, node: &Node, limit: usize) -> Option<(usize, usize)> {
    match &node.op {
        Op::Conv { groups: 1, layout: Layout::Nhwc, .. } | Op::Dense { .. } => {}
        _ => return None,
    }
    let weights = graph.value((*node.inputs.get(1)?)?);
    let outs = *weights.shape.first()?;
    let k: usize = weights.shape.iter().skip(1).product();
    let int8 = weights.codes.as_ref().is_some_and(|codes| codes.bits <= 8);
    let stored = |n: usize| match weights.stored {
        Some(StoredWeights::F16) => Some(pack::f32_elements(n, k) * 2),
        Some(StoredWeights::W8) => Some(pack::f32_elements(n, k) + pack::padded_channels(n) * 4),
        None => None,
    };
    let bytes = |n: usize| match (&weights.low_bit, int8) {
        _ if stored(n).is_some() => stored(n).unwrap_or(0) + pack::padded_channels(n) * 4 + SLACK,
        (Some(low), _) => {
            let ranks: usize = weights.branches.iter().map(|branch| branch.rank).sum();
            let row = ARRAYS + low.rows.groups() * 3 + ranks;
            pack_low::low_bytes(low.rows.width, n, k) + n * row + SLACK
        }
        (None, true) => pack::w8_bytes(n, k) + n * ARRAYS + SLACK,
        (None, false) => (pack::f32_elements(n, k) + pack::padded_channels(n)) * 4 + SLACK,
    };
    // Scales within an output channel cannot be told apart by row here.
    let by_row = |codes: &QuantCodes| codes.scales.len() == 1 || (codes.block == 0 && codes.axis == 0);
    let by_row = node.inputs.iter().skip(1).flatten().all(|&id| graph.value(id).codes.as_ref().is_none_or(by_row));
    let fits = by_row && weights.is_constant() && graph.value(*node.outputs.first()?).shape.last() == Some(&outs);
    if !fits || bytes(outs) <= limit {
        return None;
    }
    let most = (1..=outs.div_ceil(PANEL)).map(|panels| panels * PANEL).take_while(|&n| bytes(n) <= limit).last()?;
    // Parts of about one size.
    let part = outs.div_ceil(outs.div_ceil(most)).next_multiple_of(PANEL);
    (part < outs).then_some((outs, part))
}

fn split(graph: &mut Graph, node: Node, outs: usize, part: usize, nodes: &mut Vec<Node>) {
    let whole = graph.value(node.outputs[0]).clone();
    let mut parts: Vec<Option<ValueId>> = Vec::new();
    for (number, first) in (0..outs).step_by(part).enumerate() {
        let kept: Vec<usize> = (first..outs.min(first + part)).collect();
        let mut inputs = node.inputs.clone();
        for slot in inputs.iter_mut().skip(1) {
            let Some(id) = *slot else { continue };
            let value = keep_outputs(graph.value(id), &kept);
            *slot = Some(add_constant(graph, &format!("{}.part{number}", graph.value(id).name), value));
        }
        let mut shape = whole.shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = kept.len();
        }
        let name = fresh_name(graph, &format!("{}.part{number}", whole.name));
        let value = Value { name, shape, perm: None, channels: None, io_dtype: None, ..whole.clone() };
        let output = graph.add_value(value);
        parts.push(Some(output));
        nodes.push(Node {
            name: format!("{}.part{number}", node.name),
            op: node.op.clone(),
            inputs,
            outputs: vec![output],
        });
    }
    let axis = whole.shape.len() - 1;
    nodes.push(Node { name: node.name, op: Op::Concat { axis }, inputs: parts, outputs: node.outputs });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Constant, DType};

    /// y = x·wᵀ + b with 20 outputs of 6.
    fn dense(codes: bool) -> Graph {
        let mut graph = Graph::default();
        let x = graph.add_value(Value::new("x", DType::F32, vec![2, 6]));
        let data: Vec<f32> = (0..120).map(|i| i as f32).collect();
        let mut w = Value::constant("w", vec![20, 6], Constant::F32(data));
        w.codes = codes.then(|| QuantCodes {
            bits: 8,
            signed: true,
            axis: 0,
            block: 0,
            scales: (0..20).map(|c| 1.0 + c as f32).collect(),
            zeros: vec![0; 20],
            codes: (0..120).map(|i| i - 60).collect(),
            dynamic: false,
        });
        let w = graph.add_value(w);
        let b = graph.add_value(Value::constant("b", vec![20], Constant::F32((0..20).map(|i| -i as f32).collect())));
        let y = graph.add_value(Value::new("y", DType::F32, vec![2, 20]));
        let op = Op::Dense { clamp: None };
        graph.nodes = vec![Node { name: "fc".into(), op, inputs: vec![Some(x), Some(w), Some(b)], outputs: vec![y] }];
        (graph.inputs, graph.outputs) = (vec![x], vec![y]);
        graph
    }

    #[test]
    fn a_layer_becomes_parts_of_whole_panels_that_hold_its_rows_in_order() {
        let mut graph = dense(true);
        // Eight channels take 8·8 + 8·13 + 64 bytes, sixteen do not fit.
        let notes = split_layers(&mut graph, 300);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("its 20 channels run in 3 parts"), "{}", notes[0]);
        assert_eq!(graph.nodes.len(), 4);
        let (mut rows, mut scales, mut bias) = (Vec::new(), Vec::new(), Vec::new());
        for (node, n) in graph.nodes.iter().zip([8, 8, 4]) {
            let [w, b] = [1, 2].map(|slot| graph.value(node.inputs[slot].expect("operand")));
            assert_eq!((w.shape.as_slice(), b.shape.as_slice()), (&[n, 6][..], &[n][..]));
            assert_eq!(graph.value(node.outputs[0]).shape, [2, n]);
            let codes = w.codes.as_ref().expect("codes");
            rows.extend_from_slice(&codes.codes);
            scales.extend_from_slice(&codes.scales);
            bias.extend_from_slice(b.f32s().expect("float"));
        }
        assert_eq!(rows, (0..120).map(|i| i - 60).collect::<Vec<_>>());
        assert_eq!(scales, (0..20).map(|c| 1.0 + c as f32).collect::<Vec<_>>());
        assert_eq!(bias, (0..20).map(|i| -i as f32).collect::<Vec<_>>());
        let concat = &graph.nodes[3];
        assert_eq!((&concat.op, concat.name.as_str()), (&Op::Concat { axis: 1 }, "fc"));
        assert_eq!(concat.outputs, graph.outputs);
    }

    #[test]
    fn layers_that_fit_or_cannot_be_cut_stay() {
        for (codes, limit) in [(true, 10_000), (true, 200), (false, 10_000), (false, 250)] {
            let mut graph = dense(codes);
            assert!(split_layers(&mut graph, limit).is_empty());
            assert_eq!(graph.nodes.len(), 1);
        }
        let mut graph = dense(false);
        assert_eq!(split_layers(&mut graph, 300).len(), 1);
    }
}
