//! Better low-bit weights than rounding gives: what calibration data and some time buy.
//!
//! [`prepare`] runs the float model on samples, keeps the second moments of each layer's inputs, and
//! finds codes and branches; [`quantize`](crate::quantize::quantize()) takes them through
//! [`QuantScheme::prepared`](crate::quantize::QuantScheme).
mod inputs;
mod layers;
mod smooth;

pub use inputs::{LayerInputs, layer_inputs};
pub use layers::Sensitivity;

use crate::calibrate::{Ranges, Sample};
use crate::graph::Graph;
use crate::lowbit::{Activations, LowBitError};
use crate::quantize::{PreparedLayer, QuantScheme, low_bit_layers};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrepareOptions {
    pub method: Method,
    /// Rank of the branch each Dense gets; 0: none.
    pub low_rank: usize,
    /// Smooth activations, and take the branch from the weights themselves (SVDQuant).
    pub svdquant: bool,
    /// How inputs are rounded; what errors are measured with.
    pub activations: Activations,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        PrepareOptions { method: Method::Nearest, low_rank: 0, svdquant: false, activations: Activations::A8 }
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The graph to quantize: with smoothing it has a multiplication in front of layers, and computes
    /// the same.
    pub graph: Graph,
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
    #[error("a low-rank branch has a rank of 16 to 128; {0} was asked for")]
    Rank(usize),
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
        _ => None,
    };
    if options.low_rank != 0 && !(16..=128).contains(&options.low_rank) {
        return Err(PrepareError::Rank(options.low_rank));
    }
    if let (Some(what), true) = (wants, samples.is_empty()) {
        return Err(PrepareError::NoSamples(what));
    }
    let chosen = low_bit_layers(graph, scheme);
    let mut inputs = layer_inputs(graph, samples, &chosen).map_err(PrepareError::Run)?;
    let mut work = layers::Work { graph: graph.clone(), ranges, options: *options, notes: Vec::new() };
    let sensitivities = if samples.is_empty() { Vec::new() } else { work.sensitivities(&chosen, &mut inputs)? };
    let layers = work.run(&chosen, &mut inputs)?;
    Ok(Prepared { graph: work.graph, layers, notes: work.notes, sensitivities })
}
