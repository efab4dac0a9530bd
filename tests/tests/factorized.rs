//! Low-rank convolutions on whole models. Oracles: labels of the held-out digits; the same program
//! without pairs, bit for bit.

use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::passes::{FactorForm, FactorRank, FactorizeOptions};
use selvedge_compiler::{CompileOptions, Compiled, compile_calibrated, load};
use selvedge_core::OpCode;
use selvedge_tests::{argmax, isas};
use selvedge_zoo::digits;

fn options(rank: FactorRank, form: FactorForm) -> CompileOptions {
    CompileOptions { factorize: Some(FactorizeOptions { rank, form }), ..CompileOptions::default() }
}

fn digit_samples() -> Vec<Sample> {
    let set = digits::calibration_set();
    (0..set.len()).map(|i| Sample::f32([1, 1, 8, 8], set.image(i).to_vec())).collect()
}

fn compiled(onnx: &[u8], samples: Vec<Sample>, options: &CompileOptions) -> Compiled {
    let graph = load(onnx, &options.import).expect("imports");
    compile_calibrated(graph, samples, options).expect("compiles")
}

/// Real outputs for each input, the same on every instruction set of this machine.
fn outputs(artifact: &[u8], inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let file = AlignedBuf::from(artifact);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut all: Vec<Vec<Vec<f32>>> = Vec::new();
    for isa in isas("low-rank models") {
        let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
        let mut session = Session::new(artifact, &mut arena).expect("valid").with_isa(isa).expect("available");
        let run = |x: &Vec<f32>| {
            session.input(0).expect("input").quantize_from_f32(x).expect("fits");
            session.run().expect("runs");
            let output = session.output(0).expect("output");
            let mut values = vec![0.0; output.dims().iter().map(|&d| d as usize).product()];
            output.dequantize_into(&mut values).expect("fits");
            values
        };
        all.push(inputs.iter().map(run).collect());
    }
    for other in &all[1..] {
        assert_eq!(&all[0], other, "instruction sets differ");
    }
    all.swap_remove(0)
}

fn images() -> Vec<Vec<f32>> {
    let test = digits::test_set();
    (0..test.len()).map(|i| test.image(i).to_vec()).collect()
}

fn correct(logits: &[Vec<f32>]) -> usize {
    let test = digits::test_set();
    logits.iter().enumerate().filter(|(i, l)| argmax(l) == test.label(*i) as usize).count()
}

fn pairs(compiled: &Compiled) -> usize {
    compiled.program.steps.iter().filter(|step| step.op == OpCode::ConvPair).count()
}

/// Whole convolutions' multiply-accumulates, less what the factorized ones save.
fn reported(whole: &Compiled, compiled: &Compiled) -> u64 {
    let saved = |f: &selvedge_compiler::passes::FactorizedConv| f.macs_before - f.macs_after;
    whole.program.macs() - compiled.report.factorized.iter().map(saved).sum::<u64>()
}

#[test]
fn digits_at_energy_0_9_lose_at_most_a_point_and_the_macs_reported() {
    let whole = compiled(digits::ONNX, digit_samples(), &CompileOptions::default());
    let (images, total) = (images(), digits::test_set().len());
    let right = correct(&outputs(&whole.artifact, &images));
    println!("whole: {right} of {total}, {} MACs, arena {}", whole.program.macs(), whole.plan.arena_bytes);
    for (form, share) in [(FactorForm::Auto, 0.78), (FactorForm::Channel, 0.78), (FactorForm::Spatial, 0.80)] {
        let cut = compiled(digits::ONNX, digit_samples(), &options(FactorRank::Energy(0.9), form));
        let found = outputs(&cut.artifact, &images);
        println!(
            "{form:?}: {} of {total}, {} MACs, arena {}, {} pairs\n{}",
            correct(&found),
            cut.program.macs(),
            cut.plan.arena_bytes,
            pairs(&cut),
            cut.report.to_text()
        );
        // A point is 4.5 images.
        assert!((right - correct(&found)) * 100 <= total, "{form:?}");
        assert_eq!(cut.program.macs(), reported(&whole, &cut));
        assert!(cut.program.macs() as f64 <= share * whole.program.macs() as f64);
        assert!(cut.report.factorized.iter().all(|f| f.energy >= 0.9 && f.macs_after < f.macs_before));
        assert!(
            cut.report.to_text().contains("of the energy") && cut.report.to_html().contains("Convolutions of low rank")
        );
        // Bit for bit as without pairs, on every image.
        let apart = compiled(
            digits::ONNX,
            digit_samples(),
            &CompileOptions { fuse: false, ..options(FactorRank::Energy(0.9), form) },
        );
        assert_eq!((pairs(&apart), pairs(&cut) > 0), (0, true));
        assert_eq!(outputs(&apart.artifact, &images), found);
    }
}

/// Correct images and multiply-accumulates at an energy.
fn at_energy(onnx: &[u8], energy: f64, form: FactorForm) -> (usize, u64) {
    let cut = compiled(onnx, digit_samples(), &options(FactorRank::Energy(energy), form));
    let (right, macs) = (correct(&outputs(&cut.artifact, &images())), cut.program.macs());
    println!(
        "energy {energy} {form:?}: {right} right, {macs} MACs, {} bytes, arena {}, {} pairs, ranks {:?}",
        cut.artifact.len(),
        cut.plan.arena_bytes,
        pairs(&cut),
        cut.report.factorized.iter().map(|f| (f.node.as_str(), f.form, f.rank)).collect::<Vec<_>>()
    );
    (right, macs)
}

#[test]
fn digits_trained_with_rank_pruning_keep_their_accuracy_at_a_fifth_of_the_macs() {
    let whole = compiled(digits::ONNX, digit_samples(), &CompileOptions::default());
    let right = correct(&outputs(&whole.artifact, &images()));
    for energy in [0.99, 0.95, 0.9] {
        let (found, macs) = at_energy(digits::TRP_ONNX, energy, FactorForm::Auto);
        // A point of the network that was trained without.
        assert!((right - found) * 100 <= digits::test_set().len(), "energy {energy}: {found} of {right}");
        assert!(macs * 5 < whole.program.macs(), "energy {energy}: {macs}");
    }
}

#[test]
fn a_budget_of_half_the_macs_is_kept() {
    let half = compiled(digits::ONNX, digit_samples(), &options(FactorRank::Budget(0.5), FactorForm::Spatial));
    let factorized = &half.report.factorized;
    assert!(!factorized.is_empty());
    // Convolutions that stayed whole count too: those which are left take no more than the rest.
    let whole = compiled(digits::ONNX, digit_samples(), &CompileOptions::default());
    assert_eq!(half.program.macs(), reported(&whole, &half));
    assert!(half.program.macs() as f64 <= 0.6 * whole.program.macs() as f64);
}
