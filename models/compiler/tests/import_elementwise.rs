//! What operators on single elements, reductions and normalizations compute on the device, and what the compiler
//! folds them to. Oracle: the formulas of the ONNX operator texts in f64, and numpy's rules for integers, by hand.
mod common;

use common::*;
use selvedge_compiler::data::ArrayData::{self, *};
use selvedge_compiler::graph::Constant;
use selvedge_compiler::import::{ImportOptions, import_onnx_bytes};
use selvedge_compiler::load;
use selvedge_compiler::simulate::{SimMode, Simulator};
use tract_onnx::pb::*;

type Input<'a> = (&'a [i64], ArrayData);

fn code(data: &ArrayData) -> i32 {
    match data {
        F32(_) => 1,
        U8(_) => 2,
        I8(_) => 3,
        U16(_) => 4,
        I16(_) => 5,
        I32(_) => 6,
        I64(_) => 7,
        Bool(_) => 9,
        U32(_) => 12,
        U64(_) => 13,
    }
}

/// What `nodes` make of the inputs `a`, `b`, … as output `y`, computed by the device and folded by the compiler, which
/// must agree (floats to a part in a million: the compiler folds in f64).
fn run(opset: i64, inputs: &[Input], nodes: Vec<NodeProto>) -> ArrayData {
    let names: Vec<String> = (0..inputs.len()).map(|i| char::from(b'a' + i as u8).to_string()).collect();
    let infos = names.iter().zip(inputs).map(|(name, (dims, data))| info(name, code(data), dims)).collect();
    let bytes = encode(&model(opset, graph(infos, vec![info("y", 0, &[])], nodes.clone(), vec![])));
    let loaded = load(&bytes, &ImportOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let mut device = Simulator::new(&loaded, SimMode::Integer).unwrap_or_else(|e| panic!("{e}"));
    let data: Vec<ArrayData> = inputs.iter().map(|(_, data)| data.clone()).collect();
    let found = device.run(&data, &mut |_, _, _| {}).unwrap_or_else(|e| panic!("{e}")).swap_remove(0).data;
    let tensor = |(name, (dims, data)): (&String, &Input)| TensorProto {
        name: name.clone(),
        dims: dims.to_vec(),
        data_type: code(data),
        raw_data: data.to_bytes(),
        ..Default::default()
    };
    let constants = names.iter().zip(inputs).map(tensor).collect();
    let bytes = encode(&model(opset, graph(vec![], vec![info("y", 0, &[])], nodes, constants)));
    let folded = import_onnx_bytes(&bytes, &ImportOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    if let Some(constant) = &folded.value(folded.outputs[0]).data {
        match (constant, &found) {
            (Constant::F32(folded), F32(found)) => {
                for (x, y) in folded.iter().zip(found) {
                    let close = x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-6 * (1.0 + y.abs());
                    assert!(close, "folded to {folded:?}, computed {found:?}");
                }
            }
            (folded, found) => {
                assert_eq!(folded.integers(), found.to_i64().map(|v| v.iter().map(|&x| widen(x, found)).collect()))
            }
        }
    }
    found
}

/// An element of `to_i64`, which wraps those of u64.
fn widen(x: i64, of: &ArrayData) -> i128 {
    if matches!(of, U64(_)) { (x as u64).into() } else { x.into() }
}

fn one(op: &str, attributes: Vec<AttributeProto>, inputs: &[Input]) -> ArrayData {
    let names: Vec<String> = (0..inputs.len()).map(|i| char::from(b'a' + i as u8).to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    run(22, inputs, vec![node(op, &names, &["y"], attributes)])
}

#[track_caller]
fn near(found: &ArrayData, exact: &[f64]) {
    let F32(found) = found else { panic!("{found:?}") };
    assert_eq!(found.len(), exact.len());
    for (i, (&x, &y)) in found.iter().zip(exact).enumerate() {
        let close =
            (x.is_nan() && y.is_nan()) || f64::from(x) == y || (f64::from(x) - y).abs() <= 2e-6 * (1.0 + y.abs());
        assert!(close, "element {i}: {x}, expected {y}");
    }
}

#[test]
fn functions_of_one_number_follow_their_formulas() {
    let x = [-3.5f32, -1.25, -0.5, -0.0, 0.0, 0.3, 0.75, 2.0, 6.5];
    let plus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    type Row<'a> = (&'a str, Vec<AttributeProto>, Box<dyn Fn(f64) -> f64>);
    let rows: Vec<Row> = vec![
        (
            "Selu",
            vec![float("alpha", 2.0), float("gamma", 3.0)],
            Box::new(|x| 3.0 * if x > 0.0 { x } else { 2.0 * x.exp_m1() }),
        ),
        ("Celu", vec![float("alpha", 2.0)], Box::new(|x| x.max(0.0) + (2.0 * (x / 2.0).exp_m1()).min(0.0))),
        ("Mish", vec![], Box::new(move |x| x * plus(x).tanh())),
        ("Softsign", vec![], Box::new(|x| x / (1.0 + x.abs()))),
        ("ThresholdedRelu", vec![float("alpha", 0.5)], Box::new(|x| if x > 0.5 { x } else { 0.0 })),
        (
            "Shrink",
            vec![float("lambd", 1.5), float("bias", 0.5)],
            Box::new(|x| {
                if x < -1.5 {
                    x + 0.5
                } else if x > 1.5 {
                    x - 0.5
                } else {
                    0.0
                }
            }),
        ),
        ("Swish", vec![float("alpha", 1.5)], Box::new(move |x| x * sigmoid(1.5 * x))),
        (
            "Gelu",
            vec![string("approximate", "tanh")],
            Box::new(|x| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())),
        ),
        ("Sin", vec![], Box::new(f64::sin)),
        ("Cos", vec![], Box::new(f64::cos)),
        ("Tan", vec![], Box::new(f64::tan)),
        ("Asin", vec![], Box::new(f64::asin)),
        ("Acos", vec![], Box::new(f64::acos)),
        ("Atan", vec![], Box::new(f64::atan)),
        ("Sinh", vec![], Box::new(f64::sinh)),
        ("Cosh", vec![], Box::new(f64::cosh)),
        ("Asinh", vec![], Box::new(f64::asinh)),
        ("Acosh", vec![], Box::new(f64::acosh)),
        ("Atanh", vec![], Box::new(f64::atanh)),
    ];
    for (op, attributes, f) in rows {
        let exact: Vec<f64> = x.iter().map(|&x| f(f64::from(x))).collect();
        let opset_24 = vec![node(op, &["a"], &["y"], attributes)];
        near(&run(24, &[(&[9], F32(x.to_vec()))], opset_24), &exact);
    }
}

#[test]
fn integer_arithmetic_wraps_truncates_and_broadcasts() {
    let i8s = |v: &[i8]| I8(v.to_vec());
    assert_eq!(
        one("Add", vec![], &[(&[2, 2], i8s(&[100, -100, 3, 4])), (&[2], i8s(&[100, -100]))]),
        i8s(&[-56, 56, 103, -96])
    );
    assert_eq!(
        one("Div", vec![], &[(&[4], I32(vec![7, -7, 5, i32::MIN])), (&[4], I32(vec![2, 2, 0, -1]))]),
        I32(vec![3, -3, 0, i32::MIN])
    );
    assert_eq!(one("Mul", vec![], &[(&[2], U8(vec![20, 3])), (&[], U8(vec![20]))]), U8(vec![144, 60]));
    assert_eq!(one("Sub", vec![], &[(&[1], U32(vec![1])), (&[1], U32(vec![2]))]), U32(vec![u32::MAX]));
    assert_eq!(
        one("Max", vec![], &[(&[2], U64(vec![u64::MAX, 1])), (&[2], U64(vec![5, 5])), (&[1], U64(vec![3]))]),
        U64(vec![u64::MAX, 5])
    );
    assert_eq!(one("Min", vec![], &[(&[2], I16(vec![-7, 9])), (&[1], I16(vec![2]))]), I16(vec![-7, 2]));
    let operands = || [(&[6][..], I32(vec![-4, 7, 5, 4, -7, 8])), (&[6][..], I32(vec![2, -3, 8, -2, 3, 5]))];
    assert_eq!(one("Mod", vec![], &operands()), I32(vec![0, -2, 5, 0, 2, 3]));
    assert_eq!(one("Mod", vec![int("fmod", 1)], &operands()), I32(vec![0, 1, 5, 0, -1, 3]));
    let reals = [(&[3][..], F32(vec![-4.3, 7.2, 5.0])), (&[3][..], F32(vec![2.1, -3.4, 8.0]))];
    near(&one("Mod", vec![int("fmod", 1)], &reals), &[-0.1000004, 0.3999996, 5.0]);
    assert_eq!(
        one("BitShift", vec![string("direction", "LEFT")], &[(&[3], U16(vec![1, 3, 9])), (&[3], U16(vec![15, 1, 16]))]),
        U16(vec![1 << 15, 6, 0])
    );
    assert_eq!(
        one("BitShift", vec![string("direction", "RIGHT")], &[(&[2], U64(vec![1 << 63, 3])), (&[1], U64(vec![1]))]),
        U64(vec![1 << 62, 1])
    );
    assert_eq!(one("BitwiseXor", vec![], &[(&[2], I32(vec![5, -1])), (&[1], I32(vec![3]))]), I32(vec![6, -4]));
    assert_eq!(one("BitwiseNot", vec![], &[(&[2], I32(vec![5, -1]))]), I32(vec![-6, 0]));
    assert_eq!(one("Neg", vec![], &[(&[2], I64(vec![5, i64::MIN]))]), I64(vec![-5, i64::MIN]));
    assert_eq!(one("Abs", vec![], &[(&[2], i8s(&[-5, -128]))]), i8s(&[5, -128]));
    assert_eq!(one("Sign", vec![], &[(&[3], U8(vec![0, 9, 200]))]), U8(vec![0, 1, 1]));
    assert_eq!(one("Relu", vec![], &[(&[3], I32(vec![-4, 0, 9]))]), I32(vec![0, 0, 9]));
    assert_eq!(
        one("Clip", vec![], &[(&[4], i8s(&[-9, 0, 4, 9])), (&[], i8s(&[-3])), (&[], i8s(&[5]))]),
        i8s(&[-3, 0, 4, 5])
    );
    assert_eq!(
        one("Pow", vec![], &[(&[3], I32(vec![2, -3, 5])), (&[3], I32(vec![10, 3, 0]))]),
        I32(vec![1024, -27, 1])
    );
    assert_eq!(one("Pow", vec![], &[(&[2], I32(vec![2, 3])), (&[2], F32(vec![0.5, 2.0]))]), I32(vec![1, 9]));
    near(&one("Pow", vec![], &[(&[2], F32(vec![1.5, 3.0])), (&[2], U64(vec![2, 3]))]), &[2.25, 27.0]);
    near(
        &one("Mean", vec![], &[(&[2], F32(vec![1.0, 2.0])), (&[2], F32(vec![3.0, 5.0])), (&[1], F32(vec![2.0]))]),
        &[2.0, 3.0],
    );
}

#[test]
fn comparisons_and_logic_give_booleans() {
    let nan = f32::NAN;
    let reals = || [(&[2, 3][..], F32(vec![1.0, 2.0, nan, 0.0, -1.0, 3.0])), (&[3][..], F32(vec![1.0, -2.0, nan]))];
    let is = |op: &str, wanted: [bool; 6]| assert_eq!(one(op, vec![], &reals()), Bool(wanted.to_vec()), "{op}");
    is("Equal", [true, false, false, false, false, false]);
    is("Less", [false, false, false, true, false, false]);
    is("LessOrEqual", [true, false, false, true, false, false]);
    is("Greater", [false, true, false, false, true, false]);
    is("GreaterOrEqual", [true, true, false, false, true, false]);
    assert_eq!(one("Less", vec![], &[(&[2], U8(vec![200, 1])), (&[1], U8(vec![100]))]), Bool(vec![false, true]));
    assert_eq!(one("Less", vec![], &[(&[2], I8(vec![-2, 1])), (&[1], I8(vec![-1]))]), Bool(vec![true, false]));
    let both = || [(&[4][..], Bool(vec![true, true, false, false])), (&[4][..], Bool(vec![true, false, true, false]))];
    assert_eq!(one("And", vec![], &both()), Bool(vec![true, false, false, false]));
    assert_eq!(one("Or", vec![], &both()), Bool(vec![true, true, true, false]));
    assert_eq!(one("Xor", vec![], &both()), Bool(vec![false, true, true, false]));
    assert_eq!(one("Equal", vec![], &both()), Bool(vec![true, false, false, true]));
    assert_eq!(one("Not", vec![], &both()[..1]), Bool(vec![false, false, true, true]));
    let inf = f32::INFINITY;
    let x = || [(&[4][..], F32(vec![nan, inf, -inf, 1.0]))];
    assert_eq!(one("IsNaN", vec![], &x()), Bool(vec![true, false, false, false]));
    assert_eq!(one("IsInf", vec![], &x()), Bool(vec![false, true, true, false]));
    assert_eq!(one("IsInf", vec![int("detect_negative", 0)], &x()), Bool(vec![false, true, false, false]));
    assert_eq!(one("IsInf", vec![int("detect_positive", 0)], &x()), Bool(vec![false, false, true, false]));
}

#[test]
fn where_takes_any_type_and_broadcasts_all_three() {
    let c = || (&[2, 1][..], Bool(vec![true, false]));
    let x: Vec<i64> = vec![1, 2, 3];
    let y = vec![10i64, 20, 30, 40, 50, 60];
    assert_eq!(one("Where", vec![], &[c(), (&[3], I64(x)), (&[2, 3], I64(y))]), I64(vec![1, 2, 3, 40, 50, 60]));
    assert_eq!(one("Where", vec![], &[c(), (&[], U8(vec![7])), (&[3], U8(vec![1, 2, 3]))]), U8(vec![7, 7, 7, 1, 2, 3]));
    near(
        &one("Where", vec![], &[c(), (&[1], F32(vec![f32::NEG_INFINITY])), (&[2, 2], F32(vec![1.0, 2.0, 3.0, 4.0]))]),
        &[f64::NEG_INFINITY, f64::NEG_INFINITY, 3.0, 4.0],
    );
}

#[test]
fn casts_between_all_types() {
    let x = || (&[4][..], F32(vec![-2.7, 300.9, 0.0, 1.0]));
    let to = |code| vec![int("to", code)];
    assert_eq!(one("Cast", to(6), &[x()]), I32(vec![-2, 300, 0, 1]));
    assert_eq!(one("Cast", to(9), &[x()]), Bool(vec![true, true, false, true]));
    assert_eq!(one("Cast", to(4), &[(&[2], I32(vec![-1, 7]))]), U16(vec![u16::MAX, 7]));
    assert_eq!(one("Cast", to(13), &[(&[2], I8(vec![-1, 7]))]), U64(vec![u64::MAX, 7]));
    assert_eq!(one("Cast", to(12), &[(&[1], F32(vec![4e9]))]), U32(vec![4_000_000_000]));
    near(&one("Cast", to(1), &[(&[2], U64(vec![u64::MAX, 5]))]), &[18_446_744_073_709_551_615.0, 5.0]);
    // Doubles and halves are f32 here.
    near(&one("Cast", to(11), &[(&[2], Bool(vec![true, false]))]), &[1.0, 0.0]);
    assert_eq!(one("CastLike", vec![], &[x(), (&[1], I16(vec![0]))]), I16(vec![-2, 300, 0, 1]));
}

#[test]
fn reductions_of_both_kinds() {
    let x = || F32(vec![5.0, 1.0, 20.0, 2.0, 30.0, 1.0, 40.0, 2.0, 55.0, 1.0, 60.0, 2.0]);
    let of =
        |op: &str, axes: &[i64], keep| one(op, vec![ints("axes", axes), int("keepdims", keep)], &[(&[3, 2, 2], x())]);
    let axes = |op: &str, v: Vec<i64>, extra: Vec<AttributeProto>| {
        let n = v.len() as i64;
        let nodes = vec![node(op, &["a", "b"], &["y"], extra)];
        let constants = vec![i64s("b", &[n], &v)];
        let bytes =
            encode(&model(18, graph(vec![info("a", 1, &[3, 2, 2])], vec![info("y", 1, &[])], nodes, constants)));
        let loaded = load(&bytes, &ImportOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        Simulator::new(&loaded, SimMode::Integer).unwrap().run(&[x()], &mut |_, _, _| {}).unwrap().swap_remove(0).data
    };
    near(&of("ReduceL1", &[1], 0), &[25.0, 3.0, 70.0, 3.0, 115.0, 3.0]);
    near(&of("ReduceLogSum", &[-2], 1), &[25f64.ln(), 3f64.ln(), 70f64.ln(), 3f64.ln(), 115f64.ln(), 3f64.ln()]);
    // e^60 overflows f32 in the sum of the last row but one.
    near(&of("ReduceLogSumExp", &[0, 2], 1), &[55.0, 60.0 + (-20f64).exp().ln_1p()]);
    near(&axes("ReduceSum", vec![1], vec![]), &[25.0, 3.0, 70.0, 3.0, 115.0, 3.0]);
    near(&axes("ReduceSum", vec![], vec![int("keepdims", 0)]), &[219.0]);
    near(
        &axes("ReduceSumSquare", vec![], vec![int("noop_with_empty_axes", 1)]),
        &[25.0, 1.0, 400.0, 4.0, 900.0, 1.0, 1600.0, 4.0, 3025.0, 1.0, 3600.0, 4.0],
    );
    let minus_inf = F32(vec![f32::NEG_INFINITY; 2]);
    near(&one("ReduceLogSumExp", vec![], &[(&[2], minus_inf)]), &[f64::NEG_INFINITY]);
    let i = || I32(vec![7, -2, 100, -100]);
    let int_of = |op: &str| one(op, vec![ints("axes", &[1])], &[(&[2, 2], i())]);
    assert_eq!(int_of("ReduceSum"), I32(vec![5, 0]));
    assert_eq!(int_of("ReduceMax"), I32(vec![7, 100]));
    assert_eq!(int_of("ReduceMin"), I32(vec![-2, -100]));
    assert_eq!(int_of("ReduceProd"), I32(vec![-14, -10_000]));
    assert_eq!(int_of("ReduceMean"), I32(vec![2, 0]));
    assert_eq!(int_of("ReduceL1"), I32(vec![9, 200]));
    assert_eq!(int_of("ReduceL2"), I32(vec![7, 141]));
    assert_eq!(
        one("ReduceMin", vec![ints("axes", &[1])], &[(&[2, 2], Bool(vec![true, false, true, true]))]),
        Bool(vec![false, true])
    );
    assert_eq!(one("ReduceMax", vec![ints("axes", &[0])], &[(&[2, 2], U8(vec![1, 200, 3, 4]))]), U8(vec![3, 200]));
}

#[test]
fn positions_and_running_sums() {
    let x = || [(&[2, 3][..], F32(vec![2.0, 7.0, 7.0, 3.0, -1.0, -1.0]))];
    let with = |op: &str, axis, keep, last| {
        one(op, vec![int("axis", axis), int("keepdims", keep), int("select_last_index", last)], &x())
    };
    assert_eq!(with("ArgMax", 1, 1, 0), I64(vec![1, 0]));
    assert_eq!(with("ArgMax", -1, 0, 1), I64(vec![2, 0]));
    assert_eq!(with("ArgMin", 1, 0, 0), I64(vec![0, 1]));
    assert_eq!(with("ArgMin", 0, 1, 0), I64(vec![0, 1, 1]));
    assert_eq!(one("ArgMax", vec![int("axis", 0)], &[(&[3], U8(vec![1, 200, 3]))]), I64(vec![1]));
    let sums = |exclusive, reverse| {
        let nodes =
            vec![node("CumSum", &["a", "axis"], &["y"], vec![int("exclusive", exclusive), int("reverse", reverse)])];
        let bytes = encode(&model(
            14,
            graph(vec![info("a", 6, &[2, 3])], vec![info("y", 6, &[])], nodes, vec![i64s("axis", &[], &[-1])]),
        ));
        let loaded = load(&bytes, &ImportOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        let mut device = Simulator::new(&loaded, SimMode::Integer).unwrap();
        device.run(&[I32(vec![1, 2, 3, 4, 5, 6])], &mut |_, _, _| {}).unwrap().swap_remove(0).data
    };
    assert_eq!(sums(0, 0), I32(vec![1, 3, 6, 4, 9, 15]));
    assert_eq!(sums(1, 0), I32(vec![0, 1, 3, 0, 4, 9]));
    assert_eq!(sums(0, 1), I32(vec![6, 5, 3, 15, 11, 6]));
    assert_eq!(sums(1, 1), I32(vec![5, 3, 0, 11, 6, 0]));
}

#[test]
fn softmax_relatives_on_an_axis_and_in_their_old_form() {
    let x: Vec<f32> = vec![1.0, 3.0, 1000.0, 2.0, 0.5, 1000.5, -4.0, 2.0];
    let exact = |groups: &[&[usize]], f: &dyn Fn(f64, f64, f64) -> f64| {
        let mut y = vec![0.0; 8];
        for group in groups {
            let top = group.iter().map(|&i| f64::from(x[i])).fold(f64::MIN, f64::max);
            let sum: f64 = group.iter().map(|&i| (f64::from(x[i]) - top).exp()).sum();
            group.iter().for_each(|&i| y[i] = f(f64::from(x[i]), top, sum));
        }
        y
    };
    let log = |x: f64, top: f64, sum: f64| x - top - sum.ln();
    let hard = |x: f64, top: f64, _: f64| f64::from(u8::from(x == top));
    let middle: &[&[usize]] = &[&[0, 2], &[1, 3], &[4, 6], &[5, 7]];
    let flat: &[&[usize]] = &[&[0, 1, 2, 3], &[4, 5, 6, 7]];
    let of = |opset, op: &str| {
        run(opset, &[(&[2, 2, 2], F32(x.clone()))], vec![node(op, &["a"], &["y"], vec![int("axis", 1)])])
    };
    near(&of(13, "LogSoftmax"), &exact(middle, &log));
    near(&of(13, "Hardmax"), &exact(middle, &hard));
    near(&of(11, "LogSoftmax"), &exact(flat, &log));
    near(&of(11, "Hardmax"), &exact(flat, &hard));
    near(&of(11, "Softmax"), &exact(flat, &|x, top, sum| (x - top).exp() / sum));
    // Of equal elements the first.
    near(&one("Hardmax", vec![], &[(&[3], F32(vec![2.0, 2.0, 1.0]))]), &[1.0, 0.0, 0.0]);
}

/// Mean and variance of a group in f64.
fn moments(x: &[f32]) -> (f64, f64) {
    let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / x.len() as f64;
    (mean, x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / x.len() as f64)
}

#[test]
fn normalizations_with_computed_parameters_follow_their_formulas() {
    let x: Vec<f32> = (0..24).map(|i| ((i * 7 + 3) % 11) as f32 - 4.5 + (i % 3) as f32 * 0.25).collect();
    let scale: Vec<f32> = (0..12).map(|i| 0.5 + i as f32 * 0.1).collect();
    let bias: Vec<f32> = (0..12).map(|i| 1.0 - i as f32 * 0.2).collect();
    // Rows of the last two axes.
    let rows: Vec<(f64, f64)> = x.chunks(12).map(moments).collect();
    let expected: Vec<f64> = (0..24)
        .map(|i| {
            let (mean, variance) = rows[i / 12];
            (f64::from(x[i]) - mean) / (variance + 1e-5).sqrt() * f64::from(scale[i % 12]) + f64::from(bias[i % 12])
        })
        .collect();
    let inputs =
        || [(&[2, 3, 4][..], F32(x.clone())), (&[3, 4][..], F32(scale.clone())), (&[3, 4][..], F32(bias.clone()))];
    let attributes = || vec![int("axis", 1)];
    near(&one("LayerNormalization", attributes(), &inputs()), &expected);
    for (place, wanted) in [
        (1, rows.iter().map(|r| r.0).collect::<Vec<_>>()),
        (2, rows.iter().map(|r| 1.0 / (r.1 + 1e-5).sqrt()).collect()),
    ] {
        let mut outputs = ["n", "m", "d"];
        outputs[place] = "y";
        near(&run(17, &inputs(), vec![node("LayerNormalization", &["a", "b", "c"], &outputs, attributes())]), &wanted);
    }
    let squares = |row: &[f32]| row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    let expected: Vec<f64> = (0..24)
        .map(|i| {
            let mean = squares(&x[i / 4 * 4..][..4]) / 4.0;
            f64::from(x[i]) / (mean + 1e-5).sqrt() * f64::from(scale[i % 4])
        })
        .collect();
    let rms = [(&[2, 3, 4][..], F32(x.clone())), (&[4][..], F32(scale[..4].to_vec()))];
    near(&run(23, &rms, vec![node("RMSNormalization", &["a", "b"], &["y"], vec![])]), &expected);
    let channels = || {
        [(&[2, 3, 4][..], F32(x.clone())), (&[3][..], F32(scale[..3].to_vec())), (&[3][..], F32(bias[..3].to_vec()))]
    };
    let per_channel = |i: usize| (f64::from(scale[i / 4 % 3]), f64::from(bias[i / 4 % 3]));
    let expected: Vec<f64> = (0..24)
        .map(|i| {
            let ((mean, variance), (s, b)) = (moments(&x[i / 4 * 4..][..4]), per_channel(i));
            (f64::from(x[i]) - mean) / (variance + 1e-5).sqrt() * s + b
        })
        .collect();
    near(&one("InstanceNormalization", vec![], &channels()), &expected);
    let expected: Vec<f64> = (0..24)
        .map(|i| {
            let ((mean, variance), (s, b)) = (rows[i / 12], per_channel(i));
            (f64::from(x[i]) - mean) / (variance + 1e-5).sqrt() * s + b
        })
        .collect();
    near(&one("GroupNormalization", vec![int("num_groups", 1)], &channels()), &expected);
    let mut parameters = channels().to_vec();
    parameters.push((&[3], F32(vec![0.5, -0.25, 1.0])));
    parameters.push((&[3], F32(vec![4.0, 0.25, 2.0])));
    let expected: Vec<f64> = (0..24)
        .map(|i| {
            let (c, (s, b)) = (i / 4 % 3, per_channel(i));
            (f64::from(x[i]) - [0.5, -0.25, 1.0][c]) / ([4.0, 0.25, 2.0][c] + 1e-5f64).sqrt() * s + b
        })
        .collect();
    near(
        &run(15, &parameters, vec![node("BatchNormalization", &["a", "b", "c", "d", "e"], &["y"], vec![])]),
        &expected,
    );
}

#[test]
fn normalizations_without_parameters_follow_their_formulas() {
    let x: Vec<f32> = (0..24).map(|i| ((i * 7 + 3) % 11) as f32 - 4.5).collect();
    let input = || [(&[2, 3, 2, 2][..], F32(x.clone()))];
    let at = |n: usize, c: usize, p: usize| f64::from(x[n * 12 + c * 4 + p]);
    let each =
        |f: &dyn Fn(usize, usize, usize) -> f64| (0..24).map(|i| f(i / 12, i / 4 % 3, i % 4)).collect::<Vec<f64>>();
    near(
        &one("LpNormalization", vec![int("axis", 1), int("p", 1)], &input()),
        &each(&|n, c, p| at(n, c, p) / (0..3).map(|c| at(n, c, p).abs()).sum::<f64>()),
    );
    near(
        &one("LpNormalization", vec![int("axis", 1)], &input()),
        &each(&|n, c, p| at(n, c, p) / (0..3).map(|c| at(n, c, p).powi(2)).sum::<f64>().sqrt()),
    );
    near(&one("LpNormalization", vec![], &[(&[2], F32(vec![0.0, 0.0]))]), &[0.0, 0.0]);
    let channel = |c: usize| (0..8).map(|i| x[i / 4 * 12 + c * 4 + i % 4]).collect::<Vec<f32>>();
    near(
        &one("MeanVarianceNormalization", vec![], &input()),
        &each(&|n, c, p| {
            let (mean, variance) = moments(&channel(c));
            (at(n, c, p) - mean) / variance.sqrt()
        }),
    );
    // An even window reaches one channel further behind than in front.
    for size in [2usize, 3] {
        let attributes = vec![int("size", size as i64), float("alpha", 0.5), float("beta", 0.75), float("bias", 2.0)];
        near(
            &one("LRN", attributes, &input()),
            &each(&|n, c, p| {
                let (from, to) = (c.saturating_sub((size - 1) / 2), (c + size / 2).min(2));
                let sum: f64 = (from..=to).map(|c| at(n, c, p).powi(2)).sum();
                at(n, c, p) / (2.0 + 0.5 / size as f64 * sum).powf(0.75)
            }),
        );
    }
}

#[test]
fn bits_products_and_narrow_codes() {
    assert_eq!(
        run(26, &[(&[2], F32(vec![1.0, -2.0]))], vec![node("BitCast", &["a"], &["y"], vec![int("to", 6)])]),
        I32(vec![0x3f80_0000, -0x4000_0000])
    );
    near(
        &run(26, &[(&[1], U32(vec![0x4049_0fdb]))], vec![node("BitCast", &["a"], &["y"], vec![int("to", 1)])]),
        &[std::f64::consts::PI],
    );
    // The lowest bits, as the suite has them.
    let x = || [(&[5][..], F32(vec![-9.0, -8.0, 7.0, 8.0, 15.0]))];
    assert_eq!(one("Cast", vec![int("to", 22)], &x()), I8(vec![7, -8, 7, -8, -1]));
    assert_eq!(one("Cast", vec![int("to", 21)], &x()), U8(vec![7, 8, 7, 8, 15]));
    assert_eq!(one("Cast", vec![int("to", 26)], &[(&[4], F32(vec![-3.0, -2.0, 1.0, 2.0]))]), I8(vec![1, -2, 1, -2]));
    let nodes = vec![node("CumProd", &["a", "axis"], &["y"], vec![int("exclusive", 1)])];
    let bytes = encode(&model(
        26,
        graph(vec![info("a", 1, &[3])], vec![info("y", 1, &[])], nodes, vec![i64s("axis", &[], &[0])]),
    ));
    let loaded = load(&bytes, &ImportOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let mut device = Simulator::new(&loaded, SimMode::Integer).unwrap();
    near(&device.run(&[F32(vec![2.0, 3.0, 4.0])], &mut |_, _, _| {}).unwrap()[0].data, &[1.0, 2.0, 6.0]);
}
