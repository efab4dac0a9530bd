//! Weights of fewer bits under f32 activations, on recorded models and on a layer of one's own.
mod common;

use common::data;
use half::f16;
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::compare::snr_db;
use selvedge_compiler::data::read_npz;
use selvedge_compiler::graph::{Constant, DType, Graph, Node, Op, Value};
use selvedge_compiler::import::{ImportOptions, import_onnx};
use selvedge_compiler::passes;
use selvedge_compiler::quantize::{QuantScheme, QuantizeError, quantize};
use selvedge_compiler::report::Execution;
use selvedge_compiler::simulate::{SimMode, Simulator};
use selvedge_compiler::{CompileOptions, compile_loaded};

/// A recorded model and a few of its inputs.
fn recorded(name: &str) -> Option<(Graph, Vec<Sample>)> {
    let folder = data()?;
    let mut graph =
        import_onnx(&folder.join(format!("models/mlperf_tiny/{name}_fp32.onnx")), &ImportOptions::default()).unwrap();
    passes::optimize(&mut graph);
    let arrays = read_npz(&folder.join(format!("models/expected/{name}.npz"))).unwrap();
    let inputs = &arrays.iter().find(|(key, _)| key == "input_f32").unwrap().1;
    let samples = Sample::stack(&graph, inputs).unwrap();
    Some((graph, samples.into_iter().take(4).collect()))
}

fn outputs(graph: &Graph, mode: SimMode, samples: &[Sample]) -> Vec<f32> {
    let mut simulator = Simulator::new(graph, mode).unwrap();
    let run = |sample: &Sample| {
        let made = simulator.run(&[sample.tensors[0].data.clone()], &mut |_, _, _| {}).unwrap();
        made[0].to_f32()
    };
    samples.iter().flat_map(run).collect()
}

/// The model with the weights of its layers changed.
fn with_weights(graph: &Graph, change: impl Fn(f32) -> f32) -> Graph {
    let mut graph = graph.clone();
    for node in graph.nodes.clone() {
        let (Op::Conv { .. } | Op::Dense { .. }, Some(w)) = (&node.op, node.inputs[1]) else { continue };
        if let Some(Constant::F32(data)) = &mut graph.value_mut(w).data {
            data.iter_mut().for_each(|w| *w = change(*w));
        }
    }
    graph
}

/// Oracle: the f32 program of the model whose weights were rounded to half by the `half` crate.
#[test]
fn half_weights_compute_what_the_rounded_f32_model_computes() {
    for name in ["ad", "kws"] {
        let Some((graph, samples)) = recorded(name) else { return };
        let (narrow, report) = quantize(&graph, None, &QuantScheme::f16()).unwrap();
        let rounded = with_weights(&graph, |w| f16::from_f32(w).to_f32());
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let found = bits(outputs(&narrow, SimMode::Integer, &samples));
        assert_eq!(found, bits(outputs(&rounded, SimMode::Float, &samples)), "{name}");
        assert!(report.layers.iter().any(|layer| layer.execution == Execution::Widened));
        let compile = |scheme| {
            let options = CompileOptions { scheme, ..CompileOptions::default() };
            compile_loaded(graph.clone(), &options).unwrap().artifact.len()
        };
        let (half, whole) = (compile(QuantScheme::f16()), compile(QuantScheme::f32()));
        assert!(half * 100 < whole * 55, "{name}: {half} of {whole} bytes");
    }
}

/// Oracle: the f32 model. Measured on 64 inputs: ad 39.8 dB, kws 29.4 dB.
#[test]
fn int8_weights_with_f32_activations_lose_what_their_grid_loses() {
    for (name, least) in [("ad", 37.0), ("kws", 26.0)] {
        let Some((graph, samples)) = recorded(name) else { return };
        let (narrow, _) = quantize(&graph, None, &QuantScheme::w8_f32()).unwrap();
        let float = outputs(&graph, SimMode::Float, &samples);
        let found = snr_db(&float, &outputs(&narrow, SimMode::Integer, &samples));
        assert!((least..60.0).contains(&found), "{name}: {found} dB");
        // The scale multiplies the sum, not each weight: what rounding that differs amounts to.
        let dequantized =
            snr_db(&outputs(&narrow, SimMode::Float, &samples), &outputs(&narrow, SimMode::Integer, &samples));
        assert!(dequantized > 90.0, "{name}: {dequantized} dB");
        let options = CompileOptions { scheme: QuantScheme::w8_f32(), ..CompileOptions::default() };
        let compiled = compile_loaded(graph.clone(), &options).unwrap();
        assert_eq!(compiled.program.meta["weights"], "w8 (f32 activations)");
        let (int8, whole) = (compiled.report.sizes.bytes, compiled.report.sizes.f32_bytes);
        assert!(int8 * 100 < whole * 35, "{name}: {int8} of {whole} bytes");
    }
}

/// A dense layer of two outputs.
fn layer(weights: [f32; 4]) -> Graph {
    let mut graph = Graph::default();
    let x = graph.add_value(Value::new("x", DType::F32, vec![1, 2]));
    let w = graph.add_value(Value::constant("w", vec![2, 2], Constant::F32(weights.to_vec())));
    let y = graph.add_value(Value::new("y", DType::F32, vec![1, 2]));
    let (inputs, outputs) = (vec![Some(x), Some(w)], vec![y]);
    graph.nodes.push(Node { name: "fc".into(), op: Op::Dense { clamp: None }, inputs, outputs });
    (graph.inputs, graph.outputs) = (vec![x], vec![y]);
    graph
}

#[test]
fn layers_beyond_the_range_of_half_keep_f32_and_say_so() {
    let options = CompileOptions { scheme: QuantScheme::f16(), ..CompileOptions::default() };
    let made = compile_loaded(layer([1.0, 65_520.0, 0.5, -2.0]), &options).unwrap();
    assert_eq!(made.program.steps[0].format, selvedge_core::Format::F32);
    let reason = made.report.layers[0].f32_reason().unwrap();
    assert!(reason.contains("beyond the range of half precision (±65504)"), "{reason}");
    // The largest that rounds to a half, and one that is subnormal there.
    let x = [Sample::f32([1, 2], vec![1.0, 0.0])];
    let graph = layer([65_519.0, 0.0, 3.1e-6, 0.0]);
    let (narrow, _) = quantize(&graph, None, &QuantScheme::f16()).unwrap();
    assert_eq!(outputs(&narrow, SimMode::Integer, &x), [65_504.0, f16::from_f32(3.1e-6).to_f32()]);
    let error = compile_loaded(layer([f32::NAN, 0.0, 0.0, 0.0]), &options).unwrap_err().to_string();
    assert!(error.contains("'fc'") && error.contains("'w'"), "{error}");
}

#[test]
fn weights_of_fewer_bits_are_refused_under_f32_activations() {
    let scheme = QuantScheme {
        weights: QuantScheme::low_bit(selvedge_compiler::lowbit::Width::W4, 0).weights,
        ..QuantScheme::w8_f32()
    };
    let error = quantize(&layer([1.0, 2.0, 3.0, 4.0]), None, &scheme).unwrap_err();
    assert!(matches!(error, QuantizeError::Combination { .. }) && error.to_string().contains("'fc'"), "{error}");
}
