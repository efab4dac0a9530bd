//! Widths by budget on the digits and on vww. Oracles: the bytes of the artifact, the uniform models compiled by themselves, and
//! the signal-to-noise ratio that the simulator measures.

use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::mixed::{MixedError, MixedOptions, Search, compile_mixed};
use selvedge_compiler::prepare::{Method, PrepareOptions};
use selvedge_compiler::quantize::{LowBitFormat, QuantScheme, WeightFormat};
use selvedge_compiler::{CompileError, CompileOptions, Compiled, compile_calibrated, load};
use selvedge_compiler::{graph::Graph, lowbit::Width};
use selvedge_tests::{data_dir, npz};
use selvedge_zoo::digits;

fn samples() -> Vec<Sample> {
    let set = digits::calibration_set();
    (0..32).map(|i| Sample::f32([1, 1, 8, 8], set.image(i).to_vec())).collect()
}

fn graph() -> Graph {
    load(digits::ONNX, &CompileOptions::default().import).expect("imports")
}

fn compile(bytes: usize, options: &CompileOptions) -> Result<Compiled, Box<CompileError>> {
    let mixed = MixedOptions { bytes: Some(bytes), micros: None, agreement: None, search: Search::Best, group: 0 };
    compile_mixed(graph(), &samples(), options, &mixed, &mut |_| {}).map_err(Box::new)
}

fn low(width: Width) -> WeightFormat {
    WeightFormat::Low(LowBitFormat { width, group: 0 })
}

/// The uniform widths as `--weights w8`, `w4`, `w3` and `w2` compile them.
fn uniform(options: &CompileOptions) -> Vec<Compiled> {
    let compile = |weights| {
        let prepare = options.prepare.or(Some(PrepareOptions::default()));
        let scheme = QuantScheme { weights, ..options.scheme.clone() };
        let options = CompileOptions { scheme, prepare, ..options.clone() };
        compile_calibrated(graph(), samples(), &options).expect("compiles")
    };
    [WeightFormat::W8, low(Width::W4), low(Width::W3), low(Width::W2)].map(compile).into()
}

/// Of the outputs, on the samples that widths are chosen by.
fn snr(compiled: &Compiled) -> f64 {
    compiled.compare(samples()).expect("runs").snr_db
}

#[test]
fn widths_hold_the_budget_and_the_report_has_frontier_and_sensitivities() {
    let large = compile(1 << 20, &CompileOptions::default()).expect("anything fits");
    let report = &large.report;
    let names: Vec<&str> = report.frontier.iter().map(|point| point.name.as_str()).collect();
    assert_eq!(&names[..4], ["w8", "w4", "w3", "w2"]);
    assert_eq!(names.last(), Some(&"chosen"));
    assert!(!report.sensitivities.is_empty());
    for layer in &report.sensitivities {
        // With 8 bits a layer hurts the outputs less than with 2.
        assert!(layer.model[0] > layer.model[3] + 10.0, "{}: {:?}", layer.layer, layer.model);
    }
    let budget = (report.frontier[0].bytes + report.frontier[1].bytes) / 2;
    let fitted = compile(budget, &CompileOptions::default()).expect("fits");
    assert!(fitted.artifact.len() <= budget, "{} of {budget}", fitted.artifact.len());
    let chosen = fitted.report.frontier.last().expect("a point");
    assert_eq!((chosen.bytes, fitted.report.sensitivities.len()), (fitted.artifact.len(), report.sensitivities.len()));
}

#[test]
fn the_frontier_rises_and_lies_above_the_uniform_widths() {
    let report = compile(1 << 20, &CompileOptions::default()).expect("anything fits").report;
    let (uniform, mixtures) = report.frontier[..report.frontier.len() - 1].split_at(4);
    assert!(mixtures.len() >= 4, "{mixtures:?}");
    assert!(mixtures.is_sorted_by(|a, b| a.bytes < b.bytes && a.snr_db < b.snr_db), "{mixtures:?}");
    for width in &uniform[1..3] {
        let best = mixtures.iter().filter(|point| point.bytes <= width.bytes).map(|point| point.snr_db);
        let best = best.fold(f64::NEG_INFINITY, f64::max);
        assert!(best > width.snr_db, "{}: {} against {best}", width.name, width.snr_db);
    }
}

#[test]
fn a_budget_of_a_uniform_width_gives_nothing_worse_than_that_width() {
    let gptq = PrepareOptions { method: Method::Gptq, ..PrepareOptions::default() };
    for prepare in [None, Some(gptq)] {
        let options = CompileOptions { prepare, ..CompileOptions::default() };
        let uniform = uniform(&options);
        for width in &uniform {
            let chosen = compile(width.artifact.len(), &options).expect("the uniform width fits");
            assert!(chosen.artifact.len() <= width.artifact.len());
            let fitting = uniform.iter().filter(|other| other.artifact.len() <= width.artifact.len());
            let best = fitting.map(snr).fold(f64::NEG_INFINITY, f64::max);
            assert!(
                snr(&chosen) >= best,
                "{prepare:?}, {} bytes: {} dB, uniform {best}",
                width.artifact.len(),
                snr(&chosen)
            );
        }
    }
}

/// A MobileNet at the sizes of 4 and 3 bits: better than these by more than a little, also on images that nothing was
/// chosen by.
#[test]
fn mixtures_on_vww_beat_the_uniform_widths_of_their_sizes() {
    let Some(data) = data_dir("mixtures on vww") else { return };
    let onnx = std::fs::read(data.join("models/mlperf_tiny/vww_fp32.onnx")).expect("the model");
    let images = npz(&data.join("models/expected/vww.npz")).remove("input_f32").expect("images");
    let options = CompileOptions { prepare: Some(PrepareOptions::default()), ..CompileOptions::default() };
    let graph = load(&onnx, &options.import).expect("imports");
    let all = Sample::stack(&graph, &images).expect("fits");
    let (seen, unseen): (Vec<_>, Vec<_>) = all.into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
    let of = |samples: Vec<(usize, Sample)>| samples.into_iter().map(|(_, sample)| sample).collect::<Vec<Sample>>();
    let (seen, unseen) = (of(seen), of(unseen));
    for width in [Width::W4, Width::W3] {
        let scheme = QuantScheme { weights: low(width), ..options.scheme.clone() };
        let uniform = CompileOptions { scheme, ..options.clone() };
        let uniform = compile_calibrated(graph.clone(), seen.clone(), &uniform).expect("compiles");
        let bytes = Some(uniform.artifact.len());
        let mixed = MixedOptions { bytes, micros: None, agreement: None, search: Search::Best, group: 0 };
        let chosen = compile_mixed(graph.clone(), &seen, &options, &mixed, &mut |_| {}).expect("fits");
        assert!(chosen.artifact.len() <= uniform.artifact.len());
        for samples in [&seen, &unseen] {
            let snr = |compiled: &Compiled| compiled.compare(samples.iter().cloned()).expect("runs").snr_db;
            println!("vww {width:?}: {:.1} dB, mixture {:.1} dB", snr(&uniform), snr(&chosen));
            assert!(snr(&chosen) > snr(&uniform) + 3.0, "{width:?}: {} {}", snr(&chosen), snr(&uniform));
        }
    }
}

#[test]
fn a_budget_that_nothing_fits_is_refused_with_the_least_that_would() {
    let error = compile(1000, &CompileOptions::default()).expect_err("refused");
    let CompileError::Mixed(MixedError::Budget { least_bytes, .. }) = *error else { panic!("{error}") };
    assert!(least_bytes > 1000);
}
