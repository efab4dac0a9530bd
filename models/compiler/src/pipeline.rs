//! From ONNX bytes to an artifact in one call; each stage is public by itself.

use crate::calibrate::{CalibrateError, MinMax, Percentile, Ranges, Sample, calibrate};
use crate::compare::{CompareError, Comparison, Side, compare_layers};
use crate::emit::{EmitOptions, emit_with};
use crate::graph::Graph;
use crate::import::{ImportError, ImportOptions, import_onnx_bytes};
use crate::lower::{LowerError, LowerOptions, TargetSpec, lower};
use crate::passes::{DeadChannelStats, eliminate_dead_channels, fold_constants, optimize};
use crate::plan::{MemoryPlan, plan_memory};
use crate::program::Program;
use crate::quantize::{QuantScheme, QuantizeError, quantize};
use crate::report::QuantReport;
use crate::simulate::{SimMode, Simulator};

/// How ranges of activations are chosen from what was observed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ObserverKind {
    MinMax,
    /// Percent of the values that the range keeps on each side.
    Percentile(f64),
}

/// What to make of a model.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    pub import: ImportOptions,
    pub scheme: QuantScheme,
    pub observer: ObserverKind,
    pub target: TargetSpec,
    /// Merge steps (residual additions into convolutions).
    pub fuse: bool,
    /// Remove channels that cannot change any output.
    pub dead_channels: bool,
    pub emit: EmitOptions,
}

impl Default for CompileOptions {
    fn default() -> Self {
        CompileOptions {
            import: ImportOptions::default(),
            scheme: QuantScheme::w8a8(),
            observer: ObserverKind::MinMax,
            target: TargetSpec::PORTABLE,
            fuse: true,
            dead_channels: true,
            emit: EmitOptions::default(),
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
        compare_layers(
            &mut Side::of(&self.float_graph, &mut float),
            &mut Side::of(&self.graph, &mut integer),
            samples,
            &outputs,
        )
    }
}

/// The stage that refused a model. Messages name node, op, shapes and remedy.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("calibration: {0}")]
    Calibrate(#[from] CalibrateError),
    #[error("quantization: {0}")]
    Quantize(#[from] QuantizeError),
    #[error("lowering: {0}")]
    Lower(#[from] LowerError),
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
    compile_graph(graph, None, options)
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
    let ranges = match options.observer {
        ObserverKind::MinMax => calibrate(&graph, samples, MinMax::new())?,
        ObserverKind::Percentile(percent) => calibrate(&graph, samples, Percentile::new(percent))?,
    };
    compile_graph(graph, Some(&ranges), options)
}

fn compile_graph(graph: Graph, ranges: Option<&Ranges>, options: &CompileOptions) -> Result<Compiled, CompileError> {
    let (mut quantized, report) = quantize(&graph, ranges, &options.scheme)?;
    let dead_channels =
        if options.dead_channels { eliminate_dead_channels(&mut quantized) } else { Default::default() };
    let program = lower(&quantized, &options.target, &LowerOptions { fuse: options.fuse, simulate: false })?;
    let plan = plan_memory(&program);
    let artifact = emit_with(&program, &plan, &options.emit);
    Ok(Compiled { artifact, program, plan, report, dead_channels, float_graph: graph, graph: quantized })
}
