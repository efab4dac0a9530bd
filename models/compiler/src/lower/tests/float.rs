//! Ops in f32, alone and between quantized values.

use super::*;
use selvedge_core::OpCode;

#[test]
fn float_layers_equal_f64_sums() {
    for groups in [1, 2, 4] {
        let mut b = Build::new(1);
        let x = b.float_input(&[1, 5, 6, 4]);
        let oc = if groups == 4 { 4 } else { 10 };
        let weights = b.reals(oc * 4 / groups * 6, 1.0);
        let bias = b.reals(oc, 1.0);
        let w = b.constant(&[oc, 4 / groups, 3, 2], Constant::F32(weights.clone()));
        let bias_id = b.constant(&[oc], Constant::F32(bias.clone()));
        let win = window([3, 2], [2, 1], [1, 1, 1, 0]);
        let clamp = Some(Clamp { lo: -1.0, hi: 2.0 });
        let op = Op::Conv { window: win, groups, layout: Layout::Nhwc, clamp };
        let y = b.node(op, &[x, w, bias_id], &[1, 3, 6, oc], None);
        b.output(y);
        let data = b.reals(120, 1.0);
        let wide = |v: &[f32]| v.iter().map(|&x| x as f64).collect::<Vec<_>>();
        let sums = conv_sums(&wide(&data), [1, 5, 6, 4], &wide(&weights), [3, 6, oc], &win, groups);
        let want: Vec<f64> = sums.iter().enumerate().map(|(i, s)| (s + bias[i % oc] as f64).clamp(-1.0, 2.0)).collect();
        assert_close(&run_float(&b.graph, &[ArrayData::F32(data)]), &want, 1e-5);
    }
}

#[test]
fn transposed_convolutions_scatter() {
    let (groups, ic, oc) = (2, 4, 6);
    let mut b = Build::new(2);
    let x = b.float_input(&[1, 3, 2, ic]);
    let weights = b.reals(ic * oc / groups * 6, 1.0);
    let w = b.constant(&[ic, oc / groups, 3, 2], Constant::F32(weights.clone()));
    let win = window([3, 2], [2, 2], [1, 0, 0, 0]);
    let (oh, ow) = (6, 4);
    let op = Op::ConvTranspose { window: win, groups, output_padding: [0, 0], layout: Layout::Nhwc };
    let y = b.node(op, &[x, w], &[1, oh, ow, oc], None);
    b.output(y);
    let data = b.reals(24, 1.0);
    let mut want = vec![0f64; oh * ow * oc];
    for (i, &value) in data.iter().enumerate() {
        let (row, col, c) = (i / (2 * ic), i / ic % 2, i % ic);
        let (g, per) = (c / (ic / groups), oc / groups);
        for (kh, kw, o) in (0..3).flat_map(|kh| (0..2).flat_map(move |kw| (0..per).map(move |o| (kh, kw, o)))) {
            let (y, x) = ((row * 2 + kh).wrapping_sub(1), col * 2 + kw);
            if y < oh && x < ow {
                let weight = weights[((c * per + o) * 3 + kh) * 2 + kw] as f64;
                want[(y * ow + x) * oc + g * per + o] += value as f64 * weight;
            }
        }
    }
    assert_close(&run_float(&b.graph, &[ArrayData::F32(data)]), &want, 1e-5);
}

#[test]
fn a_float_op_between_grids_is_dequantized_once() {
    let mut b = Build::new(3);
    let x = b.input(&[2, 3], 0.1, 4);
    let e = b.node(Op::Binary { kind: Binary::Div, clamp: None }, &[x, x], &[2, 3], None);
    let f = b.node(Op::Binary { kind: Binary::Max, clamp: None }, &[x, e], &[2, 3], Some((0.1, 0)));
    b.output(f);
    let steps = program(&b.graph, true).steps;
    assert_eq!(steps.iter().filter(|step| step.op == OpCode::Dequantize).count(), 1);
    let q = vec![5, 24, -100, 120, 4 + 15, 3];
    let want: Vec<i32> = q.iter().map(|&q| (q - 4).max(10)).collect();
    assert_eq!(run_int(&b.graph, &[q]), want);
}

#[test]
fn float_reductions_products_and_norms() {
    let mut b = Build::new(4);
    let x = b.float_input(&[2, 3, 4]);
    let arrays = [[1.0, 2.0, 3.0], [0.1, 0.2, 0.3], [0.5, 0.0, -0.5], [1.0, 4.0, 9.0]];
    let ids = arrays.map(|a| b.constant(&[3], Constant::F32(a.to_vec())));
    let mut inputs = vec![x];
    inputs.extend(ids);
    let h = b.node(Op::BatchNorm { epsilon: 0.0 }, &inputs, &[2, 3, 4], None);
    let other = b.constant(&[4, 2], Constant::F32((0..8).map(|i| i as f32 - 3.0).collect()));
    let h = b.node(Op::MatMul, &[h, other], &[2, 3, 2], None);
    let op = Op::Reduce { kind: Reduce::Sum, axes: vec![0, 2], keep_dims: true };
    let y = b.node(op, &[h], &[1, 3, 1], None);
    b.output(y);
    let data = b.reals(24, 1.0);
    let norm = |c: usize, x: f32| {
        (x as f64 - arrays[2][c] as f64) / (c + 1) as f64 * arrays[0][c] as f64 + arrays[1][c] as f64
    };
    let want: Vec<f64> = (0..3)
        .map(|c| {
            let each = |i: usize| (0..4).map(move |k| (i * 12 + c * 4 + k, k));
            let cells = (0..2).flat_map(each);
            cells.map(|(at, k)| norm(c, data[at]) * ((2 * k) as f64 - 3.0 + (2 * k + 1) as f64 - 3.0)).sum()
        })
        .collect();
    assert_close(&run_float(&b.graph, &[ArrayData::F32(data)]), &want, 1e-5);
}

#[test]
fn sixteen_bit_grids_run_in_f32() {
    let mut b = Build::new(5);
    let x = b.float_input(&[5]);
    let y = b.node(Op::Unary(Unary::Neg), &[x], &[5], None);
    b.graph.value_mut(y).quant = Some(ActQuant { scale: 0.25, zero_point: 100, bits: 16, unsigned: false });
    b.graph.outputs.push(y);
    let got = run_float(&b.graph, &[ArrayData::F32(vec![0.3, -0.1, -1e6, 1e6, 2.0])]);
    assert_eq!(got, [-0.25, 0.0, (32767 - 100) as f32 / 4.0, (-32768 - 100) as f32 / 4.0, -2.0]);
}
