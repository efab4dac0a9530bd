//! Programs of operators whose indices are data, and of those over three axes.

use selvedge_core::params::*;
use selvedge_core::{DType, Format, OpCode as Op};

use super::zoo::{reals, single};
use super::{Program, params};

pub const W3: WindowNd = WindowNd { kernel: [1, 2, 3], stride: [1, 1, 2], dilation: [1; 3], pad: [0, 0, 1] };

pub fn all() -> Vec<(&'static str, Program)> {
    use {DType::*, Format::Any};
    let scatter = |kind, reduction| params(Scatter { kind, axis: 0, reduction });
    vec![
        ("expand", single((Op::Expand, Any), &[(I32, &[3, 1])], &[(I32, &[2, 3, 4])], |_| (vec![], 0))),
        (
            "gather elements",
            single((Op::GatherElements, Any), &[(F32, &[3, 2]), (I64, &[2, 2])], &[(F32, &[2, 2])], |_| {
                (params(GatherElements { kind: 0, axis: 0 }), 0)
            }),
        ),
        (
            "gather nd",
            single((Op::GatherElements, Any), &[(I8, &[2, 3, 4]), (I32, &[2, 2, 1])], &[(I8, &[2, 2, 4])], |_| {
                (params(GatherElements { kind: 1, axis: 1 }), 0)
            }),
        ),
        (
            "scatter elements",
            single((Op::Scatter, Any), &[(F32, &[3, 2]), (I64, &[2, 2]), (F32, &[2, 2])], &[(F32, &[3, 2])], |_| {
                (scatter(0, scatter::ADD), 0)
            }),
        ),
        (
            "scatter nd",
            single((Op::Scatter, Any), &[(I8, &[3, 2]), (I32, &[4, 1]), (I8, &[4, 2])], &[(I8, &[3, 2])], |_| {
                (scatter(1, scatter::REPLACE), 0)
            }),
        ),
        (
            "top k",
            single((Op::TopK, Any), &[(F32, &[2, 5, 2])], &[(F32, &[2, 3, 2]), (I64, &[2, 3, 2])], |_| {
                (params(TopK { axis: 1, largest: 1 }), 0)
            }),
        ),
        (
            "resample",
            single((Op::Resample, Format::F32), &[(F32, &[2, 3, 2])], &[(F32, &[2, 4, 2])], |p| {
                let indices = p.array(bytemuck::cast_slice(&[0u32, 1, 1, 2, 2, 2, 0, 0]));
                let weights = p.array(bytemuck::cast_slice(&reals(8)));
                (params(Resample { axis: 1, taps: 2, indices, weights }), 0)
            }),
        ),
        (
            "convolution of three axes",
            single(
                (Op::ConvNd, Format::F32),
                &[(F32, &[1, 2, 1, 3, 5]), (F32, &[4, 1, 1, 2, 3]), (F32, &[4])],
                &[(F32, &[1, 4, 1, 2, 3])],
                |_| (params(ConvNd { window: W3, groups: 2, transposed: 0 }), 0),
            ),
        ),
        (
            "transposed convolution of three axes",
            single(
                (Op::ConvNd, Format::F32),
                &[(F32, &[1, 4, 1, 2, 3]), (F32, &[4, 1, 1, 2, 3])],
                &[(F32, &[1, 2, 1, 3, 5])],
                |_| (params(ConvNd { window: W3, groups: 2, transposed: 1 }), 0),
            ),
        ),
        (
            "sampling at points",
            single(
                (Op::GridSample, Format::F32),
                &[(F32, &[1, 2, 3, 4]), (F32, &[1, 2, 2, 2])],
                &[(F32, &[1, 2, 2, 2])],
                |_| (params(GridSample { mode: 2, outside: 2, align_corners: 0 }), 0),
            ),
        ),
        (
            "maxima and their indices",
            single(
                (Op::MaxPoolNd, Any),
                &[(I8, &[1, 2, 1, 3, 5])],
                &[(I8, &[1, 2, 1, 2, 3]), (I64, &[1, 2, 1, 2, 3])],
                |_| (params(MaxPoolNd { window: W3, column_major: 0 }), 0),
            ),
        ),
    ]
}
