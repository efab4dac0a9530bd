//! Better low-bit weights than rounding gives: what calibration data and some time buy.
//!
//! [`prepare`] runs the float model on samples, keeps the second moments of each layer's inputs, and
//! finds codes and branches; [`quantize`](crate::quantize::quantize()) takes them through
//! [`QuantScheme::prepared`](crate::quantize::QuantScheme).
mod equalize;
mod inputs;
mod layers;
mod rows;
mod scaling;
mod smooth;
mod teacher;

pub use equalize::{Equalized, equalize};
pub use inputs::LayerInputs;
use inputs::layer_inputs;
pub use layers::Sensitivity;

use crate::calibrate::{Ranges, Sample};
use crate::graph::{Graph, Node, Op};
use crate::lowbit::{Activations, LowBitError};
use crate::quantize::{InputMeans, PreparedLayer, QuantScheme, low_bit_layers};
use rows::Read;
use std::collections::BTreeMap;

/// How codes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Nearest codes, the range of each group searched.
    Nearest,
    /// A scale and an offset for each group, by alternating least squares.
    Asymmetric,
    /// GPTQ; layers with too little calibration data are rounded to nearest, with a note.
    Gptq,
}

/// What to do for the low-bit layers of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrepareOptions {
    pub method: Method,
    /// Rank of the branch each Dense gets; 0: none.
    pub low_rank: usize,
    /// Smooth activations, and take the branch from the weights themselves (SVDQuant).
    pub svdquant: bool,
    /// Correct the bias of every layer for what its quantized weights change in its mean output.
    pub bias_correction: bool,
    /// Fit every layer again to the float model's outputs, on inputs of which this part (0 to 1) is what the
    /// quantized layers before it give and the rest the float model's. Corrects biases too.
    pub teacher: Option<f32>,
    /// How inputs are rounded; what errors are measured with.
    pub activations: Activations,
    /// Measure what each width costs each layer, for the report: most of the time with few bits.
    pub sensitivities: bool,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        PrepareOptions {
            method: Method::Nearest,
            low_rank: 0,
            svdquant: false,
            bias_correction: false,
            teacher: None,
            activations: Activations::A8,
            sensitivities: true,
        }
    }
}

impl PrepareOptions {
    fn adjusts_biases(&self) -> bool {
        self.bias_correction || self.teacher.is_some()
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The graph to quantize; after activation smoothing other values may need ranges, and it computes
    /// the same.
    pub graph: Graph,
    /// Whether activations were smoothed.
    pub smoothed: bool,
    /// By the node's name.
    pub layers: BTreeMap<String, PreparedLayer>,
    /// What was done otherwise than asked, and errors of branches.
    pub notes: Vec<String>,
    /// What each width costs each layer.
    pub sensitivities: Vec<Sensitivity>,
}

/// Why nothing was found.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    #[error("{0} needs calibration data; give --calibration")]
    NoSamples(&'static str),
    #[error("running the float model: {0}")]
    Run(String),
    #[error("layer '{layer}': {error}")]
    Layer { layer: String, error: LowBitError },
    #[error("calibration by the float model's signal does not go with SVDQuant; give one of them")]
    SmoothedTeacher,
    #[error("a low-rank branch has a rank of 16 to 128; {0} was asked for")]
    Rank(usize),
}

/// Conv and Dense with weights that the file has not quantized.
fn layers_of(graph: &Graph) -> Vec<usize> {
    let plain = |node: &Node| {
        let weights = node.inputs.get(1).copied().flatten().map(|id| graph.value(id));
        matches!(node.op, Op::Conv { .. } | Op::Dense { .. })
            && weights.is_some_and(|w| w.f32s().is_some() && w.codes.is_none())
            && Read::of(graph, node).is_some()
    };
    (0..graph.nodes.len()).filter(|&index| plain(&graph.nodes[index])).collect()
}

/// Finds codes and branches for the low-bit layers that `scheme` gives `graph` (after its passes).
///
/// # Errors
/// [`PrepareError`].
pub fn prepare(
    graph: &Graph,
    ranges: Option<&Ranges>,
    samples: &[Sample],
    scheme: &QuantScheme,
    options: &PrepareOptions,
) -> Result<Prepared, PrepareError> {
    let wants = match options {
        PrepareOptions { svdquant: true, .. } => Some("SVDQuant"),
        PrepareOptions { low_rank: 1.., .. } => Some("a low-rank branch"),
        PrepareOptions { method: Method::Gptq, .. } => Some("GPTQ"),
        PrepareOptions { teacher: Some(_), .. } => Some("calibration by the float model's signal"),
        PrepareOptions { bias_correction: true, .. } => Some("bias correction"),
        _ => None,
    };
    if options.low_rank != 0 && !(16..=128).contains(&options.low_rank) {
        return Err(PrepareError::Rank(options.low_rank));
    }
    if let (Some(what), true) = (wants, samples.is_empty()) {
        return Err(PrepareError::NoSamples(what));
    }
    if options.teacher.is_some() && options.svdquant {
        return Err(PrepareError::SmoothedTeacher);
    }
    let mut inputs = inputs_for(graph, samples, scheme, options)?;
    prepare_on(graph, ranges, samples, scheme, options, &mut inputs)
}

/// The moments of inputs that [`prepare_on`] needs: the same for all widths of the same layers.
pub(crate) fn inputs_for(
    graph: &Graph,
    samples: &[Sample],
    scheme: &QuantScheme,
    options: &PrepareOptions,
) -> Result<LayerInputs, PrepareError> {
    let all = if options.adjusts_biases() { layers_of(graph) } else { Vec::new() };
    let products = options.method == Method::Gptq || options.low_rank > 0;
    layer_inputs(graph, samples, &low_bit_layers(graph, scheme), &all, products).map_err(PrepareError::Run)
}

/// [`prepare`] for inputs that are known.
pub(crate) fn prepare_on(
    graph: &Graph,
    ranges: Option<&Ranges>,
    samples: &[Sample],
    scheme: &QuantScheme,
    options: &PrepareOptions,
    inputs: &mut LayerInputs,
) -> Result<Prepared, PrepareError> {
    let chosen = low_bit_layers(graph, scheme);
    let all = if options.adjusts_biases() { layers_of(graph) } else { Vec::new() };
    let mut work = layers::Work {
        graph: graph.clone(),
        ranges,
        options: *options,
        notes: Vec::new(),
        factors: BTreeMap::new(),
        folded: 0,
    };
    let measured = options.sensitivities && !samples.is_empty();
    let sensitivities = if measured { work.sensitivities(&chosen, inputs)? } else { Vec::new() };
    let mut layers = work.run(&chosen, inputs)?;
    if let Some(mix) = options.teacher {
        work.reconstruct(samples, (&chosen, &all), scheme, mix, &mut layers)?;
    } else if options.bias_correction {
        for node in all.iter().map(|&index| &graph.nodes[index]) {
            if let Some(float) = inputs.means(graph, node) {
                let prepared = layers.entry(node.name.clone()).or_default();
                let float = work.as_smoothed(&node.name, float);
                prepared.means = Some(InputMeans { quantized: float.clone(), float });
            }
        }
    }
    if !work.factors.is_empty() {
        let (layers, folded) = (work.factors.len(), work.folded);
        work.notes.push(format!(
            "activation smoothing: the inputs of {layers} layers; {folded} of the factors' places are in the layer before"
        ));
    }
    Ok(Prepared { smoothed: !work.factors.is_empty(), graph: work.graph, layers, notes: work.notes, sensitivities })
}

#[cfg(test)]
mod tests;
