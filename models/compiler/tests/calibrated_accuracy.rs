//! The MLPerf Tiny float models, calibrated on half of their recorded inputs
//! and measured on the other half.
//!
//! Oracles: the recorded outputs of the float model (`float_f32`) and of the
//! published int8 model (`ort_unfused`), from the folder `SELVEDGE_DATA`.

use selvedge_compiler::calibrate::{Ranges, Sample, calibrate, default_observer};
use selvedge_compiler::compare::{Comparison, Side, argmax, compare_layers, snr_db};
use selvedge_compiler::data::{Array, read_npz};
use selvedge_compiler::graph::Graph;
use selvedge_compiler::import::{ImportOptions, import_onnx};
use selvedge_compiler::passes;
use selvedge_compiler::quantize::{QuantScheme, quantize};
use selvedge_compiler::report::{Execution, QuantReport};
use selvedge_compiler::simulate::{SimMode, Simulator};
use std::io::Write;
use std::path::PathBuf;

/// A model, its inputs cut into samples, and the recorded outputs per sample.
struct Case {
    graph: Graph,
    samples: Vec<Sample>,
    float: Vec<Vec<f32>>,
    published: Vec<Vec<f32>>,
}

fn folder() -> PathBuf {
    std::env::var_os("SELVEDGE_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from)
}

fn rows(array: &Array) -> Vec<Vec<f32>> {
    let values = array.data.to_f32();
    values.chunks(values.len() / array.shape[0]).map(<[f32]>::to_vec).collect()
}

fn case(name: &str) -> Option<Case> {
    let model = folder().join(format!("models/mlperf_tiny/{name}_fp32.onnx"));
    let data = folder().join(format!("models/expected/{name}.npz"));
    if !model.exists() || !data.exists() {
        let _ = writeln!(
            std::io::stderr(),
            "NOT TESTED: {name}: {} or {} is missing (set SELVEDGE_DATA)",
            model.display(),
            data.display()
        );
        return None;
    }
    let mut graph = import_onnx(&model, &ImportOptions::default()).expect("imports");
    passes::optimize(&mut graph);
    let arrays = read_npz(&data).expect("reads");
    let get = |key: &str| arrays.iter().find(|(name, _)| name == key).map(|(_, array)| array).expect("key");
    let inputs = get("input_f32");
    let samples = Sample::stack(&graph, inputs).expect("fits");
    let output = get("output_scale_zp").data.to_f32();
    let mut published = rows(get("ort_unfused"));
    published.iter_mut().flatten().for_each(|q| *q = (*q - output[1]) * output[0]);
    Some(Case { graph, samples, float: rows(get("float_f32")), published })
}

fn run(graph: &Graph, mode: SimMode, samples: &[Sample]) -> Vec<Vec<f32>> {
    let mut simulator = Simulator::new(graph, mode).expect("lowers");
    let mut output = |sample: &Sample| {
        let outputs = simulator.run(&[sample.tensors[0].data.clone()], &mut |_, _, _| {}).expect("runs");
        outputs[0].to_f32()
    };
    samples.iter().map(&mut output).collect()
}

fn agreement(outputs: &[Vec<f32>], float: &[Vec<f32>]) -> usize {
    outputs.iter().zip(float).filter(|(a, b)| argmax(a) == argmax(b)).count()
}

/// A model quantized on the first half of its inputs.
struct Quantized {
    graph: Graph,
    report: QuantReport,
    /// Index of the first sample that was not used.
    held_out: usize,
}

fn quantized(case: &Case) -> Quantized {
    let held_out = case.samples.len() / 2;
    let ranges: Ranges =
        calibrate(&case.graph, case.samples[..held_out].to_vec(), default_observer()).expect("calibrates");
    let (graph, report) = quantize(&case.graph, Some(&ranges), &QuantScheme::w8a8()).expect("quantizes");
    Quantized { graph, report, held_out }
}

fn compared(case: &Case, graph: &Graph, samples: &[Sample]) -> Comparison {
    let names: Vec<String> = graph.outputs.iter().map(|&id| graph.value(id).name.clone()).collect();
    let mut float = Simulator::new(&case.graph, SimMode::Float).expect("lowers");
    let mut integer = Simulator::new(graph, SimMode::Integer).expect("lowers");
    let (mut a, mut b) = (Side::of(&case.graph, &mut float), Side::of(graph, &mut integer));
    compare_layers(&mut a, &mut b, samples.to_vec(), &names).expect("compares")
}

/// Every layer in integers, every constant grid sound, the page complete.
fn check_report(name: &str, q: &mut Quantized, comparison: Comparison) {
    q.report.set_comparison(comparison);
    for layer in &q.report.layers {
        assert_eq!(layer.execution, Execution::Int8, "{name}: {}", layer.name);
        assert!(layer.snr_db.is_some(), "{name}: {} was not compared", layer.name);
    }
    for codes in q.graph.values.iter().filter_map(|v| v.codes.as_ref()).filter(|c| c.bits == 8) {
        assert!(codes.codes.iter().all(|c| (-127..=127).contains(c)));
    }
    let html = q.report.to_html();
    assert!(q.report.layers.iter().all(|layer| html.contains(&layer.name)));
    let page = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.html"));
    std::fs::write(page, &html).expect("a writable target folder");
    assert!(q.report.sizes.bytes * 3 < q.report.sizes.f32_bytes);
    println!("{}", q.report.to_text());
}

/// Oracle: the published int8 model's agreement with the float model.
fn agrees_like_the_published_model(name: &str) {
    let Some(case) = case(name) else { return };
    let mut q = quantized(&case);
    let (samples, float) = (&case.samples[q.held_out..], &case.float[q.held_out..]);
    let ours = agreement(&run(&q.graph, SimMode::Integer, samples), float);
    let published = agreement(&case.published[q.held_out..], float);
    println!("{name}: {ours} of {} agree with the float model, of the published int8 model {published}", samples.len());
    assert!(ours + 1 >= published, "{name}: {ours} against {published}");
    let comparison = compared(&case, &q.graph, samples);
    check_report(name, &mut q, comparison);
}

#[test]
fn calibrated_ic_agrees_like_the_published_model() {
    agrees_like_the_published_model("ic");
}

#[test]
fn calibrated_kws_agrees_like_the_published_model() {
    agrees_like_the_published_model("kws");
}

#[test]
fn calibrated_vww_agrees_like_the_published_model() {
    agrees_like_the_published_model("vww");
}

/// Mean squared difference of outputs and inputs, averaged over inputs.
fn reconstruction_error(samples: &[Sample], outputs: &[Vec<f32>]) -> f64 {
    let each = samples.iter().zip(outputs).map(|(sample, output)| {
        let x = sample.tensors[0].data.to_f32();
        x.iter().zip(output).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>() / x.len() as f64
    });
    each.sum::<f64>() / samples.len() as f64
}

#[test]
fn calibrated_ad_reconstructs_within_one_percent_of_float() {
    let Some(case) = case("ad") else { return };
    let mut q = quantized(&case);
    let samples = &case.samples[q.held_out..];
    let ours = reconstruction_error(samples, &run(&q.graph, SimMode::Integer, samples));
    let float = reconstruction_error(samples, &case.float[q.held_out..]);
    println!("ad: reconstruction error {ours:.3}, of the float model {float:.3}");
    assert!((ours / float - 1.0).abs() < 0.01, "{ours} against {float}");
    let comparison = compared(&case, &q.graph, samples);
    check_report("ad", &mut q, comparison);
}

/// Oracle: the recorded float outputs. Without calibration only rounding is lost.
#[test]
fn weights_in_int8_alone_stay_close_to_float() {
    for name in ["ad", "ic", "kws"] {
        let Some(case) = case(name) else { continue };
        let (graph, _) = quantize(&case.graph, None, &QuantScheme::w8a8()).expect("quantizes");
        let outputs = run(&graph, SimMode::Integer, &case.samples[..16]);
        let db = snr_db(&case.float[..16].concat(), &outputs.concat());
        let same = agreement(&outputs, &case.float[..16]);
        println!("{name}: {db:.1} dB, {same} of 16 agree without calibration");
        assert!(db > 15.0, "{name}: {db}");
    }
}

/// Oracle: the same graph with its dead channels. Also, that values which lost channels are still compared.
#[test]
fn dead_channels_of_calibrated_vww_leave_without_a_trace() {
    let Some(case) = case("vww") else { return };
    let mut q = quantized(&case);
    let samples = &case.samples[q.held_out..q.held_out + 6];
    let before = run(&q.graph, SimMode::Integer, samples);
    let stats = passes::eliminate_dead_channels(&mut q.graph);
    println!("vww: {} of {} MACs remain", stats.macs_after, stats.macs_before);
    assert_eq!(run(&q.graph, SimMode::Integer, samples), before);
    let comparison = compared(&case, &q.graph, samples);
    assert!(comparison.layers.iter().all(|layer| layer.snr_db > 10.0), "{:?}", comparison.worst_layer);
    assert!(comparison.layers.len() >= 30 && comparison.snr_db > 25.0);
}
