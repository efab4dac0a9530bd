//! Oracle: tract runs the float twin (quantization lifted out) of each model. Our f32 program, on
//! the instruction set this machine offers, agrees within rounding of other summation orders.

use selvedge_compiler::data::ArrayData;
use selvedge_compiler::import::{ImportOptions, float_twin};
use selvedge_compiler::load;
use selvedge_compiler::simulate::{SimMode, Simulator};
use selvedge_tests::{data_dir, npz};
use selvedge_zoo::digits;

/// Runs one input through both and compares every output.
fn check(name: &str, onnx: &[u8], shape: &[usize], input: &[f32]) {
    let options = ImportOptions::default();
    let twin = float_twin(onnx, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
    let expected = twin.run(&[(shape.to_vec(), input.to_vec())]).unwrap_or_else(|e| panic!("{name}: {e}"));
    let graph = load(onnx, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut simulator = Simulator::new(&graph, SimMode::Float).unwrap_or_else(|e| panic!("{name}: {e}"));
    let found = simulator.run(&[ArrayData::F32(input.to_vec())], &mut |_, _, _| {}).expect("runs");
    assert_eq!(expected.len(), found.len(), "{name}: outputs");
    for ((value, dims, want), ours) in expected.iter().zip(&found) {
        assert_eq!(dims, &ours.dims, "{name}, {value}: shape");
        let largest = want.iter().fold(0f32, |m, x| m.max(x.abs()));
        let difference = want.iter().zip(ours.to_f32()).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        println!("{name}, {value}: largest difference {difference:e} of {largest}");
        assert!(difference <= 2e-5 * largest.max(1.0), "{name}, {value}: {difference} of {largest}");
    }
}

#[test]
fn digits_equal_tract_within_rounding_on_eight_images() {
    let test = digits::test_set();
    for i in 0..8 {
        check("digits", digits::ONNX, &[1, 1, 8, 8], &test.image(i));
    }
}

#[test]
fn mlperf_float_models_equal_tract_within_rounding_on_two_inputs() {
    let Some(data) = data_dir("MLPerf Tiny float models against tract") else { return };
    for model in ["ad", "ic", "kws", "vww"] {
        let onnx = std::fs::read(data.join(format!("models/mlperf_tiny/{model}_fp32.onnx"))).expect("model");
        let arrays = npz(&data.join(format!("models/expected/{model}.npz")));
        let array = &arrays["input_f32"];
        let mut shape = array.shape.clone();
        let count = std::mem::replace(&mut shape[0], 1);
        let values = array.data.to_f32();
        for input in values.chunks(values.len() / count).take(2) {
            check(model, &onnx, &shape, input);
        }
    }
}
