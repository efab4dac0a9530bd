//! Programs of layers with weights of fewer than 8 bits, and with low-rank branches.
#![allow(dead_code)]

use selvedge_core::artifact::step_flags;
use selvedge_core::params::*;
use selvedge_core::{DType, Format, OpCode as Op};
use selvedge_kernels::{ConvShape, Width, pack_low};

use super::layers::unit_scale;
use super::zoo::{packed, single};
use super::{Program, params};

pub const FORMATS: [(Format, Width); 4] =
    [(Format::W4, Width::W4), (Format::W3, Width::W3), (Format::W2, Width::W2), (Format::T2, Width::T2)];

/// Deterministic codes of a width.
pub fn codes(width: Width, n: usize) -> Vec<u8> {
    (0..n).map(|i| ((i * 29 + i / 7) % (usize::from(width.max()) + 1)) as u8).collect()
}

/// Scales (1..), offsets (around 0) of `n` rows of `k` in groups of `group`.
pub struct Groups {
    pub group: usize,
    pub scales: Vec<u8>,
    pub offsets: Vec<i16>,
    pub zero: u8,
}

impl Groups {
    /// Whole rows, offset `zero`.
    pub fn row(zero: u8) -> Self {
        Groups { group: 0, scales: vec![], offsets: vec![], zero }
    }

    /// Groups of 32 with scales, and offsets where `asymmetric`.
    pub fn of_32(n: usize, k: usize, asymmetric: bool) -> Self {
        let count = n * k.div_ceil(32);
        let offsets = (0..count).map(|i| (i as i16 * 7) % 50 - 20).collect();
        Groups {
            group: 32,
            scales: (0..count).map(|i| (i % 9 + 1) as u8).collect(),
            offsets: if asymmetric { offsets } else { vec![] },
            zero: u8::from(!asymmetric),
        }
    }

    /// Stores them.
    pub fn store(&self, p: &mut Program, n: usize, k: usize) -> LowBit {
        let groups = pack_low::groups_of(k, self.group);
        let mut scales = vec![0; self.scales.len()];
        let mut offsets = vec![0; self.offsets.len()];
        if !scales.is_empty() {
            pack_low::pack_scales(&self.scales, n, groups, &mut scales);
        }
        if !offsets.is_empty() {
            pack_low::pack_scales(&self.offsets, n, groups, &mut offsets);
        }
        LowBit {
            scales: if scales.is_empty() { NONE } else { p.array(&scales) },
            mins: if offsets.is_empty() { NONE } else { p.array(bytemuck::cast_slice(&offsets)) },
            group: self.group as u32,
            zero: u32::from(self.zero),
        }
    }
}

pub fn pack(width: Width, codes: &[u8], n: usize, k: usize) -> Vec<i8> {
    let mut out = vec![0; pack_low::low_bytes(width, n, k)];
    pack_low::pack_low(width, codes, n, k, &mut out);
    out.into_iter().map(|byte| byte as i8).collect()
}

pub fn dense_params(arrays: LayerArrays) -> DenseI8 {
    let (lo_f32, hi_f32) = (f32::NEG_INFINITY, f32::INFINITY);
    DenseI8 { arrays, output_zero_point: 0, lo: -128, hi: 127, lo_f32, hi_f32 }
}

/// A 2x1 window with stride 1 over [1, 3, 2, in_c]: 2x2 pixels.
const WINDOW: Window = Window { kernel: [2, 1], stride: [1, 1], dilation: [1, 1], pad: [0, 0] };

fn shape(in_c: usize, out_c: usize, groups: usize) -> ConvShape {
    ConvShape::of_window([1, 3, 2, in_c], out_c, [2, 1], [1, 1], [1, 1], [0; 4], groups).unwrap()
}

fn conv_params(arrays: LayerArrays, groups: u32) -> ConvI8 {
    ConvI8 {
        window: WINDOW,
        groups,
        arrays,
        pad_value: 3,
        output_zero_point: 1,
        lo: -100,
        hi: 100,
        lo_f32: 0.0,
        hi_f32: 0.0,
    }
}

fn conv(format: Format, width: Width) -> Program {
    single((Op::Conv2d, format), &[(DType::I8, &[1, 3, 2, 4])], &[(DType::I8, &[1, 2, 2, 6])], |p| {
        let one = pack(width, &codes(width, 3 * 4), 3, 4);
        let arrays = unit_scale(p, &[one.clone(), one].concat(), &[5; 6]);
        let low = Groups::row(1).store(p, 3, 4);
        let mut bytes = params(conv_params(arrays, 2));
        bytes.extend(params(low));
        (bytes, pack_low::conv_low_scratch(&shape(4, 6, 2)))
    })
}

fn depthwise(format: Format, width: Width) -> Program {
    single((Op::DepthwiseConv2d, format), &[(DType::I8, &[1, 3, 2, 5])], &[(DType::I8, &[1, 2, 2, 5])], |p| {
        let mut packed = vec![0; pack_low::depthwise_low_bytes(width, 5, 2)];
        pack_low::pack_depthwise_low(width, &codes(width, 10), 2, 5, 2, &mut packed);
        let packed: Vec<i8> = packed.into_iter().map(|byte| byte as i8).collect();
        let arrays = unit_scale(p, &packed, &[-5; 5]);
        let low = Groups::row(2).store(p, 5, 2);
        let mut bytes = params(conv_params(arrays, 5));
        bytes.extend(params(low));
        (bytes, pack_low::depthwise_low_scratch(&shape(5, 5, 5)))
    })
}

fn dense(format: Format, width: Width) -> Program {
    single((Op::Dense, format), &[(DType::I8, &[3, 40])], &[(DType::I8, &[3, 3])], |p| {
        let arrays = unit_scale(p, &pack(width, &codes(width, 3 * 40), 3, 40), &[1; 3]);
        let low = Groups::of_32(3, 40, false).store(p, 3, 40);
        let mut bytes = params(dense_params(arrays));
        bytes.extend(params(low));
        (bytes, pack_low::dense_low_scratch(3, 40))
    })
}

/// Rows, k, n and ranks of the layers with branches.
pub const ROWS: usize = 10;
pub const K: usize = 36;
pub const N: usize = 3;
pub const RANKS: [usize; 2] = [4, 5];
pub const SHIFTS: [i32; 2] = [3, -2];

/// Bytes of scratch a layer with branches asks for, without those of its own sums.
pub fn branch_scratch(rows: usize, n: usize) -> usize {
    2 * 4 * n * rows.min(8)
}

/// f32 `[ROWS, N]` from int8 activations, their scales, and two branches.
pub fn low_rank(format: Format, width: Option<Width>) -> Program {
    let t: Vec<[u32; 2]> = RANKS.iter().map(|&rank| [ROWS as u32, rank as u32]).collect();
    let inputs: [(DType, &[u32]); 4] =
        [(DType::I8, &[ROWS as u32, K as u32]), (DType::F32, &[ROWS as u32]), (DType::I8, &t[0]), (DType::I8, &t[1])];
    let mut p = single((Op::DenseLowRank, format), &inputs, &[(DType::F32, &[ROWS as u32, N as u32])], |p| {
        let (weights, own) = match width {
            Some(width) => (pack(width, &codes(width, N * K), N, K), pack_low::dense_low_scratch(ROWS.min(8), K)),
            None => (packed(1, N, K), 0),
        };
        let arrays = LayerArrays {
            weights: p.array(bytemuck::cast_slice(&weights)),
            weights_bytes: weights.len() as u32,
            bias: p.channels(&[0.5f32; N]),
            multiplier: p.channels(&[0.25f32; N]),
            shift: NONE,
        };
        let mut bytes = params(dense_params(arrays));
        if width.is_some() {
            bytes.extend(params(Groups::of_32(N, K, true).store(p, N, K)));
        }
        bytes.extend(params(Branches { count: 2 }));
        for (rank, shift) in RANKS.into_iter().zip(SHIFTS) {
            let up = packed(1, N, rank);
            let branch =
                Branch { up: p.array(bytemuck::cast_slice(&up)), up_bytes: up.len() as u32, rank: rank as u32, shift };
            bytes.extend(params(branch));
        }
        (bytes, branch_scratch(ROWS, N) + own)
    });
    p.steps[0].flags = step_flags::OUT_F32;
    p
}

/// All programs, with names for messages.
pub fn all() -> Vec<(&'static str, Program)> {
    let row = params(DynamicQuantize { row: 70 });
    let stored = selvedge_kernels::a4::row_bytes(70) as u32;
    let (f32_rows, rows): ([u32; 2], [u32; 2]) = ([2, 70], [2, stored]);
    let quantize = single(
        (Op::DynamicQuantize4, Format::F32),
        &[(DType::F32, &f32_rows)],
        &[(DType::U8, &rows), (DType::F32, &[2])],
        |_| (row.clone(), 0),
    );
    let unpack = single((Op::UnpackA4, Format::I8), &[(DType::U8, &rows)], &[(DType::I8, &f32_rows)], |_| (row, 0));
    let mut all =
        vec![("dense with branches", low_rank(Format::W8, None)), ("to 4 bits", quantize), ("from 4 bits", unpack)];
    for (format, width) in FORMATS {
        all.push(("low-bit conv", conv(format, width)));
        all.push(("low-bit depthwise", depthwise(format, width)));
        all.push(("low-bit dense", dense(format, width)));
        all.push(("low-bit dense with branches", low_rank(format, Some(width))));
    }
    all
}
