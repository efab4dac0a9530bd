//! Mixed precision: a width for each layer, from measured sensitivities and measured times.
//!
//! The useful part of EQ-Net (Xu et al. 2023) without its predictor: a layer's loss at a width is the
//! noise-to-signal ratio of the model's outputs on calibration data with this layer alone quantized; losses
//! add up; the widths with the least sum within a budget are a multiple-choice knapsack
//! ([`Search::Knapsack`]), or what a genetic search finds ([`Search::Genetic`], as EQ-Net does). That losses add
//! up is an approximation: of mixtures and uniform widths that fit, the best as measured is taken.
mod bench;
mod cost;
mod effect;
mod field;
mod search;

pub use cost::{LayerCost, WidthCost};
pub use search::{Budget, Search, choose};

use crate::calibrate::Sample;
use crate::graph::Graph;
use crate::pipeline::{CompileError, CompileOptions, Compiled, compile_equalized, ranges_of};
use crate::prepare::{Method, PrepareOptions, Sensitivity, inputs_for, prepare_on};
use crate::quantize::{LayerMatrix, QuantScheme, low_bit_layers};
use bench::{Bench, WIDTHS};
use field::Field;

/// Budgets between the smallest and the largest uniform model whose mixtures are compiled and measured.
const POINTS: usize = 9;

/// What the chosen model has to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MixedOptions {
    /// Bytes of the artifact.
    pub bytes: Option<usize>,
    /// Microseconds of a run on this machine.
    pub micros: Option<f64>,
    /// Share of samples whose largest output is the float model's, 0..=1.
    pub agreement: Option<f64>,
    pub search: Search,
    /// Of the low-bit formats.
    pub group: usize,
}

/// Why no mixture was chosen.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MixedError {
    #[error("--weights auto measures layers on typical inputs; give --calibration")]
    NoSamples,
    #[error("the model has no layer whose width could be chosen")]
    NoLayers,
    #[error("no mixture of widths fits {asked}; the smallest takes {least_bytes} bytes and {least_micros:.0} µs")]
    Budget { asked: String, least_bytes: usize, least_micros: f64 },
    #[error("no mixture agrees with the float model on {asked:.1} % of the samples; the best on {best:.1} %")]
    Agreement { asked: f64, best: f64 },
    #[error("running a candidate: {0}")]
    Run(String),
}

/// Chooses a width for each layer and compiles the model with them; the report holds the frontier.
///
/// Of all mixtures and uniform widths that were measured and fit, it is the one with the highest
/// signal-to-noise ratio at the outputs, or with [`MixedOptions::agreement`] the smallest that agrees enough.
/// `progress` is told what part, 0 to 1, is done.
///
/// # Errors
/// [`CompileError`], with [`MixedError`] where nothing fits.
pub fn compile_mixed(
    graph: Graph,
    samples: &[Sample],
    options: &CompileOptions,
    mixed: &MixedOptions,
    progress: &mut dyn FnMut(f64),
) -> Result<Compiled, CompileError> {
    if samples.is_empty() {
        return Err(MixedError::NoSamples.into());
    }
    if options.equalize {
        return compile_equalized(&graph, samples, options, |graph, options| {
            compile_mixed(graph, samples, options, mixed, progress)
        });
    }
    let ranges = if options.dynamic { None } else { Some(ranges_of(&graph, samples.iter().cloned(), options)?) };
    // What widths cost is measured once, here, and not again for what is chosen.
    let how = PrepareOptions { sensitivities: false, ..options.prepare.unwrap_or_default() };
    let nearest = PrepareOptions {
        low_rank: 0,
        svdquant: false,
        bias_correction: false,
        teacher: None,
        method: Method::Nearest,
        ..how
    };
    let scheme = QuantScheme { weights: bench::format("w4", mixed.group), ..options.scheme.clone() };
    let mut inputs = inputs_for(&graph, samples, &scheme, &how)?;
    let measure = PrepareOptions { sensitivities: true, ..nearest };
    let codes = prepare_on(&graph, ranges.as_ref(), samples, &scheme, &measure, &mut inputs)?;
    let layers = layers_of(&graph, &scheme, &codes.sensitivities);
    if layers.is_empty() {
        return Err(MixedError::NoLayers.into());
    }
    let bench = Bench::new((&graph, ranges.as_ref()), samples, options, mixed)?;
    let mut field = Field::new(bench, layers);
    // int8 has no codes that are searched, those of 4 bits came with the sensitivities.
    field.bench.keep(1, codes.layers);
    for width in 2..WIDTHS.len() {
        let scheme = field.bench.scheme(&field.layers, &vec![width; field.layers.len()]);
        let codes = prepare_on(&graph, ranges.as_ref(), samples, &scheme, &nearest, &mut inputs)?;
        field.bench.keep(width, codes.layers);
    }
    field.uniform()?;
    if mixed.agreement.is_none() && !field.feasible() {
        // Refused before the mixtures are measured.
        return Err(field.refusal().into());
    }
    let budgets = field.budgets(POINTS);
    let (units, mut done) = (field.layers.len() * WIDTHS.len() + budgets.len() + 1, 0);
    let mut step = || {
        done += 1;
        progress(done as f64 / units as f64);
    };
    field.measure_effects(&mut step)?;
    for bytes in budgets {
        step();
        field.try_within(bytes, f64::INFINITY)?;
    }
    if mixed.agreement.is_none() {
        field.try_within(mixed.bytes.unwrap_or(usize::MAX), mixed.micros.unwrap_or(f64::INFINITY))?;
    }
    let (widths, mut compiled) = field.choose(&mut |bench, layers, widths| match how == nearest {
        true => bench.mixture(layers, widths),
        false => bench.compile(layers, widths, &how, &mut inputs),
    })?;
    let mut frontier = field.frontier();
    frontier.push(field.bench.point("chosen", &compiled, true)?);
    compiled.program.notes.push(format!("widths chosen: {}", counts(&widths)));
    let mut sensitivities = codes.sensitivities;
    for known in &mut sensitivities {
        let layer = field.layers.iter().find(|layer| layer.name == known.layer);
        let decibels = |cost: &WidthCost| (-10.0 * cost.loss.log10()).clamp(-999.0, 999.0);
        known.model = layer.map_or(Vec::new(), |layer| layer.widths.iter().map(decibels).collect());
    }
    (compiled.report.sensitivities, compiled.report.frontier) = (sensitivities, frontier);
    Ok(compiled)
}

/// How many layers have each width, in words.
fn counts(widths: &[usize]) -> String {
    let count = |(width, name): (usize, &str)| {
        let count = widths.iter().filter(|&&w| w == width).count();
        (count > 0).then(|| format!("{count} in {name}"))
    };
    WIDTHS.into_iter().enumerate().filter_map(count).collect::<Vec<_>>().join(", ")
}

/// The layers whose width can be chosen.
fn layers_of(graph: &Graph, scheme: &QuantScheme, sensitivities: &[Sensitivity]) -> Vec<LayerCost> {
    let of = |&index: &usize| {
        let node = &graph.nodes[index];
        let matrix = LayerMatrix::of(graph, node)?;
        let known = sensitivities.iter().find(|known| known.layer == node.name);
        Some(LayerCost::new(&node.name, (matrix.n, matrix.n * matrix.k), known))
    };
    low_bit_layers(graph, scheme).keys().filter_map(of).collect()
}
