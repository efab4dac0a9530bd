//! Compiles candidates and measures them.

use super::effect::{Outputs, Weights};
use super::{LayerCost, MixedError, MixedOptions, cost};
use crate::calibrate::{Ranges, Sample};
use crate::graph::Graph;
use crate::lowbit::Width;
use crate::pipeline::{CompileError, CompileOptions, Compiled, compile_graph, ranges_of};
use crate::prepare::{LayerInputs, PrepareOptions, Prepared, prepare_on};
use crate::quantize::{LowBitFormat, PreparedLayer, QuantScheme, WeightFormat, quantize};
use crate::report::FrontierPoint;
use crate::simulate::{SimMode, Simulator};
use std::collections::BTreeMap;

/// The widths of a layer, the widest first.
pub(super) const WIDTHS: [&str; 4] = ["w8", "w4", "w3", "w2"];

/// Samples, at most, that candidates are measured on.
const MEASURED: usize = 48;

/// A format of a layer, by name.
pub(super) fn format(name: &str, group: usize) -> WeightFormat {
    let low = |width| WeightFormat::Low(LowBitFormat { width, group });
    match name {
        "w4" => low(Width::W4),
        "w3" => low(Width::W3),
        "w2" => low(Width::W2),
        _ => WeightFormat::W8,
    }
}

/// What candidates are compiled from.
pub(super) struct Bench<'a> {
    pub graph: &'a Graph,
    pub ranges: Option<&'a Ranges>,
    pub samples: &'a [Sample],
    pub options: &'a CompileOptions,
    pub mixed: &'a MixedOptions,
    /// Of the float model; what candidates are measured against.
    pub outputs: Outputs,
    /// Codes of layers at widths, by the plain method: each layer's are its own affair.
    pub nearest: BTreeMap<(String, usize), PreparedLayer>,
}

impl<'a> Bench<'a> {
    pub fn new(
        (graph, ranges): (&'a Graph, Option<&'a Ranges>),
        samples: &'a [Sample],
        options: &'a CompileOptions,
        mixed: &'a MixedOptions,
    ) -> Result<Self, CompileError> {
        // Spread over all of them: sets may be sorted.
        let stride = samples.len().div_ceil(MEASURED).max(1);
        let some: Vec<&Sample> = samples.iter().step_by(stride).collect();
        let outputs = Outputs::of(&mut Simulator::new(graph, SimMode::Float)?, &some).map_err(MixedError::Run)?;
        Ok(Bench { graph, ranges, samples, options, mixed, outputs, nearest: BTreeMap::new() })
    }

    /// The scheme with a width for each of `layers` by the plain method, with the codes that are known.
    fn plain(&self, layers: &[LayerCost], widths: &[usize]) -> QuantScheme {
        let codes = |(layer, &width): (&LayerCost, &usize)| {
            self.nearest.get(&(layer.name.clone(), width)).map(|prepared| (layer.name.clone(), prepared.clone()))
        };
        let prepared = layers.iter().zip(widths).filter_map(codes).collect();
        QuantScheme { prepared, ..self.scheme(layers, widths) }
    }

    /// Compiles a width for each of `layers` by the plain method.
    pub fn mixture(&self, layers: &[LayerCost], widths: &[usize]) -> Result<Compiled, CompileError> {
        let options = CompileOptions { scheme: self.plain(layers, widths), ..self.options.clone() };
        compile_graph(self.graph.clone(), self.ranges, &options)
    }

    /// The weights of `layers` at each width, by the plain method.
    pub fn weights(&self, layers: &[LayerCost]) -> Result<Weights, CompileError> {
        let at = |width: usize| {
            let scheme = self.plain(layers, &vec![width; layers.len()]);
            let (graph, _) = quantize(self.graph, self.ranges, &scheme)?;
            let find = |layer: &LayerCost| {
                let node = graph.nodes.iter().find(|node| node.name == layer.name)?;
                let data = graph.value(node.inputs.get(1).copied().flatten()?).f32s()?;
                Some((layer.name.clone(), data.to_vec()))
            };
            Ok(layers.iter().filter_map(find).collect())
        };
        (0..WIDTHS.len()).map(at).collect()
    }

    /// The scheme with a width for each of `layers`.
    pub fn scheme(&self, layers: &[LayerCost], widths: &[usize]) -> QuantScheme {
        let mut scheme = QuantScheme { weights: WeightFormat::W8, ..self.options.scheme.clone() };
        for (layer, &width) in layers.iter().zip(widths) {
            scheme.layers.insert(layer.name.clone(), format(WIDTHS[width], self.mixed.group));
        }
        scheme
    }

    /// Keeps the codes of layers at a width.
    pub fn keep(&mut self, width: usize, codes: BTreeMap<String, PreparedLayer>) {
        self.nearest.extend(codes.into_iter().map(|(name, layer)| ((name, width), layer)));
    }

    /// Compiles a width for each of `layers` by the method asked for.
    pub fn compile(
        &self,
        layers: &[LayerCost],
        widths: &[usize],
        how: &PrepareOptions,
        inputs: &mut LayerInputs,
    ) -> Result<Compiled, CompileError> {
        let scheme = self.scheme(layers, widths);
        let prepared: Prepared = prepare_on(self.graph, self.ranges, self.samples, &scheme, how, inputs)?;
        let (graph, smoothed) = (prepared.graph, prepared.smoothed);
        let ranges = match self.ranges {
            Some(_) if smoothed => Some(ranges_of(&graph, self.samples.iter().cloned(), self.options)?),
            ranges => ranges.cloned(),
        };
        let scheme = QuantScheme { prepared: prepared.layers, ..scheme };
        let options = CompileOptions { scheme, ..self.options.clone() };
        let mut compiled = compile_graph(graph, ranges.as_ref(), &options)?;
        compiled.program.notes.extend(prepared.notes);
        Ok(compiled)
    }

    /// A point of the frontier: bytes, time, and the loss on samples.
    pub fn point(&self, name: &str, compiled: &Compiled, mixed: bool) -> Result<FrontierPoint, CompileError> {
        let mut integer = Simulator::new(&compiled.graph, SimMode::Integer)?;
        let distance = self.outputs.distance(&mut integer, usize::MAX).map_err(MixedError::Run)?;
        let micros: f64 = cost::step_micros(compiled).map_err(MixedError::Run)?.iter().sum();
        Ok(FrontierPoint {
            name: name.to_string(),
            mixed,
            bytes: compiled.artifact.len(),
            micros,
            snr_db: distance.snr_db,
            agreement: distance.agreement,
        })
    }
}
