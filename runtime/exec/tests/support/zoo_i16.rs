//! Programs of layers with int16 activations.

use selvedge_core::params::*;
use selvedge_core::{DType, Format, OpCode as Op};
use selvedge_kernels::pack;

use super::zoo::{W3, numbers, packed, shape3, single};
use super::{Program, params};

/// Arrays of a layer with scale one for every channel.
fn unit_scale(p: &mut Program, packed: &[i8], channels: usize) -> LayerArrays {
    LayerArrays {
        weights: p.array(bytemuck::cast_slice(packed)),
        weights_bytes: packed.len() as u32,
        bias: p.channels(&vec![5i64; channels]),
        multiplier: p.channels(&vec![1 << 30; channels]),
        shift: p.channels(&vec![-1i8; channels]),
    }
}

pub fn all() -> Vec<(&'static str, Program)> {
    use {DType::F32, DType::I16, Format::I16W8};
    let (lo_f32, hi_f32) = (f32::NEG_INFINITY, f32::INFINITY);
    let conv = |arrays, groups| ConvI8 {
        window: W3,
        groups,
        arrays,
        pad_value: 0,
        output_zero_point: 0,
        lo: -9_000,
        hi: 30_000,
        lo_f32,
        hi_f32,
    };
    let whole = single((Op::Conv2d, I16W8), &[(I16, &[1, 5, 4, 4])], &[(I16, &[1, 3, 4, 6])], |p| {
        let arrays = unit_scale(p, &packed(2, 3, 9 * 2), 6);
        (params(conv(arrays, 2)), pack::conv_w8_scratch(&shape3(4, 6, 2)))
    });
    let depthwise = single((Op::DepthwiseConv2d, I16W8), &[(I16, &[1, 5, 4, 5])], &[(I16, &[1, 3, 4, 5])], |p| {
        let mut weights = vec![0; pack::depthwise_w8_bytes(5, 9)];
        pack::pack_depthwise_w8(&numbers(45), 5, 9, &mut weights);
        let arrays = unit_scale(p, &weights, 5);
        (params(conv(arrays, 5)), 0)
    });
    let dense = single((Op::Dense, I16W8), &[(I16, &[2, 1, 5])], &[(I16, &[2, 1, 3])], |p| {
        let arrays = unit_scale(p, &packed(1, 3, 5), 3);
        (params(DenseI8 { arrays, output_zero_point: 0, lo: -32_768, hi: 32_767, lo_f32, hi_f32 }), 0)
    });
    let sum = |a: &[u32], b: &[u32], y: &[u32]| {
        single((Op::Add, Format::I16), &[(I16, a), (I16, b)], &[(I16, y)], |_| {
            (params(AddI16 { m1: 3 << 20, m2: -5 << 19, s: 21, lo: -32_768, hi: 20_000 }), 0)
        })
    };
    let grid = |format, x, y| {
        single((if y == I16 { Op::Quantize } else { Op::Dequantize }, format), &[(x, &[3, 5])], &[(y, &[3, 5])], |_| {
            (params(Quantize { scale: 0.007, zero_point: 0 }), 0)
        })
    };
    let in_place = |mut p: Program, i| {
        p.in_place(i);
        p
    };
    vec![
        ("int16 conv", whole),
        ("int16 depthwise", depthwise),
        ("int16 dense", dense),
        ("int16 add", sum(&[2, 70], &[2, 70], &[2, 70])),
        ("int16 add in place", in_place(sum(&[2, 70], &[2, 70], &[2, 70]), 0)),
        ("int16 add in place on the second", in_place(sum(&[2, 1], &[2, 70], &[2, 70]), 1)),
        ("int16 add, one of the first", sum(&[2, 1], &[2, 70], &[2, 70])),
        ("int16 add, one of the second", sum(&[2, 70], &[1], &[2, 70])),
        ("int16 quantize", grid(Format::I16, F32, I16)),
        ("int16 dequantize", grid(Format::I16, I16, F32)),
    ]
}
