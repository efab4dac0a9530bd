//! Oracle: the artifact compiled at the width alone. What a device makes of an elastic artifact is
//! those bytes, for every width.

use selvedge::elastic::Elastic;
use selvedge::{AlignedBuf, Artifact, ErrorKind};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::elastic::{CompiledElastic, compile_elastic};
use selvedge_compiler::lowbit::Width;
use selvedge_compiler::quantize::{LowBitFormat, QuantScheme, WeightFormat};
use selvedge_compiler::{CompileOptions, compile_calibrated, compile_loaded, load};
use selvedge_tests::data_dir;
use selvedge_tests::mutate::Rng;
use selvedge_zoo::digits;

fn formats() -> Vec<(String, WeightFormat)> {
    let low = |width, group| WeightFormat::Low(LowBitFormat { width, group });
    let all = [
        ("w8", WeightFormat::W8),
        ("w4", low(Width::W4, 64)),
        ("w4row", low(Width::W4, 0)),
        ("w3", low(Width::W3, 32)),
        ("w2", low(Width::W2, 32)),
        ("ternary", low(Width::T2, 0)),
    ];
    all.map(|(name, format)| (name.to_string(), format)).to_vec()
}

fn digits_samples() -> Vec<Sample> {
    let set = digits::calibration_set();
    (0..set.len()).map(|i| Sample::f32([1, 1, 8, 8], set.image(i).to_vec())).collect()
}

fn options() -> CompileOptions {
    CompileOptions {
        scheme: QuantScheme { elastic: true, edges_w8: false, ..QuantScheme::w8a8() },
        ..CompileOptions::default()
    }
}

fn elastic(onnx: &[u8], samples: Option<Vec<Sample>>) -> CompiledElastic {
    let options = options();
    let graph = load(onnx, &options.import).expect("imports");
    compile_elastic(&graph, samples, &options, &formats()).expect("compiles")
}

/// Each version made on the device equals the artifact compiled at its width.
fn check(onnx: &[u8], samples: Option<Vec<Sample>>) {
    let made = elastic(onnx, samples.clone());
    let file = AlignedBuf::from(&made.bytes[..]);
    let view = Elastic::parse(&file).expect("sound");
    view.verify_digest().expect("digest");
    assert_eq!(view.count(), formats().len());
    for (name, weights) in formats() {
        let options = CompileOptions { scheme: QuantScheme { weights, ..options().scheme }, ..options() };
        let graph = load(onnx, &options.import).expect("imports");
        let alone = match samples.clone() {
            Some(samples) => compile_calibrated(graph, samples, &options).expect("compiles"),
            None => compile_loaded(graph, &options).expect("compiles"),
        };
        let index = view.find(&name).expect("there");
        let mut memory = AlignedBuf::zeroed(view.version(index).expect("there").artifact_bytes);
        memory.fill(0xa5);
        let bytes = view.make(index, &mut memory).expect("makes");
        assert!(bytes == &alone.artifact[..], "{name}");
        Artifact::parse(bytes).expect("sound").verify_digest().expect("the digest of the artifact compiled alone");
    }
    let sum: usize = made.versions.iter().map(|(_, version)| version.artifact.len()).sum();
    println!("{} bytes for {} versions of {sum} bytes in all", made.bytes.len(), made.versions.len());
}

#[test]
fn digits_versions_equal_the_artifacts_compiled_alone() {
    check(digits::ONNX, Some(digits_samples()));
    check(digits::ONNX, None);
}

#[test]
fn vww_and_ad_versions_equal_the_artifacts_compiled_alone() {
    let Some(dir) = data_dir("elastic versions of the MLPerf Tiny models") else { return };
    for model in ["vww_fp32", "ad_fp32"] {
        let onnx = std::fs::read(dir.join(format!("models/mlperf_tiny/{model}.onnx"))).expect("the model");
        check(&onnx, None);
    }
}

/// The upper bits of the int8 code are another quantization: versions are no prefixes.
#[test]
fn elastic_bits_a_shifted_code_would_not_do() {
    let made = elastic(digits::ONNX, None);
    let w4 = &made.versions.iter().find(|(name, _)| name == "w4row").expect("there").1;
    let (mut equal, mut all) = (0, 0);
    for value in &w4.graph.values {
        let (Some(low), Some(master)) = (&value.low_bit, &value.master) else { continue };
        let shifted = master.codes.iter().map(|&code| ((code >> 4) + 8) as u8);
        equal += shifted.zip(&low.rows.codes).filter(|(shifted, code)| shifted == *code).count();
        all += master.codes.len();
    }
    println!("a shifted code is right for {equal} of {all} weights");
    assert!(all > 15_000 && equal < all * 3 / 4, "{equal} of {all}");
}

#[test]
fn budgets_choose_the_largest_version_that_fits() {
    let made = elastic(digits::ONNX, None);
    let file = AlignedBuf::from(&made.bytes[..]);
    let view = Elastic::parse(&file).expect("sound");
    let needs: Vec<usize> =
        (0..view.count()).map(|i| view.version(i).map(|v| v.artifact_bytes + v.arena_bytes).expect("there")).collect();
    let most = *needs.iter().max().expect("versions");
    assert_eq!(view.fitting(most).map(|i| needs[i]), Some(most));
    let chosen = view.fitting(most - 1).expect("another");
    assert!(needs[chosen] < most);
    assert_eq!(view.fitting(100), None);
    let mut short = AlignedBuf::zeroed(100);
    let error = view.make(0, &mut short).expect_err("too short");
    assert_eq!(
        (error.kind(), error.detail() as usize),
        (ErrorKind::WrongLength, view.version(0).unwrap().artifact_bytes)
    );
    assert_eq!(view.make(99, &mut short).expect_err("no such version").kind(), ErrorKind::OutOfBounds);
}

/// No panic, no endless loop.
#[test]
fn damaged_elastic_artifacts_are_survived() {
    let made = elastic(digits::ONNX, None);
    let mut memory = AlignedBuf::zeroed(1 << 20);
    let mut rng = Rng::new(7);
    let records = 4096.min(made.bytes.len());
    for _ in 0..3000 {
        let mut bytes = made.bytes.clone();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(records);
            bytes[at] = [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 1][rng.below(6)];
        }
        let file = AlignedBuf::from(&bytes[..]);
        if let Ok(view) = Elastic::parse(&file) {
            for index in 0..view.count().min(8) {
                let _ = view.version(index).map(|_| view.make(index, &mut memory));
            }
        }
    }
    for length in (0..made.bytes.len()).step_by(97) {
        let file = AlignedBuf::from(&made.bytes[..length]);
        assert!(Elastic::parse(&file).is_err());
    }
}
