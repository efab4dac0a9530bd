//! A network as batch-channel normalization trains it: weights standardized, BatchNorm, then
//! GroupNorm. Oracle: the float program of the same graph.
mod common;

use common::*;
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::graph::{Op, Value};
use selvedge_compiler::{CompileOptions, compile_calibrated, load};
use selvedge_core::{Format, OpCode};
use tract_onnx::pb::*;

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    let mut state = seed as u64 * 77 + 5;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// A standardized convolution, BatchNorm, GroupNorm (its own operator, or spelled out) and Relu.
fn block(
    nodes: &mut Vec<NodeProto>,
    init: &mut Vec<TensorProto>,
    at: usize,
    x: &str,
    [ins, outs]: [usize; 2],
    spelled: bool,
) -> String {
    let name = |what: &str| format!("{what}{at}");
    let mut constant = |what: &str, dims: &[i64], data: Vec<f32>| {
        init.push(f32s(&name(what), dims, &data));
    };
    let (o, i) = (outs as i64, ins as i64);
    constant("w", &[o, i, 3, 3], numbers(outs * ins * 9, at));
    for (p, what) in ["scale", "shift", "mean"].iter().enumerate() {
        constant(what, &[o], numbers(outs, 9 * at + p));
    }
    constant("variance", &[o], (0..outs).map(|c| 3.0 + c as f32).collect());
    constant("eps", &[], vec![1e-5]);
    let per = if spelled { vec![o, 1, 1] } else { vec![o] };
    constant("gamma", &per, numbers(outs, 50 + at).iter().map(|g| 1.0 + 0.5 * g).collect());
    constant("beta", &per, numbers(outs, 60 + at));
    constant("ones", &[4], vec![1.0; 4]);
    constant("zeros", &[4], vec![0.0; 4]);
    init.push(i64s(&name("grouped"), &[3], &[0, 4, -1]));
    init.push(i64s(&name("whole"), &[4], &[1, o, 8, 8]));
    let mut add = |op: &str, inputs: &[&str], output: &str, attributes| {
        let inputs: Vec<String> = inputs.iter().map(|i| if *i == x { i.to_string() } else { name(i) }).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        nodes.push(node(op, &inputs, &[&name(output)], attributes));
    };
    let mean = || vec![ints("axes", &[1, 2, 3]), int("keepdims", 1)];
    add("ReduceMean", &["w"], "wm", mean());
    add("Sub", &["w", "wm"], "wd", vec![]);
    add("Mul", &["wd", "wd"], "wq", vec![]);
    add("ReduceMean", &["wq"], "wv", mean());
    add("Sqrt", &["wv"], "ws", vec![]);
    add("Add", &["ws", "eps"], "we", vec![]);
    add("Div", &["wd", "we"], "wn", vec![]);
    add("Conv", &[x, "wn"], "conv", vec![ints("pads", &[1; 4])]);
    add("BatchNormalization", &["conv", "scale", "shift", "mean", "variance"], "bn", vec![]);
    if spelled {
        add("Reshape", &["bn", "grouped"], "g", vec![]);
        add("InstanceNormalization", &["g", "ones", "zeros"], "gi", vec![float("epsilon", 1e-5)]);
        add("Reshape", &["gi", "whole"], "gw", vec![]);
        add("Mul", &["gw", "gamma"], "gm", vec![]);
        add("Add", &["gm", "beta"], "gn", vec![]);
    } else {
        add("GroupNormalization", &["bn", "gamma", "beta"], "gn", vec![int("num_groups", 4)]);
    }
    add("Relu", &["gn"], "y", vec![]);
    name("y")
}

#[test]
fn only_convolutions_and_group_norms_remain_and_run_in_integers() {
    for spelled in [false, true] {
        let (mut nodes, mut init) = (Vec::new(), Vec::new());
        let h = block(&mut nodes, &mut init, 1, "x", [3, 8], spelled);
        let h = block(&mut nodes, &mut init, 2, &h, [8, 16], spelled);
        nodes.push(node("GlobalAveragePool", &[&h], &["y"], vec![]));
        let opset = if spelled { 17 } else { 21 };
        if !spelled {
            // Axes became an input of ReduceMean.
            init.push(i64s("axes", &[3], &[1, 2, 3]));
            for n in nodes.iter_mut().filter(|n| n.op_type == "ReduceMean") {
                n.attribute.retain(|a| a.name != "axes");
                n.input.push("axes".into());
            }
        }
        let g = graph(vec![info("x", 1, &[1, 3, 8, 8])], vec![info("y", 1, &[1, 16, 1, 1])], nodes, init);
        let loaded = load(&encode(&model(opset, g)), &Default::default()).unwrap_or_else(|e| panic!("{e}"));
        let kinds = |of: fn(&Op) -> bool| loaded.nodes.iter().filter(|n| of(&n.op)).count();
        assert_eq!(kinds(|op| matches!(op, Op::Conv { .. })), 2);
        assert_eq!(kinds(|op| matches!(op, Op::GroupNorm { groups: 4, clamp: Some(_), .. })), 2);
        assert_eq!(kinds(|op| matches!(op, Op::Binary { .. } | Op::BatchNorm { .. } | Op::Unary(_))), 0);
        let constant = |v: &Value| v.is_constant() && v.shape.len() == 4;
        assert!(loaded.values.iter().any(constant));

        let samples: Vec<Sample> = (0..24).map(|i| Sample::f32([1, 3, 8, 8], numbers(192, 1000 + i))).collect();
        let compiled =
            compile_calibrated(loaded, samples.clone(), &CompileOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        let steps: Vec<_> = compiled.program.steps.iter().map(|s| (s.op, s.format)).collect();
        assert_eq!(steps.iter().filter(|&&s| s == (OpCode::GroupNorm, Format::I8)).count(), 2, "{steps:?}");
        let floats = |&&(op, format): &&(OpCode, Format)| format == Format::F32 && op != OpCode::Quantize;
        assert_eq!(steps.iter().filter(floats).count(), 0, "{steps:?}");
        let comparison = compiled.compare(samples).expect("compares");
        println!("spelled {spelled}: {:.1} dB", comparison.snr_db);
        assert!(comparison.snr_db > 30.0, "{:.1} dB", comparison.snr_db);
    }
}
