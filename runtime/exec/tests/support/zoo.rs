//! One small valid program for every entry of the op table.
#![allow(dead_code)]

use selvedge_core::artifact::{NO_OPERAND, step_flags};
use selvedge_core::params::*;
use selvedge_core::{DType, Format, OpCode as Op};
use selvedge_kernels::{ConvShape, pack};

use super::layers::{POINT, add, conv3x3, dense, unit_scale};
use super::{Program, params};

/// Deterministic small numbers.
pub fn numbers(n: usize) -> Vec<i8> {
    (0..n).map(|i| ((i * 37 + 11) % 23) as i8 - 11).collect()
}

pub fn reals(n: usize) -> Vec<f32> {
    numbers(n).iter().map(|&v| v as f32 / 4.0).collect()
}

fn f32_array(p: &mut Program, n: usize) -> (u32, u32) {
    (p.array(bytemuck::cast_slice(&reals(n))), n as u32 * 4)
}

/// A program of one step with inputs of these types and shapes.
pub fn single(
    code: (Op, Format),
    inputs: &[(DType, &[u32])],
    outputs: &[(DType, &[u32])],
    params: impl FnOnce(&mut Program) -> (Vec<u8>, usize),
) -> Program {
    let mut p = Program::default();
    let inputs: Vec<u16> = inputs.iter().map(|&(dtype, dims)| p.input(dtype, dims)).collect();
    let outputs: Vec<u16> = outputs.iter().map(|&(dtype, dims)| p.tensor(dtype, dims)).collect();
    let (params, scratch) = params(&mut p);
    p.step(code, &inputs, &outputs, params, scratch);
    outputs.iter().for_each(|&t| p.output(t));
    p
}

pub const W3: Window = Window { kernel: [3, 3], stride: [2, 1], dilation: [1, 1], pad: [1, 1] };

/// Geometry of [`W3`] on [1, 5, 4, in_c] to [1, 3, 4, out_c].
pub fn shape3(in_c: usize, out_c: usize, groups: usize) -> ConvShape {
    ConvShape {
        batch: 1,
        in_h: 5,
        in_w: 4,
        in_c,
        out_h: 3,
        out_w: 4,
        out_c,
        kernel_h: 3,
        kernel_w: 3,
        stride_h: 2,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: 1,
        pad_left: 1,
        groups,
    }
}

/// `groups` matrices of `n` rows of `k`, packed.
pub fn packed(groups: usize, n: usize, k: usize) -> Vec<i8> {
    let mut out = vec![0; groups * pack::w8_bytes(n, k)];
    for (rows, out) in numbers(groups * n * k).chunks(n * k).zip(out.chunks_mut(pack::w8_bytes(n, k))) {
        pack::pack_w8(rows, n, k, out);
    }
    out
}

fn conv_i8(p: &mut Program, groups: u32, weights: &[i8], channels: usize) -> ConvI8 {
    let arrays = unit_scale(p, weights, &vec![5; channels]);
    ConvI8 {
        window: W3,
        groups,
        arrays,
        pad_value: -3,
        output_zero_point: 2,
        lo: -100,
        hi: 100,
        lo_f32: -50.0,
        hi_f32: 50.0,
    }
}

fn with_flags(mut p: Program, flags: u16) -> Program {
    p.steps[0].flags = flags;
    p
}

fn in_place(mut p: Program, i: u8) -> Program {
    p.in_place(i);
    p
}

fn layers() -> Vec<(&'static str, Program)> {
    use {DType::*, Format::W8};
    let conv = |out: DType, extra: &[(DType, &[u32])], flags| {
        let inputs = [&[(I8, &[1, 5, 4, 4][..])], extra].concat();
        let weights = packed(2, 3, 9 * 2);
        let scratch = pack::conv_w8_scratch(&shape3(4, 6, 2));
        let p = single((Op::Conv2d, W8), &inputs, &[(out, &[1, 3, 4, 6])], |p| {
            (params(conv_i8(p, 2, &weights, 6)), scratch)
        });
        with_flags(p, flags)
    };
    let depthwise = single((Op::DepthwiseConv2d, W8), &[(I8, &[1, 5, 4, 5])], &[(I8, &[1, 3, 4, 5])], |p| {
        let mut weights = vec![0; pack::depthwise_w8_bytes(5, 9)];
        pack::pack_depthwise_w8(&numbers(5 * 9), 5, 9, &mut weights);
        let conv = conv_i8(p, 5, &weights, 5);
        (params(conv), pack::depthwise_w8_scratch(&shape3(5, 5, 5)))
    });
    let dense_to = |out: DType, extra: &[(DType, &[u32])], flags| {
        let inputs = [&[(I8, &[3, 5][..])], extra].concat();
        let p = single((Op::Dense, W8), &inputs, &[(out, &[3, 9])], |p| {
            let arrays = unit_scale(p, &packed(1, 9, 5), &[1; 9]);
            let (lo_f32, hi_f32) = (f32::NEG_INFINITY, f32::INFINITY);
            (params(DenseI8 { arrays, output_zero_point: 0, lo: -128, hi: 127, lo_f32, hi_f32 }), 0)
        });
        with_flags(p, flags)
    };
    let mut residual = Program::default();
    let x = residual.input(I8, &[1, 3, 4, 1]);
    let first = conv3x3(&mut residual, x, 3, 4, None);
    let sum = conv3x3(&mut residual, x, 3, 4, Some(first));
    residual.output(sum);
    let mut wide = single((Op::Dense, W8), &[(I8, &[1, 4])], &[(I8, &[1, 2])], |p| {
        let mut arrays = unit_scale(p, &packed(1, 2, 4), &[0; 2]);
        arrays.bias = p.channels(&[1i64 << 33, -(1 << 33)]);
        let (lo_f32, hi_f32) = (0.0, 0.0);
        (params(DenseI8 { arrays, output_zero_point: 0, lo: -128, hi: 127, lo_f32, hi_f32 }), 0)
    });
    wide.steps[0].flags = step_flags::WIDE;
    let mut chain = Program::default();
    let x = chain.input(I8, &[1, 4]);
    let y = dense(&mut chain, x, 1, &numbers(16), &[1, 2, 3, 4]);
    let z = add(&mut chain, x, y, &[1, 4]);
    chain.output(z);
    // 3×3 with stride (2, 1) to [1, 3, 4, 2], then 2×1 to [1, 2, 4, 3].
    let pair = |p: &mut Program, skip: bool| {
        let (first, second) = (packed(1, 2, 9 * 3), packed(1, 3, 2 * 2));
        let first = conv_i8(p, 1, &first, 2);
        let arrays = unit_scale(p, &second, &[1, -2, 3]);
        let second = ConvI8 { window: Window { kernel: [2, 1], ..POINT }, arrays, pad_value: 2, ..first };
        let mut bytes = params(ConvPair { first, second, height: 3, width: 4, channels: 2, wide: 0 });
        if skip {
            bytes.extend(params(ResidualAdd { m1: 1, m2: 1, c: 0, s: 0, lo: -128, hi: 127 }));
        }
        (bytes, pack::conv_w8_scratch(&shape3(3, 2, 1)) + 2 * 4 * 2)
    };
    let pair_alone = single((Op::ConvPair, W8), &[(I8, &[1, 5, 4, 3])], &[(I8, &[1, 2, 4, 3])], |p| pair(p, false));
    let mut pair_sum = Program::default();
    let x = pair_sum.input(I8, &[1, 5, 4, 3]);
    let skip = pair_sum.input(I8, &[1, 2, 4, 3]);
    let y = pair_sum.tensor(I8, &[1, 2, 4, 3]);
    let (bytes, scratch) = pair(&mut pair_sum, true);
    pair_sum.step((Op::ConvPair, W8), &[x, skip], &[y], bytes, scratch).flags = step_flags::FUSED_ADD;
    pair_sum.in_place(1);
    pair_sum.output(y);
    vec![
        ("conv pair", pair_alone),
        ("conv pair and sum", pair_sum),
        ("conv to i8", conv(I8, &[], 0)),
        ("conv to f32", conv(F32, &[(F32, &[1])], step_flags::OUT_F32)),
        ("conv to i32", conv(I32, &[(U8, &[1])], step_flags::OUT_I32)),
        ("conv to i32, zero point 0", conv(I32, &[], step_flags::OUT_I32)),
        ("depthwise", depthwise),
        ("dense to i8", dense_to(I8, &[], 0)),
        ("dense to f32, one scale", dense_to(F32, &[(F32, &[1])], step_flags::OUT_F32)),
        ("dense to f32, a scale a row", dense_to(F32, &[(F32, &[3])], step_flags::OUT_F32)),
        ("dense to f32, no scale", dense_to(F32, &[], step_flags::OUT_F32)),
        ("dense to i32", dense_to(I32, &[(I8, &[])], step_flags::OUT_I32)),
        ("dense, wide", wide),
        ("residual", residual),
        ("dense and add", chain),
    ]
}

fn layers_f32() -> Vec<(&'static str, Program)> {
    use {DType::F32 as T, Format::F32};
    let conv_params = |p: &mut Program, groups: u32, elements: usize, channels: usize| {
        let (weights, weights_bytes) = f32_array(p, elements);
        let bias = p.channels(&vec![1f32; channels]);
        ConvF32 { window: W3, groups, weights, weights_bytes, bias, lo: f32::NEG_INFINITY, hi: 6.0 }
    };
    let conv = single((Op::Conv2d, F32), &[(T, &[1, 5, 4, 4])], &[(T, &[1, 3, 4, 6])], |p| {
        let elements = 2 * pack::f32_elements(3, 18);
        (params(conv_params(p, 2, elements, 6)), pack::conv_f32_scratch(&shape3(4, 6, 2)))
    });
    let depthwise = single((Op::DepthwiseConv2d, F32), &[(T, &[1, 5, 4, 5])], &[(T, &[1, 3, 4, 5])], |p| {
        let elements = pack::depthwise_f32_elements(5, 9);
        (params(conv_params(p, 5, elements, 5)), pack::depthwise_f32_scratch(&shape3(5, 5, 5)))
    });
    let transposed = single((Op::ConvTranspose2d, F32), &[(T, &[1, 3, 4, 4])], &[(T, &[1, 5, 4, 6])], |p| {
        (params(conv_params(p, 2, 9 * 4 * 3, 6)), 0)
    });
    let dense = single((Op::Dense, F32), &[(T, &[2, 1, 5])], &[(T, &[2, 1, 3])], |p| {
        let (weights, weights_bytes) = f32_array(p, pack::f32_elements(3, 5));
        (params(DenseF32 { weights, weights_bytes, bias: NONE, lo: -9.0, hi: 9.0 }), 0)
    });
    let matmul =
        single((Op::MatMul, F32), &[(T, &[2, 1, 2, 3]), (T, &[2, 3, 4])], &[(T, &[2, 2, 2, 4])], |_| (vec![], 0));
    let q = DType::I8;
    let matmul_i8 = single(
        (Op::MatMul, Format::I8),
        &[(q, &[2, 3, 5]), (T, &[6]), (q, &[2, 9, 5]), (T, &[18])],
        &[(T, &[2, 3, 9])],
        |_| (vec![], pack::matmul_i8_scratch(9, 5)),
    );
    vec![
        ("matmul i8", matmul_i8),
        ("conv f32", conv),
        ("depthwise f32", depthwise),
        ("transposed f32", transposed),
        ("dense f32", dense),
        ("matmul f32", matmul),
    ]
}

fn pools() -> Vec<(&'static str, Program)> {
    use {DType::F32 as T, DType::I8 as Q};
    let (x, y) = ([1, 5, 4, 3], [1, 3, 4, 3]);
    let max = |t, f| single((Op::MaxPool2d, f), &[(t, &x)], &[(t, &y)], |_| (params(MaxPool { window: W3 }), 0));
    let average = |t, f| {
        let p = AvgPool {
            window: W3,
            pad_end: [1, 1],
            count_include_pad: 1,
            input_zero_point: 3,
            multiplier: 1 << 23,
            shift: 23,
            output_zero_point: -1,
            lo: -128,
            hi: 127,
        };
        single((Op::AvgPool2d, f), &[(t, &x)], &[(t, &y)], |_| (params(p), 0))
    };
    vec![
        ("max pool", max(Q, Format::I8)),
        ("max pool f32", max(T, Format::F32)),
        ("average pool", average(Q, Format::I8)),
        ("average pool f32", average(T, Format::F32)),
    ]
}

fn elementwise() -> Vec<(&'static str, Program)> {
    use {DType::F32 as T, DType::I8 as Q};
    let add = |a: &[u32], b: &[u32], y: &[u32]| {
        let args = AddI8 { m1: 3 << 10, m2: 5 << 10, c: 1 << 11, s: 12, lo: -128, hi: 127 };
        single((Op::Add, Format::I8), &[(Q, a), (Q, b)], &[(Q, y)], |_| (params(args), 0))
    };
    let mul = |a: &[u32], b: &[u32], y: &[u32]| {
        let args =
            MulI8 { zero_point: [1, -2], multiplier: 1 << 30, shift: 4, output_zero_point: 1, lo: -128, hi: 127 };
        single((Op::Mul, Format::I8), &[(Q, a), (Q, b)], &[(Q, y)], |_| (params(args), 0))
    };
    let table = || {
        single((Op::Table, Format::I8), &[(Q, &[7])], &[(Q, &[7])], |p| {
            let table: Vec<i8> = (0..=255u8).map(|i| i.wrapping_mul(3) as i8).collect();
            (params(TableI8 { table: p.array(bytemuck::cast_slice(&table)) }), 0)
        })
    };
    let softmax = single((Op::Softmax, Format::I8), &[(Q, &[3, 5])], &[(Q, &[3, 5])], |p| {
        let entries: Vec<u32> = (0..32).map(|d| (1 << 24) >> (d % 16)).collect();
        let table = p.array(bytemuck::cast_slice(&entries));
        (params(SoftmaxI8 { table, inverse: 1 << 24, shift: 16, output_zero_point: -128 }), 0)
    });
    let softmax_f32 = single((Op::Softmax, Format::F32), &[(T, &[3, 5])], &[(T, &[3, 5])], |_| (vec![], 0));
    let layer_norm = single((Op::LayerNorm, Format::F32), &[(T, &[2, 3, 5])], &[(T, &[2, 3, 5])], |p| {
        let (gamma, beta) = (f32_array(p, 5).0, f32_array(p, 5).0);
        (params(LayerNorm { row: 5, epsilon: 1e-5, gamma, beta }), 0)
    });
    let unary = |kind| {
        let args = Unary { kind, alpha: 0.5, beta: 2.0 };
        single((Op::Unary, Format::F32), &[(T, &[11])], &[(T, &[11])], |_| (params(args), 0))
    };
    let binary = |a: &[u32], b: &[u32], y: &[u32]| {
        let args = Binary { kind: binary::SUB, lo: -4.0, hi: f32::INFINITY };
        single((Op::Binary, Format::F32), &[(T, a), (T, b)], &[(T, y)], |_| (params(args), 0))
    };
    let reduce = |axes, y: &[u32]| {
        let args = Reduce { kind: reduce::MEAN, axes };
        single((Op::Reduce, Format::F32), &[(T, &[2, 3, 2, 5])], &[(T, y)], |_| (params(args), 0))
    };
    let group_norm = |t: DType, f: Format| {
        single((Op::GroupNorm, f), &[(t, &[2, 3, 1, 6])], &[(t, &[2, 3, 1, 6])], |p| {
            let (gamma, beta) = (p.channels(&reals(6)), p.channels(&reals(6)));
            let args = GroupNorm { groups: 2, epsilon: 0.5, gamma, beta, lo: -100, hi: 90, lo_f32: -1.0, hi_f32: 2.0 };
            (params(args), 6 * 12)
        })
    };
    vec![
        ("group norm", group_norm(Q, Format::I8)),
        ("group norm f32", group_norm(T, Format::F32)),
        ("add", add(&[2, 3], &[2, 3], &[2, 3])),
        ("add in place", in_place(add(&[2, 3], &[3], &[2, 3]), 0)),
        ("add, a repeats", add(&[2, 1], &[2, 90], &[2, 90])),
        ("add, b repeats", add(&[2, 90], &[], &[2, 90])),
        ("mul, both repeat", mul(&[2, 1], &[3], &[2, 3])),
        ("mul", mul(&[6], &[6], &[6])),
        ("table", table()),
        ("table in place", in_place(table(), 0)),
        ("softmax", softmax),
        ("softmax f32", softmax_f32),
        ("layer norm", layer_norm),
        ("unary", unary(unary::SIGMOID)),
        ("unary in place", in_place(unary(unary::CLIP), 0)),
        ("binary", binary(&[2, 3], &[2, 3], &[2, 3])),
        ("binary, b repeats", binary(&[2, 3], &[2, 1], &[2, 3])),
        ("reduce, one axis", reduce(0b10, &[2, 2, 5])),
        ("reduce, axes apart", reduce(0b1010, &[2, 1, 2, 1])),
        ("reduce, no axis", reduce(0, &[2, 3, 2, 5])),
    ]
}

fn plain_integers() -> Vec<(&'static str, Program)> {
    use {DType::*, Format::Int};
    let unary = |t, kind| {
        let args = Unary { kind, alpha: 0.0, beta: 0.0 };
        single((Op::Unary, Int), &[(t, &[7])], &[(t, &[7])], |_| (params(args), 0))
    };
    let binary = |t, kind, a: &[u32], b: &[u32], y: &[u32]| {
        let args = Binary { kind, lo: 0.0, hi: 0.0 };
        single((Op::Binary, Int), &[(t, a), (t, b)], &[(t, y)], |_| (params(args), 0))
    };
    let reduce = |t, kind, axes, y: &[u32]| {
        single((Op::Reduce, Int), &[(t, &[2, 3, 2])], &[(t, y)], |_| (params(Reduce { kind, axes }), 0))
    };
    let compare = |t, f| {
        let args = params(Compare { kind: compare::LESS });
        single((Op::Compare, f), &[(t, &[2, 3]), (t, &[3])], &[(Bool, &[2, 3])], |_| (args, 0))
    };
    let arg = |t, f| {
        let args = params(ArgReduce { axis: 1, flags: 3 });
        single((Op::ArgReduce, f), &[(t, &[2, 3, 2])], &[(I64, &[2, 1, 2])], |_| (args, 0))
    };
    let sums = |t, f| {
        let args = params(CumSum { axis: 1, flags: 2 });
        single((Op::CumSum, f), &[(t, &[2, 3])], &[(t, &[2, 3])], |_| (args, 0))
    };
    let trig = Unary { kind: unary::COS, alpha: 0.0, beta: 0.0 };
    vec![
        ("negated i16", unary(I16, unary::NEG)),
        ("negated i64 in place", in_place(unary(I64, unary::NEG), 0)),
        ("not", unary(Bool, unary::LOGICAL_NOT)),
        ("quotients of u8", binary(U8, binary::DIV, &[2, 3], &[2, 1], &[2, 3])),
        ("u64 shifted", binary(U64, binary::SHIFT_LEFT, &[3], &[2, 3], &[2, 3])),
        ("remainders of u16", binary(U16, binary::MOD, &[6], &[6], &[6])),
        ("and", binary(Bool, binary::AND, &[6], &[], &[6])),
        ("sums of i8", reduce(I8, reduce::SUM, 0b101, &[3])),
        ("maxima of u32", reduce(U32, reduce::MAX, 0b10, &[2, 1, 2])),
        ("less, f32", compare(F32, Format::F32)),
        ("less, i8", compare(I8, Int)),
        ("select", {
            let operands: &[(DType, &[u32])] = &[(Bool, &[2, 1]), (I64, &[3]), (I64, &[2, 3])];
            single((Op::Select, Format::Any), operands, &[(I64, &[2, 3])], |_| (vec![], 0))
        }),
        ("arg max, f32", arg(F32, Format::F32)),
        ("arg max, u8", arg(U8, Int)),
        ("running sums, f32", sums(F32, Format::F32)),
        ("running sums, i32", sums(I32, Int)),
        ("bit cast", single((Op::BitCast, Format::Any), &[(F32, &[5])], &[(U32, &[5])], |_| (vec![], 0))),
        ("cosine", single((Op::Trig, Format::F32), &[(F32, &[5])], &[(F32, &[5])], |_| (params(trig), 0))),
    ]
}

fn grids() -> Vec<(&'static str, Program)> {
    use DType::*;
    let grid = || (params(selvedge_core::params::Quantize { scale: 0.5, zero_point: -3 }), 0);
    let dynamic = params(selvedge_core::params::DynamicQuantize { row: 4 });
    let cast = |from, to| single((Op::Cast, Format::Any), &[(from, &[6])], &[(to, &[6])], |_| (vec![], 0));
    let flip = || single((Op::FlipSign, Format::Any), &[(U8, &[6])], &[(I8, &[6])], |_| (vec![], 0));
    vec![
        ("quantize", single((Op::Quantize, Format::F32), &[(F32, &[6])], &[(I8, &[6])], |_| grid())),
        ("dequantize", single((Op::Dequantize, Format::I8), &[(I8, &[6])], &[(F32, &[6])], |_| grid())),
        (
            "dynamic quantize",
            single((Op::DynamicQuantize, Format::F32), &[(F32, &[3, 4])], &[(I8, &[3, 4]), (F32, &[3])], |_| {
                (dynamic, 0)
            }),
        ),
        (
            "dynamic quantize linear",
            single(
                (Op::DynamicQuantizeLinear, Format::F32),
                &[(F32, &[7])],
                &[(U8, &[7]), (F32, &[]), (U8, &[])],
                |_| (vec![], 0),
            ),
        ),
        ("cast f32 to i64", cast(F32, I64)),
        ("cast i32 to bool", cast(I32, Bool)),
        ("flip sign", flip()),
        ("flip sign in place", in_place(flip(), 0)),
    ]
}

fn moves() -> Vec<(&'static str, Program)> {
    use {DType::*, Format::Any};
    let reshape = || single((Op::Reshape, Any), &[(I64, &[2, 3])], &[(I64, &[3, 2])], |_| (vec![], 0));
    let transpose = Transpose { perm: [2, 0, 1, 0, 0, 0, 0, 0] };
    let pad = Pad { begin: [1, 0, 0, 0, 0, 0], value: [9, 0, 0, 0, 0, 0, 0, 0] };
    let slice = Slice { start: [1, 4, 0, 0, 0, 0], step: [1, -2, 0, 0, 0, 0] };
    let mut rescaled = params(Concat { axis: 0 });
    rescaled.extend(params(Rescale { m: 1 << 10, c: 7, s: 9 }));
    rescaled.extend(params(Rescale { m: 0, c: 0, s: 0 }));
    let concat = single((Op::Concat, Format::I8), &[(I8, &[2, 2]), (I8, &[1, 2])], &[(I8, &[3, 2])], |_| (rescaled, 0));
    vec![
        ("reshape", reshape()),
        ("reshape in place", in_place(reshape(), 0)),
        (
            "transpose",
            single((Op::Transpose, Any), &[(F32, &[2, 3, 4])], &[(F32, &[4, 2, 3])], |_| (params(transpose), 0)),
        ),
        ("pad", single((Op::Pad, Any), &[(I8, &[2, 3])], &[(I8, &[4, 5])], |_| (params(pad), 0))),
        ("slice", single((Op::Slice, Any), &[(I32, &[3, 6])], &[(I32, &[2, 3])], |_| (params(slice), 0))),
        (
            "gather",
            single((Op::Gather, Any), &[(I8, &[2, 4, 2]), (I32, &[3])], &[(I8, &[2, 3, 2])], |_| {
                (params(Gather { axis: 1 }), 0)
            }),
        ),
        (
            "gather of a quantized table",
            single((Op::Gather, Format::W8), &[(I64, &[3])], &[(F32, &[3, 4])], |p| {
                let table = p.array(bytemuck::cast_slice(&numbers(20)));
                let scales = f32_array(p, 5).0;
                (params(GatherW8 { table, scales, rows: 5, row: 4 }), 0)
            }),
        ),
        ("concat rescaled", concat),
        (
            "concat",
            single((Op::Concat, Any), &[(F32, &[2, 2]), (F32, &[2, 1])], &[(F32, &[2, 3])], |_| {
                (params(Concat { axis: 1 }), 0)
            }),
        ),
    ]
}

const H: u32 = 5;

/// A recurrent layer of 11 steps, 2 rows, 3 inputs, [`H`] hidden values; gates a row of weights.
fn recurrent_f32(code: Op, gates: usize, flags: u32) -> Program {
    let (n, h) = (gates * H as usize, H as usize);
    let live = flags & recurrent::LIVE != 0;
    let lstm = code == Op::Lstm;
    let state: &[u32] = &[2, H];
    let mut p = Program::default();
    let x = p.input(DType::F32, &[11, 2, 3]);
    let more = [(recurrent::LIVE_RECURRENT_BIAS, h), (recurrent::LIVE_PEEPHOLES, 3 * h)];
    let more: usize = more.iter().map(|&(flag, n)| if flags & flag != 0 { n } else { 0 }).sum();
    let w = if live { p.input(DType::F32, &[(n * (3 + h + 1) + more) as u32]) } else { NO_OPERAND };
    let before = p.input(DType::F32, state);
    let c = if lstm { p.input(DType::F32, state) } else { NO_OPERAND };
    let lengths = p.input(DType::I32, &[2]);
    let mut outputs = Vec::new();
    if flags & recurrent::SEQUENCE != 0 {
        outputs.push(p.tensor(DType::F32, &[11, 2, H]));
    }
    (0..if lstm { 2 } else { 1 }).for_each(|_| outputs.push(p.tensor(DType::F32, state)));
    let direct = if code == Op::Gru { 2 * h } else { n };
    let sizes = [pack::f32_elements(n, 3), pack::f32_elements(direct, h) + pack::f32_elements(n - direct, h)];
    let [weights, recurrent] = sizes.map(|n| if live { NONE } else { f32_array(&mut p, n).0 });
    let linear = flags & recurrent::LINEAR_BEFORE_RESET != 0;
    let bias = if live { NONE } else { p.channels(&reals(n)) };
    let recurrent_bias = if live || !linear { NONE } else { p.channels(&reals(h)) };
    let peepholes = if live || !lstm { NONE } else { p.array(bytemuck::cast_slice(&reals(3 * h))) };
    let args = RecurrentF32 {
        hidden: H,
        flags,
        clip: 3.0,
        activations: [unary::SIGMOID, unary::TANH, recurrent::SOFTSIGN],
        alpha: [0.0; 3],
        beta: [0.0; 3],
        weights,
        recurrent,
        bias,
        recurrent_bias,
        peepholes,
    };
    let packed = if live { sizes[0] + sizes[1] + pack::padded_channels(n) + pack::padded_channels(h) } else { 0 };
    let scratch = 9 * 2 * n + if code == Op::Gru { 2 * h } else { 0 } + packed;
    p.step((code, Format::F32), &[x, w, before, c, lengths], &outputs, params(args), scratch * 4);
    outputs.iter().for_each(|&t| p.output(t));
    p
}

/// As [`recurrent_f32`], in int8.
fn recurrent_i8(code: Op, gates: usize, flags: u32) -> Program {
    let (n, h) = (gates * H as usize, H as usize);
    let gru = code == Op::Gru;
    let state: &[u32] = &[2, H];
    let mut p = Program::default();
    let x = p.input(DType::I8, &[11, 2, 3]);
    let of_h = if gru { DType::I16 } else { DType::I8 };
    let before = p.input(of_h, state);
    let c = if gru { NO_OPERAND } else { p.input(DType::I16, state) };
    let lengths = p.input(DType::I32, &[2]);
    let mut outputs = vec![p.tensor(DType::I8, &[11, 2, H]), p.tensor(of_h, state)];
    if !gru {
        outputs.push(p.tensor(DType::I16, state));
    }
    let direct = if gru { 2 * h } else { n };
    let mut recurrent = packed(1, direct, h);
    if gru {
        recurrent.extend(packed(1, n - direct, h));
    }
    let table: Vec<i16> = (0..513).map(|i| ((i * 251) % 32768 - 200) as i16).collect();
    let [weights, recurrent] = [packed(1, n, 3), recurrent].map(|w| p.array(bytemuck::cast_slice(&w)));
    let tables = [p.array(bytemuck::cast_slice(&table)); 3];
    let multipliers: Vec<i32> = (0..n).map(|i| (1 << 29) + i as i32 * 12345).collect();
    let wide: Vec<i64> = (0..n).map(|i| (i as i64 - 7) << 37).collect();
    let args = RecurrentI8 {
        hidden: H,
        flags: flags | recurrent::SEQUENCE,
        clip: 32000,
        tables,
        weights,
        recurrent,
        multiplier_x: p.array(bytemuck::cast_slice(&multipliers)),
        multiplier_h: p.array(bytemuck::cast_slice(&multipliers)),
        bias: p.array(bytemuck::cast_slice(&wide)),
        recurrent_bias: if flags & recurrent::LINEAR_BEFORE_RESET != 0 {
            p.array(bytemuck::cast_slice(&wide[..h]))
        } else {
            NONE
        },
        shift: 28,
        cell_bits: 11,
        to_code_multiplier: [1 << 30; 2],
        to_code_shift: [22, 7],
    };
    let scratch = 2 * n * 8 + if gru { 4 * h } else { 0 };
    p.step((code, Format::W8), &[x, NO_OPERAND, before, c, lengths], &outputs, params(args), scratch);
    outputs.iter().for_each(|&t| p.output(t));
    p
}

/// Recurrent layers.
pub fn recurrent() -> Vec<(&'static str, Program)> {
    use recurrent::*;
    vec![
        ("lstm", recurrent_f32(Op::Lstm, 4, SEQUENCE)),
        ("lstm, live and backwards", recurrent_f32(Op::Lstm, 4, SEQUENCE | LIVE | LIVE_PEEPHOLES | REVERSE)),
        ("gru", recurrent_f32(Op::Gru, 3, SEQUENCE)),
        ("gru, linear", recurrent_f32(Op::Gru, 3, LINEAR_BEFORE_RESET)),
        ("gru, linear and live", recurrent_f32(Op::Gru, 3, LINEAR_BEFORE_RESET | LIVE | LIVE_RECURRENT_BIAS)),
        ("rnn", recurrent_f32(Op::Rnn, 1, SEQUENCE | REVERSE)),
        ("int8 lstm", recurrent_i8(Op::Lstm, 4, 0)),
        ("int8 lstm, backwards", recurrent_i8(Op::Lstm, 4, REVERSE | INPUT_FORGET)),
        ("int8 gru", recurrent_i8(Op::Gru, 3, 0)),
        ("int8 gru, linear", recurrent_i8(Op::Gru, 3, LINEAR_BEFORE_RESET)),
    ]
}

/// All programs, with names for messages.
pub fn all() -> Vec<(&'static str, Program)> {
    [
        layers(),
        layers_f32(),
        super::zoo_narrow::layers(),
        super::zoo_i16::all(),
        pools(),
        elementwise(),
        plain_integers(),
        grids(),
        moves(),
        recurrent(),
        super::zoo_low::all(),
        super::zoo_indexed::all(),
    ]
    .concat()
}

/// Bytes for every input: small numbers of its type, zero for indices.
pub fn inputs(p: &Program) -> Vec<Vec<u8>> {
    p.inputs
        .iter()
        .map(|&t| {
            let record = p.tensors[t as usize];
            let n: u32 = record.dims[..record.rank as usize].iter().product();
            match DType::from_u8(record.dtype).unwrap() {
                DType::F32 => bytemuck::cast_slice(&reals(n as usize)).to_vec(),
                DType::I8 | DType::U8 | DType::Bool => bytemuck::cast_slice(&numbers(n as usize)).to_vec(),
                DType::I16 => {
                    let values: Vec<i16> = numbers(n as usize).iter().map(|&v| i16::from(v) * 2_900).collect();
                    bytemuck::cast_slice(&values).to_vec()
                }
                other => vec![0; n as usize * other.size()],
            }
        })
        .collect()
}
