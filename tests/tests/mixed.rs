//! Widths by budget on the digits. Oracles: the bytes of the artifact, and the uniform model compiled by itself.

use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::mixed::{MixedError, MixedOptions, Search, compile_mixed};
use selvedge_compiler::{CompileError, CompileOptions, Compiled, load};
use selvedge_zoo::digits;

fn compile(bytes: usize) -> Result<Compiled, Box<CompileError>> {
    let options = CompileOptions::default();
    let set = digits::calibration_set();
    let samples: Vec<Sample> = (0..32).map(|i| Sample::f32([1, 1, 8, 8], set.image(i).to_vec())).collect();
    let mixed = MixedOptions { bytes: Some(bytes), micros: None, agreement: None, search: Search::Knapsack, group: 0 };
    compile_mixed(load(digits::ONNX, &options.import).expect("imports"), &samples, &options, &mixed).map_err(Box::new)
}

#[test]
fn widths_hold_the_budget_and_the_report_has_frontier_and_sensitivities() {
    let large = compile(1 << 20).expect("anything fits");
    let report = &large.report;
    let names: Vec<&str> = report.frontier.iter().map(|point| point.name.as_str()).collect();
    assert_eq!(&names[..4], ["w8", "w4", "w3", "w2"]);
    assert_eq!(names.last(), Some(&"chosen"));
    assert!(!report.sensitivities.is_empty());
    // Nothing is to be saved: the choice is the uniform int8 model.
    assert_eq!(large.artifact.len(), report.frontier[0].bytes);
    let budget = (report.frontier[0].bytes + report.frontier[1].bytes) / 2;
    let fitted = compile(budget).expect("fits");
    assert!(fitted.artifact.len() <= budget, "{} of {budget}", fitted.artifact.len());
    let chosen = fitted.report.frontier.last().expect("a point");
    assert_eq!((chosen.bytes, fitted.report.sensitivities.len()), (fitted.artifact.len(), report.sensitivities.len()));
}

#[test]
fn a_budget_that_nothing_fits_is_refused_with_the_least_that_would() {
    let error = compile(1000).expect_err("refused");
    let CompileError::Mixed(MixedError::Budget { least_bytes, .. }) = *error else { panic!("{error}") };
    assert!(least_bytes > 1000);
}
