//! Models in f32 whose weights are stored as halves or int8. Oracles: the float program with the widened weights, bit
//! for bit (halves); the same with weights times scales, and the weights' own loss (int8).

use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::data::ArrayData;
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::simulate::{SimMode, Simulator};
use selvedge_compiler::{CompileOptions, Compiled, compile};
use selvedge_tests::everywhere::{bits, everywhere, snr_db};
use selvedge_tests::{data_dir, npz};
use selvedge_zoo::digits;

fn compiled(onnx: &[u8], scheme: QuantScheme) -> Compiled {
    compile(onnx, &CompileOptions { scheme, ..CompileOptions::default() }).unwrap_or_else(|e| panic!("{e}"))
}

/// The quantized graph with its weights as f32, run as float.
fn widened(compiled: &Compiled, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut graph = compiled.graph.clone();
    graph.values.iter_mut().for_each(|value| value.stored = None);
    let mut simulator = Simulator::new(&graph, SimMode::Float).expect("lowers");
    let run = |x: &Vec<f32>| simulator.run(&[ArrayData::F32(x.clone())], &mut |_, _, _| {}).expect("runs")[0].to_f32();
    inputs.iter().map(run).collect()
}

/// Bytes of the artifacts in f32, half and int8, and the least SNR of the last two against f32.
fn check(name: &str, onnx: &[u8], inputs: &[Vec<f32>], least: [f64; 2]) {
    let float = compiled(onnx, QuantScheme::f32());
    let (half, int8) = (compiled(onnx, QuantScheme::f16()), compiled(onnx, QuantScheme::w8_f32()));
    let want = everywhere(name, &float, inputs);
    let [halves, codes] = [&half, &int8].map(|compiled| everywhere(name, compiled, inputs));
    assert!(bits(&halves).eq(bits(&widened(&half, inputs))), "{name}: halves are not the widened weights");
    assert!(snr_db(&codes, &widened(&int8, inputs)) > 100.0, "{name}: scales");
    let found = [snr_db(&halves, &want), snr_db(&codes, &want)];
    let sizes = [&float, &half, &int8].map(|compiled| compiled.artifact.len());
    println!("{name}: {sizes:?} bytes; f16 {:.1} dB, int8 {:.1} dB", found[0], found[1]);
    assert!(found.iter().zip(least).all(|(found, least)| *found > least), "{name}: {found:?}");
    assert!(sizes[1] * 10 < sizes[0] * 6 && sizes[2] * 10 < sizes[0] * 4, "{name}: {sizes:?}");
    let inputs = inputs.iter().map(|x| Sample::f32(compiled_shape(&half), x.clone()));
    let compared = half.compare(inputs).expect("runs");
    assert!((compared.snr_db - found[0]).abs() < 0.1, "{name}: the report says {:.1} dB", compared.snr_db);
}

fn compiled_shape(compiled: &Compiled) -> Vec<usize> {
    compiled.float_graph.value(compiled.float_graph.inputs[0]).shape.clone()
}

#[test]
fn digits_with_halves_and_with_int8_weights() {
    let test = digits::test_set();
    let inputs: Vec<Vec<f32>> = (0..40).map(|i| test.image(i).to_vec()).collect();
    check("digits", digits::ONNX, &inputs, [50.0, 25.0]);
}

#[test]
fn mlperf_models_with_halves_and_with_int8_weights() {
    let Some(data) = data_dir("weights of fewer bits") else { return };
    for (model, least) in [("ad", [60.0, 35.0]), ("kws", [50.0, 25.0])] {
        let onnx = std::fs::read(data.join(format!("models/mlperf_tiny/{model}_fp32.onnx"))).expect("reads");
        let array = &npz(&data.join(format!("models/expected/{model}.npz")))["input_f32"];
        let each: usize = array.shape[1..].iter().product();
        let inputs: Vec<Vec<f32>> = array.data.to_f32().chunks_exact(each).take(12).map(<[f32]>::to_vec).collect();
        check(model, &onnx, &inputs, least);
    }
}

#[test]
fn a_weight_beyond_the_range_of_halves_keeps_its_layer_in_f32_and_says_so() {
    let mut float = compiled(digits::ONNX, QuantScheme::f32()).float_graph;
    let weights = float.values.iter_mut().find(|value| value.shape.len() == 4 && value.is_constant()).expect("a layer");
    if let Some(selvedge_compiler::graph::Constant::F32(data)) = &mut weights.data {
        data[0] = 1e5;
    }
    let options = CompileOptions { scheme: QuantScheme::f16(), ..CompileOptions::default() };
    let compiled = selvedge_compiler::compile_loaded(float, &options).expect("compiles");
    let said: Vec<&str> = compiled.report.layers.iter().filter_map(|layer| layer.f32_reason()).collect();
    assert!(said.iter().any(|reason| reason.contains("beyond the range of half precision")), "{said:?}");
}
