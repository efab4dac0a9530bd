//! ONNX's integer operators, and the integer program against its fake-quant oracle.

use super::*;
use crate::simulate::{SimMode, Simulator};

fn raw_input(b: &mut Build, shape: &[usize], dtype: DType) -> ValueId {
    let id = b.value(shape, None);
    b.graph.value_mut(id).dtype = dtype;
    b.graph.inputs.push(id);
    id
}

fn i32s(data: &ArrayData) -> Vec<i64> {
    match data {
        ArrayData::I32(v) => v.iter().map(|&x| x as i64).collect(),
        other => panic!("{:?}", other.dtype()),
    }
}

#[test]
fn matmul_integer_is_exact_for_every_zero_point() {
    for (unsigned, zero_a) in
        [(true, Some(true)), (true, Some(false)), (true, None), (false, Some(true)), (false, None)]
    {
        let (m, k, n) = (3, 7, 5);
        let mut b = Build::new(1);
        let dtype = if unsigned { DType::U8 } else { DType::I8 };
        let a = raw_input(&mut b, &[m, k], dtype);
        let w = b.codes(k * n, 20, 147);
        let zero_b = 20 + 110;
        let b_id = b.constant(&[k, n], Constant::U8(w.iter().map(|&w| w as u8).collect()));
        let zero = if unsigned { 200 } else { -5 };
        let constant = match (unsigned, zero_a) {
            (true, Some(true)) => Some(b.constant(&[], Constant::U8(vec![zero as u8]))),
            (false, Some(true)) => Some(b.constant(&[], Constant::I8(vec![zero as i8]))),
            (_, Some(_)) => Some(raw_input(&mut b, &[], dtype)),
            (_, None) => None,
        };
        let zb = b.constant(&[], Constant::U8(vec![zero_b as u8]));
        let y = b.node(Op::MatMulInteger, &[a, b_id], &[m, n], None);
        b.graph.value_mut(y).dtype = DType::I32;
        b.graph.nodes[0].inputs.extend([constant, Some(zb)]);
        b.output(y);
        let q = if unsigned { b.codes(m * k, 0, 255) } else { b.codes(m * k, -128, 127) };
        let data = |v: &[i32]| {
            if unsigned {
                ArrayData::U8(v.iter().map(|&x| x as u8).collect())
            } else {
                ArrayData::I8(v.iter().map(|&x| x as i8).collect())
            }
        };
        let mut inputs = vec![data(&q)];
        if zero_a == Some(false) {
            inputs.push(data(&[zero]));
        }
        let za = if zero_a.is_some() { zero } else { 0 };
        let want: Vec<i64> = (0..m * n)
            .map(|i| (0..k).map(|j| ((q[i / n * k + j] - za) * (w[j * n + i % n] - zero_b)) as i64).sum())
            .collect();
        assert_eq!(i32s(&execute(&program(&b.graph, true), &inputs)[0]), want, "unsigned {unsigned}, {zero_a:?}");
    }
}

#[test]
fn conv_integer_pads_with_its_zero_point() {
    let mut b = Build::new(2);
    let x = raw_input(&mut b, &[1, 4, 4, 2], DType::U8);
    let codes = b.codes(3 * 2 * 9, -128, 127);
    let w = b.constant(&[3, 2, 3, 3], Constant::I8(codes.iter().map(|&c| c as i8).collect()));
    let zero = b.constant(&[], Constant::U8(vec![77]));
    let win = window([3, 3], [1, 1], [1; 4]);
    let op = Op::ConvInteger { window: win, groups: 1, layout: Layout::Nhwc };
    let y = b.node(op, &[x, w, zero], &[1, 4, 4, 3], None);
    b.graph.value_mut(y).dtype = DType::I32;
    b.output(y);
    let q = b.codes(32, 0, 255);
    let xs: Vec<f64> = q.iter().map(|&q| (q - 77) as f64).collect();
    let ws: Vec<f64> = codes.iter().map(|&c| c as f64).collect();
    let want: Vec<i64> = conv_sums(&xs, [1, 4, 4, 2], &ws, [4, 4, 3], &win, 1).iter().map(|&s| s as i64).collect();
    let input = ArrayData::U8(q.iter().map(|&q| q as u8).collect());
    assert_eq!(i32s(&execute(&program(&b.graph, true), &[input])[0]), want);
}

#[test]
fn dynamic_quantize_linear_feeds_matmul_integer() {
    let mut b = Build::new(3);
    let x = b.float_input(&[1, 8]);
    let [q, scale, zero] = [vec![1, 8], vec![], vec![]].map(|shape| b.value(&shape, None));
    (b.graph.value_mut(q).dtype, b.graph.value_mut(zero).dtype) = (DType::U8, DType::U8);
    let op = Op::DynamicQuantizeLinear;
    b.graph.nodes.push(Node { name: "q".into(), op, inputs: vec![Some(x)], outputs: vec![q, scale, zero] });
    let codes = b.codes(24, -127, 127);
    let w = b.constant(&[8, 3], Constant::I8(codes.iter().map(|&c| c as i8).collect()));
    let acc = b.node(Op::MatMulInteger, &[q, w, zero], &[1, 3], None);
    b.graph.value_mut(acc).dtype = DType::I32;
    let real = b.node(Op::Cast, &[acc], &[1, 3], None);
    let y = b.node(Op::Binary { kind: Binary::Mul, clamp: None }, &[real, scale], &[1, 3], None);
    b.output(y);
    let data = b.reals(8, 2.0);
    let want: Vec<f64> = (0..3).map(|n| (0..8).map(|k| data[k] as f64 * codes[k * 3 + n] as f64).sum()).collect();
    let got = run_float(&b.graph, &[ArrayData::F32(data)]);
    // Half a step of the input's grid for each product.
    let step = 4.0 / 255.0;
    for (g, w) in got.iter().zip(&want) {
        assert!((*g as f64 - w).abs() <= 8.0 * 127.0 * step / 2.0, "{g} {w}");
    }
}

#[test]
fn a_network_stays_within_two_steps_of_its_fake_quant_oracle() {
    let mut b = Build::new(5);
    let x = b.input(&[1, 6, 6, 4], 0.02, -3);
    let codes = b.codes(8 * 4 * 9, -127, 127);
    let w = b.weights(&[8, 4, 3, 3], codes, vec![0.004; 8]);
    let win = window([3, 3], [1, 1], [1; 4]);
    let relu = Some(Clamp { lo: 0.0, hi: f32::INFINITY });
    let op = Op::Conv { window: win, groups: 1, layout: Layout::Nhwc, clamp: relu };
    let h = b.node(op, &[x, w], &[1, 6, 6, 8], Some((0.02, -128)));
    let act = b.node(Op::Unary(Unary::HardSwish), &[h], &[1, 6, 6, 8], Some((0.02, -120)));
    let sum = b.node(Op::Binary { kind: Binary::Add, clamp: None }, &[act, h], &[1, 6, 6, 8], Some((0.05, -128)));
    let pool = Op::Reduce { kind: Reduce::Mean, axes: vec![1, 2], keep_dims: false };
    let flat = b.node(pool, &[sum], &[1, 8], Some((0.03, -128)));
    let codes = b.codes(40, -127, 127);
    let w = b.weights(&[5, 8], codes, vec![0.01; 5]);
    let logits = b.node(Op::Dense { clamp: None }, &[flat, w], &[1, 5], Some((0.1, 0)));
    let y = b.node(Op::Softmax { axis: 1 }, &[logits], &[1, 5], Some((1.0 / 256.0, -128)));
    b.output(y);
    let q = ArrayData::I8(b.codes(144, -128, 127).iter().map(|&q| q as i8).collect());
    let mut seen = Vec::new();
    let mut oracle = Simulator::new(&b.graph, SimMode::FakeQuant).expect("lowers");
    oracle
        .run(std::slice::from_ref(&q), &mut |name, _, data| seen.push((name.to_string(), data.to_vec())))
        .expect("runs");
    let mut compared = 0;
    let mut device = Simulator::new(&b.graph, SimMode::Integer).expect("lowers");
    device
        .run(std::slice::from_ref(&q), &mut |name, _, data| {
            let value = b.graph.values.iter().find(|value| value.name == name).expect("a value");
            let step = value.quant.expect("grid").scale;
            let Some((_, want)) = seen.iter().find(|(other, _)| other == name) else { return };
            compared += 1;
            let reach = if name == b.graph.value(y).name { 8.0 } else { 2.01 };
            for (g, w) in data.iter().zip(want) {
                assert!((g - w).abs() <= reach * step, "{name}: {g} {w}");
            }
        })
        .expect("runs");
    assert!(compared >= 5, "{compared} values compared");
    let mut float = Simulator::new(&b.graph, SimMode::Float).expect("lowers");
    let outputs = float.run(&[q], &mut |_, _, _| {}).expect("runs");
    assert!((outputs[0].to_f32().iter().sum::<f32>() - 1.0).abs() < 1e-5);
}
