//! Questions and small edits that several passes share.
use crate::graph::{ActQuant, Graph, Node, Op, Value, ValueId};

/// Index of the node that writes `id`.
pub(crate) fn producer(graph: &Graph, id: ValueId) -> Option<usize> {
    graph.nodes.iter().position(|node| node.outputs.contains(&id))
}

/// Indices of the nodes that read `id`, each once.
pub(crate) fn readers(graph: &Graph, id: ValueId) -> Vec<usize> {
    let reads = |node: &Node| node.inputs.contains(&Some(id));
    graph.nodes.iter().enumerate().filter(|(_, node)| reads(node)).map(|(index, _)| index).collect()
}

/// The node that reads `id`, if it is read exactly once and is no graph output.
pub(crate) fn only_reader(graph: &Graph, id: ValueId) -> Option<usize> {
    if graph.is_output(id) {
        return None;
    }
    match readers(graph, id)[..] {
        [index] if graph.nodes[index].inputs.iter().filter(|&&input| input == Some(id)).count() == 1 => Some(index),
        _ => None,
    }
}

/// Input `slot` of node `index`, if present.
pub(crate) fn input(graph: &Graph, index: usize, slot: usize) -> Option<ValueId> {
    graph.nodes[index].inputs.get(slot).copied().flatten()
}

/// The only element of an f32 constant.
pub(crate) fn scalar(graph: &Graph, id: ValueId) -> Option<f32> {
    match graph.value(id).f32s() {
        Some([x]) => Some(*x),
        _ => None,
    }
}

/// Whether two values live on the same integer grid. The signedness the file
/// used does not move the grid.
pub(crate) fn same_grid(a: Option<ActQuant>, b: Option<ActQuant>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.scale == b.scale && a.zero_point == b.zero_point && a.bits == b.bits,
        (None, None) => true,
        _ => false,
    }
}

/// Whether `x` lies exactly on `grid`.
pub(crate) fn representable(x: f32, grid: ActQuant) -> bool {
    let limit = 1i64 << (grid.bits - 1);
    let steps = (x as f64 / grid.scale as f64).round_ties_even();
    let q = steps + f64::from(grid.zero_point);
    q >= -(limit as f64) && q < limit as f64 && (steps as f32) * grid.scale == x
}

/// A value name that starts with `base` and that the graph does not use.
pub(crate) fn fresh_name(graph: &Graph, base: &str) -> String {
    let taken = |name: &str| graph.values.iter().any(|value| value.name == name);
    if !taken(base) {
        return base.to_string();
    }
    (1..).map(|n| format!("{base}.{n}")).find(|name| !taken(name)).expect("an endless range")
}

/// Adds a constant, named after `base`.
pub(crate) fn add_constant(graph: &mut Graph, base: &str, mut value: Value) -> ValueId {
    value.name = fresh_name(graph, base);
    graph.add_value(value)
}

/// Puts a constant in the place of an operand; one with other readers stays beside it.
pub(crate) fn put_constant(graph: &mut Graph, node: usize, slot: usize, mut value: Value) {
    let Some(id) = graph.nodes[node].inputs[slot] else { return };
    let uses: usize = graph.nodes.iter().map(|n| n.inputs.iter().flatten().filter(|&&i| i == id).count()).sum();
    if uses > 1 || graph.is_output(id) {
        value.name = format!("{}/{}", value.name, graph.nodes[node].name);
        let copy = graph.add_value(value);
        graph.nodes[node].inputs[slot] = Some(copy);
    } else {
        *graph.value_mut(id) = value;
    }
}

/// Drops node `index`, a copy of its first input, and lets everybody read that
/// input. Returns false where graph inputs and outputs forbid it.
pub(crate) fn bypass(graph: &mut Graph, index: usize) -> bool {
    let (Some(from), to) = (input(graph, index, 0), graph.nodes[index].outputs[0]) else { return false };
    if !graph.is_output(to) {
        graph.replace_uses(to, from);
        graph.nodes.remove(index);
        return true;
    }
    // A graph output keeps its own value: the producer has to write it.
    let Some(source) = producer(graph, from) else { return false };
    if graph.is_output(from) || graph.value(to).dtype != graph.value(from).dtype {
        return false;
    }
    if graph.value(to).quant.is_none() {
        graph.value_mut(to).quant = graph.value(from).quant;
    }
    graph.nodes.remove(index);
    graph.replace_uses(from, to);
    for output in &mut graph.nodes[source].outputs {
        if *output == from {
            *output = to;
        }
    }
    true
}

/// Inserts a node that reads `from` before node `index`; returns its output.
pub(crate) fn insert_before(graph: &mut Graph, index: usize, op: Op, from: ValueId, output: Value) -> ValueId {
    let name = output.name.clone();
    let id = graph.add_value(output);
    graph.nodes.insert(index, Node { name, op, inputs: vec![Some(from)], outputs: vec![id] });
    id
}
