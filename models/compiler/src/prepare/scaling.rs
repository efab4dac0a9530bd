//! Factors that move from the channels of a value into the layers before and behind it.

use crate::graph::{Clamp, Constant, Graph, Layout, Node, Op, Reduce, Unary, ValueId};
use crate::passes::edit::{input, producer, put_constant, readers};

/// A node whose output channels can be scaled, and the layers that read them, through nothing but
/// functions that keep positive factors.
pub(super) struct Chain {
    pub producer: usize,
    pub layers: Vec<usize>,
}

impl Chain {
    /// From node `producer` on.
    pub fn from(graph: &Graph, producer: usize) -> Option<Self> {
        let node = &graph.nodes[producer];
        let output = *node.outputs.first()?;
        let channels = *graph.value(output).shape.last()?;
        let own = |slot: usize| match input(graph, producer, slot) {
            Some(id) => plain(graph, id),
            None => slot == 2,
        };
        let scalable = match &node.op {
            Op::Conv { layout: Layout::Nhwc, clamp, .. } | Op::Dense { clamp } if !has_clamp(clamp) => own(1) && own(2),
            Op::LayerNorm { .. } => own(1) && own(2),
            _ => false,
        };
        let mut layers = Vec::new();
        (scalable && follow(graph, output, channels, &mut layers) && !layers.is_empty())
            .then_some(Chain { producer, layers })
    }

    /// Whose channels a value has, where none but `layers` read them.
    pub fn ending_at(graph: &Graph, value: ValueId, layers: &[usize]) -> Option<Self> {
        let mut index = producer(graph, value)?;
        while keeps_factors(graph, index) {
            index = producer(graph, input(graph, index, 0)?)?;
        }
        let chain = Chain::from(graph, index)?;
        let mut found = chain.layers.clone();
        found.sort_unstable();
        (found == layers).then_some(chain)
    }

    /// The value that a layer of the chain reads.
    pub fn read(&self, graph: &Graph, layer: usize) -> Option<ValueId> {
        input(graph, layer, 0)
    }

    /// Divides the channels of the producer by `factors`.
    pub fn divide(&self, graph: &mut Graph, factors: &[f32]) {
        for slot in [1, 2] {
            let Some(id) = input(graph, self.producer, slot) else { continue };
            let mut value = graph.value(id).clone();
            if let Some(Constant::F32(data)) = &mut value.data {
                if data.len() < factors.len() {
                    // A bias given once for all channels.
                    *data = vec![data.first().copied().unwrap_or(0.0); factors.len()];
                    value.shape = vec![factors.len()];
                }
                let per = data.len() / factors.len().max(1);
                data.iter_mut().enumerate().for_each(|(i, x)| *x /= factors[i / per.max(1)]);
            }
            put_constant(graph, self.producer, slot, value);
        }
    }
}

/// Multiplies what a layer's weights make of each input channel by `factors`.
pub(super) fn multiply_inputs(graph: &mut Graph, layer: usize, factors: &[f32]) {
    let Some(id) = input(graph, layer, 1) else { return };
    let mut value = graph.value(id).clone();
    let (n, channels) = (value.shape[0], value.shape[1]);
    let groups = factors.len() / channels.max(1);
    let per = value.elements() / n.max(1);
    let taps = per / channels.max(1);
    if let Some(Constant::F32(data)) = &mut value.data {
        for (i, w) in data.iter_mut().enumerate() {
            let (row, channel) = (i / per.max(1), i % per.max(1) / taps.max(1));
            *w *= factors[row / (n / groups.max(1)).max(1) * channels + channel];
        }
    }
    put_constant(graph, layer, 1, value);
}

/// An f32 constant that the file has not quantized.
fn plain(graph: &Graph, id: ValueId) -> bool {
    let value = graph.value(id);
    value.f32s().is_some_and(|data| !data.is_empty()) && value.codes.is_none() && value.quant.is_none()
}

/// Bounds that a scaled channel would need scaled.
fn has_clamp(clamp: &Option<Clamp>) -> bool {
    clamp.is_some_and(|c| !((c.lo == 0.0 || c.lo == f32::NEG_INFINITY) && c.hi == f32::INFINITY))
}

/// f(s·x) = s·f(x) channel by channel, for s > 0.
fn keeps_factors(graph: &Graph, index: usize) -> bool {
    let node = &graph.nodes[index];
    let last = |id: Option<ValueId>| id.and_then(|id| graph.value(id).shape.last().copied());
    let rank = input(graph, index, 0).map_or(0, |id| graph.value(id).shape.len());
    let same = last(input(graph, index, 0)) == last(node.outputs.first().copied());
    same && match &node.op {
        Op::Unary(Unary::Relu | Unary::LeakyRelu { .. }) | Op::Reshape => true,
        Op::MaxPool { layout: Layout::Nhwc, .. } | Op::AvgPool { layout: Layout::Nhwc, .. } => true,
        Op::Pad { begin, end, value } => *value == 0.0 && begin.last() == Some(&0) && end.last() == Some(&0),
        Op::Reduce { kind: Reduce::Mean | Reduce::Sum | Reduce::Max | Reduce::Min, axes, .. } => {
            axes.iter().all(|&axis| axis + 1 < rank)
        }
        _ => false,
    }
}

/// Collects the layers behind a value; false where something else reads it.
fn follow(graph: &Graph, value: ValueId, channels: usize, layers: &mut Vec<usize>) -> bool {
    let quantized = graph.value(value).quant.is_some();
    !quantized
        && !graph.is_output(value)
        && readers(graph, value).into_iter().all(|index| {
            let node = &graph.nodes[index];
            if reads_channels(graph, node, value, channels) {
                layers.push(index);
                return true;
            }
            keeps_factors(graph, index) && node.outputs.iter().all(|&output| follow(graph, output, channels, layers))
        })
}

/// A layer with plain weights whose input channels are those of `value`.
fn reads_channels(graph: &Graph, node: &Node, value: ValueId, channels: usize) -> bool {
    let reads_once = node.inputs.iter().filter(|&&id| id == Some(value)).count() == 1 && node.inputs[0] == Some(value);
    let Some(w) = node.inputs.get(1).copied().flatten().filter(|&w| plain(graph, w)) else { return false };
    let shape = &graph.value(w).shape;
    let groups = match node.op {
        Op::Conv { groups, layout: Layout::Nhwc, .. } => groups,
        Op::Dense { .. } => 1,
        _ => return false,
    };
    reads_once && shape.len() >= 2 && shape[1] * groups == channels && shape[0].is_multiple_of(groups.max(1))
}
