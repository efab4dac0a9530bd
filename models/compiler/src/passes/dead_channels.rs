//! Removes channels that carry a constant or that nobody listens to.
use super::drop_channels::{drop_channels, macs};
use super::edit::{input, same_grid};
use super::integer::{IntegerLayer, far_from_tie};
use crate::graph::{ActQuant, Binary, Graph, Op, Reduce, Unary, ValueId};

/// What [`eliminate_dead_channels`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadChannelStats {
    /// Layers that lost channels: name, output and input channels removed.
    pub layers: Vec<(String, usize, usize)>,
    /// Multiply-accumulates of all Conv and Dense nodes.
    pub macs_before: u64,
    pub macs_after: u64,
}

/// Eliminates dead channels of the quantized graph, whose outputs stay the
/// same bit for bit. Layouts must be channels last.
///
/// Output channels whose live inputs all have zero weights are constants of
/// the integer program. Constants pass through pools, tables and depthwise
/// layers (through padding only at the zero point) and fold into the bias of
/// the next layer, if they equal the zero point or that layer has no padding.
/// Channels no live output has a weight for are dropped, transitively
/// backwards. Every reader of a value must be able to do without the channel;
/// the other sides of a sum, and the parts of a concatenation, go along. At
/// least one channel stays everywhere.
pub fn eliminate_dead_channels(graph: &mut Graph) -> DeadChannelStats {
    let channels = graph.values.iter().map(|value| value.shape.last().copied().unwrap_or(0));
    if channels.fold(0usize, usize::saturating_add) > MAX_CHANNELS {
        let macs = macs(graph);
        return DeadChannelStats { macs_before: macs, macs_after: macs, ..Default::default() };
    }
    let links: Vec<Link> = (0..graph.nodes.len()).map(|index| link(graph, index)).collect();
    let constants = constants(graph, &links);
    let needed = needed(graph, &links, &constants);
    let mut stats = DeadChannelStats { macs_before: macs(graph), ..Default::default() };
    let layers = links.iter().enumerate().filter_map(|(index, link)| match link {
        Link::Layer(layer) => Some((index, layer)),
        _ => None,
    });
    drop_channels(graph, layers, &constants, &needed, &mut stats.layers);
    stats.macs_after = macs(graph);
    stats
}

/// Most channels of all values together that are looked at: a file can name an axis of any length.
const MAX_CHANNELS: usize = 1 << 24;

/// Per value and channel: the integer it always holds.
pub(crate) type Constants = Vec<Vec<Option<i32>>>;
/// Per value and channel: whether it has to stay.
pub(crate) type Needed = Vec<Vec<bool>>;

/// How a node ties the channels (last axes) of its values together.
enum Link {
    Layer(IntegerLayer),
    /// Channel j of each value belongs to channel j modulo the shortest.
    Same(Vec<ValueId>),
    /// The parts' channels follow each other in the output's.
    Joined(Vec<ValueId>, ValueId),
    /// Everything stays.
    Opaque,
}

fn channels(graph: &Graph, id: ValueId) -> usize {
    graph.value(id).shape.last().copied().unwrap_or(0)
}

fn link(graph: &Graph, index: usize) -> Link {
    if let Some(layer) = IntegerLayer::new(graph, index) {
        let whole = layer.groups == 1 || layer.is_depthwise();
        return if whole { Link::Layer(layer) } else { Link::Opaque };
    }
    let node = &graph.nodes[index];
    let (Some(x), &[y]) = (input(graph, index, 0), &node.outputs[..]) else { return Link::Opaque };
    let (from, to) = (channels(graph, x), channels(graph, y));
    let last = graph.value(x).shape.len().saturating_sub(1);
    let same = match &node.op {
        Op::MaxPool { .. } | Op::AvgPool { .. } | Op::Unary(_) | Op::FakeQuant => from == to,
        Op::Reduce { axes, .. } => !axes.contains(&last),
        Op::Reshape => from > 0 && to % from == 0,
        Op::Binary { kind, .. } => {
            let Some(b) = input(graph, index, 1) else { return Link::Opaque };
            let computed = !graph.value(x).is_constant() && !graph.value(b).is_constant();
            let equal = graph.value(x).shape == graph.value(y).shape && graph.value(b).shape == graph.value(y).shape;
            let known = matches!(kind, Binary::Add | Binary::Sub | Binary::Mul | Binary::Max | Binary::Min);
            return if computed && equal && known { Link::Same(vec![x, b, y]) } else { Link::Opaque };
        }
        Op::Concat { axis } => {
            let parts: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
            let computed = parts.iter().all(|&part| !graph.value(part).is_constant());
            return match computed {
                true if *axis == last => Link::Joined(parts, y),
                true => Link::Same(parts.into_iter().chain([y]).collect()),
                false => Link::Opaque,
            };
        }
        _ => false,
    };
    if same && !graph.value(x).is_constant() { Link::Same(vec![x, y]) } else { Link::Opaque }
}

fn constants(graph: &Graph, links: &[Link]) -> Constants {
    let mut constants: Constants =
        (0..graph.values.len()).map(|id| vec![None; channels(graph, ValueId(id as u32))]).collect();
    for (index, link) in links.iter().enumerate() {
        let y = graph.nodes[index].outputs[0];
        match link {
            Link::Layer(layer) => {
                let x = &constants[layer.x.index()];
                constants[y.index()] = (0..layer.outs).map(|o| layer_constant(layer, x, o)).collect();
            }
            Link::Same(values) if values.len() == 2 => {
                let x = &constants[values[0].index()];
                let through = |c: usize| passed(graph, index, values[0], y, x[c % x.len()]?);
                constants[y.index()] = (0..channels(graph, y)).map(through).collect();
            }
            Link::Joined(parts, _) if parts.iter().all(|&p| quantized_alike(graph, p, y)) => {
                constants[y.index()] = parts.iter().flat_map(|part| constants[part.index()].clone()).collect();
            }
            _ => {}
        }
    }
    constants
}

fn quantized_alike(graph: &Graph, x: ValueId, y: ValueId) -> bool {
    graph.value(x).quant.is_some() && same_grid(graph.value(x).quant, graph.value(y).quant)
}

/// The constant that output channel `o` is, given its inputs' constants.
fn layer_constant(layer: &IntegerLayer, x: &[Option<i32>], o: usize) -> Option<i32> {
    let mut acc = layer.bias[o];
    for k in (0..layer.ins).filter(|k| layer.uses[o * layer.ins + k]) {
        let difference = i64::from(x[layer.input_channel(o, k)]?) - layer.x_zero;
        // A cell in the padding holds the zero point, not the constant.
        if difference != 0 && layer.padded {
            return None;
        }
        acc += difference * layer.sums[o * layer.ins + k];
    }
    layer.requantize(o, acc)
}

/// What a channel that always holds `q` becomes behind a one-input node.
fn passed(graph: &Graph, index: usize, x: ValueId, y: ValueId, q: i32) -> Option<i32> {
    let grids = (graph.value(x).quant?, graph.value(y).quant?);
    let alike = same_grid(Some(grids.0), Some(grids.1));
    match &graph.nodes[index].op {
        Op::MaxPool { .. } | Op::Reshape if alike => Some(q),
        Op::Reduce { kind: Reduce::Max | Reduce::Min, .. } if alike => Some(q),
        Op::Reduce { kind: Reduce::Mean, .. } => regrid(q, grids, |x| x),
        // Padding that counts pulls the average towards zero.
        Op::AvgPool { window, count_include_pad, .. } => {
            let zeros = *count_include_pad && window.pads != [0; 4];
            (!zeros || q == grids.0.zero_point).then(|| regrid(q, grids, |x| x))?
        }
        Op::Unary(Unary::Relu) if alike => Some(q.max(grids.0.zero_point)),
        Op::Unary(unary) => regrid(q, grids, real_function(*unary)?),
        _ => None,
    }
}

/// `f` of the integer `q` between two grids, unless it lies near a tie.
fn regrid(q: i32, (from, to): (ActQuant, ActQuant), f: impl Fn(f64) -> f64) -> Option<i32> {
    if (from.bits, to.bits) != (8, 8) {
        return None;
    }
    let real = f(f64::from(q - from.zero_point) * f64::from(from.scale)) / f64::from(to.scale);
    far_from_tie(real).then(|| (real.round() + f64::from(to.zero_point)).clamp(-128.0, 127.0) as i32)
}

/// Functions whose value does not depend on who evaluates it, to 1e-4.
fn real_function(unary: Unary) -> Option<fn(f64) -> f64> {
    match unary {
        Unary::Relu => Some(|x| x.max(0.0)),
        Unary::Sigmoid => Some(|x| 1.0 / (1.0 + (-x).exp())),
        Unary::Silu => Some(|x| x / (1.0 + (-x).exp())),
        Unary::Tanh => Some(f64::tanh),
        Unary::HardSwish => Some(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        Unary::Neg => Some(|x| -x),
        Unary::Abs => Some(f64::abs),
        _ => None,
    }
}

fn needed(graph: &Graph, links: &[Link], constants: &Constants) -> Needed {
    let mut needed: Needed = constants.iter().map(|channels| vec![false; channels.len()]).collect();
    let mut keep_whole = |id: ValueId| needed[id.index()].fill(true);
    graph.inputs.iter().chain(&graph.outputs).copied().for_each(&mut keep_whole);
    for (node, link) in graph.nodes.iter().zip(links) {
        if let Link::Opaque = link {
            node.inputs.iter().flatten().chain(&node.outputs).copied().for_each(&mut keep_whole);
        }
    }
    loop {
        let mut changed = true;
        while changed {
            changed = false;
            for link in links.iter().rev() {
                changed |= spread(link, constants, &mut needed);
            }
        }
        // A tensor without channels is no tensor.
        let made = graph.nodes.iter().flat_map(|node| &node.outputs);
        let empty = made.map(|id| id.index()).find(|&id| !needed[id].is_empty() && !needed[id].contains(&true));
        match empty {
            Some(id) => needed[id][0] = true,
            None => return needed,
        }
    }
}

/// Spreads needs across one node; whether anything changed.
fn spread(link: &Link, constants: &Constants, needed: &mut Needed) -> bool {
    match link {
        Link::Layer(layer) if layer.groups == 1 => spread_to_inputs(layer, constants, needed),
        Link::Layer(layer) => spread_same(&[layer.x, layer.y], needed),
        Link::Same(values) => spread_same(values, needed),
        Link::Joined(parts, whole) => {
            let mut changed = false;
            let mut offset = 0;
            for part in parts {
                for c in 0..needed[part.index()].len() {
                    let (a, b) = (needed[part.index()][c], needed[whole.index()][offset + c]);
                    needed[part.index()][c] = a || b;
                    needed[whole.index()][offset + c] = a || b;
                    changed |= a != b;
                }
                offset += needed[part.index()].len();
            }
            changed
        }
        Link::Opaque => false,
    }
}

fn spread_same(values: &[ValueId], needed: &mut Needed) -> bool {
    let shortest = values.iter().map(|id| needed[id.index()].len()).min().unwrap_or(0);
    // Beside a scalar, which has no channels, all are needed.
    let mut any = vec![shortest == 0; shortest.max(1)];
    let shortest = any.len();
    for id in values {
        needed[id.index()].iter().enumerate().for_each(|(c, &needed)| any[c % shortest] |= needed);
    }
    let mut changed = false;
    for id in values {
        for (c, needed) in needed[id.index()].iter_mut().enumerate() {
            changed |= *needed != any[c % shortest];
            *needed = any[c % shortest];
        }
    }
    changed
}

/// An input channel is needed where a live output has a weight for it, unless
/// it is a constant that the bias can take.
fn spread_to_inputs(layer: &IntegerLayer, constants: &Constants, needed: &mut Needed) -> bool {
    let mut changed = false;
    for k in 0..layer.ins {
        if needed[layer.x.index()][k] || (!layer.whole_inputs && foldable(layer, constants[layer.x.index()][k])) {
            continue;
        }
        let outputs = &needed[layer.y.index()];
        if layer.whole_inputs || (0..layer.outs).any(|o| outputs[o] && layer.uses[o * layer.ins + k]) {
            needed[layer.x.index()][k] = true;
            changed = true;
        }
    }
    changed
}

fn foldable(layer: &IntegerLayer, constant: Option<i32>) -> bool {
    constant.is_some_and(|q| i64::from(q) == layer.x_zero || (!layer.padded && layer.bias_has_room()))
}

#[cfg(test)]
#[path = "dead_channels_tests.rs"]
mod tests;
