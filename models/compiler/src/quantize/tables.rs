//! Tables whose rows are gathered (embeddings): int8 codes, one scale a row.

use super::apply::{finite, replace};
use super::error::QuantizeError;
use super::weights::quantize_weights;
use crate::graph::{Graph, Op};

/// Tables of fewer values stay in f32: they cost next to nothing.
const SMALLEST: usize = 4096;

/// Quantizes the constant tables that Gather nodes read by computed indices. A table whose rows
/// the model file put on a grid stays as it is.
pub(super) fn quantize_tables(graph: &mut Graph) -> Result<(), QuantizeError> {
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let (&Op::Gather { axis: 0 }, &[Some(table), Some(indices)]) = (&node.op, &node.inputs[..]) else { continue };
        let value = graph.value(table);
        let plain = value.f32s().is_some() && value.codes.is_none() && value.quant.is_none();
        let quantized = node.outputs.iter().any(|&id| graph.value(id).quant.is_some());
        let large = value.shape.len() == 2 && value.shape[0] > 1 && value.elements() >= SMALLEST;
        if !plain || !large || quantized || graph.value(indices).is_constant() {
            continue;
        }
        let rows = value.shape[0];
        let codes = quantize_weights(&finite(node, value)?, rows, None);
        replace(graph, index, 0, codes, None);
    }
    Ok(())
}
