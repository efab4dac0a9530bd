//! The models that every target runs, each with the inputs whose outputs are hashed.

use std::path::Path;

use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::data::ArrayData;
use selvedge_compiler::inspect::{Summary, summarize};
use selvedge_compiler::plan::{MemoryOptions, Region};
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::split::split_weights;
use selvedge_compiler::{CompileOptions, compile, compile_calibrated, load};
use selvedge_zoo::digits;

use crate::npz;

/// Inputs recorded for each model.
pub const INPUTS: usize = 8;

/// A compiled model with [`INPUTS`] inputs, as the bytes of its one input tensor.
pub struct DeviceModel {
    pub name: String,
    pub artifact: Vec<u8>,
    pub inputs: Vec<Vec<u8>>,
}

impl DeviceModel {
    /// What `inspect` says: the `ops!` line of a firmware that runs it, multiply-accumulates.
    pub fn summary(&self) -> Summary {
        let file = AlignedBuf::from(&self.artifact[..]);
        let artifact = Artifact::parse(&file).expect("sound");
        summarize(&artifact, &|_, _| String::new()).expect("valid")
    }
}

/// A model compiled for a fast and a slow memory, for the firmware that runs it from them.
pub struct Layouts {
    /// The model of that name, compiled for one memory, has the same steps.
    pub name: &'static str,
    /// With its weights.
    pub regions: Vec<u8>,
    /// Head and weights file of the same.
    pub split: (Vec<u8>, Vec<u8>),
    /// Head and weights file of weights that are staged, each layer as a whole.
    pub staged: (Vec<u8>, Vec<u8>),
}

/// Keyword spotting where the data is there, else the digits of the zoo.
pub fn layouts(data: Option<&Path>) -> Layouts {
    let (name, fast) = if data.is_some() { ("kws", 8 * 1024) } else { ("digits", 2 * 1024) };
    let region = |(name, bytes): (&str, usize)| Region { name: name.to_string(), bytes };
    let regions = [("fast", fast), ("slow", 16 * 1024)].map(region).to_vec();
    let memory = MemoryOptions { regions, pins: Vec::new() };
    let compiled = |stage_weights| match data {
        Some(data) => published(data, name, memory.clone(), stage_weights),
        None => calibrated(&CompileOptions { memory: memory.clone(), stage_weights, ..CompileOptions::default() }),
    };
    let regions = compiled(None);
    let split = |artifact: &[u8]| split_weights(artifact).expect("an artifact");
    Layouts { name, split: split(&regions), staged: split(&compiled(Some(usize::MAX))), regions }
}

/// The zoo: calibrated to int8, and in f32.
pub fn zoo() -> Vec<DeviceModel> {
    let int8 = calibrated(&CompileOptions::default());
    let options = CompileOptions { scheme: QuantScheme::f32(), ..CompileOptions::default() };
    let float = compile(digits::ONNX, &options).expect("the zoo model compiles").artifact;
    vec![digits_model("digits", int8), digits_model("digits_f32", float)]
}

fn calibrated(options: &CompileOptions) -> Vec<u8> {
    let set = digits::calibration_set();
    let samples = (0..set.len()).map(|i| Sample::f32([1, 1, digits::HEIGHT, digits::WIDTH], set.image(i).to_vec()));
    let graph = load(digits::ONNX, &options.import).expect("the zoo model imports");
    compile_calibrated(graph, samples, options).expect("the zoo model compiles").artifact
}

fn digits_model(name: &str, artifact: Vec<u8>) -> DeviceModel {
    let file = AlignedBuf::from(&artifact[..]);
    let parsed = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(parsed.arena_bytes());
    let mut session = Session::new(parsed, &mut arena).expect("valid");
    let mut input = |i: usize| {
        session.input(0).expect("input").quantize_from_f32(&digits::test_set().image(i)).expect("fits");
        session.input(0).expect("input").into_bytes().to_vec()
    };
    let inputs = (0..INPUTS).map(&mut input).collect();
    DeviceModel { name: name.to_string(), artifact, inputs }
}

/// The MLPerf Tiny models as published, nothing quantized beyond that, with the first recorded inputs.
pub fn mlperf(data: &Path) -> Vec<DeviceModel> {
    ["ad", "ic", "kws", "sww", "vww"].into_iter().map(|name| mlperf_model(data, name)).collect()
}

fn published(data: &Path, name: &str, memory: MemoryOptions, stage_weights: Option<usize>) -> Vec<u8> {
    let onnx = std::fs::read(data.join(format!("models/mlperf_tiny/{name}_int8.onnx"))).expect("model");
    let options = CompileOptions { scheme: QuantScheme::f32(), memory, stage_weights, ..CompileOptions::default() };
    compile(&onnx, &options).unwrap_or_else(|e| panic!("{name}: {e}")).artifact
}

fn mlperf_model(data: &Path, name: &str) -> DeviceModel {
    let artifact = published(data, name, MemoryOptions::default(), None);
    let arrays = npz(&data.join(format!("models/expected/{name}.npz")));
    let (ArrayData::I8(values), count) = (&arrays["input"].data, arrays["input"].shape[0]) else {
        panic!("{name}: int8 inputs")
    };
    let rows = values.chunks(values.len() / count).take(INPUTS);
    let inputs = rows.map(|row| row.iter().map(|&q| q as u8).collect()).collect();
    DeviceModel { name: name.to_string(), artifact, inputs }
}
