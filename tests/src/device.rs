//! The models that every target runs, each with the inputs whose outputs are hashed.

use std::path::Path;

use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::data::ArrayData;
use selvedge_compiler::graph::{Constant, Node, Op, Value};
use selvedge_compiler::inspect::{Summary, summarize};
use selvedge_compiler::lowbit::Width;
use selvedge_compiler::passes::{FactorForm, FactorRank, FactorizeOptions};
use selvedge_compiler::plan::{MemoryOptions, Region};
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::split::split_weights;
use selvedge_compiler::{CompileOptions, Compiled, compile, compile_calibrated, load};
use selvedge_zoo::digits;

use crate::sound_models::{calibration, dtln_mixed, float, gtcrn_mixed};
use crate::{npz, sound};

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

/// Denoisers of speech that run frame by frame, where the data is there: in f32, and with most of it in int8. The inputs
/// are frames one after the other, two seconds into a recording.
pub fn streams(data: Option<&Path>) -> Vec<DeviceModel> {
    let Some(folder) = data.map(|data| data.join("models/audio")) else { return Vec::new() };
    let from = 2 * sound::SECOND;
    let model = |name: &str, made: Compiled, frames: &[Sample]| {
        let bytes = |sample: &Sample| match &sample.tensors[0].data {
            ArrayData::F32(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            _ => panic!("{name}: f32 frames"),
        };
        let inputs = frames.iter().map(bytes).collect();
        DeviceModel { name: name.to_string(), artifact: made.artifact, inputs }
    };
    let recorded = sound::samples(&folder.join("mix.wav"));
    let frames = |of: &[Sample], hop: usize| of[from / hop..][..INPUTS].to_vec();
    let gtcrn = sound::gtcrn(&folder);
    let spectra = frames(&sound::gtcrn_samples(&recorded), sound::GTCRN_HOP);
    let mut models =
        vec![model("gtcrn_f32", float(&gtcrn), &spectra), model("gtcrn_mixed", gtcrn_mixed(&gtcrn), &spectra)];
    let Some(wheel) = crate::wheel("DTLN on devices", "dtln") else { return models };
    let dtln = sound::dtln(&wheel);
    let f32s = dtln.each_ref().map(float);
    let speech = sound::samples(&folder.join("enh.wav"));
    let magnitudes = sound::dtln_samples(&f32s[0].artifact, &calibration(&speech, sound::SECOND / 4));
    let mixed = dtln_mixed(&dtln, &magnitudes[0]);
    let seen = sound::dtln_samples(&f32s[0].artifact, &recorded[..from + INPUTS * sound::DTLN_SHIFT])
        .map(|seen| frames(&seen, sound::DTLN_SHIFT));
    for (form, made) in [("f32", f32s), ("mixed", mixed)] {
        for ((number, made), seen) in (1..).zip(made).zip(&seen) {
            models.push(model(&format!("dtln{number}_{form}"), made, seen));
        }
    }
    models
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

/// The zoo: calibrated to int8, in f32, with weights of fewer bits.
pub fn zoo() -> Vec<DeviceModel> {
    let int8 = calibrated(&CompileOptions::default());
    let options = CompileOptions { scheme: QuantScheme::f32(), ..CompileOptions::default() };
    let float = compile(digits::ONNX, &options).expect("the zoo model compiles").artifact;
    let how = FactorizeOptions { rank: FactorRank::Energy(0.9), form: FactorForm::Spatial };
    let pairs = calibrated(&CompileOptions { factorize: Some(how), ..CompileOptions::default() });
    let groups = QuantScheme { edges_w8: false, ..QuantScheme::low_bit(Width::W4, 32) };
    let groups = calibrated(&CompileOptions { scheme: groups, ..CompileOptions::default() });
    let mut models = vec![
        digits_model("digits", int8),
        digits_model("digits_f32", float),
        digits_model("digits_norm", normalized()),
        digits_model("digits_pairs", pairs),
        digits_model("digits_w4g32", groups),
    ];
    // Trained with few bits: rows of W4, W3 and ternary weights.
    models.extend(digits::QAT.map(|net| {
        let made = compile(net.onnx, &CompileOptions::default()).expect("the zoo model compiles");
        digits_model(&format!("digits_{}", net.name), made.artifact)
    }));
    models
}

/// The digits with a GroupNorm of 4 groups behind each convolution of one group, with constants
/// nobody trained: for the bits, not for the classes.
fn normalized() -> Vec<u8> {
    let options = CompileOptions::default();
    let mut graph = load(digits::ONNX, &options.import).expect("the zoo model imports");
    let mut index = 0;
    while index < graph.nodes.len() {
        let Op::Conv { groups: 1, layout, clamp, .. } = &mut graph.nodes[index].op else {
            index += 1;
            continue;
        };
        let op = Op::GroupNorm { groups: 4, epsilon: 1e-3, layout: *layout, clamp: clamp.take() };
        let y = graph.nodes[index].outputs[0];
        let value = graph.value(y).clone();
        let channels = value.shape[3];
        let mut constant = |name: &str, of: fn(usize) -> f32| {
            let data = Constant::F32((0..channels).map(of).collect());
            Some(graph.add_value(Value::constant(format!("{}.{name}", value.name), vec![channels], data)))
        };
        let parameters = [constant("gamma", |c| 1.5 - 0.0625 * c as f32), constant("beta", |c| 0.03125 * c as f32)];
        let between = graph.add_value(Value { name: format!("{}.whole", value.name), ..value });
        graph.nodes[index].outputs[0] = between;
        let inputs = [Some(between), parameters[0], parameters[1]].to_vec();
        let name = format!("{}.norm", graph.nodes[index].name);
        graph.nodes.insert(index + 1, Node { name, op, inputs, outputs: vec![y] });
        index += 2;
    }
    compile_calibrated(graph, digit_samples(), &options).expect("compiles").artifact
}

fn calibrated(options: &CompileOptions) -> Vec<u8> {
    let graph = load(digits::ONNX, &options.import).expect("the zoo model imports");
    compile_calibrated(graph, digit_samples(), options).expect("the zoo model compiles").artifact
}

fn digit_samples() -> impl Iterator<Item = Sample> {
    let set = digits::calibration_set();
    (0..set.len()).map(move |i| Sample::f32([1, 1, digits::HEIGHT, digits::WIDTH], set.image(i).to_vec()))
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
