//! The part of `selvedge demo` that certifies digits.

use crate::commands::compile::compile_with_progress;
use crate::error::Failure;
use selvedge::certify::{
    Alpha, CertSpec, Certifier, Clean, Decision, Grid, Job, Request, Rule, Step, Subject, Terms, shipped,
};
use selvedge::noise::tables;
use selvedge::{AlignedBuf, Artifact, CodeMap, Session, SessionClassifier};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::{CompileOptions, load};
use selvedge_zoo::digits;
use selvedge_zoo::digits::noise::NOISE;
use std::io::Write;

/// Images that are looked through for a certificate and an abstention.
const IMAGES: usize = 60;
/// Draws that choose the class, and draws at most.
const DRAWS: [u32; 2] = [64, 10_000];

/// Certifies test images until one has a certificate and one has none, and says so.
pub fn run(out: &mut impl Write) -> Result<(), Failure> {
    let net = &NOISE[0];
    let noisy = net.calibration_set();
    let samples = (0..noisy.len()).map(|i| Sample::f32([1, 1, digits::HEIGHT, digits::WIDTH], noisy.image(i).to_vec()));
    let options = CompileOptions::default();
    let graph = load(net.onnx, &options.import).map_err(Failure::bad)?;
    let compiled = compile_with_progress(graph, Some(samples.collect()), &options)?;
    let file = AlignedBuf::from(&compiled.artifact[..]);
    let artifact = Artifact::parse(&file).map_err(Failure::bad)?;
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).map_err(Failure::bad)?;
    // Four grey levels of sixteen, and a radius of as much.
    let table = tables::STEPS_4.table().map_err(Failure::bad)?;
    let looks = shipped(4).ok_or_else(|| Failure::bad("no looks"))?;
    let [selection, samples] = DRAWS;
    let request = Request { rule: Rule::Sequential(looks), sigma: table.sigma(), selection, samples, target_r2: None };
    let spec = CertSpec::new(Alpha::ratio(1, 1000).map_err(Failure::bad)?, request).map_err(Failure::bad)?;
    writeln!(
        out,
        "\ncertificates: a classifier trained under noise of {} of {} grey levels, int8; its smoothed class cannot change\n\
         by changes whose squares sum to the number given, but with probability 0.001 over the noise",
        net.sigma_steps,
        digits::MAX_PIXEL
    )?;
    let (mut certified, mut abstained) = (false, false);
    for index in 0..IMAGES {
        let pixels = digits::test_set().image(index).map(|x| (x * f32::from(digits::MAX_PIXEL)).round() as i16);
        let scale = 1.0 / f32::from(digits::MAX_PIXEL);
        let grid = Grid { low: i16::MIN, high: i16::MAX, scale, zero: 0 };
        let (classes, input) = (digits::CLASSES as u32, Clean::I16(&pixels));
        let subject = Subject { model: artifact.header().digest, classes, input, grid };
        let terms = Terms::new(&spec, subject, &table).map_err(Failure::bad)?;
        // The demo says the same on every run; a nonce that is to convince somebody comes from that somebody.
        let job = Job::with_own_nonce(&terms, [7; 32]);
        let mut run = Certifier::<{ digits::CLASSES }>::new(&job).map_err(Failure::bad)?;
        let map = CodeMap::Real { per_unit: f32::from(digits::MAX_PIXEL) };
        let mut model = SessionClassifier::new(&mut session, map).map_err(Failure::bad)?;
        let decision = loop {
            if let Step::Done(decision) = run.step(&mut model, 1024).map_err(Failure::bad)? {
                break decision;
            }
        };
        let (draws, label) = (run.drawn(), digits::test_set().label(index));
        match decision {
            Decision::Certified { class, r2 } if !certified => {
                certified = true;
                writeln!(out, "  image {index}, a {label}: {class} up to {r2} (radius one sigma); {draws} draws")?;
            }
            Decision::Abstain(_) if !abstained => {
                abstained = true;
                writeln!(
                    out,
                    "  image {index}, a {label}: no certificate at this radius; given up after {draws} draws"
                )?;
            }
            _ => {}
        }
        if certified && abstained {
            break;
        }
    }
    Ok(())
}
