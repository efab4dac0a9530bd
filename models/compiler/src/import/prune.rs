//! Drops nodes and values that nothing reads.
use crate::graph::{Graph, ValueId};

/// Keeps inputs, outputs and what the outputs depend on; renumbers the values.
pub(crate) fn prune(graph: &mut Graph) {
    let mut live = vec![false; graph.values.len()];
    for id in graph.outputs.iter().chain(&graph.inputs) {
        live[id.index()] = true;
    }
    let mut keep = vec![false; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        if node.outputs.iter().any(|o| live[o.index()]) {
            keep[i] = true;
            for id in node.inputs.iter().flatten().chain(&node.outputs) {
                live[id.index()] = true;
            }
        }
    }
    let mut flags = keep.iter();
    graph.nodes.retain(|_| flags.next().copied().unwrap_or(true));
    let mut renumbered = Vec::with_capacity(live.len());
    let mut next = 0;
    for &l in &live {
        renumbered.push(ValueId(next));
        next += l as u32;
    }
    let mut flags = live.iter();
    graph.values.retain(|_| flags.next().copied().unwrap_or(true));
    let ids = graph.nodes.iter_mut().flat_map(|n| n.inputs.iter_mut().flatten().chain(&mut n.outputs));
    for id in ids.chain(&mut graph.inputs).chain(&mut graph.outputs) {
        *id = renumbered[id.index()];
    }
}
