//! Oracle: logits made by ONNX Runtime (script and versions beside the model), labels of the held-out set.

use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::quantize::{QuantScheme, WeightFormat};
use selvedge_compiler::{CompileOptions, compile_calibrated, compile_loaded, load};
use selvedge_tests::argmax;
use selvedge_zoo::digits;

fn options(weights: WeightFormat) -> CompileOptions {
    CompileOptions { scheme: QuantScheme { weights, ..QuantScheme::w8a8() }, ..CompileOptions::default() }
}

fn calibration() -> Vec<Sample> {
    let set = digits::calibration_set();
    (0..set.len()).map(|i| Sample::f32([1, 1, 8, 8], set.image(i).to_vec())).collect()
}

/// Logits of each test image.
fn logits(artifact: &[u8]) -> Vec<Vec<f32>> {
    let file = AlignedBuf::from(artifact);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("valid");
    let test = digits::test_set();
    let run = |i: usize| {
        session.input(0).expect("input").quantize_from_f32(&test.image(i)).expect("fits");
        session.run().expect("runs");
        let mut values = vec![0.0; 10];
        session.output(0).expect("output").dequantize_into(&mut values).expect("ten logits");
        values
    };
    (0..test.len()).map(run).collect()
}

fn correct(logits: &[Vec<f32>]) -> usize {
    let test = digits::test_set();
    logits.iter().enumerate().filter(|(i, l)| argmax(l) == test.label(*i) as usize).count()
}

#[test]
fn digits_f32_equals_onnxruntime_logits_within_1e_4_and_its_accuracy() {
    let options = options(WeightFormat::F32);
    let graph = load(digits::ONNX, &options.import).expect("imports");
    let found = logits(&compile_loaded(graph, &options).expect("compiles").artifact);
    for (i, golden) in digits::golden_logits().enumerate() {
        for (x, want) in found[i].iter().zip(golden) {
            assert!((x - want).abs() <= 1e-4, "image {i}: {x}, expected {want}");
        }
    }
    assert_eq!(correct(&found), digits::F32_CORRECT);
}

#[test]
fn digits_int8_loses_at_most_two_test_images() {
    let options = options(WeightFormat::W8);
    let graph = load(digits::ONNX, &options.import).expect("imports");
    let static_int8 = compile_calibrated(graph.clone(), calibration(), &options).expect("compiles");
    let dynamic = compile_loaded(graph, &options).expect("compiles");
    for (name, artifact) in [("calibrated", &static_int8.artifact), ("dynamic", &dynamic.artifact)] {
        let right = correct(&logits(artifact));
        println!("digits {name}: {right} of {}, {} bytes", digits::test_set().len(), artifact.len());
        assert!(right + 2 >= digits::F32_CORRECT, "{name}: {right}");
    }
}
