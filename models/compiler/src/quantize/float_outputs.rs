//! The end of a graph: results no integer step reads stay in f32.

use super::plan::{Plan, Run};
use super::roles::{Role, data_inputs};
use crate::graph::{Graph, Op};

/// Lets layers whose results are read in f32 only write f32 from their exact
/// accumulators, and runs additions and products after them in f32.
///
/// Rounding to 256 levels there would cost accuracy (a denoiser's picture, a
/// regression's number) and save nothing: the next step dequantizes anyway.
/// A graph that ends in a table or a Softmax keeps its int8 end.
pub(super) fn float_outputs(graph: &Graph, roles: &[Role], plan: &mut Plan) {
    let mut needed = vec![false; graph.values.len()];
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        if plan.runs[index] != Run::Integer {
            continue;
        }
        let output = node.outputs[0];
        let ours = plan.grids[output.index()].is_some();
        let unneeded = ours && !needed[output.index()];
        let reads_integers = match roles[index] {
            Role::Layer => {
                if unneeded {
                    plan.grids[output.index()] = None;
                }
                true
            }
            Role::Elementwise { .. } if unneeded && matches!(node.op, Op::Binary { .. }) => {
                plan.grids[output.index()] = None;
                plan.runs[index] = Run::Float("its result is read in f32 only".into());
                false
            }
            Role::Move => !unneeded,
            _ => true,
        };
        if reads_integers {
            data_inputs(node).for_each(|id| needed[id.index()] = true);
        }
    }
    // Moves follow what they move.
    for (index, node) in graph.nodes.iter().enumerate() {
        if plan.runs[index] != Run::Integer || !matches!(roles[index], Role::Move) {
            continue;
        }
        let float = |id: crate::graph::ValueId| {
            plan.grids[id.index()].is_none() && graph.value(id).quant.is_none() && !graph.value(id).is_constant()
        };
        if data_inputs(node).any(float) {
            plan.grids[node.outputs[0].index()] = None;
            plan.runs[index] = Run::Float("its result is read in f32 only".into());
        }
    }
}
