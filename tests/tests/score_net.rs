//! A score network trained on noisy pictures alone. Oracles: the clean pictures; Tweedie's formula by hand.

use selvedge::denoise::{AddedNoise, Convert, Family, Prediction, ScoreModel, Tweedie, metrics};
use selvedge::{AlignedBuf, Artifact, Session, SessionScore};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::data::{Array, ArrayData};
use selvedge_compiler::import::ImportOptions;
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::{CompileOptions, Compiled, compile_calibrated, compile_loaded, load};
use selvedge_tests::{data_dir, npz};
use selvedge_zoo::denoiser;

fn compiled(onnx: &[u8], side: usize, scheme: QuantScheme) -> Compiled {
    let shapes = vec![("noisy".to_string(), vec![1, 1, side, side])];
    let options = CompileOptions {
        import: ImportOptions { shapes, ..ImportOptions::default() },
        scheme,
        ..CompileOptions::default()
    };
    let loaded = load(onnx, &options.import).expect("imports");
    if options.scheme == QuantScheme::f32() {
        return compile_loaded(loaded, &options).expect("compiles");
    }
    let array = |shape: [usize; 4], data| Array { shape: shape.to_vec(), data: ArrayData::F32(data) };
    let samples = denoiser::calibration(side)
        .map(|(noisy, level)| Sample { tensors: vec![array([1, 1, side, side], noisy), array([1; 4], vec![level])] });
    compile_calibrated(loaded, samples, &options).expect("compiles")
}

/// What Tweedie's formula makes of a noisy square, and the network's score of it.
fn denoised(compiled: &Compiled, noisy: &[f32], sigma: f32) -> (Vec<f32>, Vec<f32>) {
    let file = AlignedBuf::from(&compiled.artifact[..]);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("valid");
    let model = SessionScore::new(&mut session, Prediction::Residual).and_then(|model| model.with_level(1));
    let mut model = model.expect("as large");
    let tweedie = Tweedie::new(Family::Gaussian { sigma: sigma.into() }).expect("a law");
    let [mut clean, mut score] = [(); 2].map(|()| vec![0.0; noisy.len()]);
    tweedie.denoise(&mut model, sigma, noisy, &mut clean, &mut []).expect("runs");
    Convert::new(model, AddedNoise, Prediction::Score).predict(noisy, sigma, &mut score).expect("runs");
    (clean, score)
}

#[test]
fn what_was_learned_from_noisy_pictures_alone_denoises_in_f32_and_int8() {
    let side = 64;
    let clean = denoiser::sample_picture(side, side);
    let [float, int8] =
        [QuantScheme::f32(), QuantScheme::w8a8()].map(|scheme| compiled(denoiser::SCORE_ONNX, side, scheme));
    for level in [15.0, 25.0, 50.0] {
        let sigma = level / 255.0;
        let noisy = denoiser::with_noise(&clean, sigma);
        let quality = |picture: &[f32]| metrics::psnr(&clean, picture, 1.0).expect("fits");
        let (found, score) = denoised(&float, &noisy, sigma);
        // y + σ²·r, of the score r.
        let square = f64::from(sigma).powi(2);
        let by_hand = noisy.iter().zip(&score).map(|(&y, &r)| f64::from(y) + square * f64::from(r));
        assert!(found.iter().zip(by_hand).all(|(&a, b)| (f64::from(a) - b).abs() < 1e-6));
        let (before, float, int8) = (quality(&noisy), quality(&found), quality(&denoised(&int8, &noisy, sigma).0));
        println!("noise of {level}/255: {before:.2} dB, f32 {float:.2}, int8 {int8:.2}");
        assert!(float > before + 2.5 && int8 > float - 0.3, "{level}: {before} {float} {int8}");
    }
}

#[test]
fn it_denoises_published_pictures() {
    // The clean pictures are published with the noisy ones; two of the four.
    let Some(path) = data_dir("a score network on Set12").map(|dir| dir.join("models/images/set12_subset.npz")) else {
        return;
    };
    let arrays = npz(&path);
    let plane = |name: String| match &arrays[&name].data {
        ArrayData::F32(data) => data.clone(),
        other => panic!("{name} is {:?}", other.dtype()),
    };
    let score = compiled(denoiser::SCORE_ONNX, 256, QuantScheme::f32());
    for name in arrays.keys().filter_map(|name| name.strip_suffix("_gauss25")).take(2) {
        let (clean, noisy) = (plane(format!("{name}_clean")), plane(format!("{name}_gauss25")));
        let quality = |picture: &[f32]| metrics::psnr(&clean, picture, 1.0).expect("fits");
        let (before, after) = (quality(&noisy), quality(&denoised(&score, &noisy, 25.0 / 255.0).0));
        println!("{name}: {before:.2} dB, {after:.2}");
        assert!(after > before + 5.0, "{name}: {before} {after}");
    }
}
