//! Quantization of what a model file left in f32.
//!
//! With calibrated ranges layers run on static int8 grids; without, their
//! weights are int8 and their inputs are quantized at run time. What the file
//! quantized is left exactly as it is.
mod apply;
mod bias;
mod dynamic_matmul;
mod error;
mod float_outputs;
pub(crate) mod grid;
mod low_bit;
mod narrow;
mod plan;
pub(crate) mod roles;
mod scheme;
mod tables;
mod unify_concat;
mod weight_only;
mod weights;

pub use error::QuantizeError;
pub use grid::activation_grid;
pub use low_bit::{LayerMatrix, layer_names, low_bit_layers};
pub use narrow::pack_narrow_weights;
pub use scheme::{ActivationFormat, InputMeans, LowBitFormat, PreparedLayer, QuantScheme, WeightFormat};

use crate::calibrate::Ranges;
use crate::graph::Graph;
use crate::report::{Execution, QuantReport};
use plan::Run;

/// Quantizes `graph` by `scheme`, after the graph passes.
///
/// `ranges` come from [`calibrate`](crate::calibrate::calibrate()) on the
/// same graph. The report tells for each layer how well its weights survived,
/// which grid its output has, and why it runs in f32 where it does.
///
/// # Errors
/// [`QuantizeError`] for ranges that are missing or not finite and for weights
/// that are not finite.
pub fn quantize(
    graph: &Graph,
    ranges: Option<&Ranges>,
    scheme: &QuantScheme,
) -> Result<(Graph, QuantReport), QuantizeError> {
    let mut quantized = graph.clone();
    let wide = scheme.activations == ActivationFormat::I16;
    let runs = match (scheme.weights, ranges) {
        (WeightFormat::F32, _) => graph.nodes.iter().map(|node| as_it_is(graph, node)).collect(),
        _ if scheme.weight_only() => weight_only::apply_weight_only(&mut quantized, scheme)?,
        _ if wide && !matches!(scheme.weights, WeightFormat::W8) => {
            return Err(QuantizeError::WideActivations { weights: scheme.weights.describe() });
        }
        (_, None) if wide => return Err(QuantizeError::NoRanges),
        (_, None) => apply::apply_dynamic(&mut quantized, scheme)?,
        (_, Some(ranges)) => {
            let plan = plan::plan(graph, ranges, scheme)?;
            apply::apply(&mut quantized, &plan, ranges, scheme)?;
            plan.runs
        }
    };
    if !matches!(scheme.weights, WeightFormat::F32 | WeightFormat::F16) {
        tables::quantize_tables(&mut quantized)?;
    }
    let executions: Vec<Execution> = runs.into_iter().map(|run| run.into_execution(wide)).collect();
    let mode = match (scheme.weights, ranges) {
        (WeightFormat::F32, _) => "f32".to_string(),
        (weights, _) if scheme.weight_only() => format!("{} weights, f32 activations", weights.describe()),
        (weights, None) => format!("{} weights, activations quantized at run time", weights.describe()),
        (weights, Some(r)) => {
            let bits = if wide { 16 } else { 8 };
            format!("{} weights, int{bits} activations ({}, {} samples)", weights.describe(), r.observer, r.samples)
        }
    };
    let report = QuantReport::new(graph, &quantized, ranges, &executions, mode);
    Ok((quantized, report))
}

/// How a node runs in a graph nobody quantizes.
fn as_it_is(graph: &Graph, node: &crate::graph::Node) -> Run {
    if node.outputs.iter().any(|&id| graph.value(id).quant.is_some()) {
        return Run::File;
    }
    match roles::role(graph, node) {
        roles::Role::Other => Run::Other,
        _ => Run::Float("not quantized (--weights f32)".into()),
    }
}

impl Run {
    fn into_execution(self, wide: bool) -> Execution {
        match self {
            Run::Integer if wide => Execution::Int16,
            Run::Integer => Execution::Int8,
            Run::File => Execution::File,
            Run::Widened => Execution::Widened,
            Run::Float(reason) => Execution::F32(reason),
            Run::Other => Execution::Other,
        }
    }
}

#[cfg(test)]
mod tests;
