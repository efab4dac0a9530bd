//! Operators of ONNX Runtime's own domain that become several standard ones. Oracle: their texts in ONNX Runtime's
//! `ContribOperators.md`, computed here in f64.
mod common;

use common::*;
use selvedge_compiler::data::ArrayData;
use selvedge_compiler::graph::Op;
use selvedge_compiler::import::{ImportOptions, import_onnx_bytes};
use selvedge_compiler::simulate::{SimMode, Simulator};
use tract_onnx::pb::*;

fn contrib(op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> NodeProto {
    NodeProto { domain: "com.microsoft".into(), ..node(op, inputs, &["y"], attributes) }
}

fn run(n: NodeProto, x: (i32, &[i64]), init: Vec<TensorProto>, data: ArrayData) -> Result<Vec<f32>, String> {
    let proto = model(17, graph(vec![info("x", x.0, x.1)], vec![info("y", 1, &[])], vec![n], init));
    let graph = import_onnx_bytes(&encode(&proto), &ImportOptions::default()).map_err(|e| e.to_string())?;
    let mut simulator = Simulator::new(&graph, SimMode::Float).map_err(|e| e.to_string())?;
    let outputs = simulator.run(&[data], &mut |_, _, _| {}).map_err(|e| e.to_string())?;
    Ok(outputs[0].to_f32())
}

fn close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f64::from(*f) - e).abs() <= 1e-5 * (1.0 + e.abs()), "{found:?}, expected {expected:?}");
    }
}

fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
}

#[test]
fn activations_of_transformers() {
    let x = [-2.0f32, -0.5, 0.0, 3.0];
    let bias = || vec![f32s("b", &[4], &[0.5, -1.0, 2.0, 0.0])];
    let sum: Vec<f64> = x.iter().zip([0.5, -1.0, 2.0, 0.0]).map(|(&x, b)| f64::from(x) + b).collect();
    let data = || ArrayData::F32(x.to_vec());
    let fast = run(contrib("FastGelu", &["x", "b"], vec![]), (1, &[1, 4]), bias(), data()).unwrap();
    close(&fast, &sum.iter().map(|&x| gelu_tanh(x)).collect::<Vec<_>>());
    // Φ at the sums, to 8 digits.
    let normal = [0.06680720, 0.06680720, 0.97724987, 0.99865010];
    let exact = run(contrib("BiasGelu", &["x", "b"], vec![]), (1, &[1, 4]), bias(), data()).unwrap();
    close(&exact, &sum.iter().zip(normal).map(|(&x, p)| x * p).collect::<Vec<_>>());
    let quick = run(contrib("QuickGelu", &["x"], vec![]), (1, &[1, 4]), vec![], data()).unwrap();
    close(&quick, &x.map(|x| f64::from(x) / (1.0 + (-1.702 * f64::from(x)).exp())));
}

#[test]
fn integer_products_with_scales() {
    let weights = || {
        vec![
            codes("w", 3, &[2, 2], &[1, -2, 3, 127]),
            f32s("ws", &[2], &[0.5, 0.25]),
            codes("wz", 3, &[2], &[0, 0]),
            f32s("b", &[2], &[1.0, -1.0]),
            f32s("xs", &[], &[0.1]),
            codes("xz", 2, &[], &[3]),
        ]
    };
    let n = contrib("MatMulIntegerToFloat", &["x", "w", "xs", "ws", "xz", "wz", "b"], vec![]);
    let found = run(n, (2, &[1, 2]), weights(), ArrayData::U8(vec![10, 0])).unwrap();
    // (7, −3) times the columns.
    close(&found, &[(7.0 - 9.0) * 0.05 + 1.0, (-14.0 - 381.0) * 0.025 - 1.0]);
    let n = contrib("DynamicQuantizeMatMul", &["x", "w", "ws", "wz", "b"], vec![]);
    let found = run(n, (1, &[1, 2]), weights(), ArrayData::F32(vec![2.55, 0.0])).unwrap();
    // Scale 0.01, codes 255 and 0.
    close(&found, &[2.55 * 0.5 + 1.0, 2.55 * -2.0 * 0.25 - 1.0]);
}

#[test]
fn skipped_layer_norm_adds_first() {
    let init = vec![f32s("s", &[1, 4], &[1.0, 0.0, 0.0, -1.0]), f32s("g", &[4], &[2.0; 4]), f32s("e", &[4], &[0.5; 4])];
    let n = contrib("SkipLayerNormalization", &["x", "s", "g", "e"], vec![float("epsilon", 0.0)]);
    let found = run(n, (1, &[1, 4]), init, ArrayData::F32(vec![0.0, 2.0, 3.0, 4.0])).unwrap();
    let sum = [1.0f64, 2.0, 3.0, 3.0];
    let mean = sum.iter().sum::<f64>() / 4.0;
    let deviation = (sum.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4.0).sqrt();
    close(&found, &sum.map(|x| (x - mean) / deviation * 2.0 + 0.5));
}

/// K is no multiple of the block, N is odd, zero points are packed and one code of each byte of zeros is unused.
#[test]
fn blocks_of_few_bits_are_decoded() {
    for bits in [2i64, 4, 8] {
        let (n, k, block) = (3usize, 20usize, 16usize);
        let (blocks, per_byte) = (k.div_ceil(block), (8 / bits) as usize);
        let mask = (1i32 << bits) - 1;
        let code = |row: usize, i: usize| (row as i32 * 7 + i as i32 * 5 + 1) & mask;
        let zero = |row: usize, at: usize| (row as i32 * 3 + at as i32 + 1) & mask;
        let scale = |row: usize, at: usize| 0.125 * (1 + row * blocks + at) as f32;
        let pack = |codes: Vec<i32>| -> Vec<i32> {
            let join = |c: &[i32]| c.iter().enumerate().fold(0, |byte, (at, c)| byte | c << (at as i64 * bits));
            codes.chunks(per_byte).map(join).collect()
        };
        let rows: Vec<i32> = (0..n).flat_map(|row| pack((0..blocks * block).map(|i| code(row, i)).collect())).collect();
        let zeros: Vec<i32> = (0..n).flat_map(|row| pack((0..blocks).map(|at| zero(row, at)).collect())).collect();
        let scales: Vec<f32> = (0..n).flat_map(|row| (0..blocks).map(move |at| scale(row, at))).collect();
        let x: Vec<f32> = (0..k).map(|i| (i as f32 - 8.0) * 0.25).collect();
        let expected = |packed: bool| -> Vec<f64> {
            let weight = |row, i: usize| {
                let zero = if packed { zero(row, i / block) } else { 1 << (bits - 1) };
                f64::from(code(row, i) - zero) * f64::from(scale(row, i / block))
            };
            (0..n).map(|row| x.iter().enumerate().map(|(i, &x)| f64::from(x) * weight(row, i)).sum()).collect()
        };
        let row_bytes = (rows.len() / n / blocks) as i64;
        let init = |zeros: Option<&[i32]>| {
            let mut init = vec![
                codes("w", 2, &[n as i64, blocks as i64, row_bytes], &rows),
                f32s("s", &[(n * blocks) as i64], &scales),
            ];
            init.extend(zeros.map(|z| codes("z", 2, &[z.len() as i64], z)));
            init
        };
        let attributes =
            || vec![int("K", k as i64), int("N", n as i64), int("bits", bits), int("block_size", block as i64)];
        let data = || ArrayData::F32(x.clone());
        let n4 = contrib("MatMulNBits", &["x", "w", "s", "z"], attributes());
        close(&run(n4, (1, &[1, k as i64]), init(Some(&zeros)), data()).unwrap(), &expected(true));
        let plain = contrib("MatMulNBits", &["x", "w", "s"], attributes());
        close(&run(plain.clone(), (1, &[1, k as i64]), init(None), data()).unwrap(), &expected(false));
        let mut short = init(None);
        short[1] = f32s("s", &[1], &[1.0]);
        let error = run(plain, (1, &[1, k as i64]), short, data()).unwrap_err();
        assert!(error.contains("n_y") && error.contains("1 scales, expected"), "{error}");
    }
}

#[test]
fn quantized_softmax_is_one_of_the_last_axis() {
    let init = || {
        vec![
            f32s("s", &[], &[0.1]),
            codes("z", 2, &[], &[128]),
            f32s("ys", &[], &[1.0 / 256.0]),
            codes("yz", 2, &[], &[0]),
        ]
    };
    let of = |attributes| {
        let n = contrib("QLinearSoftmax", &["x", "s", "z", "ys", "yz"], attributes);
        let proto = model(17, graph(vec![info("x", 2, &[1, 4])], vec![info("y", 2, &[])], vec![n], init()));
        import_onnx_bytes(&encode(&proto), &ImportOptions::default())
    };
    let graph = of(vec![int("axis", -1), int("opset", 13)]).unwrap();
    assert!(graph.nodes.iter().any(|n| n.op == Op::Softmax { axis: 1 }));
    let error = of(vec![int("axis", 0), int("opset", 11)]).unwrap_err().to_string();
    assert!(error.contains("several axes") && error.contains("operator set 13"), "{error}");
}

#[test]
fn unknown_operators_of_the_domain_say_where_they_come_from() {
    let error =
        run(contrib("FusedConv", &["x"], vec![]), (1, &[1, 4]), vec![], ArrayData::F32(vec![0.0; 4])).unwrap_err();
    assert!(error.contains("com.microsoft.FusedConv") && error.contains("before ONNX Runtime optimizes it"), "{error}");
}
