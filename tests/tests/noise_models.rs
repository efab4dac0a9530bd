//! The zoo's models for smoothing: noise-trained classifiers, one that is told the noise level, and a denoiser. Oracles:
//! ONNX Runtime's recorded outputs, and the model with both inputs.

use selvedge::certify::{
    Alpha, CertSpec, Certifier, Classify, Clean, Decision, Grid, Job, Request, Rule, Subject, Terms,
};
use selvedge::noise::{NoiseTable, Sigma};
use selvedge::{AlignedBuf, Artifact, CodeMap, DenoisedClassifier, Session, SessionClassifier};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::import::{Bound, ImportOptions};
use selvedge_compiler::quantize::{QuantScheme, WeightFormat};
use selvedge_compiler::{CompileOptions, Compiled, compile_calibrated, compile_loaded, load};
use selvedge_zoo::digits::{self, noise};

const SHAPE: [usize; 4] = [1, 1, digits::HEIGHT, digits::WIDTH];
const PIXELS: CodeMap = CodeMap::Real { per_unit: digits::MAX_PIXEL as f32 };

fn options(weights: WeightFormat, bind: Option<f64>) -> CompileOptions {
    let bind = bind.map(|sigma| ("sigma".to_string(), Bound::Number(sigma))).into_iter().collect();
    CompileOptions {
        scheme: QuantScheme { weights, ..QuantScheme::w8a8() },
        import: ImportOptions { bind, ..ImportOptions::default() },
        ..CompileOptions::default()
    }
}

/// As f32.
fn real(onnx: &[u8], bind: Option<f64>) -> Compiled {
    let options = options(WeightFormat::F32, bind);
    compile_loaded(load(onnx, &options.import).expect("imports"), &options).expect("compiles")
}

/// As int8, on noisy images.
fn int8(onnx: &[u8], bind: Option<f64>, calibration: &noise::Noisy) -> Compiled {
    let options = options(WeightFormat::W8, bind);
    let samples = (0..calibration.len()).map(|i| Sample::f32(SHAPE, calibration.image(i).to_vec()));
    compile_calibrated(load(onnx, &options.import).expect("imports"), samples, &options).expect("compiles")
}

/// The first outputs of a model with f32 inputs and outputs.
fn run(compiled: &Compiled, entries: &[Vec<&[f32]>]) -> Vec<Vec<f32>> {
    let file = AlignedBuf::from(&compiled.artifact[..]);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("valid");
    let mut one = |inputs: &Vec<&[f32]>| {
        for (i, input) in inputs.iter().enumerate() {
            session.input(i).expect("an input").copy_from_f32(input).expect("fits");
        }
        session.run().expect("runs");
        session.output(0).expect("an output").as_f32().expect("f32").to_vec()
    };
    entries.iter().map(&mut one).collect()
}

fn largest_difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn noise_trained_digits_have_the_recorded_logits_and_int8_keeps_their_answers() {
    for net in &noise::NOISE {
        let golden: Vec<Vec<f32>> = net.golden_logits().map(|logits| logits.to_vec()).collect();
        let images: Vec<[f32; digits::PIXELS]> = (0..golden.len()).map(|i| digits::test_set().image(i)).collect();
        let entries: Vec<Vec<&[f32]>> = images.iter().map(|image| vec![&image[..]]).collect();
        let found = run(&real(net.onnx, None), &entries);
        let worst = largest_difference(&found, &golden);
        assert!(worst < 1e-3, "{}: {worst}", net.name);
        let noisy = net.calibration_set();
        let images: Vec<[f32; digits::PIXELS]> = (0..noisy.len()).map(|i| noisy.image(i)).collect();
        let entries: Vec<Vec<&[f32]>> = images.iter().map(|image| vec![&image[..]]).collect();
        let answers = |compiled: &Compiled| -> Vec<usize> {
            run(compiled, &entries).iter().map(|logits| selvedge_tests::argmax(logits)).collect()
        };
        let (float, quantized) = (answers(&real(net.onnx, None)), answers(&int8(net.onnx, None, &noisy)));
        let same = float.iter().zip(&quantized).filter(|(a, b)| a == b).count();
        println!("{}: int8 answers {same} of {} noisy images like f32", net.name, float.len());
        assert!(same * 100 >= float.len() * 95, "{}: {same} of {}", net.name, float.len());
    }
}

#[test]
fn a_bound_noise_level_gives_what_the_model_with_both_inputs_gives() {
    let whole = real(noise::CONDITIONED_ONNX, None);
    assert_eq!(whole.program.inputs.len(), 2);
    for (level, sigma) in noise::CONDITIONED_LEVELS.into_iter().enumerate() {
        let bound = real(noise::CONDITIONED_ONNX, Some(f64::from(sigma)));
        assert_eq!(bound.program.inputs.len(), 1);
        assert!(bound.program.steps.len() < whole.program.steps.len());
        let golden: Vec<Vec<f32>> = noise::conditioned_golden_logits(level).map(|logits| logits.to_vec()).collect();
        let images: Vec<[f32; digits::PIXELS]> = (0..golden.len()).map(|i| digits::test_set().image(i)).collect();
        let one: Vec<Vec<&[f32]>> = images.iter().map(|image| vec![&image[..]]).collect();
        let sigma = [sigma];
        let two: Vec<Vec<&[f32]>> = images.iter().map(|image| vec![&image[..], &sigma[..]]).collect();
        let (found, both) = (run(&bound, &one), run(&whole, &two));
        let (worst, worst_both) = (largest_difference(&found, &golden), largest_difference(&found, &both));
        println!("sigma {}: {worst} to the recorded logits, {worst_both} to both inputs", sigma[0]);
        assert!(worst < 1e-3 && worst_both < 1e-3, "sigma {}: {worst} {worst_both}", sigma[0]);
    }
    // What binds nothing, or all there is, is refused by name.
    let refused = |onnx: &[u8], name: &str| {
        let bind = vec![(name.to_string(), Bound::Number(0.5))];
        let error = load(onnx, &ImportOptions { bind, ..ImportOptions::default() }).expect_err("refused");
        error.to_string()
    };
    assert!(refused(noise::CONDITIONED_ONNX, "sgima").contains("[\"image\", \"sigma\"]"));
    assert!(refused(digits::ONNX, "image").contains("the only input"));
}

/// Mean certified radius, in steps, of `images` test images at noise of half of the range.
fn mean_radius(model: &mut impl Classify<Error = selvedge::Error>, images: usize) -> f64 {
    let sigma = Sigma::new(8, 1).expect("not zero");
    let bytes = selvedge_noise::build_table(sigma).expect("builds");
    let table = NoiseTable::parse(&bytes).expect("valid");
    let request = Request { rule: Rule::Fixed, sigma, selection: 64, samples: 256, target_r2: None };
    let spec = CertSpec::new(Alpha::ratio(1, 1000).expect("a share"), request).expect("can be answered");
    let mut sum = 0.0;
    for image in 0..images {
        let set = digits::test_set();
        let pixels = set.image(image).map(|x| (x * f32::from(digits::MAX_PIXEL)).round() as i16);
        let grid = Grid { low: i16::MIN, high: i16::MAX, scale: 0.0625, zero: 0 };
        let subject = Subject { model: [1; 32], classes: 10, input: Clean::I16(&pixels), grid };
        let terms = Terms::new(&spec, subject, &table).expect("fits");
        let job = Job::new(&terms, [3; 32]);
        let mut run = Certifier::<10>::new(&job).expect("fits");
        while run.decision().is_none() {
            run.step(model, 1024).expect("runs");
        }
        if let Some(Decision::Certified { class, r2 }) = run.decision()
            && class == u16::from(set.label(image))
        {
            sum += (r2 as f64).sqrt();
        }
    }
    sum / images as f64
}

#[test]
fn a_bound_single_pass_certifies_at_least_as_much_as_a_denoiser_and_a_classifier() {
    const IMAGES: usize = 24;
    let noisy = noise::NOISE[1].calibration_set();
    let single = int8(noise::CONDITIONED_ONNX, Some(0.5), &noisy);
    let pair = [real(noise::DENOISER_050_ONNX, None), real(digits::ONNX, None)];
    let macs = [single.program.macs(), pair.iter().map(|part| part.program.macs()).sum()];
    let files: Vec<AlignedBuf> =
        [&single, &pair[0], &pair[1]].iter().map(|compiled| AlignedBuf::from(&compiled.artifact[..])).collect();
    let artifacts: Vec<Artifact<'_>> = files.iter().map(|file| Artifact::parse(file).expect("sound")).collect();
    let mut arenas: Vec<AlignedBuf> = artifacts.iter().map(|a| AlignedBuf::zeroed(a.arena_bytes())).collect();
    let mut sessions: Vec<Session<'_>> =
        artifacts.iter().zip(&mut arenas).map(|(a, arena)| Session::new(*a, arena).expect("valid")).collect();
    let [single, denoiser, classifier] = &mut sessions[..] else { panic!("three") };
    let one = mean_radius(&mut SessionClassifier::new(single, PIXELS).expect("f32 input"), IMAGES);
    let denoiser = SessionClassifier::new(denoiser, PIXELS).expect("f32 input");
    let two = mean_radius(&mut DenoisedClassifier::new(denoiser, classifier).expect("fits"), IMAGES);
    println!(
        "mean certified radius in steps: bound int8 {one:.2} ({} MACs), denoised f32 {two:.2} ({} MACs)",
        macs[0], macs[1]
    );
    assert!(one >= two, "{one} {two}");
    assert!(macs[0] <= macs[1] * 11 / 10, "{macs:?}");
}
