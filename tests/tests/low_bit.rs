//! Oracles: the compiler's fake-quantized float program, the reference kernels, labels of the held-out set.

use selvedge::{AlignedBuf, Artifact, IsaKind, Session};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::lowbit::Width;
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::simulate::{SimMode, Simulator};
use selvedge_compiler::{CompileOptions, Compiled, compile_calibrated, compile_loaded, load};
use selvedge_tests::{argmax, data_dir, isas};
use selvedge_zoo::digits;

fn calibration() -> Vec<Sample> {
    let set = digits::calibration_set();
    (0..set.len()).map(|i| Sample::f32([1, 1, 8, 8], set.image(i).to_vec())).collect()
}

/// The digits model with every layer, the first and the last too, in a width.
fn compiled(width: Width, group: usize, calibrated: bool) -> Compiled {
    let scheme = QuantScheme { edges_w8: false, ..QuantScheme::low_bit(width, group) };
    let options = CompileOptions { scheme, ..CompileOptions::default() };
    let graph = load(digits::ONNX, &options.import).expect("imports");
    let made =
        if calibrated { compile_calibrated(graph, calibration(), &options) } else { compile_loaded(graph, &options) };
    made.expect("compiles")
}

/// Logits of the first `count` test images.
fn logits(artifact: &[u8], kind: IsaKind, count: usize) -> Vec<Vec<f32>> {
    let file = AlignedBuf::from(artifact);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).and_then(|session| session.with_isa(kind)).expect("valid");
    let test = digits::test_set();
    let run = |i: usize| {
        session.input(0).expect("input").quantize_from_f32(&test.image(i)).expect("fits");
        session.run().expect("runs");
        let mut values = vec![0.0; 10];
        session.output(0).expect("output").dequantize_into(&mut values).expect("ten logits");
        values
    };
    (0..count).map(run).collect()
}

const FORMATS: [(Width, usize); 6] =
    [(Width::W4, 0), (Width::W4, 32), (Width::W4, 128), (Width::W3, 64), (Width::W2, 64), (Width::T2, 0)];

#[test]
fn digits_in_every_width_gives_the_bytes_of_the_reference_kernels() {
    let isas = isas("low-bit digits");
    for (width, group) in FORMATS {
        for calibrated in [true, false] {
            let artifact = compiled(width, group, calibrated).artifact;
            let want = logits(&artifact, IsaKind::Reference, 3);
            for &kind in &isas {
                assert_eq!(logits(&artifact, kind, 3), want, "{width:?}, groups of {group}, {kind:?}");
            }
        }
    }
}

/// Calibrated grids: values of the integer program lie within 2 steps of those of the float program
/// whose weights and activations are rounded likewise (f32 sums round differently, and rarely across
/// an edge; a step then moves later ones).
#[test]
fn digits_in_every_width_follows_its_fake_quantized_twin() {
    let test = digits::test_set();
    for (width, group) in FORMATS {
        let made = compiled(width, group, true);
        let mut twin = Simulator::new(&made.graph, SimMode::FakeQuant).expect("lowers");
        let found = logits(&made.artifact, IsaKind::Reference, 60);
        let mut agreed = 0;
        for (i, found) in found.iter().enumerate() {
            let image = selvedge_compiler::data::ArrayData::F32(test.image(i).to_vec());
            let want = twin.run(&[image], &mut |_, _, _| {}).expect("runs")[0].data.to_f32();
            let largest = want.iter().fold(0f32, |max, v| v.abs().max(max));
            for (x, want) in found.iter().zip(&want) {
                assert!((x - want).abs() <= 0.03 * largest, "{width:?} {group}, image {i}: {x}, expected {want}");
            }
            agreed += usize::from(argmax(found) == argmax(&want));
        }
        assert!(agreed >= 59, "{width:?} {group}: {agreed} of 60");
    }
}

#[test]
fn digits_in_four_bits_loses_at_most_nine_test_images() {
    let test = digits::test_set();
    for (width, group, least) in [(Width::W4, 32, digits::F32_CORRECT - 9), (Width::W4, 0, digits::F32_CORRECT - 30)] {
        let found = logits(&compiled(width, group, true).artifact, IsaKind::Portable, test.len());
        let right = found.iter().enumerate().filter(|(i, l)| argmax(l) == test.label(*i) as usize).count();
        println!("digits {width:?}, groups of {group}: {right} of {}", test.len());
        assert!(right >= least, "{width:?} {group}: {right}");
    }
}

/// Removing the dead channels of a low-bit model changes no output.
#[test]
fn dead_channels_of_low_bit_layers_go_without_a_trace() {
    let Some(dir) = data_dir("dead channels of a low-bit MobileNet") else { return };
    let onnx = std::fs::read(dir.join("models/mlperf_tiny/vww_fp32.onnx")).expect("the model");
    let mut rng = selvedge_tests::mutate::Rng::new(5);
    let mut image = || -> Vec<f32> { (0..96 * 96 * 3).map(|_| rng.below(256) as f32 / 255.0).collect() };
    let images: Vec<Vec<f32>> = (0..3).map(|_| image()).collect();
    for (width, group) in [(Width::W4, 0), (Width::T2, 0), (Width::W4, 64)] {
        let made = |dead_channels| {
            let options = CompileOptions {
                scheme: QuantScheme::low_bit(width, group),
                dead_channels,
                ..CompileOptions::default()
            };
            let samples = images.iter().map(|image| Sample::f32([1, 96, 96, 3], image.clone()));
            let graph = load(&onnx, &options.import).expect("imports");
            compile_calibrated(graph, samples, &options).expect("compiles")
        };
        let (all, live) = (made(false), made(true));
        assert!(live.dead_channels.macs_after < live.dead_channels.macs_before, "{width:?}, groups of {group}");
        assert!(live.artifact.len() < all.artifact.len());
        let run = |made: &Compiled, image: &[f32]| {
            let file = AlignedBuf::from(&made.artifact[..]);
            let artifact = Artifact::parse(&file).expect("sound");
            let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
            let mut session = Session::new(artifact, &mut arena).expect("valid");
            session.input(0).expect("input").quantize_from_f32(image).expect("fits");
            session.run().expect("runs");
            session.output(0).expect("output").bytes().to_vec()
        };
        for image in &images {
            assert_eq!(run(&live, image), run(&all, image), "{width:?}, groups of {group}");
        }
    }
}
