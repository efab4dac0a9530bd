//! Oracle: the reference kernels. Whole models give the same bytes in every step on every
//! instruction set of this machine.

use selvedge::{AlignedBuf, Artifact, IsaKind, Session};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::quantize::{QuantScheme, WeightFormat};
use selvedge_compiler::{CompileOptions, compile, compile_calibrated, load};
use selvedge_tests::digest::Digests;
use selvedge_tests::{data_dir, isas};
use selvedge_zoo::digits;

fn digests(artifact: &[u8], kind: IsaKind) -> Vec<u64> {
    let file = AlignedBuf::from(artifact);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("valid").with_isa(kind).expect("available");
    for i in 0..session.input_count() {
        let input = session.input(i).expect("input");
        let values: Vec<f32> = (0..input.elements()).map(|i| (i * 37 % 256) as f32 / 128.0 - 1.0).collect();
        if input.quantization().is_some() || input.dtype() == selvedge::DType::F32 {
            input.quantize_from_f32(&values).expect("fits");
        }
    }
    let mut digests = Digests::default();
    session.run_probed(&mut digests).expect("runs");
    digests.0
}

fn same_on_all(name: &str, artifact: &[u8]) {
    let reference = digests(artifact, IsaKind::Reference);
    for kind in isas(name) {
        let found = digests(artifact, kind);
        let different = reference.iter().zip(&found).position(|(a, b)| a != b);
        assert!(
            different.is_none() && reference.len() == found.len(),
            "{name}: {} differs from reference at step {different:?}",
            kind.name()
        );
    }
}

#[test]
fn digits_f32_int8_and_dynamic_equal_reference_on_every_isa() {
    let set = digits::calibration_set();
    for weights in [WeightFormat::F32, WeightFormat::W8] {
        let options =
            CompileOptions { scheme: QuantScheme { weights, ..QuantScheme::w8a8() }, ..CompileOptions::default() };
        same_on_all("digits", &compile(digits::ONNX, &options).expect("compiles").artifact);
        let samples = (0..16).map(|i| Sample::f32([1, 1, 8, 8], set.image(i).to_vec()));
        let graph = load(digits::ONNX, &options.import).expect("imports");
        same_on_all("digits calibrated", &compile_calibrated(graph, samples, &options).expect("compiles").artifact);
    }
}

#[test]
fn mlperf_models_equal_reference_on_every_isa() {
    let Some(data) = data_dir("MLPerf Tiny models on every instruction set") else { return };
    for model in [
        "ad_int8",
        "ic_int8",
        "kws_int8",
        "sww_int8",
        "vww_int8",
        "ad_qu8s8",
        "ic_qu8s8",
        "kws_qu8s8",
        "vww_qu8s8",
        "ad_fp32",
        "ic_fp32",
        "kws_fp32",
        "vww_fp32",
    ] {
        let onnx = std::fs::read(data.join(format!("models/mlperf_tiny/{model}.onnx"))).expect("model");
        let options = CompileOptions {
            scheme: QuantScheme { weights: WeightFormat::F32, ..QuantScheme::w8a8() },
            ..CompileOptions::default()
        };
        let compiled = compile(&onnx, &options).unwrap_or_else(|e| panic!("{model}: {e}"));
        same_on_all(model, &compiled.artifact);
    }
}
