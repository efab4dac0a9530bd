//! Programs of f32 layers whose weights are stored in fewer bits.

use selvedge_core::params::*;
use selvedge_core::{DType, Format, OpCode as Op};
use selvedge_kernels::pack;

use super::zoo::{W3, numbers, shape3, single};
use super::{Program, params};

/// f32 layers with narrower weights.
pub fn layers() -> Vec<(&'static str, Program)> {
    use {DType::F32 as T, Format::F16, Format::F32W8};
    let stored = |p: &mut Program, format: Format, elements: usize| match format {
        F16 => {
            // 0x3400 is a quarter.
            let halves: Vec<u16> = numbers(elements).iter().map(|&v| 0x3400 | v.rem_euclid(64) as u16).collect();
            (p.array(bytemuck::cast_slice(&halves)), elements as u32 * 2)
        }
        _ => (p.array(bytemuck::cast_slice(&numbers(elements))), elements as u32),
    };
    let scaled = |p: &mut Program, format: Format, channels: usize, mut bytes: Vec<u8>| {
        if format == F32W8 {
            bytes.extend(params(WeightScales { scales: p.channels(&vec![0.25f32; channels]) }));
        }
        bytes
    };
    let conv = |format, op, groups: u32, [x, y]: [&[u32]; 2], elements: usize| {
        single((op, format), &[(T, x)], &[(T, y)], |p| {
            let (weights, weights_bytes) = stored(p, format, elements);
            let channels = y[3] as usize;
            let bias = p.channels(&vec![1f32; channels]);
            let bytes =
                params(ConvF32 { window: W3, groups, weights, weights_bytes, bias, lo: f32::NEG_INFINITY, hi: 6.0 });
            let shape = shape3(x[3] as usize, channels, groups as usize);
            (scaled(p, format, channels, bytes), if op == Op::Conv2d { pack::conv_f32_scratch(&shape) } else { 0 })
        })
    };
    let dense = |format| {
        single((Op::Dense, format), &[(T, &[2, 1, 5])], &[(T, &[2, 1, 3])], |p| {
            let (weights, weights_bytes) = stored(p, format, pack::f32_elements(3, 5));
            let bytes = params(DenseF32 { weights, weights_bytes, bias: NONE, lo: -9.0, hi: 9.0 });
            (scaled(p, format, 3, bytes), 0)
        })
    };
    let whole = |format| conv(format, Op::Conv2d, 2, [&[1, 5, 4, 4], &[1, 3, 4, 6]], 2 * pack::f32_elements(3, 18));
    let depthwise = |format| {
        let shapes: [&[u32]; 2] = [&[1, 5, 4, 5], &[1, 3, 4, 5]];
        conv(format, Op::DepthwiseConv2d, 5, shapes, pack::depthwise_f32_elements(5, 9))
    };
    vec![
        ("conv f16", whole(F16)),
        ("depthwise f16", depthwise(F16)),
        ("dense f16", dense(F16)),
        ("conv f32 w8", whole(F32W8)),
        ("depthwise f32 w8", depthwise(F32W8)),
        ("dense f32 w8", dense(F32W8)),
    ]
}
