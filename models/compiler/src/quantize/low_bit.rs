//! Layers whose weights take fewer than 8 bits: which they are, and their matrices.

use super::roles::{Role, role};
use super::scheme::{LowBitFormat, QuantScheme, WeightFormat};
use crate::graph::{Graph, Node, Op, ValueId};
use crate::lowbit::{Clip, LowBitError, LowBitRows, nearest};
use selvedge_core::arith;
use std::collections::{BTreeMap, HashSet};

/// The weights of a Conv or Dense as the kernels order them: rows are output channels, k runs over
/// (window row, window column, input channel).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerMatrix {
    pub n: usize,
    pub k: usize,
    pub depthwise: bool,
    /// Input channels of a group.
    channels: usize,
}

impl LayerMatrix {
    /// Of a layer with constant weights.
    pub fn of(graph: &Graph, node: &Node) -> Option<Self> {
        let weights = graph.value(node.inputs.get(1).copied().flatten()?);
        let n = *weights.shape.first()?;
        let k = weights.shape.get(1..)?.iter().product();
        let channels = *weights.shape.get(1)?;
        let depthwise = match node.op {
            Op::Conv { groups, .. } => groups > 1 && groups == n && channels == 1,
            Op::Dense { .. } => false,
            _ => return None,
        };
        (n > 0 && k > 0).then_some(LayerMatrix { n, k, depthwise, channels })
    }

    /// Cells of the window.
    pub(crate) fn taps(&self) -> usize {
        self.k / self.channels.max(1)
    }

    /// Input channels of a group.
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// Data in the graph's order to rows `[n, k]`.
    pub fn rows<T: Copy>(&self, data: &[T]) -> Vec<T> {
        self.reordered(data, |taps, t, i| i * taps + t)
    }

    /// Rows `[n, k]` to the graph's order.
    pub fn graph_order<T: Copy>(&self, rows: &[T]) -> Vec<T> {
        let mut out = rows.to_vec();
        let taps = self.taps();
        for (row, out) in rows.chunks(self.k.max(1)).zip(out.chunks_mut(self.k.max(1))) {
            for t in 0..taps {
                for i in 0..self.channels {
                    out[i * taps + t] = row[t * self.channels + i];
                }
            }
        }
        out
    }

    fn reordered<T: Copy>(&self, data: &[T], from: impl Fn(usize, usize, usize) -> usize) -> Vec<T> {
        let taps = self.taps();
        let row = |row: &[T]| -> Vec<T> {
            (0..taps)
                .flat_map(|t| (0..self.channels).map(move |i| (t, i)))
                .map(|(t, i)| row[from(taps, t, i)])
                .collect()
        };
        data.chunks(self.k.max(1)).flat_map(row).collect()
    }
}

/// The format of the weights of each node that is a layer.
pub(super) fn formats(graph: &Graph, scheme: &QuantScheme) -> Vec<WeightFormat> {
    let edges = if scheme.edges_w8 { edges(graph) } else { HashSet::new() };
    let of = |(index, node): (usize, &Node)| match scheme.layers.get(&node.name) {
        Some(format) => *format,
        None if edges.contains(&index) && matches!(scheme.weights, WeightFormat::Low(_)) => WeightFormat::W8,
        None => scheme.weights,
    };
    graph.nodes.iter().enumerate().map(of).collect()
}

/// The role of each node under a scheme: layers that it keeps in f32 are none.
pub(super) fn roles(graph: &Graph, scheme: &QuantScheme) -> Vec<Role> {
    let kept = |node: &Node| is_layer(graph, node) && scheme.layers.get(&node.name) == Some(&WeightFormat::F32);
    let of = |node: &Node| match kept(node) {
        true => Role::Float("kept in f32 (--keep-f32, --min-snr)".into()),
        false => role(graph, node),
    };
    graph.nodes.iter().map(of).collect()
}

/// Names of the nodes that quantization is for, in order.
pub fn layer_names(graph: &Graph) -> Vec<String> {
    graph.nodes.iter().filter(|node| is_layer(graph, node)).map(|node| node.name.clone()).collect()
}

fn is_layer(graph: &Graph, node: &Node) -> bool {
    matches!(role(graph, node), Role::Layer) || matches!(node.op, Op::Recurrent(_))
}

/// The layers, by index, that a scheme gives fewer than 8 bits.
pub fn low_bit_layers(graph: &Graph, scheme: &QuantScheme) -> BTreeMap<usize, LowBitFormat> {
    let formats = formats(graph, scheme);
    let of = |(index, node): (usize, &Node)| match (formats[index], role(graph, node)) {
        (WeightFormat::Low(format), Role::Layer) => Some((index, format)),
        _ => None,
    };
    graph.nodes.iter().enumerate().filter_map(of).collect()
}

/// Layers that a graph input in f32 reaches, or that reach a graph output, through no other layer,
/// on the way out through nothing but moves and single-operand functions.
fn edges(graph: &Graph) -> HashSet<usize> {
    let is_layer = |node: &Node| matches!(node.op, Op::Conv { .. } | Op::Dense { .. });
    let mut edges = HashSet::new();
    let float = |id: &&ValueId| graph.value(**id).dtype == crate::graph::DType::F32;
    let mut reached: HashSet<ValueId> = graph.inputs.iter().filter(float).copied().collect();
    for (index, node) in graph.nodes.iter().enumerate() {
        let reads = node.inputs.first().copied().flatten().is_some_and(|id| reached.contains(&id));
        if reads && is_layer(node) {
            edges.insert(index);
        } else if reads {
            reached.extend(&node.outputs);
        }
    }
    let mut wanted: HashSet<ValueId> = graph.outputs.iter().copied().collect();
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        if !node.outputs.iter().any(|id| wanted.contains(id)) {
            continue;
        }
        match node.op {
            Op::Conv { .. } | Op::Dense { .. } => drop(edges.insert(index)),
            Op::Reshape
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Unary(_)
            | Op::Softmax { .. }
            | Op::FakeQuant => {
                wanted.extend(node.inputs.first().copied().flatten());
            }
            _ => {}
        }
    }
    edges
}

/// The nearest codes of int8 rows `[n, k]` with a scale each, the codes as a device makes them.
pub(super) fn round_master(
    master: &[i8],
    scales: &[f32],
    (n, k): (usize, usize),
    format: LowBitFormat,
) -> Result<(LowBitRows, Vec<u32>), LowBitError> {
    let real: Vec<f32> = master.iter().enumerate().map(|(i, &w)| f32::from(w) * scales[i / k.max(1)]).collect();
    let mut rows = nearest(&real, (n, k), format.width, format.group, Clip::Search, &[])?;
    let unit = f64::from(1u32 << arith::ELASTIC_FRACTION);
    let ratio = |(scale, row): (&f32, &f32)| (f64::from(*scale) / f64::from(*row) * unit).round() as u32;
    let ratios: Vec<u32> = scales.iter().zip(&rows.row_scale).map(ratio).collect();
    let groups = rows.groups();
    for (i, code) in rows.codes.iter_mut().enumerate() {
        let (row, col) = (i / k.max(1), i % k.max(1));
        let g = col.checked_div(rows.group).unwrap_or(0);
        let scale = rows.scales.get(row * groups + g).copied().unwrap_or(1);
        *code = arith::elastic_code(master[i], ratios[row], scale, rows.zero, rows.width.max());
    }
    Ok((rows, ratios))
}
