//! Merges nodes that compute the same thing from the same inputs.
use super::edit::same_grid;
use crate::graph::{Graph, ValueId};
use std::collections::HashMap;

/// Keeps the first of equal nodes (same operator, inputs and output type) and
/// returns how many went.
pub fn merge_duplicates(graph: &mut Graph) -> usize {
    let mut seen: HashMap<Vec<Option<ValueId>>, Vec<usize>> = HashMap::new();
    let mut merged = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        let candidates = seen.entry(graph.nodes[index].inputs.clone()).or_default();
        let twin = candidates.iter().copied().find(|&first| equal(graph, first, index));
        if twin.is_some_and(|first| merge(graph, first, index)) {
            merged += 1;
        } else {
            candidates.push(index);
            index += 1;
        }
    }
    merged
}

fn equal(graph: &Graph, first: usize, second: usize) -> bool {
    let (a, b) = (&graph.nodes[first], &graph.nodes[second]);
    if a.op != b.op || a.outputs.len() != 1 || b.outputs.len() != 1 {
        return false;
    }
    let (a, b) = (graph.value(a.outputs[0]), graph.value(b.outputs[0]));
    a.dtype == b.dtype && a.shape == b.shape && a.io_dtype == b.io_dtype && same_grid(a.quant, b.quant)
}

fn merge(graph: &mut Graph, first: usize, second: usize) -> bool {
    let (kept, dropped) = (graph.nodes[first].outputs[0], graph.nodes[second].outputs[0]);
    match (graph.is_output(kept), graph.is_output(dropped)) {
        (true, true) => return false,
        (false, true) => {
            graph.nodes[first].outputs[0] = dropped;
            graph.nodes.remove(second);
            graph.replace_uses(kept, dropped);
        }
        _ => {
            graph.nodes.remove(second);
            graph.replace_uses(dropped, kept);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Build, check};
    use super::*;
    use crate::graph::{Binary, Unary};

    #[test]
    fn equal_chains_merge_whole() {
        let mut b = Build::new();
        let x = b.input(&[2, 3, 4]);
        let (t1, t2) = (b.transpose(x, &[0, 2, 1]), b.transpose(x, &[0, 2, 1]));
        let (r1, r2) = (b.unary(Unary::Relu, t1), b.unary(Unary::Relu, t2));
        let sum = b.binary(Binary::Add, r1, r2);
        let graph = check(b.finish(&[sum, r2]), |graph| assert_eq!(merge_duplicates(graph), 2));
        assert_eq!(graph.nodes.len(), 3);
    }
}
