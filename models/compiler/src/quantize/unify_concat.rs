//! One grid for what is concatenated.

use super::plan::{Plan, Run};
use super::roles::{Role, data_inputs};
use crate::graph::{Graph, Op};

/// Gives operands of an integer Concat that nothing else reads the grid of its
/// output, so that the Concat copies bytes.
///
/// Only operands whose producer can write any grid: layers, Add, Mul, average
/// pools. Their values would be rounded to that grid by the Concat anyway.
pub(super) fn unify_concat(graph: &Graph, roles: &[Role], plan: &mut Plan) {
    let (producers, consumers) = (graph.producers(), graph.consumers());
    for (index, node) in graph.nodes.iter().enumerate() {
        if plan.runs[index] != Run::Integer || !matches!(node.op, Op::Concat { .. }) {
            continue;
        }
        let output = node.outputs[0];
        let Some(grid) = graph.value(output).quant.or(plan.grids[output.index()]) else { continue };
        for id in data_inputs(node) {
            let free = producers[id.index()].is_some_and(|producer| {
                plan.runs[producer] == Run::Integer
                    && match roles[producer] {
                        Role::Layer => true,
                        Role::Elementwise { fixed: None } => !matches!(graph.nodes[producer].op, Op::Unary(_)),
                        _ => false,
                    }
            });
            let only_here = consumers[id.index()].len() == 1 && !graph.is_output(id);
            if free && only_here && plan.grids[id.index()].is_some() {
                plan.grids[id.index()] = Some(grid);
            }
        }
    }
}
