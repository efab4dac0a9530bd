//! Removes what nothing depends on and what does nothing.
use super::edit::{bypass, input, producer, same_grid};
use super::permute::is_identity;
use crate::graph::{Graph, Op, Unary, ValueId};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadCodeStats {
    pub nodes: usize,
    pub values: usize,
}

/// Drops identities, merges consecutive reshapes, removes nodes without used
/// outputs and values nobody refers to. Value ids change; graph inputs stay.
pub fn dead_code(graph: &mut Graph) -> DeadCodeStats {
    let (nodes, values) = (graph.nodes.len(), graph.values.len());
    let mut index = 0;
    while index < graph.nodes.len() {
        merge_reshape(graph, index);
        if !(is_copy(graph, index) && bypass(graph, index)) {
            index += 1;
        }
    }
    remove_unused_nodes(graph);
    compact_values(graph);
    DeadCodeStats { nodes: nodes - graph.nodes.len(), values: values - graph.values.len() }
}

/// Reshape → Reshape: the second reads the first's input.
fn merge_reshape(graph: &mut Graph, index: usize) {
    while graph.nodes[index].op == Op::Reshape {
        let Some(x) = input(graph, index, 0) else { return };
        let Some(first) = producer(graph, x).filter(|&first| graph.nodes[first].op == Op::Reshape) else { return };
        let Some(origin) = input(graph, first, 0) else { return };
        if !same_grid(graph.value(origin).quant, graph.value(x).quant) {
            return;
        }
        graph.nodes[index].inputs[0] = Some(origin);
    }
}

/// Whether the node's output equals its first input in every respect.
fn is_copy(graph: &Graph, index: usize) -> bool {
    let node = &graph.nodes[index];
    let (Some(x), [y]) = (input(graph, index, 0), &node.outputs[..]) else { return false };
    let (x, y) = (graph.value(x), graph.value(*y));
    if x.shape != y.shape || x.dtype != y.dtype || !(y.quant.is_none() || same_grid(x.quant, y.quant)) {
        return false;
    }
    match &node.op {
        Op::Reshape | Op::Cast => true,
        Op::Transpose { perm } => is_identity(perm),
        Op::Slice { start, step } => start.iter().all(|&s| s == 0) && step.iter().all(|&s| s == 1),
        Op::Pad { begin, end, .. } => begin.iter().chain(end).all(|&n| n == 0),
        Op::Concat { .. } => node.inputs.len() == 1,
        Op::Unary(Unary::Clip(clamp)) => clamp.lo == f32::NEG_INFINITY && clamp.hi == f32::INFINITY,
        _ => false,
    }
}

fn remove_unused_nodes(graph: &mut Graph) {
    let mut used = vec![false; graph.values.len()];
    for &output in &graph.outputs {
        used[output.index()] = true;
    }
    let mut live = vec![false; graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        live[index] = node.outputs.iter().any(|output| used[output.index()]);
        if live[index] {
            for read in node.inputs.iter().flatten() {
                used[read.index()] = true;
            }
        }
    }
    let mut live = live.into_iter();
    graph.nodes.retain(|_| live.next() == Some(true));
}

fn compact_values(graph: &mut Graph) {
    let mut used = vec![false; graph.values.len()];
    let nodes = graph.nodes.iter().flat_map(|node| node.inputs.iter().flatten().chain(&node.outputs));
    for id in nodes.chain(&graph.inputs).chain(&graph.outputs) {
        used[id.index()] = true;
    }
    let mut next = 0;
    let renumbered: Vec<ValueId> = used
        .iter()
        .map(|&used| {
            next += u32::from(used);
            ValueId(next.saturating_sub(1))
        })
        .collect();
    let rename = |id: &mut ValueId| *id = renumbered[id.index()];
    for node in &mut graph.nodes {
        node.inputs.iter_mut().flatten().for_each(rename);
        node.outputs.iter_mut().for_each(rename);
    }
    graph.inputs.iter_mut().for_each(rename);
    graph.outputs.iter_mut().for_each(rename);
    let mut used = used.into_iter();
    graph.values.retain(|_| used.next() == Some(true));
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Build, check};
    use super::*;

    #[test]
    fn identities_and_unread_values_go() {
        let mut b = Build::new();
        let x = b.input(&[2, 3, 4]);
        let unread = b.random(&[5]);
        let a = b.node(Op::Reshape, &[x], &[6, 4]);
        let c = b.node(Op::Reshape, &[a], &[4, 6]);
        let d = b.transpose(c, &[0, 1]);
        let e = b.unary(Unary::Abs, d);
        let _dead = b.unary(Unary::Neg, unread);
        let out = b.node(Op::Reshape, &[e], &[4, 6]);
        let graph = check(b.finish(&[out]), |graph| {
            let stats = dead_code(graph);
            assert_eq!(stats, DeadCodeStats { nodes: 4, values: 5 });
        });
        assert_eq!(graph.nodes.len(), 2);
        assert_eq!(graph.value(graph.outputs[0]).name, "v7");
    }
}
