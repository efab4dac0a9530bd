//! Weights of fewer bits under f32 activations: IEEE half, or int8 with a scale a channel.

use super::apply::{finite, replace};
use super::error::QuantizeError;
use super::low_bit::{formats, roles};
use super::plan::Run;
use super::roles::{Role, data_inputs};
use super::scheme::{QuantScheme, WeightFormat};
use super::weights::quantize_weights;
use crate::graph::{Constant, Graph, StoredWeights};
use crate::passes::edit::put_constant;
use half::f16;

/// Rounds the weights of every layer that the file left in f32. Returns how each node runs.
pub(super) fn apply_weight_only(graph: &mut Graph, scheme: &QuantScheme) -> Result<Vec<Run>, QuantizeError> {
    let formats = formats(graph, scheme);
    let mut runs = Vec::with_capacity(graph.nodes.len());
    for (index, role) in roles(graph, scheme).into_iter().enumerate() {
        let node = &graph.nodes[index];
        let from_file = data_inputs(node).any(|id| graph.value(id).quant.is_some())
            || node.outputs.iter().any(|&id| graph.value(id).quant.is_some());
        runs.push(match role {
            Role::Other => Run::Other,
            _ if from_file => Run::File,
            Role::Layer => round_layer(graph, index, formats[index])?,
            Role::Float(reason) => Run::Float(reason),
            _ => Run::Float("activations are f32".into()),
        });
    }
    Ok(runs)
}

fn round_layer(graph: &mut Graph, index: usize, format: WeightFormat) -> Result<Run, QuantizeError> {
    let node = &graph.nodes[index];
    let Some(w) = node.inputs.get(1).copied().flatten() else { return Ok(Run::Other) };
    let value = graph.value(w).clone();
    let data = finite(node, &value)?;
    match format {
        WeightFormat::F16 => {
            let halves: Vec<f32> = data.iter().map(|&w| f16::from_f32(w).to_f32()).collect();
            if halves.iter().any(|w| w.is_infinite()) {
                let reason = format!("a weight is beyond the range of half precision (±{})", f16::MAX);
                return Ok(Run::Float(reason));
            }
            let (data, stored) = (Some(Constant::F32(halves)), Some(StoredWeights::F16));
            put_constant(graph, index, 1, crate::graph::Value { data, stored, ..value });
        }
        WeightFormat::W8 => {
            let mut quantized = quantize_weights(&data, value.shape[0], None);
            quantized.codes.dynamic = false;
            replace(graph, index, 1, quantized, None);
            if let Some(w) = graph.nodes[index].inputs[1] {
                graph.value_mut(w).stored = Some(StoredWeights::W8);
            }
        }
        other => {
            let node = graph.nodes[index].name.clone();
            return Err(QuantizeError::Combination { node, weights: other.describe() });
        }
    }
    Ok(Run::Widened)
}
