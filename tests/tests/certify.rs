//! Certificates of the digit classifier, end to end. Oracles: the reference kernels' record, and the verifier, which
//! makes every draw again.

use selvedge::certify::{
    Alpha, Certifier, Decision, Identity, Input, LOOK_COUNTS, Look, Looks, Plan, Record, Rule, check, look_at,
    probability_for, rerun, state_bytes,
};
use selvedge::noise::{NoiseTable, Sigma};
use selvedge::{AlignedBuf, Artifact, CodeMap, DType, IsaKind, Session, SessionClassifier};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::{CompileOptions, compile_calibrated, load};
use selvedge_tests::isas;
use selvedge_zoo::digits;

const CLASSES: usize = digits::CLASSES;
const PIXELS: CodeMap = CodeMap::Real { per_unit: digits::MAX_PIXEL as f32 };

fn artifact() -> AlignedBuf {
    let options = CompileOptions::default();
    let set = digits::calibration_set();
    let samples = (0..64).map(|i| Sample::f32([1, 1, 8, 8], set.image(i).to_vec()));
    let graph = load(digits::ONNX, &options.import).expect("imports");
    AlignedBuf::from(&compile_calibrated(graph, samples, &options).expect("compiles").artifact[..])
}

fn pixels(image: usize) -> Vec<u8> {
    digits::test_set().image(image).iter().map(|x| (x * f32::from(digits::MAX_PIXEL)).round() as u8).collect()
}

/// Noise of 3 of 16 grey levels.
fn table() -> Vec<u8> {
    selvedge_noise::build_table(Sigma::new(3, 1).expect("not zero")).expect("builds")
}

/// A sequential plan for a radius of one sigma.
fn with_plan<T>(table: &NoiseTable<'_>, then: impl FnOnce(&Plan<'_>) -> T) -> T {
    let p0 = probability_for(3.0, table.tv_price(64), table.sigma()).expect("a target");
    let looks: Vec<Look> = LOOK_COUNTS.iter().take_while(|&&n| n <= 2000).map(|&n| look_at(n, p0, 0.001)).collect();
    let rule = Rule::Sequential(Looks { p0, alpha: 0.001, looks: &looks });
    then(&Plan::new(table, 64, CLASSES, 50, rule, Alpha::new(0.001).expect("a share")).expect("a plan"))
}

fn record(file: &[u8], plan: &Plan<'_>, image: usize, kind: IsaKind, batch: u32) -> Vec<u8> {
    let artifact = Artifact::parse(file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("valid").with_isa(kind).expect("available");
    let pixels = pixels(image);
    let identity = Identity { model: artifact.header().digest, nonce: [5; 32] };
    let mut certifier = Certifier::<CLASSES>::new(plan, Input::U8(&pixels), &identity).expect("fits");
    let mut model = SessionClassifier::new(&mut session, PIXELS).expect("f32 input");
    let mut state = vec![0; state_bytes(CLASSES)];
    while certifier.decision().is_none() {
        certifier.step(&mut model, Input::U8(&pixels), batch).expect("runs");
        // Put away and taken up again after every step.
        certifier.save(&mut state).expect("fits");
        certifier = Certifier::resume(plan, Input::U8(&pixels), &identity, &state).expect("resumes");
    }
    let mut bytes = vec![0; Record::bytes(CLASSES)];
    certifier.record(&mut bytes).expect("decided");
    bytes
}

#[test]
fn records_are_the_same_on_every_isa_and_for_every_batch_and_can_be_verified() {
    let (file, table) = (artifact(), table());
    let table = NoiseTable::parse(&table).expect("valid");
    with_plan(&table, |plan| {
        let mut certified = 0;
        for image in 0..6 {
            let reference = record(&file, plan, image, IsaKind::Reference, 61);
            for kind in isas("certificates") {
                assert_eq!(record(&file, plan, image, kind, 7), reference, "image {image} on {}", kind.name());
            }
            let parsed = Record::parse(&reference).expect("a record");
            assert_eq!(check(&parsed, &table), Ok(()));
            let artifact = Artifact::parse(&file).expect("sound");
            let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
            let mut session = Session::new(artifact, &mut arena).expect("valid");
            let mut model = SessionClassifier::new(&mut session, PIXELS).expect("f32 input");
            let (pixels, digest) = (pixels(image), artifact.header().digest);
            let again = rerun::<_, CLASSES>(&parsed, &table, &mut model, &digest, Input::U8(&pixels));
            assert_eq!(again, Ok(()), "image {image}");
            if let Decision::Certified { class, radius_squared } = parsed.decision {
                certified += 1;
                assert_eq!((class, radius_squared), (u16::from(digits::test_set().label(image)), 9));
            }
        }
        assert!((1..6).contains(&certified), "{certified} of 6: certificates and abstentions are tested");
    });
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
        use selvedge::certify::Classifier;
        model.write(0, &codes).expect("fits");
        assert!(model.write(1, &codes).is_err(), "codes behind the end");
        assert_eq!(model.classify(), Ok(0));
        assert_eq!(session.output(0).expect("output").as_i8().expect("int8"), want);
    }
}
