//! Operators that move elements, and graph inputs and outputs.

use super::*;
use selvedge_core::OpCode;

#[test]
fn moves_keep_the_codes() {
    let grid = Some((0.5f32, 3));
    let mut b = Build::new(1);
    let x = b.input(&[2, 3, 4], 0.5, 3);
    let h = b.node(Op::Transpose { perm: vec![2, 0, 1] }, &[x], &[4, 2, 3], grid);
    let h = b.node(Op::Slice { start: vec![3, 0, 0], step: vec![-2, 1, 1] }, &[h], &[2, 2, 3], grid);
    let h = b.node(Op::Pad { begin: vec![0, 1, 0], end: vec![0, 0, 1], value: 1.2 }, &[h], &[2, 3, 4], grid);
    let index = b.constant(&[2], Constant::I64(vec![2, -3]));
    let h = b.node(Op::Gather { axis: 1 }, &[h, index], &[2, 2, 4], grid);
    let y = b.node(Op::Reshape, &[h], &[16], grid);
    b.output(y);
    let q = b.codes(24, -128, 127);
    let at = |i: usize, j: usize, k: usize| q[(j * 3 + k) * 4 + i];
    let mut want = Vec::new();
    for i in [3usize, 1] {
        // Row 2 of the padded tensor is row 1 of the slice; row −3 is padding: 1.2 is code 5.
        want.extend([at(i, 1, 0), at(i, 1, 1), at(i, 1, 2), 5]);
        want.extend([5, 5, 5, 5]);
    }
    assert_eq!(run_int(&b.graph, std::slice::from_ref(&q)), want);
    let steps = program(&b.graph, true).steps;
    assert_eq!(steps.last().and_then(|step| step.in_place), Some(0));
}

#[test]
fn transposing_axes_of_length_one_is_a_reshape() {
    let mut b = Build::new(1);
    let x = b.input(&[1, 3, 1, 4], 0.5, 3);
    let y = b.node(Op::Transpose { perm: vec![2, 1, 3, 0] }, &[x], &[1, 3, 4, 1], Some((0.5, 3)));
    b.output(y);
    assert_eq!(program(&b.graph, true).steps[0].op, OpCode::Reshape);
}

#[test]
fn unsigned_inputs_and_outputs_flip_their_sign() {
    let mut b = Build::new(1);
    let x = b.input(&[6], 0.5, -128);
    b.graph.value_mut(x).io_dtype = Some(DType::U8);
    let y = b.node(Op::Unary(Unary::Relu), &[x], &[6], Some((0.5, -100)));
    b.output(y);
    b.graph.value_mut(y).io_dtype = Some(DType::U8);
    let got = execute(&program(&b.graph, true), &[ArrayData::U8(vec![0, 1, 100, 200, 227, 255])]);
    assert_eq!(got, [ArrayData::U8(vec![28, 29, 128, 228, 255, 255])]);
}

#[test]
fn float_inputs_and_outputs_are_quantized_at_the_border() {
    let mut b = Build::new(1);
    let x = b.float_input(&[4]);
    b.graph.value_mut(x).quant = Some(ActQuant { scale: 0.5, zero_point: 0, bits: 8, unsigned: false });
    let y = b.node(Op::Unary(Unary::Neg), &[x], &[4], Some((0.25, 0)));
    b.graph.outputs.push(y);
    let lowered = program(&b.graph, true);
    let ops: Vec<OpCode> = lowered.steps.iter().map(|step| step.op).collect();
    assert_eq!(ops, [OpCode::Quantize, OpCode::Table, OpCode::Dequantize]);
    assert_eq!(lowered.tensors[lowered.outputs[0]].name, b.graph.value(y).name);
    let got = execute(&lowered, &[ArrayData::F32(vec![0.75, -1.2, 100.0, 3.0])]);
    assert_eq!(got, [ArrayData::F32(vec![-1.0, 1.0, -31.75 - 0.25, -3.0])]);
}

#[test]
fn constants_and_inputs_may_be_outputs() {
    let mut b = Build::new(1);
    let x = b.float_input(&[2]);
    let c = b.constant(&[2], Constant::F32(vec![3.0, 4.0]));
    b.graph.outputs = vec![x, c];
    let got = execute(&program(&b.graph, true), &[ArrayData::F32(vec![1.0, 2.0])]);
    assert_eq!(got, [ArrayData::F32(vec![1.0, 2.0]), ArrayData::F32(vec![3.0, 4.0])]);
}

#[test]
fn what_the_device_lacks_is_refused_by_name() {
    let mut b = Build::new(1);
    let x = b.float_input(&[1, 2, 4, 4]);
    let op = Op::MaxPool { window: window([2, 2], [2, 2], [0; 4]), layout: Layout::Nchw };
    let y = b.node(op, &[x], &[1, 2, 2, 2], None);
    b.output(y);
    let error = lower(&b.graph, &TargetSpec::PORTABLE, &LowerOptions::default()).expect_err("NCHW").to_string();
    assert!(error.contains("n0") && error.contains("MaxPool") && error.contains("passes::optimize"), "{error}");
}

#[test]
fn more_live_tensors_than_the_runtime_tracks_are_refused() {
    let mut b = Build::new(1);
    let x = b.float_input(&[2]);
    let parts: Vec<ValueId> = (0..70).map(|_| b.node(Op::Unary(Unary::Neg), &[x], &[2], None)).collect();
    let y = b.node(Op::Concat { axis: 0 }, &parts, &[140], None);
    b.output(y);
    let error = lower(&b.graph, &TargetSpec::PORTABLE, &LowerOptions::default()).expect_err("crowded").to_string();
    assert!(error.contains("64 tensors"), "{error}");
}
