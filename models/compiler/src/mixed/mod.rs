//! Mixed precision: a width for each layer, from measured sensitivities and measured times.
//!
//! The useful part of EQ-Net (Xu et al. 2023) without its predictor: a layer's loss at a width is the
//! noise-to-signal ratio of its output on calibration data; losses add up; the widths with the least
//! sum within a budget are a multiple-choice knapsack ([`Search::Knapsack`]), or what a genetic search
//! finds ([`Search::Genetic`], as EQ-Net does).
mod cost;
mod search;

pub use cost::{LayerCost, WidthCost};
pub use search::{Budget, Search, choose};

use crate::calibrate::{Ranges, Sample};
use crate::graph::Graph;
use crate::lowbit::Width;
use crate::pipeline::{CompileError, CompileOptions, Compiled, compile_equalized, compile_graph, ranges_of};
use crate::prepare::{PrepareOptions, Prepared, prepare};
use crate::quantize::{LowBitFormat, PreparedLayer, QuantScheme, WeightFormat};
use crate::report::{FrontierPoint, QuantReport};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Budgets between the smallest and the largest uniform model whose mixtures are compiled and measured.
const POINTS: usize = 9;
/// Samples that a point is measured on.
const MEASURED: usize = 48;

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

/// A format of a layer, by name.
pub(crate) fn format(name: &str, group: usize) -> WeightFormat {
    let low = |width| WeightFormat::Low(LowBitFormat { width, group });
    match name {
        "w4" => low(Width::W4),
        "w3" => low(Width::W3),
        "w2" => low(Width::W2),
        _ => WeightFormat::W8,
    }
}

/// What candidates are compiled from.
struct Bench<'a> {
    graph: &'a Graph,
    ranges: Option<&'a Ranges>,
    samples: &'a [Sample],
    options: &'a CompileOptions,
    mixed: &'a MixedOptions,
    /// Codes of layers at widths, by the plain method: each layer's are its own affair.
    nearest: RefCell<BTreeMap<(String, usize), PreparedLayer>>,
}

impl Bench<'_> {
    /// Compiles a width for each of `layers` by the plain method, with the codes of the uniform models.
    fn mixture(&self, layers: &[LayerCost], widths: &[usize]) -> Result<Compiled, CompileError> {
        let known = self.nearest.borrow();
        let codes = |(layer, &width): (&LayerCost, &usize)| {
            known.get(&(layer.name.clone(), width)).map(|prepared| (layer.name.clone(), prepared.clone()))
        };
        let prepared = layers.iter().zip(widths).filter_map(codes).collect();
        let scheme = QuantScheme { prepared, ..self.scheme(layers, widths) };
        let options = CompileOptions { scheme, ..self.options.clone() };
        compile_graph(self.graph.clone(), self.ranges, &options)
    }

    /// The scheme with a width for each of `layers`.
    fn scheme(&self, layers: &[LayerCost], widths: &[usize]) -> QuantScheme {
        let mut scheme = QuantScheme { weights: WeightFormat::W8, ..self.options.scheme.clone() };
        for (layer, &width) in layers.iter().zip(widths) {
            scheme.layers.insert(layer.name.clone(), format(layer.widths[width].name, self.mixed.group));
        }
        scheme
    }

    /// Finds and keeps the codes of all layers at a width, by the plain method.
    fn learn(&self, layers: &[LayerCost], width: usize, nearest: &PrepareOptions) -> Result<(), CompileError> {
        let scheme = self.scheme(layers, &vec![width; layers.len()]);
        let prepared = prepare(self.graph, self.ranges, self.samples, &scheme, nearest)?;
        self.keep(width, prepared.layers);
        Ok(())
    }

    fn keep(&self, width: usize, codes: BTreeMap<String, PreparedLayer>) {
        self.nearest.borrow_mut().extend(codes.into_iter().map(|(name, layer)| ((name, width), layer)));
    }

    /// Compiles a width for each of `layers`.
    fn compile(&self, layers: &[LayerCost], widths: &[usize], how: &PrepareOptions) -> Result<Compiled, CompileError> {
        let scheme = self.scheme(layers, widths);
        let prepared: Prepared = prepare(self.graph, self.ranges, self.samples, &scheme, how)?;
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
    fn point(&self, name: &str, compiled: &Compiled, mixed: bool) -> Result<FrontierPoint, CompileError> {
        let compared = compiled.compare(self.samples.iter().take(MEASURED).cloned());
        let compared = compared.map_err(|error| MixedError::Run(error.to_string()))?;
        let micros: f64 = cost::step_micros(compiled).map_err(MixedError::Run)?.iter().sum();
        Ok(FrontierPoint {
            name: name.to_string(),
            mixed,
            bytes: compiled.artifact.len(),
            micros,
            snr_db: compared.snr_db,
            agreement: compared.top1_agreement,
        })
    }
}

/// Chooses a width for each layer and compiles the model with them; the report holds the frontier.
///
/// # Errors
/// [`CompileError`], with [`MixedError`] where nothing fits.
pub fn compile_mixed(
    graph: Graph,
    samples: &[Sample],
    options: &CompileOptions,
    mixed: &MixedOptions,
) -> Result<Compiled, CompileError> {
    if samples.is_empty() {
        return Err(MixedError::NoSamples.into());
    }
    if options.equalize {
        return compile_equalized(&graph, samples, options, |graph, options| {
            compile_mixed(graph, samples, options, mixed)
        });
    }
    let ranges = if options.dynamic { None } else { Some(ranges_of(&graph, samples.iter().cloned(), options)?) };
    let bench = Bench { graph: &graph, ranges: ranges.as_ref(), samples, options, mixed, nearest: RefCell::default() };
    let scheme = QuantScheme { weights: format("w4", mixed.group), ..options.scheme.clone() };
    // What widths cost is measured once, here, and not again for what is chosen.
    let how = PrepareOptions { sensitivities: false, ..options.prepare.unwrap_or_default() };
    let nearest = PrepareOptions {
        low_rank: 0,
        svdquant: false,
        bias_correction: false,
        teacher: None,
        method: crate::prepare::Method::Nearest,
        ..how
    };
    let measure = PrepareOptions { sensitivities: true, ..nearest };
    let Prepared { sensitivities, layers: codes, .. } = prepare(&graph, ranges.as_ref(), samples, &scheme, &measure)?;
    if sensitivities.is_empty() {
        return Err(MixedError::NoLayers.into());
    }
    let mut layers: Vec<LayerCost> = sensitivities.iter().map(LayerCost::of).collect();
    let names = ["w8", "w4", "w3", "w2"];
    bench.keep(1, codes);
    let mut frontier = Vec::new();
    let mut uniform_bytes = Vec::new();
    for (width, name) in names.into_iter().enumerate() {
        // int8 has no codes that are searched, those of 4 bits came with the sensitivities.
        if width > 1 {
            bench.learn(&layers, width, &nearest)?;
        }
        let compiled = bench.mixture(&layers, &vec![width; layers.len()])?;
        let micros = cost::step_micros(&compiled).map_err(MixedError::Run)?;
        cost::set_measured(&mut layers, width, &compiled, &micros);
        uniform_bytes.push(compiled.artifact.len());
        frontier.push(bench.point(name, &compiled, false)?);
    }
    // What does not depend on widths: everything of the int8 model but these layers.
    let weights = |width: usize| layers.iter().map(|layer| layer.widths[width].bytes).sum::<usize>();
    let fixed_bytes = uniform_bytes[0].saturating_sub(weights(0));
    let layer_micros: f64 = layers.iter().map(|layer| layer.widths[0].micros).sum();
    let fixed_micros = (frontier[0].micros - layer_micros).max(0.0);
    if mixed.agreement.is_none() {
        // Refused before the mixtures are measured.
        pick(&layers, mixed, (fixed_bytes, fixed_micros), (&frontier, &[]))?;
    }
    let (least, most) = (weights(3), weights(0));
    let mut tried: Vec<(usize, Vec<usize>)> = Vec::new();
    for step in 0..=POINTS {
        let bytes = least + (most - least) * step / POINTS;
        let budget = Budget { bytes, micros: f64::INFINITY };
        let Some(widths) = choose(&layers, &budget, mixed.search) else { continue };
        if tried.iter().any(|(_, other)| *other == widths) {
            continue;
        }
        let compiled = bench.mixture(&layers, &widths)?;
        frontier.push(bench.point(&format!("mixture {}", tried.len() + 1), &compiled, true)?);
        tried.push((frontier.len() - 1, widths));
    }
    let mut fixed_bytes = fixed_bytes;
    let most_bytes = mixed.bytes.unwrap_or(0);
    let (widths, mut compiled) = loop {
        let widths = pick(&layers, mixed, (fixed_bytes, fixed_micros), (&frontier, &tried))?;
        let compiled = bench.compile(&layers, &widths, &how)?;
        // Which channels are dead depends on all widths together: what the sum of the layers does not show.
        let over = mixed.bytes.map_or(0, |most| compiled.artifact.len().saturating_sub(most));
        match Some(over).filter(|&over| over > 0 && mixed.agreement.is_none()) {
            // A little more than what is over, so that it ends soon.
            Some(over) => fixed_bytes += over.max(most_bytes / 64),
            None => break (widths, compiled),
        }
    };
    let chosen = bench.point("chosen", &compiled, true)?;
    frontier.push(chosen);
    let mut counts = String::new();
    for (width, name) in names.into_iter().enumerate() {
        let count = widths.iter().filter(|&&w| w == width).count();
        if count > 0 {
            counts += &format!("{}{count} in {name}", if counts.is_empty() { "" } else { ", " });
        }
    }
    compiled.program.notes.push(format!("widths chosen: {counts}"));
    describe(&mut compiled.report, frontier, sensitivities);
    Ok(compiled)
}

fn describe(report: &mut QuantReport, frontier: Vec<FrontierPoint>, sensitivities: Vec<crate::prepare::Sensitivity>) {
    report.sensitivities = sensitivities;
    report.frontier = frontier;
}

/// The widths within the budget; of those measured, the smallest that agrees enough.
fn pick(
    layers: &[LayerCost],
    mixed: &MixedOptions,
    (fixed_bytes, fixed_micros): (usize, f64),
    (frontier, tried): (&[FrontierPoint], &[(usize, Vec<usize>)]),
) -> Result<Vec<usize>, MixedError> {
    if let Some(asked) = mixed.agreement {
        let fits = |point: &FrontierPoint| {
            mixed.bytes.is_none_or(|most| point.bytes <= most) && mixed.micros.is_none_or(|most| point.micros <= most)
        };
        let points = tried.iter().map(|(at, widths)| (&frontier[*at], widths)).filter(|(point, _)| fits(point));
        let enough = points.clone().filter(|(point, _)| point.agreement >= asked);
        let best = points.map(|(point, _)| point.agreement).fold(0.0, f64::max);
        let smallest = enough.min_by_key(|(point, _)| point.bytes);
        return smallest
            .map(|(_, widths)| widths.clone())
            .ok_or(MixedError::Agreement { asked: asked * 100.0, best: best * 100.0 });
    }
    let budget = Budget {
        bytes: mixed.bytes.map_or(usize::MAX, |bytes| bytes.saturating_sub(fixed_bytes)),
        micros: mixed.micros.map_or(f64::INFINITY, |micros| micros - fixed_micros),
    };
    let fits = mixed.bytes.is_none_or(|bytes| bytes >= fixed_bytes);
    choose(layers, &budget, mixed.search).filter(|_| fits).ok_or_else(|| {
        let asked = [mixed.bytes.map(|b| format!("{b} bytes")), mixed.micros.map(|t| format!("{t:.0} µs"))];
        let least = |f: &dyn Fn(&WidthCost) -> f64| -> f64 {
            layers.iter().map(|layer| layer.widths.iter().map(f).fold(f64::INFINITY, f64::min)).sum()
        };
        MixedError::Budget {
            asked: asked.into_iter().flatten().collect::<Vec<_>>().join(" and "),
            least_bytes: fixed_bytes + least(&|w| w.bytes as f64) as usize,
            least_micros: fixed_micros + least(&|w| w.micros),
        }
    })
}
