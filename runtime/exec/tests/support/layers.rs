//! Steps that several tests need.
#![allow(dead_code)]

use selvedge_core::artifact::step_flags;
use selvedge_core::params::{AddI8, ConvI8, DenseI8, LayerArrays, ResidualAdd, Window};
use selvedge_core::{DType, Format, OpCode};
use selvedge_kernels::pack;

use super::{Program, params};

/// A 1×1 window.
pub const POINT: Window = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pad: [0, 0] };

/// Arrays of a layer with scale one for every channel.
pub fn unit_scale(p: &mut Program, packed: &[i8], bias: &[i32]) -> LayerArrays {
    let n = bias.len();
    LayerArrays {
        weights: p.array(bytemuck::cast_slice(packed)),
        weights_bytes: packed.len() as u32,
        bias: p.channels(bias),
        // Shifted left by 1 − k = 2, then 2^30 / 2^32.
        multiplier: p.channels(&vec![1 << 30; n]),
        shift: p.channels(&vec![-1i8; n]),
    }
}

/// `y = clamp(x·wᵀ + bias, i8)`, the scale one.
pub fn dense(p: &mut Program, x: u16, rows: u32, weights: &[i8], bias: &[i32]) -> u16 {
    let (n, k) = (bias.len(), weights.len() / bias.len());
    let mut packed = vec![0; pack::w8_bytes(n, k)];
    pack::pack_w8(weights, n, k, &mut packed);
    let arrays = unit_scale(p, &packed, bias);
    let y = p.tensor(DType::I8, &[rows, n as u32]);
    let dense =
        DenseI8 { arrays, output_zero_point: 0, lo: -128, hi: 127, lo_f32: f32::NEG_INFINITY, hi_f32: f32::INFINITY };
    p.step((OpCode::Dense, Format::W8), &[x], &[y], params(dense), 0);
    y
}

/// A 3×3 convolution with padding 1, one channel to one, all weights one, the scale one; with
/// `skip`, a residual sum of the same grid behind it.
pub fn conv3x3(p: &mut Program, x: u16, h: u32, w: u32, skip: Option<u16>) -> u16 {
    let mut packed = vec![0; pack::conv_w8_bytes(1, 1, 1, 9)];
    pack::pack_w8(&[1; 9], 1, 9, &mut packed);
    let arrays = unit_scale(p, &packed, &[0]);
    let conv = ConvI8 {
        window: Window { kernel: [3, 3], pad: [1, 1], ..POINT },
        groups: 1,
        arrays,
        pad_value: 0,
        output_zero_point: 0,
        lo: -128,
        hi: 127,
        lo_f32: f32::NEG_INFINITY,
        hi_f32: f32::INFINITY,
    };
    let y = p.tensor(DType::I8, &[1, h, w, 1]);
    let mut bytes = params(conv);
    let mut inputs = vec![x];
    if let Some(skip) = skip {
        bytes.extend(params(ResidualAdd { m1: 1, m2: 1, c: 0, s: 0, lo: -128, hi: 127 }));
        inputs.push(skip);
    }
    p.step((OpCode::Conv2d, Format::W8), &inputs, &[y], bytes, pack::MR * 12 * 2).flags =
        if skip.is_some() { step_flags::FUSED_ADD } else { 0 };
    if skip.is_some() {
        p.in_place(1);
    }
    y
}

/// `a + b` on one grid.
pub fn add(p: &mut Program, a: u16, b: u16, dims: &[u32]) -> u16 {
    let y = p.tensor(DType::I8, dims);
    let args = AddI8 { m1: 1, m2: 1, c: 0, s: 0, lo: -128, hi: 127 };
    p.step((OpCode::Add, Format::I8), &[a, b], &[y], params(args), 0);
    y
}
