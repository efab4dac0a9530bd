//! `selvedge compile`: an ONNX model becomes an artifact and a report.

use super::low_bit::LowBitArgs;
use crate::error::Failure;
use crate::progress;
use crate::table::thousands;
use selvedge::{AlignedBuf, STATE_HEADER_BYTES};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::data::{Array, read_array, read_npz};
use selvedge_compiler::elastic::compile_elastic;
use selvedge_compiler::emit::{EmitOptions, Names};
use selvedge_compiler::fallback::{compile_with_fallback, keep_f32};
use selvedge_compiler::graph::{Graph, ValueId};
use selvedge_compiler::import::{Bound, ImportOptions};
use selvedge_compiler::lower::TargetSpec;
use selvedge_compiler::mixed::compile_mixed;
use selvedge_compiler::picture::PictureIo;
use selvedge_compiler::plan::{MemoryOptions, Region};
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::report::QuantReport;
use selvedge_compiler::split::split_weights;
use selvedge_compiler::{CompileOptions, Compiled, ObserverKind, compile_calibrated, compile_loaded, load};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Calibration samples that the report measures the loss on.
const COMPARED: usize = 64;

#[derive(clap::Args)]
pub struct Args {
    /// ONNX model
    model: PathBuf,
    /// Artifact to write
    #[arg(short, long, value_name = "OUT.slvg")]
    output: PathBuf,
    /// Typical inputs: an array of many entries, FILE.npy or FILE.npz[:KEY]; for several inputs an .npz with one array an input name
    #[arg(long, value_name = "FILE")]
    calibration: Option<String>,
    #[command(flatten)]
    low_bit: LowBitArgs,
    /// Products of two computed matrices (attention), without calibration data: both quantized at run time, or as they are
    #[arg(long, default_value = "int8", value_parser = ["int8", "f32"])]
    matmul: String,
    /// How ranges are taken from the calibration data: `minmax`, `mse` (least squared error) or a percentile such as 99.99
    #[arg(long, default_value = "minmax")]
    observer: String,
    /// Layer that stays in f32, by its node's name (repeatable)
    #[arg(long, value_name = "NODE")]
    keep_f32: Vec<String>,
    /// Keep layers in f32, few of them, so that the outputs reach this signal-to-noise ratio beside the float model, measured
    /// on the calibration data
    #[arg(long, value_name = "DB", conflicts_with = "elastic")]
    min_snr: Option<f64>,
    /// Refuse to write a model that makes a picture of a picture (a denoiser) and whose output has less than this peak
    /// signal-to-noise ratio beside the float model, measured on the calibration data
    #[arg(long, value_name = "DB", conflicts_with = "elastic")]
    min_psnr: Option<f64>,
    #[command(flatten)]
    factorize: super::factorize::Args,
    /// f32 arithmetic: `exact` gives the same bits on every CPU
    #[arg(long, default_value = "exact", value_parser = ["exact"])]
    f32: String,
    /// Processor family whose packing of the weights is written
    #[arg(long, default_value = "portable", value_parser = ["portable", "x86-64-v3", "aarch64", "cortex-m", "wasm"])]
    target: String,
    /// Shape of an input with symbolic dims, NAME=1x3x32x32 (repeatable)
    #[arg(long, value_name = "NAME=DIMS")]
    shape: Vec<String>,
    /// Make an input a constant, a number or an array, and compute on the host what depends on it alone, as in
    /// sigma=0.5 or sizes=sizes.npy (repeatable)
    #[arg(long, value_name = "NAME=NUMBER|FILE")]
    bind: Vec<String>,
    /// The model runs frame by frame: the input takes what the output held after the frame before, as in
    /// h0=hn; zeros before the first (repeatable)
    #[arg(long, value_name = "INPUT=OUTPUT")]
    state: Vec<String>,
    /// LSTM, GRU and RNN without a state before their first step keep theirs from run to run
    #[arg(long)]
    stream: bool,
    /// Memory for the arena: one region is a limit (`sram=64K`), of two the first is the fast one
    /// (`fast=64K,slow=512K`); each tensor lies in one of them
    #[arg(long, value_name = "NAME=BYTES[,NAME=BYTES]")]
    memory: Option<String>,
    /// Region of --memory that an input or output must lie in (repeatable)
    #[arg(long, value_name = "TENSOR=REGION")]
    pin: Vec<String>,
    /// Write the weights to a file of their own, for external flash; the artifact keeps the rest
    #[arg(long, value_name = "FILE")]
    weights_file: Option<PathBuf>,
    /// Make a model whose weights are read step by step into the arena, at most BYTES at once: larger layers run in parts
    #[arg(long, value_name = "BYTES", num_args = 0..=1, require_equals = true, default_missing_value = "4G")]
    stage_weights: Option<String>,
    /// Which ONNX value names the artifact keeps (`compare` needs them to see layers)
    #[arg(long, default_value = "auto", value_parser = ["auto", "all", "io", "none"])]
    names: String,
    /// Write a report page
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let name = args.model.display().to_string();
    if args.model.extension().is_some_and(|e| e == "slvg") {
        return Err(Failure::bad(format!("{name}: this is an artifact already; see `selvedge inspect {name}`")));
    }
    let bytes = read_model(&args.model)?;
    let mut options = options(args)?;
    let graph = load(&bytes, &options.import).map_err(|e| Failure::bad(format!("{name}: {e}")))?;
    keep_f32(&graph, &args.keep_f32, &mut options).map_err(|e| Failure::bad(format!("{name}: --keep-f32: {e}")))?;
    if let Some(least) = args.min_psnr {
        psnr_is_measurable(args, &graph, least).map_err(|e| e.prefixed(&name))?;
    }
    let samples = args.calibration.as_deref().map(|spec| samples(spec, &graph)).transpose()?;
    let compared = samples.as_ref().map(|s| s.iter().take(COMPARED).cloned().collect::<Vec<_>>());
    if !args.low_bit.elastic.is_empty() {
        return elastic(args, &graph, samples, &options).map_err(|e| e.prefixed(&name));
    }
    let mut compiled = match (args.low_bit.mixed()?, args.min_snr) {
        (Some(_), Some(_)) => return Err(Failure::bad("--min-snr: with --weights auto give --min-agreement instead")),
        (None, Some(snr)) => {
            let bar = progress::bar(0, "choosing layers for f32");
            let chosen = compile_with_fallback(&graph, samples.as_deref().unwrap_or_default(), &options, snr);
            bar.finish_and_clear();
            chosen.map_err(|e| Failure::bad(e).prefixed(&name))?
        }
        (Some(mixed), None) => {
            let bar = progress::bar(1000, "choosing widths");
            let mut show = |part: f64| bar.set_position((part * 1000.0) as u64);
            let chosen = compile_mixed(graph, samples.as_deref().unwrap_or_default(), &options, &mixed, &mut show);
            bar.finish_and_clear();
            chosen.map_err(|e| Failure::bad(e).prefixed(&name))?
        }
        (None, None) => compile_with_progress(graph, samples, &options).map_err(|e| e.prefixed(&name))?,
    };
    if let Some(samples) = compared {
        let bar = progress::bar(samples.len(), "comparing");
        let comparison = compiled.compare(samples.into_iter().inspect(|_| bar.inc(1)));
        bar.finish_and_clear();
        compiled.report.set_comparison(comparison.map_err(|e| Failure::bad(format!("{name}: {e}")))?);
    }
    if let Some(least) = args.min_psnr {
        check_psnr(&compiled.report, least).map_err(|e| e.prefixed(&name))?;
    }
    write_artifact(args, &compiled.artifact)?;
    compiled.report.model = args.model.file_name().map_or_else(|| name.clone(), |f| f.to_string_lossy().into_owned());
    compiled.report.set_artifact(compiled.artifact.len(), compiled.plan.arena_bytes);
    compiled.report.set_regions(&compiled.plan, compiled.program.meta.get("regions").map_or("", String::as_str));
    if let Some(path) = &args.report {
        set_times(&mut compiled).map_err(|e| Failure::bad(format!("{name}: timing: {e}")))?;
        write(path, compiled.report.to_html().as_bytes())?;
    }
    print!("{}", summary(&args.output.display().to_string(), &compiled));
    Ok(())
}

/// Refuses `--min-psnr` where nothing could be measured.
fn psnr_is_measurable(args: &Args, graph: &Graph, least: f64) -> Result<(), Failure> {
    let refuse = |why: &str| Err(Failure::bad(format!("--min-psnr {least}: {why}")));
    if !least.is_finite() {
        return refuse("give a number of decibels");
    }
    if PictureIo::of(graph).is_none() {
        return refuse("no output is a picture as large as an input; --min-snr takes any model");
    }
    if args.calibration.is_none() {
        return refuse("it is measured on calibration data; give --calibration");
    }
    Ok(())
}

/// Refuses a picture that lost too much.
fn check_psnr(report: &QuantReport, least: f64) -> Result<(), Failure> {
    let Some((picture, loss)) = report.picture_loss() else {
        return Err(Failure::bad(format!(
            "--min-psnr {least}: the float model's output is the same everywhere on these samples"
        )));
    };
    // Written so that NaN is refused.
    if loss.psnr_db >= least {
        return Ok(());
    }
    let worst = report.worst().first().map_or("NODE", |layer| layer.name.split(';').next().unwrap_or_default());
    let form = if loss.image_form { "retrain the network to say what is to be added (residual form), " } else { "" };
    Err(Failure::bad(format!(
        "--min-psnr {least}: output '{}' has {:.1} dB beside the float model (peak {:.3}); nothing was written. \
         {form}try --bias-correction, --observer mse, weights of more bits, or layers in f32, the worst first: --keep-f32 {worst}",
        picture.output, loss.psnr_db, loss.peak
    )))
}

/// Adds to the report what each layer takes on this machine.
fn set_times(compiled: &mut Compiled) -> Result<(), selvedge::Error> {
    let file = AlignedBuf::from(&compiled.artifact[..]);
    let times = super::bench::layers(&file, Duration::from_millis(300))?;
    let program = &compiled.program;
    let names = program.steps.iter().map(|step| program.tensors[step.outputs[0]].name.as_str());
    compiled.report.set_times(names.zip(times.iter().map(|stats| stats.median_us)));
    Ok(())
}

/// Writes an elastic artifact and says what it holds.
fn elastic(args: &Args, graph: &Graph, samples: Option<Vec<Sample>>, options: &CompileOptions) -> Result<(), Failure> {
    let made = compile_elastic(graph, samples, options, &args.low_bit.versions()?).map_err(Failure::bad)?;
    write(&args.output, &made.bytes)?;
    for (name, version) in &made.versions {
        let sizes = (version.artifact.len() as u64, version.plan.arena_bytes as u64);
        println!("{name:10} {:>12} bytes of flash, {:>10} bytes of arena", thousands(sizes.0), thousands(sizes.1));
    }
    let alone: usize = made.versions.iter().map(|(_, version)| version.artifact.len()).sum();
    println!(
        "{}: {} bytes for all versions ({} one by one); `selvedge select` makes one",
        args.output.display(),
        thousands(made.bytes.len() as u64),
        thousands(alone as u64)
    );
    Ok(())
}

/// Reads a model file; says what another kind of file is.
pub fn read_model(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = path.display();
    if path.is_dir() {
        return Err(Failure::bad(format!("{name}: this is a folder; give the .onnx file in it")));
    }
    let bytes = std::fs::read(path).map_err(|e| Failure::bad(format!("{name}: {e}")))?;
    if bytes.get(4..8) == Some(b"TFL3") {
        return Err(Failure::bad(format!(
            "{name}: this is a TensorFlow Lite model; convert it with `python -m tf2onnx.convert --tflite {name} --output model.onnx`"
        )));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(Failure::bad(format!(
            "{name}: this is an archive (a PyTorch checkpoint?); export the model with torch.onnx.export"
        )));
    }
    Ok(bytes)
}

/// The folder of a model file, where it may keep weights of its own.
pub fn folder(model: &Path) -> Option<PathBuf> {
    model.parent().map(Path::to_path_buf)
}

/// Compiles with a bar over the calibration samples.
pub fn compile_with_progress(
    graph: Graph,
    samples: Option<Vec<Sample>>,
    options: &CompileOptions,
) -> Result<Compiled, Failure> {
    match samples {
        None => compile_loaded(graph, options).map_err(Failure::bad),
        Some(samples) => {
            let bar = progress::bar(samples.len(), "calibrating");
            let result = compile_calibrated(graph, samples.into_iter().inspect(|_| bar.inc(1)), options);
            bar.finish_and_clear();
            result.map_err(Failure::bad)
        }
    }
}

fn options(args: &Args) -> Result<CompileOptions, Failure> {
    let observer = match args.observer.as_str() {
        "minmax" => ObserverKind::MinMax,
        "mse" => ObserverKind::Mse,
        text => match text.parse::<f64>() {
            Ok(p) if (50.0..=100.0).contains(&p) => ObserverKind::Percentile(p),
            _ => {
                return Err(Failure::bad(format!(
                    "--observer {text}: give `minmax`, `mse` or a percentile between 50 and 100"
                )));
            }
        },
    };
    let target = TargetSpec::from_name(&args.target).ok_or_else(|| Failure::bad("unknown target"))?;
    let names = match args.names.as_str() {
        "all" => Names::All,
        "io" => Names::Io,
        "none" => Names::None,
        _ => Names::Auto,
    };
    let stage_weights = match args.stage_weights.as_deref() {
        None => None,
        Some(text) => {
            Some(bytes(text).ok_or_else(|| Failure::bad(format!("--stage-weights {text}: give bytes, as in 16K")))?)
        }
    };
    let shapes = args.shape.iter().map(|s| shape(s)).collect::<Result<_, _>>()?;
    let bind = args.bind.iter().map(|text| bind(text)).collect::<Result<_, _>>()?;
    let states = args.state.iter().map(|text| state(text)).collect::<Result<_, _>>()?;
    let mut options = CompileOptions {
        import: ImportOptions {
            shapes,
            bind,
            states,
            stream: args.stream,
            folder: folder(&args.model),
            ..ImportOptions::default()
        },
        scheme: QuantScheme { int8_matmul: args.matmul == "int8", ..QuantScheme::w8a8() },
        observer,
        factorize: super::factorize::options(&args.factorize)?,
        target,
        emit: EmitOptions { names },
        memory: memory(args)?,
        stage_weights,
        weights_file: args.weights_file.as_ref().and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned())),
        ..CompileOptions::default()
    };
    args.low_bit.apply(&mut options, args.calibration.is_some())?;
    Ok(options)
}

/// Writes the artifact, or its head and its weights.
fn write_artifact(args: &Args, artifact: &[u8]) -> Result<(), Failure> {
    let Some(path) = &args.weights_file else { return write(&args.output, artifact) };
    let (head, weights) =
        split_weights(artifact).ok_or_else(|| Failure::bad("the weights are not the last section"))?;
    write(&args.output, &head)?;
    write(path, &weights)
}

/// Regions and pins of the arena.
fn memory(args: &Args) -> Result<MemoryOptions, Failure> {
    let mut options = MemoryOptions::default();
    for part in args.memory.iter().flat_map(|text| text.split(',')) {
        let bad = || Failure::bad(format!("--memory {part}: give NAME=BYTES, as in fast=64K,slow=512K"));
        let (name, size) = part.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(bad)?;
        options.regions.push(Region { name: name.to_string(), bytes: bytes(size).ok_or_else(bad)? });
    }
    for pin in &args.pin {
        let bad = || Failure::bad(format!("--pin {pin}: give TENSOR=REGION, as in input=slow"));
        let (tensor, region) = pin.rsplit_once('=').ok_or_else(bad)?;
        options.pins.push((tensor.to_string(), region.to_string()));
    }
    Ok(options)
}

/// A number of bytes: `65536`, `64K` or `1M` (powers of 1024).
pub fn bytes(text: &str) -> Option<usize> {
    let unit = match text.trim_end_matches(|c: char| !c.is_ascii_digit()) {
        digits if digits.len() == text.len() => 1,
        digits => match text[digits.len()..].to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b') {
            "" => 1,
            "k" => 1 << 10,
            "m" => 1 << 20,
            "g" => 1 << 30,
            _ => return None,
        },
    };
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

/// NAME=1x3x32x32 as a name and dims.
pub fn shape(text: &str) -> Result<(String, Vec<usize>), Failure> {
    let bad = || Failure::bad(format!("--shape {text}: give NAME=DIMS, as in input=1x3x224x224"));
    let (name, dims) = text.rsplit_once('=').ok_or_else(bad)?;
    let dims: Result<Vec<usize>, _> = dims.split(['x', ',']).map(str::parse).collect();
    let dims = dims.ok().filter(|d| !d.is_empty() && !d.contains(&0)).ok_or_else(bad)?;
    Ok((name.to_string(), dims))
}

/// INPUT=OUTPUT as two names.
pub fn state(text: &str) -> Result<(String, String), Failure> {
    let names = text.split_once('=').filter(|(input, output)| !input.is_empty() && !output.is_empty());
    let bad = || Failure::bad(format!("--state {text}: give INPUT=OUTPUT, as in h0=hn"));
    names.map(|(input, output)| (input.to_string(), output.to_string())).ok_or_else(bad)
}

/// NAME=0.5 as a name and a number, NAME=FILE.npy as a name and an array.
pub fn bind(text: &str) -> Result<(String, Bound), Failure> {
    let bad = || Failure::bad(format!("--bind {text}: give NAME=NUMBER or NAME=FILE.npy, as in sigma=0.5"));
    let (name, value) = text.split_once('=').ok_or_else(bad)?;
    if value.ends_with(".npy") || value.contains(".npz") {
        return Ok((name.to_string(), Bound::Array(read_array(value)?)));
    }
    let number = value.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(bad)?;
    Ok((name.to_string(), Bound::Number(number)))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|e| Failure::bad(format!("{}: {e}", path.display())))
}

/// Calibration samples for a graph with one input (any array) or several (an .npz by input name).
pub fn samples(spec: &str, graph: &Graph) -> Result<Vec<Sample>, Failure> {
    let bad = |e: &dyn std::fmt::Display| Failure::bad(format!("{spec}: {e}"));
    let inputs = graph.plain_inputs();
    if let &[input] = inputs.as_slice() {
        let array = read_array(spec)?;
        return split(&array, &graph.value(input).shape)
            .map(|tensors| tensors.into_iter().map(|t| Sample { tensors: vec![t] }).collect())
            .ok_or_else(|| bad(&misfit(graph, input, &array)));
    }
    let arrays = read_npz(Path::new(spec))?;
    let mut columns = Vec::new();
    for &input in &inputs {
        let name = &graph.value(input).name;
        let array = arrays.iter().find(|(key, _)| key == name).map(|(_, a)| a);
        let array = array.ok_or_else(|| bad(&format!("no array named '{name}' for that input")))?;
        let tensors = split(array, &graph.value(input).shape).ok_or_else(|| bad(&misfit(graph, input, array)))?;
        columns.push(tensors.into_iter());
    }
    let mut samples = Vec::new();
    while let Some(tensors) = columns.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>() {
        samples.push(Sample { tensors });
    }
    Ok(samples)
}

fn misfit(graph: &Graph, input: ValueId, array: &Array) -> String {
    let value = graph.value(input);
    format!("the array's shape {:?} does not fit input '{}' of shape {:?}", array.shape, value.name, value.shape)
}

/// The entries of an array whose trailing dims are those of the input.
fn split(array: &Array, shape: &[usize]) -> Option<Vec<Array>> {
    let size: usize = shape.iter().product();
    let fits = array.shape == shape || array.shape.get(1..) == shape.get(1..) || array.shape.get(1..) == Some(shape);
    if size == 0 || !array.data.len().is_multiple_of(size) || !fits {
        return None;
    }
    let entry = |i: usize| {
        let data = array.data.slice(i * size..(i + 1) * size);
        Array { shape: shape.to_vec(), data }
    };
    Some((0..array.data.len() / size).map(entry).collect())
}

fn summary(path: &str, compiled: &Compiled) -> String {
    let mut text = compiled.report.to_text();
    let dead = &compiled.dead_channels;
    if dead.macs_after < dead.macs_before {
        text += &format!(
            "dead channels removed: {} -> {} MACs (outputs unchanged)\n",
            thousands(dead.macs_before),
            thousands(dead.macs_after)
        );
    }
    for note in &compiled.program.notes {
        text += &format!("note: {note}\n");
    }
    let plan = &compiled.plan;
    for region in &compiled.report.regions {
        text += &format!(
            "{}: {} bytes, {:.1} % of the bytes a run moves\n",
            region.name,
            thousands(region.bytes as u64),
            region.traffic * 100.0
        );
    }
    if let Some(largest) = plan.stages.iter().map(|stage| stage.bytes).max() {
        text += &format!("weights read step by step, at most {} bytes at once\n", thousands(largest as u64));
    }
    let program = &compiled.program;
    if !program.states.is_empty() {
        let bytes: usize = program.states.iter().map(|s| program.tensors[program.inputs[s.input]].bytes()).sum();
        let count = program.states.len();
        text += &format!(
            "{count} {}, {} bytes between frames\n",
            if count == 1 { "state" } else { "states" },
            thousands((bytes + STATE_HEADER_BYTES) as u64)
        );
    }
    text + &format!(
        "{path}: {} bytes of flash, {} bytes of arena (lower bound {}), {} steps, {} MACs\n",
        thousands(compiled.artifact.len() as u64),
        thousands(compiled.plan.arena_bytes as u64),
        thousands(compiled.plan.lower_bound as u64),
        compiled.program.steps.len(),
        thousands(compiled.program.macs())
    )
}
