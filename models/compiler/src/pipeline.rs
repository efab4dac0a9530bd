//! From ONNX bytes to an artifact in one call; each stage is public by itself.

use crate::calibrate::{CalibrateError, FloatModel, MinMax, Mse, Observe, Percentile, Ranges, Sample, calibrate};
use crate::compare::{CompareError, Comparison, Side, compare_layers};
use crate::emit::{EmitOptions, emit_with};
use crate::factorized::with_factors;
use crate::graph::Graph;
use crate::import::{ImportError, ImportOptions, import_onnx_bytes};
use crate::lower::{LowerError, LowerOptions, PairRule, TargetSpec, fuse_conv_pairs, lower};
use crate::mixed::MixedError;
use crate::passes::{DeadChannelStats, eliminate_dead_channels, fold_constants, optimize, split_layers};
use crate::passes::{FactorizeError, FactorizeOptions};
use crate::picture::Watch;
use crate::plan::{MemoryOptions, MemoryPlan, PlanError, plan_memory_in};
use crate::prepare::{Equalized, PrepareError, PrepareOptions, equalize, prepare};
use crate::program::Program;
use crate::quantize::{QuantScheme, QuantizeError, pack_narrow_weights, quantize};
use crate::report::QuantReport;
use crate::simulate::{SimMode, Simulator};
use std::collections::BTreeMap;

/// Metadata key of artifacts whose layers read inputs divided by a vector that the weights were multiplied by
/// (SVDQuant, equalization).
pub(crate) const SMOOTHED: &str = "smoothed";

/// How ranges of activations are chosen from what was observed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ObserverKind {
    MinMax,
    /// Percent of the values that the range keeps on each side.
    Percentile(f64),
    /// Of least squared error.
    Mse,
}

/// What to make of a model.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    pub import: ImportOptions,
    pub scheme: QuantScheme,
    pub observer: ObserverKind,
    pub target: TargetSpec,
    /// How weights of fewer than 8 bits are found; `None`: rounded to nearest.
    pub prepare: Option<PrepareOptions>,
    /// Quantize activations at run time although there are samples.
    pub dynamic: bool,
    /// Scale channels between layers so that the grids fit them better (needs samples).
    pub equalize: bool,
    /// Cut convolutions in two of low rank.
    pub factorize: Option<FactorizeOptions>,
    /// Values between two convolutions that are fused to run as one where that takes no more memory.
    pub pairs: Vec<String>,
    /// Merge steps (residual additions into convolutions).
    pub fuse: bool,
    /// Remove channels that cannot change any output.
    pub dead_channels: bool,
    /// The memory that the arena has to fit.
    pub memory: MemoryOptions,
    /// Make a model whose weights are read step by step, each step's at most this many bytes;
    /// layers with more are cut into parts of some output channels each.
    pub stage_weights: Option<usize>,
    /// Name under which the artifact remembers its weights file, where it is cut in two.
    pub weights_file: Option<String>,
    pub emit: EmitOptions,
    /// Entries of the artifact's metadata, beside those of the compiler.
    pub meta: BTreeMap<String, String>,
}

impl Default for CompileOptions {
    fn default() -> Self {
        CompileOptions {
            import: ImportOptions::default(),
            scheme: QuantScheme::w8a8(),
            observer: ObserverKind::MinMax,
            target: TargetSpec::PORTABLE,
            prepare: None,
            dynamic: false,
            equalize: false,
            factorize: None,
            pairs: Vec::new(),
            fuse: true,
            dead_channels: true,
            memory: MemoryOptions::default(),
            stage_weights: None,
            weights_file: None,
            emit: EmitOptions::default(),
            meta: BTreeMap::new(),
        }
    }
}

/// A compiled model and everything learned on the way.
#[derive(Debug)]
pub struct Compiled {
    pub artifact: Vec<u8>,
    pub program: Program,
    pub plan: MemoryPlan,
    pub report: QuantReport,
    pub dead_channels: DeadChannelStats,
    /// The optimized float graph in front of quantization; the reference of comparisons.
    pub float_graph: Graph,
    /// The graph that was lowered.
    pub graph: Graph,
}

impl Compiled {
    /// Runs the float model and the integer program on samples and compares every value they share.
    ///
    /// # Errors
    /// [`CompareError`] for an empty set and for samples that do not fit.
    pub fn compare(&self, samples: impl IntoIterator<Item = Sample>) -> Result<Comparison, CompareError> {
        let model = |side, e: LowerError| CompareError::Run { sample: 0, side, reason: e.to_string() };
        let mut float = Simulator::new(&self.float_graph, SimMode::Float).map_err(|e| model("reference", e))?;
        let mut integer = Simulator::new(&self.graph, SimMode::Integer).map_err(|e| model("tested", e))?;
        let outputs: Vec<String> =
            self.float_graph.outputs.iter().map(|&o| self.float_graph.value(o).name.clone()).collect();
        let watch = Watch::of(&self.float_graph);
        let run = |model: &mut Simulator, is_float, sample: &Sample, observe: &mut Observe<'_>| match &watch {
            Some(watch) => watch.run(model, is_float, sample, observe),
            None => FloatModel::run(model, sample, observe),
        };
        let mut float = |sample: &Sample, observe: &mut Observe<'_>| run(&mut float, true, sample, observe);
        let mut integer = |sample: &Sample, observe: &mut Observe<'_>| run(&mut integer, false, sample, observe);
        let (mut float, mut integer) = (Side::of(&self.float_graph, &mut float), Side::of(&self.graph, &mut integer));
        let found = compare_layers(&mut float, &mut integer, samples, &outputs)?;
        Ok(Comparison { picture: watch.and_then(Watch::loss), ..found })
    }
}

/// The stage that refused a model. Messages name node, op, shapes and remedy.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("factorization: {0}")]
    Factorize(#[from] FactorizeError),
    #[error("calibration: {0}")]
    Calibrate(#[from] CalibrateError),
    #[error("choosing widths: {0}")]
    Mixed(#[from] MixedError),
    #[error("preparing weights: {0}")]
    Prepare(#[from] PrepareError),
    #[error("quantization: {0}")]
    Quantize(#[from] QuantizeError),
    #[error("lowering: {0}")]
    Lower(#[from] LowerError),
    #[error("memory: {0}")]
    Memory(#[from] PlanError),
}

/// Reads a model and brings it into the device's form: the graph that samples are checked against.
///
/// # Errors
/// [`ImportError`].
pub fn load(onnx: &[u8], options: &ImportOptions) -> Result<Graph, ImportError> {
    let mut graph = import_onnx_bytes(onnx, options)?;
    fold_constants(&mut graph);
    optimize(&mut graph);
    Ok(graph)
}

/// Compiles a model without calibration data: what the file quantized stays as it is, other
/// layers follow the scheme with activations quantized at run time.
///
/// # Errors
/// [`CompileError`].
pub fn compile(onnx: &[u8], options: &CompileOptions) -> Result<Compiled, CompileError> {
    compile_loaded(load(onnx, &options.import)?, options)
}

/// [`compile`] for a loaded model.
///
/// # Errors
/// [`CompileError`].
pub fn compile_loaded(graph: Graph, options: &CompileOptions) -> Result<Compiled, CompileError> {
    with_factors(graph, options, |graph, options| compile_graph(graph, None, options))
}

/// Compiles a loaded model; with samples, activations get static int8 grids from their ranges.
///
/// # Errors
/// [`CompileError`].
pub fn compile_calibrated(
    graph: Graph,
    samples: impl IntoIterator<Item = Sample>,
    options: &CompileOptions,
) -> Result<Compiled, CompileError> {
    with_factors(graph, options, |graph, options| compile_sampled(graph, samples, options))
}

fn compile_sampled(
    graph: Graph,
    samples: impl IntoIterator<Item = Sample>,
    options: &CompileOptions,
) -> Result<Compiled, CompileError> {
    if options.equalize {
        let samples: Vec<Sample> = samples.into_iter().collect();
        return compile_equalized(&graph, &samples, options, |graph, options| {
            compile_sampled(graph, samples.iter().cloned(), options)
        });
    }
    if options.prepare.is_none() && !options.dynamic {
        let ranges = ranges_of(&graph, samples, options)?;
        return compile_graph(graph, Some(&ranges), options);
    }
    let samples: Vec<Sample> = samples.into_iter().collect();
    let ranges = if options.dynamic { None } else { Some(ranges_of(&graph, samples.clone(), options)?) };
    let Some(how) = &options.prepare else { return compile_graph(graph, ranges.as_ref(), options) };
    let prepared = prepare(&graph, ranges.as_ref(), &samples, &options.scheme, how)?;
    // Smoothing makes values that need ranges of their own.
    let ranges = match ranges {
        Some(_) if prepared.smoothed => Some(ranges_of(&prepared.graph, samples, options)?),
        ranges => ranges,
    };
    let scheme = QuantScheme { prepared: prepared.layers, ..options.scheme.clone() };
    let options = CompileOptions { scheme, ..options.clone() };
    let mut compiled = compile_graph(prepared.graph, ranges.as_ref(), &options)?;
    compiled.program.notes.extend(prepared.notes);
    compiled.report.sensitivities = prepared.sensitivities;
    Ok(compiled)
}

/// Equalizes a graph; the options to go on with.
pub(crate) fn equalized(
    graph: &Graph,
    samples: &[Sample],
    options: &CompileOptions,
) -> Result<(Equalized, CompileOptions), CompileError> {
    let made = equalize(graph, samples, &options.scheme).map_err(PrepareError::Run)?;
    let mut options = CompileOptions { equalize: false, ..options.clone() };
    if !made.scaled.is_empty() {
        options.meta.insert(SMOOTHED.into(), "equalized".into());
    }
    Ok((made, options))
}

/// Equalizes a graph and compiles it by `compile`.
pub(crate) fn compile_equalized(
    graph: &Graph,
    samples: &[Sample],
    options: &CompileOptions,
    compile: impl FnOnce(Graph, &CompileOptions) -> Result<Compiled, CompileError>,
) -> Result<Compiled, CompileError> {
    let (made, options) = equalized(graph, samples, options)?;
    let mut compiled = compile(made.graph, &options)?;
    let (count, least) = made.scaled.iter().fold((0, 1.0f64), |(n, least), (_, ratio)| (n + 1, ratio.min(least)));
    compiled.program.notes.push(match count {
        0 => "equalization: no channels between two layers are worth scaling".into(),
        _ => format!("equalization: the outputs of {count} layers are scaled; noise behind them down to {least:.2} of what it was"),
    });
    Ok(compiled)
}

pub(crate) fn ranges_of(
    graph: &Graph,
    samples: impl IntoIterator<Item = Sample>,
    options: &CompileOptions,
) -> Result<Ranges, CalibrateError> {
    match options.observer {
        ObserverKind::MinMax => calibrate(graph, samples, MinMax::new()),
        ObserverKind::Percentile(percent) => calibrate(graph, samples, Percentile::new(percent)),
        ObserverKind::Mse => calibrate(graph, samples, Mse::new()),
    }
}

pub(crate) fn compile_graph(
    graph: Graph,
    ranges: Option<&Ranges>,
    options: &CompileOptions,
) -> Result<Compiled, CompileError> {
    let (mut quantized, report) = quantize(&graph, ranges, &options.scheme)?;
    let dead_channels = if options.dead_channels && !options.scheme.elastic {
        eliminate_dead_channels(&mut quantized)
    } else {
        Default::default()
    };
    if !options.scheme.elastic {
        pack_narrow_weights(&mut quantized);
    }
    let lowering = LowerOptions { fuse: options.fuse, simulate: false, stage: options.stage_weights.is_some() };
    let program = match options.stage_weights {
        None => lower(&quantized, &options.target, &lowering),
        Some(limit) => {
            let mut parts = quantized.clone();
            let notes = split_layers(&mut parts, limit);
            lower(&parts, &options.target, &lowering)
                .map(|program| Program { notes: [notes, program.notes].concat(), ..program })
        }
    };
    let mut program = program?;
    if options.fuse && options.stage_weights.is_none() {
        fuse_conv_pairs(&mut program, &options.pairs, PairRule::NoLarger);
    }
    if let Some(limit) = options.stage_weights {
        check_stages(&program, limit)?;
    }
    let plan = plan_memory_in(&program, &options.memory)?;
    describe(&mut program, &plan, options);
    let artifact = emit_with(&program, &plan, &options.emit);
    Ok(Compiled { artifact, program, plan, report, dead_channels, float_graph: graph, graph: quantized })
}

fn check_stages(program: &Program, limit: usize) -> Result<(), PlanError> {
    if let Some(&output) = program.outputs.iter().find(|&&t| program.tensors[t].is_const()) {
        return Err(PlanError::ConstantOutput(program.tensors[output].name.clone()));
    }
    for (step, s) in program.steps.iter().enumerate() {
        let needed = s.block.len();
        if needed > limit {
            return Err(PlanError::stage(step, &s.name, needed, limit));
        }
    }
    Ok(())
}

/// Keeps in the artifact what the memory was planned for, and that layers read smoothed inputs.
fn describe(program: &mut Program, plan: &MemoryPlan, options: &CompileOptions) {
    program.meta.extend(options.meta.iter().map(|(key, value)| (key.clone(), value.clone())));
    if options.prepare.is_some_and(|how| how.svdquant) {
        program.meta.insert(SMOOTHED.into(), "svdquant".into());
    }
    if plan.region_bytes[1] > 0 {
        let names: Vec<&str> = options.memory.regions.iter().map(|region| region.name.as_str()).collect();
        program.meta.insert("regions".into(), names.join(","));
    }
    if let Some(file) = &options.weights_file {
        program.meta.insert("weights_file".into(), file.clone());
    }
}
