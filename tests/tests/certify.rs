//! Certificates of the digit classifier, end to end. Oracles: the reference kernels' record, and the verifier, which
//! makes every draw again.

use selvedge::certify::verify::{Claim, full};
use selvedge::certify::{
    Alpha, CertSpec, Certifier, Classify, Clean, Decision, Grid, Job, Record, Request, Rule, Subject, Terms,
    record_bytes, shipped, state_bytes,
};
use selvedge::noise::{NoiseTable, Sigma};
use selvedge::{AlignedBuf, Artifact, CodeMap, DType, IsaKind, Session, SessionClassifier};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::quantize::WeightFormat;
use selvedge_compiler::{BatchError, CompileOptions, batched, compile_calibrated, load};
use selvedge_tests::{data_dir, isas};
use selvedge_zoo::digits;

const CLASSES: usize = digits::CLASSES;
const PIXELS: CodeMap = CodeMap::Real { per_unit: digits::MAX_PIXEL as f32 };
/// Wide: noise may leave the grey levels.
const WIDE: Grid = Grid { low: i16::MIN, high: i16::MAX, scale: 0.0625, zero: 0 };

fn artifact() -> AlignedBuf {
    let options = CompileOptions::default();
    let set = digits::calibration_set();
    let samples = (0..64).map(|i| Sample::f32([1, 1, 8, 8], set.image(i).to_vec()));
    let graph = load(digits::ONNX, &options.import).expect("imports");
    AlignedBuf::from(&compile_calibrated(graph, samples, &options).expect("compiles").artifact[..])
}

fn pixels(image: usize) -> Vec<i16> {
    digits::test_set().image(image).iter().map(|x| (x * f32::from(digits::MAX_PIXEL)).round() as i16).collect()
}

/// Noise of 3 of 16 grey levels.
fn table() -> Vec<u8> {
    selvedge_noise::build_table(Sigma::new(3, 1).expect("not zero")).expect("builds")
}

/// A radius of one sigma, in at most 2000 draws.
fn spec() -> CertSpec<'static> {
    let rule = Rule::Sequential(shipped(4).expect("one sigma"));
    let sigma = Sigma::new(3, 1).expect("not zero");
    let request = Request { rule, sigma, selection: 50, samples: 2000, target_r2: None };
    CertSpec::new(Alpha::ratio(1, 1000).expect("a share"), request).expect("can be answered")
}

fn subject<'a>(model: &Artifact<'_>, pixels: &'a [i16]) -> Subject<'a> {
    Subject { model: model.header().digest, classes: CLASSES as u32, input: Clean::I16(pixels), grid: WIDE }
}

/// The record of an image as an artifact that takes `batch` inputs at once makes it, put away and taken up again after
/// every `most` draws.
fn record(job: &Job<'_>, file: &[u8], batch: usize, kind: IsaKind, most: u32) -> Vec<u8> {
    let artifact = Artifact::parse(file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("valid").with_isa(kind).expect("available");
    let mut certifier = Certifier::<CLASSES>::new(job).expect("fits");
    let mut model = SessionClassifier::batched(&mut session, PIXELS, batch).expect("f32 input");
    let mut state = vec![0; state_bytes(CLASSES as u32)];
    while certifier.decision().is_none() {
        certifier.step(&mut model, most).expect("runs");
        certifier.save(&mut state).expect("fits");
        certifier = Certifier::resume(job, &state).expect("resumes");
    }
    let mut bytes = vec![0; record_bytes(CLASSES as u32)];
    certifier.record(None).expect("no tree").encode(&mut bytes).expect("fits");
    bytes
}

#[test]
fn records_are_the_same_on_every_isa_and_for_every_batch_and_can_be_verified() {
    let (file, table) = (artifact(), table());
    let table = NoiseTable::parse(&table).expect("valid");
    let artifact = Artifact::parse(&file).expect("sound");
    let batches: Vec<(usize, AlignedBuf)> =
        [2, 7].map(|n| (n, AlignedBuf::from(&batched(&artifact, n).expect("batches")[..]))).into();
    let spec = spec();
    let mut certified = 0;
    for image in 0..6 {
        let pixels = pixels(image);
        let terms = Terms::new(&spec, subject(&artifact, &pixels), &table).expect("fits");
        let job = Job::new(&terms, [5; 32]);
        let reference = record(&job, &file, 1, IsaKind::Reference, 61);
        for kind in isas("certificates") {
            assert_eq!(record(&job, &file, 1, kind, 7), reference, "image {image} on {}", kind.name());
            for (n, file) in &batches {
                assert_eq!(record(&job, file, *n, kind, 61), reference, "image {image} by {n} on {}", kind.name());
            }
        }
        let parsed = Record::<CLASSES>::parse(&reference).expect("a record");
        let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
        let mut session = Session::new(artifact, &mut arena).expect("valid");
        let mut model = SessionClassifier::new(&mut session, PIXELS).expect("f32 input");
        let claim = Claim { nonce: [5; 32], own_nonce: false, commitment: terms.commitment() };
        assert_eq!(full(&parsed, &claim, &terms, &mut model), Ok(()), "image {image}");
        if let Decision::Certified { class, r2 } = parsed.decision {
            certified += 1;
            assert_eq!((class, r2), (u16::from(digits::test_set().label(image)), 9));
        }
    }
    assert!((1..6).contains(&certified), "{certified} of 6: certificates and abstentions are tested");
}

/// Outputs of a run on random bytes.
fn outputs(file: &[u8], inputs: &[Vec<u8>], kind: IsaKind) -> Vec<Vec<u8>> {
    let artifact = Artifact::parse(file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("valid").with_isa(kind).expect("available");
    for (i, bytes) in inputs.iter().enumerate() {
        session.input(i).expect("input").into_bytes().copy_from_slice(bytes);
    }
    session.run().expect("runs");
    (0..session.output_count()).map(|i| session.output(i).expect("output").bytes().to_vec()).collect()
}

#[test]
fn a_batch_gives_each_input_the_bytes_that_it_has_alone() {
    // Oracle: runs one by one, on the reference kernels. The MLPerf models are imported int8 ones.
    const BATCH: usize = 3;
    let Some(data) = data_dir("batches of the MLPerf models") else { return };
    let mut state = 11u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    for name in ["ad_int8", "ic_int8", "kws_int8", "vww_int8", "ic_fp32"] {
        let onnx = std::fs::read(data.join(format!("models/mlperf_tiny/{name}.onnx"))).expect("model");
        let mut options = CompileOptions::default();
        let dynamic = AlignedBuf::from(&selvedge_compiler::compile(&onnx, &options).expect("compiles").artifact[..]);
        options.scheme.weights = WeightFormat::F32;
        let compiled = selvedge_compiler::compile(&onnx, &options).expect("compiles");
        if name == "ic_fp32" {
            // Quantized at run time a convolution has one scale for all of its input.
            let artifact = Artifact::parse(&dynamic).expect("sound");
            assert!(matches!(batched(&artifact, BATCH), Err(BatchError::Step { step: 1, .. })));
        }
        let file = AlignedBuf::from(&compiled.artifact[..]);
        let artifact = Artifact::parse(&file).expect("sound");
        let together = AlignedBuf::from(&batched(&artifact, BATCH).expect("batches")[..]);
        let view = artifact.tensor(artifact.inputs()[0] as usize).expect("an input");
        let mut element = || match view.dtype {
            DType::F32 => (f32::from(byte()) / 255.0).to_le_bytes().to_vec(),
            _ => vec![byte()],
        };
        let inputs: Vec<Vec<u8>> = (0..BATCH).map(|_| (0..view.elements).flat_map(|_| element()).collect()).collect();
        let alone: Vec<u8> = inputs
            .iter()
            .flat_map(|input| outputs(&file, std::slice::from_ref(input), IsaKind::Reference).remove(0))
            .collect();
        for kind in isas("batches") {
            assert_eq!(outputs(&together, &[inputs.concat()], kind)[0], alone, "{name} on {}", kind.name());
        }
    }
}

#[test]
fn senseless_batches_are_refused() {
    let file = AlignedBuf::from(&include_bytes!("../../runtime/selvedge/tests/empty.slvg")[..]);
    let artifact = Artifact::parse(&file).expect("sound");
    assert_eq!(batched(&artifact, 0), Err(BatchError::TooLarge(0)));
    assert_eq!(batched(&artifact, usize::MAX), Err(BatchError::TooLarge(usize::MAX)));
}

#[test]
fn codes_reach_every_type_of_input_saturated() {
    // Oracle: the bytes of the input by hand. The artifacts have one int8 input.
    let file = AlignedBuf::from(&include_bytes!("../../runtime/selvedge/tests/empty.slvg")[..]);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("valid");
    assert_eq!(session.input(0).expect("input").dtype(), DType::I8);
    assert!(SessionClassifier::new(&mut session, PIXELS).is_err());
    for (offset, codes, want) in
        [(0, [300, -300], [127, -128]), (-128, [300, -5], [127, -128]), (-128, [255, 0], [127, -128])]
    {
        let mut model = SessionClassifier::new(&mut session, CodeMap::Codes { offset }).expect("int8 input");
        model.write(0, 0, &codes).expect("fits");
        assert!(model.write(0, 1, &codes).is_err(), "codes behind the end");
        assert!(model.write(1, 0, &codes).is_err(), "no second input");
        model.run(1).expect("runs");
        assert_eq!(model.class(0), 0);
        assert_eq!(session.output(0).expect("output").as_i8().expect("int8"), want);
    }
}
