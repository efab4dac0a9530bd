//! Denoisers from ONNX file to result. Oracles: ONNX Runtime's recorded outputs; the level of the noise that was added to
//! published pictures.

use selvedge::denoise::blind::{Plane, Wavelet, noise_level};
use selvedge::denoise::{Border, Family, Layout, Prediction, ScoreModel, Shape, Tiled, Tiling, Tweedie, metrics};
use selvedge::{AlignedBuf, Artifact, ErrorKind, OpCode, Session, SessionScore};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::data::{Array, ArrayData};
use selvedge_compiler::import::ImportOptions;
use selvedge_compiler::quantize::{QuantScheme, WeightFormat};
use selvedge_compiler::{CompileOptions, Compiled, compile_calibrated, compile_loaded, load};
use selvedge_core::Format;
use selvedge_tests::{data_dir, npz};
use selvedge_zoo::denoiser;
use selvedge_zoo::digits::{self, noise};

fn options(weights: WeightFormat) -> CompileOptions {
    CompileOptions { scheme: QuantScheme { weights, ..QuantScheme::w8a8() }, ..CompileOptions::default() }
}

fn real(onnx: &[u8]) -> Compiled {
    let options = options(WeightFormat::F32);
    compile_loaded(load(onnx, &options.import).expect("imports"), &options).expect("compiles")
}

/// What `f` makes of a session of a compiled model.
fn with_session<R>(compiled: &Compiled, f: impl FnOnce(&mut Session<'_>) -> R) -> R {
    let file = AlignedBuf::from(&compiled.artifact[..]);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    f(&mut Session::new(artifact, &mut arena).expect("valid"))
}

#[test]
fn a_session_denoises_digits_as_onnx_runtime_does_and_int8_nearly_so() {
    let float = real(noise::DENOISER_050_ONNX);
    let sigma = 0.5;
    let tweedie = Tweedie::new(Family::Gaussian { sigma }).expect("a law");
    let denoise = |compiled: &Compiled| -> Vec<Vec<f32>> {
        with_session(compiled, |session| {
            let mut model = SessionScore::new(session, Prediction::Clean).expect("as large");
            (noise::denoiser_golden())
                .map(|(noisy, _)| {
                    let mut out = vec![0.0; digits::PIXELS];
                    tweedie.denoise(&mut model, sigma as f32, &noisy, &mut out, &mut []).expect("runs");
                    out
                })
                .collect()
        })
    };
    let found = denoise(&float);
    for (found, (_, golden)) in found.iter().zip(noise::denoiser_golden()) {
        assert!(found.iter().zip(golden).all(|(a, b)| (a - b).abs() < 1e-4));
    }
    let noisy = noise::NOISE[1].calibration_set();
    let shape = [1, 1, digits::HEIGHT, digits::WIDTH];
    let samples = (0..noisy.len()).map(|i| Sample::f32(shape, noisy.image(i).to_vec()));
    let options = options(WeightFormat::W8);
    let loaded = load(noise::DENOISER_050_ONNX, &options.import).expect("imports");
    let quantized = denoise(&compile_calibrated(loaded, samples, &options).expect("compiles"));
    let quality = |all: &[Vec<f32>]| -> f64 {
        let each = all.iter().zip(&found).map(|(a, b)| metrics::psnr(b, a, 1.0).expect("fits"));
        each.sum::<f64>() / all.len() as f64
    };
    println!("int8 against f32: {:.1} dB", quality(&quantized));
    assert!(quality(&quantized) > 30.0, "{}", quality(&quantized));
}

/// An ONNX file whose output is signal + level: four numbers, and `levels` of them.
fn sum_with_level(levels: u8) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8], bytes].concat();
    let number = |field: u8, value: u8| vec![field << 3, value];
    let value = |name: &str, elements: u8| {
        let shape = field(1, &number(1, elements));
        let tensor = field(1, &[number(1, 1), field(2, &shape)].concat());
        [field(1, name.as_bytes()), field(2, &tensor)].concat()
    };
    let node = [field(1, b"x"), field(1, b"level"), field(2, b"y"), field(4, b"Add")].concat();
    let inputs = [field(11, &value("x", 4)), field(11, &value("level", levels))].concat();
    let graph = [field(1, &node), field(2, b"g"), inputs, field(12, &value("y", 4))].concat();
    [number(1, 8), field(7, &graph), field(8, &number(2, 17))].concat()
}

#[test]
fn a_network_that_asks_for_the_level_gets_that_of_each_run_as_a_number_or_as_a_map() {
    for levels in [1, 4] {
        with_session(&real(&sum_with_level(levels)), |session| {
            for index in [0, 2] {
                let score = SessionScore::new(session, Prediction::Clean).expect("as large");
                let refused = score.with_level(index).map(|_| ()).expect_err("the signal, or no input");
                assert_eq!(refused.kind(), ErrorKind::NoSuchIo, "{index}");
            }
            let mut model =
                SessionScore::new(session, Prediction::Clean).expect("as large").with_level(1).expect("an input");
            for level in [0.25, -3.0] {
                let mut out = [f32::NAN; 4];
                model.predict(&[0.0, 1.0, 2.0, -4.0], level, &mut out).expect("runs");
                assert_eq!(out, [0.0, 1.0, 2.0, -4.0].map(|x: f32| x + level), "{levels} levels");
            }
        });
    }
}

#[test]
fn a_session_as_a_tile_of_a_larger_picture_gives_its_own_results_in_the_cores() {
    // Oracle: the session run on the very pixels of each tile.
    let compiled = real(noise::DENOISER_050_ONNX);
    let (side, height, width) = (digits::HEIGHT, 13, 21);
    let shape = Shape { height, width, channels: 1, layout: Layout::Planar };
    let tiling = Tiling::new(shape, (side, side), (2, 2), Border::Reflect).expect("fits");
    let picture: Vec<f32> = (0..height * width).map(|i| ((i * 37 % 101) as f32) / 101.0).collect();
    let (mut scratch, mut whole) = (vec![0.0; 2 * tiling.tile_len()], vec![0.0; picture.len()]);
    with_session(&compiled, |session| {
        let mut model = SessionScore::new(session, Prediction::Clean).expect("as large");
        let mut tiled = Tiled::new(&mut model, tiling, &mut scratch).expect("room");
        tiled.predict(&picture, 0.5, &mut whole).expect("runs");
        let (mut input, mut output) = (vec![0.0; tiling.tile_len()], vec![0.0; tiling.tile_len()]);
        for number in 0..tiling.count() {
            let tile = tiling.tile(number).expect("exists");
            tiling.gather(tile, &picture, &mut input).expect("fits");
            model.predict(&input, 0.5, &mut output).expect("runs");
            for (row, column) in (0..tile.height).flat_map(|r| (0..tile.width).map(move |c| (r, c))) {
                let found = whole[(tile.row + row) * width + tile.column + column];
                assert_eq!(found.to_bits(), output[(row + 2) * side + column + 2].to_bits());
            }
        }
    });
}

/// How the zoo's denoiser is compiled for squares of `side` pixels.
fn square(side: usize, weights: WeightFormat) -> CompileOptions {
    let shapes = vec![("noisy".to_string(), vec![1, 1, side, side])];
    CompileOptions { import: ImportOptions { shapes, ..ImportOptions::default() }, ..options(weights) }
}

/// PSNR of what a denoiser that is told the level makes of a square picture.
fn denoised(compiled: &Compiled, clean: &[f32], noisy: &[f32], sigma: f32) -> f64 {
    let tweedie = Tweedie::new(Family::Gaussian { sigma: sigma.into() }).expect("a law");
    with_session(compiled, |session| {
        let mut out = vec![0.0; noisy.len()];
        // In integers the level is one code of a grid.
        let model = SessionScore::new(session, Prediction::Residual).and_then(|model| model.with_level(1));
        tweedie.denoise(&mut model.expect("as large"), sigma, noisy, &mut out, &mut []).expect("runs");
        metrics::psnr(clean, &out, 1.0).expect("fits")
    })
}

#[test]
fn the_picture_denoiser_loses_little_in_int8() {
    let side = 64;
    let loaded = |options: &CompileOptions| load(denoiser::ONNX, &options.import).expect("imports");
    let array = |shape: [usize; 4], data| Array { shape: shape.to_vec(), data: ArrayData::F32(data) };
    let samples = denoiser::calibration(side)
        .map(|(noisy, level)| Sample { tensors: vec![array([1, 1, side, side], noisy), array([1; 4], vec![level])] });
    let [f32s, w8] = [WeightFormat::F32, WeightFormat::W8].map(|weights| square(side, weights));
    let float = compile_loaded(loaded(&f32s), &f32s).expect("compiles");
    let int8 = compile_calibrated(loaded(&w8), samples, &w8).expect("compiles");
    let clean = denoiser::sample_picture(side, side);
    for sigma in [15.0 / 255.0, 25.0 / 255.0, 50.0 / 255.0] {
        let noisy = denoiser::with_noise(&clean, sigma);
        let before = metrics::psnr(&clean, &noisy, 1.0).expect("fits");
        let [float, int8] = [&float, &int8].map(|compiled| denoised(compiled, &clean, &noisy, sigma));
        println!("noise of {:.0}/255: {before:.2} dB, f32 {float:.2}, int8 {int8:.2}", sigma * 255.0);
        assert!(float > before + 3.0 && int8 > float - 0.15, "{sigma}: {before} {float} {int8}");
    }
}

#[test]
fn the_ternary_picture_denoiser_runs_ternary_and_denoises() {
    let options = square(256, WeightFormat::W8);
    let loaded = load(denoiser::TERNARY_ONNX, &options.import).expect("imports");
    let ternary = compile_loaded(loaded, &options).expect("compiles");
    // The first layer and the last have 8 bits, those between them are ternary: as the file has them.
    let layers = ternary.program.steps.iter().filter(|step| step.op == OpCode::Conv2d);
    let formats: Vec<Format> = layers.map(|step| step.format).collect();
    let middle = [Format::T2; 4];
    assert_eq!(formats, [&[Format::W8], &middle[..], &[Format::W8]].concat());
    let float = square(256, WeightFormat::F32);
    let float = compile_loaded(load(denoiser::ONNX, &float.import).expect("imports"), &float).expect("compiles");
    assert!(ternary.artifact.len() * 5 < float.artifact.len(), "{}", ternary.artifact.len());
    // Oracle: the clean pictures, published with the noisy ones.
    let Some(path) = data_dir("denoising of Set12").map(|dir| dir.join("models/images/set12_subset.npz")) else {
        return;
    };
    let arrays = npz(&path);
    let plane = |name: &str| match &arrays[name].data {
        ArrayData::F32(data) => data.clone(),
        other => panic!("{name} is {:?}", other.dtype()),
    };
    let names: Vec<&str> = arrays.keys().filter_map(|name| name.strip_suffix("_gauss25")).collect();
    let mean = |compiled: &Compiled| {
        let each = names.iter().map(|name| {
            denoised(compiled, &plane(&format!("{name}_clean")), &plane(&format!("{name}_gauss25")), 25.0 / 255.0)
        });
        each.sum::<f64>() / names.len() as f64
    };
    let (float, ternary) = (mean(&float), mean(&ternary));
    println!("noise of 25/255: f32 {float:.2} dB, ternary {ternary:.2}");
    assert!(ternary > 27.0 && ternary > float - 1.5, "{float} {ternary}");
}

#[test]
fn levels_of_noise_in_published_pictures_are_found() {
    // Oracle: the level that was added, 25 of 255. The same estimate in scikit-image gave 25.1 to 26.3 on Set12.
    let Some(path) = data_dir("noise levels of Set12").map(|dir| dir.join("models/images/set12_subset.npz")) else {
        return;
    };
    let arrays = npz(&path);
    let mut pictures = 0;
    for (name, array) in arrays.iter().filter(|(name, _)| name.ends_with("_gauss25")) {
        let side = array.shape[0];
        let ArrayData::F32(data) = &array.data else { panic!("{name} is f32") };
        let sigma = noise_level(&Plane::new(data, side, array.shape[1]).expect("fits"), Wavelet::Db2).expect("finite");
        println!("{name}: {:.2}", sigma * 255.0);
        assert!((24.5..26.8).contains(&(sigma * 255.0)), "{name}: {}", sigma * 255.0);
        pictures += 1;
    }
    assert!(pictures >= 4, "{pictures}");
}
