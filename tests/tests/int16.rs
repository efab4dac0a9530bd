//! Models with int8 weights and int16 activations. Oracles: the quantized graph in f32 with every value rounded to
//! its grid; the same weights under f32 activations, which int16 has to come close to.

use selvedge::{AlignedBuf, Artifact, ErrorKind, Session};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::data::ArrayData;
use selvedge_compiler::quantize::{ActivationFormat, LowBitFormat, QuantScheme, QuantizeError, WeightFormat};
use selvedge_compiler::simulate::{SimMode, Simulator};
use selvedge_compiler::{CompileError, CompileOptions, Compiled, compile, compile_calibrated, load};
use selvedge_core::Format;
use selvedge_tests::everywhere::{everywhere, snr_db};
use selvedge_tests::{data_dir, npz};
use selvedge_zoo::digits;

fn calibrated(onnx: &[u8], samples: &[Sample], scheme: QuantScheme) -> Result<Compiled, Box<CompileError>> {
    let options = CompileOptions { scheme, ..CompileOptions::default() };
    compile_calibrated(load(onnx, &options.import).expect("imports"), samples.iter().cloned(), &options)
        .map_err(Box::new)
}

fn simulated(compiled: &Compiled, inputs: &[Vec<f32>], mode: SimMode) -> Vec<Vec<f32>> {
    let graph = if mode == SimMode::Float { &compiled.float_graph } else { &compiled.graph };
    let mut simulator = Simulator::new(graph, mode).expect("lowers");
    let run = |x: &Vec<f32>| simulator.run(&[ArrayData::F32(x.clone())], &mut |_, _, _| {}).expect("runs")[0].to_f32();
    inputs.iter().map(run).collect()
}

/// Prints what each form of activations gives beside the float model; int16 may lose 0.5 dB to f32 ones.
fn check(name: &str, onnx: &[u8], samples: &[Sample], inputs: &[Vec<f32>]) {
    let int16 = calibrated(onnx, samples, QuantScheme::w8_i16()).expect("compiles");
    let layers = int16.program.steps.iter().filter(|step| step.macs > 0);
    let notes = &int16.program.notes;
    assert!(layers.clone().count() > 3 && layers.clone().all(|step| step.format == Format::I16W8), "{name}: {notes:?}");
    let found = everywhere(name, &int16, inputs);
    let oracle = snr_db(&found, &simulated(&int16, inputs, SimMode::FakeQuant));
    let want = simulated(&int16, inputs, SimMode::Float);
    let others = [QuantScheme::w8a8(), QuantScheme::w8_f32()].map(|scheme| {
        let compiled = calibrated(onnx, samples, scheme).expect("compiles");
        let arena = compiled.plan.arena_bytes;
        (snr_db(&everywhere(name, &compiled, inputs), &want), compiled.artifact.len(), arena)
    });
    let [int8, float] = others;
    let int16 = (snr_db(&found, &want), int16.artifact.len(), int16.plan.arena_bytes);
    let text = |(snr, file, arena): (f64, usize, usize)| format!("{snr:.1} dB, {file} and {arena} bytes");
    println!(
        "{name}: int8 {}; int16 {}; f32 {}; int16 against its oracle {oracle:.1} dB",
        text(int8),
        text(int16),
        text(float)
    );
    assert!(oracle > 60.0, "{name}: {oracle:.1} dB");
    assert!(int16.0 > float.0 - 0.5 && int16.0 > int8.0, "{name}: {int8:?} {int16:?} {float:?}");
}

fn digits_samples() -> Vec<Sample> {
    let set = digits::calibration_set();
    (0..set.len()).map(|i| Sample::f32([1, 1, 8, 8], set.image(i).to_vec())).collect()
}

#[test]
fn digits_with_int16_activations_lose_what_their_weights_lose() {
    let test = digits::test_set();
    let inputs: Vec<Vec<f32>> = (0..60).map(|i| test.image(i).to_vec()).collect();
    check("digits", digits::ONNX, &digits_samples(), &inputs);
}

#[test]
fn mlperf_models_with_int16_activations_lose_what_their_weights_lose() {
    let Some(data) = data_dir("int16 activations") else { return };
    for model in ["ad", "ic", "kws", "vww"] {
        let onnx = std::fs::read(data.join(format!("models/mlperf_tiny/{model}_fp32.onnx"))).expect("reads");
        let array = &npz(&data.join(format!("models/expected/{model}.npz")))["input_f32"];
        let each: usize = array.shape[1..].iter().product();
        let inputs: Vec<Vec<f32>> = array.data.to_f32().chunks_exact(each).map(<[f32]>::to_vec).collect();
        let (seen, unseen) = inputs.split_at(inputs.len() / 2);
        let shape = [&[1], &array.shape[1..]].concat();
        let samples: Vec<Sample> = seen.iter().map(|x| Sample::f32(shape.clone(), x.clone())).collect();
        check(model, &onnx, &samples, &unseen[..unseen.len().min(8)]);
    }
}

#[test]
fn a_residual_network_adds_in_int16_and_names_what_stays_f32() {
    let compiled = calibrated(digits::ONNX, &digits_samples(), QuantScheme::w8_i16()).expect("compiles");
    let sums = compiled.program.steps.iter().filter(|step| step.kernel == "add_i16").count();
    let said: Vec<&str> = compiled.report.layers.iter().filter_map(|layer| layer.f32_reason()).collect();
    assert_eq!(sums, 1);
    assert!(said.iter().all(|reason| reason.contains("has no int16 form")), "{said:?}");
    assert!(compiled.report.mode.contains("int16 activations"), "{}", compiled.report.mode);
    assert_eq!(compiled.program.meta.get("weights").map(String::as_str), Some("w8 (int16 activations)"));
}

#[test]
fn what_is_no_number_is_refused_at_the_input() {
    let compiled = calibrated(digits::ONNX, &digits_samples(), QuantScheme::w8_i16()).expect("compiles");
    let file = AlignedBuf::from(&compiled.artifact[..]);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("valid");
    let mut image = [0.5; 64];
    image[17] = f32::NAN;
    session.input(0).and_then(|input| input.copy_from_f32(&image)).expect("fits");
    assert_eq!(session.run().unwrap_err().kind(), ErrorKind::NotANumber);
}

#[test]
fn other_weights_and_missing_ranges_are_refused() {
    let kind = |result: Result<Compiled, Box<CompileError>>| match result.map_err(|error| *error) {
        Err(CompileError::Quantize(error)) => error,
        other => panic!("{:?}", other.map(|compiled| compiled.report.mode)),
    };
    let options = CompileOptions { scheme: QuantScheme::w8_i16(), ..CompileOptions::default() };
    assert_eq!(kind(compile(digits::ONNX, &options).map_err(Box::new)), QuantizeError::NoRanges);
    let width = selvedge_compiler::lowbit::Width::W4;
    let weights = WeightFormat::Low(LowBitFormat { width, group: 0 });
    let scheme = QuantScheme { weights, activations: ActivationFormat::I16, ..QuantScheme::w8a8() };
    let error = kind(calibrated(digits::ONNX, &digits_samples(), scheme));
    assert_eq!(error, QuantizeError::WideActivations { weights: "4-bit".into() });
}
