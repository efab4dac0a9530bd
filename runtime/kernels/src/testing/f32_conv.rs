//! Convolutions and pools.

use super::f32_buffers::{Rng, Weights, assert_same, with_scratch};
use crate::Reference;
use crate::args::{ConvShape, LayerF32};
use crate::isa::IsaF32;
use crate::pack::{
    conv_f32_scratch, depthwise_f32_elements, depthwise_f32_scratch, f32_elements, pack_depthwise_f32, pack_f32,
    padded_channels,
};
use std::boxed::Box;
use std::format;
use std::vec;
use std::vec::Vec;

#[derive(Clone, Copy)]
struct Case {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    /// top, left, bottom, right
    pad: [usize; 4],
    input: [usize; 2],
    batch: usize,
    groups: usize,
    /// input and output channels of a group
    channels: [usize; 2],
}

impl Case {
    fn random(rng: &mut Rng) -> Self {
        let kernel = [1 + rng.below(3), 1 + rng.below(4)];
        let dilation = [1 + rng.below(2), 1 + rng.below(2)];
        let span = |i: usize| (kernel[i] - 1) * dilation[i] + 1;
        let mut pad = [0; 4];
        for (i, p) in pad.iter_mut().enumerate() {
            *p = rng.below(span(i % 2));
        }
        Self {
            kernel,
            stride: [1 + rng.below(3), 1 + rng.below(2)],
            dilation,
            pad,
            input: [span(0) + rng.below(4), span(1) + rng.below(6)],
            batch: 1 + rng.below(2),
            groups: 1,
            channels: [1 + rng.below(5), 1 + rng.below(17)],
        }
    }

    fn shape(&self) -> ConvShape {
        let out = |i: usize| {
            let span = (self.kernel[i] - 1) * self.dilation[i] + 1;
            (self.input[i] + self.pad[i] + self.pad[i + 2] - span) / self.stride[i] + 1
        };
        self.with_output([out(0), out(1)])
    }

    /// Of a transposed convolution.
    fn transposed(&self, extra: usize) -> ConvShape {
        let out = |i: usize| {
            let span = (self.kernel[i] - 1) * self.dilation[i] + 1;
            ((self.input[i] - 1) * self.stride[i] + span + extra).saturating_sub(self.pad[i] + self.pad[i + 2])
        };
        self.with_output([out(0), out(1)])
    }

    fn with_output(&self, [out_h, out_w]: [usize; 2]) -> ConvShape {
        ConvShape {
            batch: self.batch,
            in_h: self.input[0],
            in_w: self.input[1],
            in_c: self.groups * self.channels[0],
            out_h,
            out_w,
            out_c: self.groups * self.channels[1],
            kernel_h: self.kernel[0],
            kernel_w: self.kernel[1],
            stride_h: self.stride[0],
            stride_w: self.stride[1],
            dilation_h: self.dilation[0],
            dilation_w: self.dilation[1],
            pad_top: self.pad[0],
            pad_left: self.pad[1],
            groups: self.groups,
        }
    }
}

fn input(rng: &mut Rng, s: &ConvShape, wild: bool) -> Box<[f32]> {
    rng.numbers(s.batch * s.in_h * s.in_w * s.in_c, wild)
}

fn bias(rng: &mut Rng, s: &ConvShape, wild: bool) -> Box<[f32]> {
    if rng.below(4) == 0 {
        return Box::new([]);
    }
    let mut bias = rng.numbers(padded_channels(s.out_c), wild);
    bias[s.out_c..].fill(0.0);
    bias
}

fn limits(rng: &mut Rng) -> (f32, f32) {
    [(f32::NEG_INFINITY, f32::INFINITY), (0.0, f32::INFINITY), (0.0, 6.0)][rng.below(3)]
}

fn outputs(s: &ConvShape) -> usize {
    s.batch * s.out_h * s.out_w * s.out_c
}

fn conv2d_case<I: IsaF32, E: Weights>(isa: I, rng: &mut Rng, s: &ConvShape, wild: bool) {
    let x = input(rng, s, wild);
    let (n, k) = (s.out_c / s.groups, s.kernel_h * s.kernel_w * (s.in_c / s.groups));
    let mut weights = Vec::new();
    for _ in 0..s.groups {
        let mut packed = vec![E::default(); f32_elements(n, k)];
        pack_f32(&rng.weights::<E>(n * k, wild), n, k, &mut packed);
        weights.extend(packed);
    }
    let scales = E::scales(rng, padded_channels(s.out_c));
    let (bias, (lo, hi)) = (bias(rng, s, wild), limits(rng));
    let layer = LayerF32 { weights: &weights, scales: E::lend(&scales), bias: &bias, lo, hi };
    assert_same(
        outputs(s),
        &format!("{s:?}"),
        |y| Reference.conv2d_f32(&x, s, &layer, y, &mut []),
        |y| with_scratch(conv_f32_scratch(s), |scratch| isa.conv2d_f32(&x, s, &layer, y, scratch)),
    );
}

fn depthwise_case<I: IsaF32, E: Weights>(isa: I, rng: &mut Rng, s: &ConvShape, wild: bool) {
    let x = input(rng, s, wild);
    let taps = s.kernel_h * s.kernel_w;
    let mut weights = vec![E::default(); depthwise_f32_elements(s.in_c, taps)];
    pack_depthwise_f32(&rng.weights::<E>(taps * s.in_c, wild), s.in_c, taps, &mut weights);
    let scales = E::scales(rng, padded_channels(s.out_c));
    let (bias, (lo, hi)) = (bias(rng, s, wild), limits(rng));
    let layer = LayerF32 { weights: &weights, scales: E::lend(&scales), bias: &bias, lo, hi };
    assert_same(
        outputs(s),
        &format!("{s:?}"),
        |y| Reference.depthwise_f32(&x, s, &layer, y, &mut []),
        |y| with_scratch(depthwise_f32_scratch(s), |scratch| isa.depthwise_f32(&x, s, &layer, y, scratch)),
    );
}

fn conv_transpose2d_case<I: IsaF32>(isa: I, rng: &mut Rng, s: &ConvShape, wild: bool) {
    let x = input(rng, s, wild);
    let weights = rng.numbers(s.kernel_h * s.kernel_w * s.in_c * (s.out_c / s.groups), wild);
    let (bias, (lo, hi)) = (bias(rng, s, wild), limits(rng));
    let layer = LayerF32 { weights: &weights, scales: (), bias: &bias, lo, hi };
    assert_same(
        outputs(s),
        &format!("{s:?}"),
        |y| Reference.conv_transpose2d_f32(&x, s, &layer, y),
        |y| isa.conv_transpose2d_f32(&x, s, &layer, y),
    );
}

pub fn conv2d_equals_reference_on_small_shapes<I: IsaF32, E: Weights>(isa: I) {
    let mut rng = Rng::new(3);
    for i in 0..400 {
        let case = Case { groups: 1 + rng.below(3), ..Case::random(&mut rng) };
        conv2d_case::<I, E>(isa, &mut rng, &case.shape(), i % 3 == 0);
    }
    // Every number of channels and pixels up to 2·tile + 1, the 1x1 way included.
    for out_c in 1..=33 {
        for width in 1..=9 {
            let kernel = [1, 1 + rng.below(2)];
            let case = Case {
                kernel,
                stride: [1, 1],
                dilation: [1, 1],
                pad: [0, kernel[1] - 1, 0, 0],
                input: [1, width],
                batch: 1,
                groups: 1,
                channels: [3, out_c],
            };
            conv2d_case::<I, E>(isa, &mut rng, &case.shape(), out_c % 4 == 0);
        }
    }
}

pub fn conv2d_equals_reference_across_blocks_of_k<I: IsaF32, E: Weights>(isa: I) {
    let mut rng = Rng::new(4);
    for channels in [28, 29, 57, 64] {
        let case = Case { kernel: [3, 3], dilation: [1, 1], pad: [1; 4], input: [3, 3], ..Case::random(&mut rng) };
        conv2d_case::<I, E>(isa, &mut rng, &Case { channels: [channels, 17], ..case }.shape(), false);
    }
}

pub fn depthwise_equals_reference_on_small_shapes<I: IsaF32, E: Weights>(isa: I) {
    let mut rng = Rng::new(5);
    for channels in 1..=67 {
        for i in 0..4 {
            let case = Case { groups: channels, channels: [1, 1], ..Case::random(&mut rng) };
            depthwise_case::<I, E>(isa, &mut rng, &case.shape(), i == 0);
        }
    }
}

pub fn depthwise_equals_reference_across_blocks_of_k<I: IsaF32, E: Weights>(isa: I) {
    let mut rng = Rng::new(6);
    for kernel in [[16, 16], [17, 17], [23, 23]] {
        let case = Case { kernel, dilation: [1, 1], pad: [3; 4], input: [19, 20], ..Case::random(&mut rng) };
        depthwise_case::<I, E>(isa, &mut rng, &Case { groups: 45, channels: [1, 1], ..case }.shape(), false);
    }
}

pub fn conv_transpose2d_equals_reference_on_small_shapes<I: IsaF32>(isa: I) {
    let mut rng = Rng::new(7);
    for i in 0..300 {
        let oc = 1 + rng.below(67);
        let ic = 1 + rng.below(5);
        let case = Case { groups: 1 + rng.below(3), channels: [ic, oc], ..Case::random(&mut rng) };
        conv_transpose2d_case(isa, &mut rng, &case.transposed(i % 2), i % 3 == 0);
    }
}

pub fn conv_transpose2d_equals_reference_across_blocks_of_k<I: IsaF32>(isa: I) {
    let mut rng = Rng::new(8);
    for ic in [64, 65, 130] {
        let case = Case { kernel: [4, 4], stride: [2, 2], channels: [ic, 41], ..Case::random(&mut rng) };
        conv_transpose2d_case(isa, &mut rng, &case.transposed(0), false);
    }
}

fn pools(seed: u64, mut case: impl FnMut(&ConvShape, &[f32], [usize; 2])) {
    let mut rng = Rng::new(seed);
    for i in 0..400 {
        let channels = 1 + rng.below(20);
        let mut window = Case { groups: channels, channels: [1, 1], ..Case::random(&mut rng) };
        if i % 4 == 0 {
            window = Case { kernel: [3, 7], dilation: [1, 1], input: [5, 9], ..window };
        }
        let s = window.shape();
        case(&s, &input(&mut rng, &s, i % 2 == 0), [window.pad[2], window.pad[3]]);
    }
}

pub fn max_pool_equals_reference_on_random_windows<I: IsaF32>(isa: I) {
    pools(9, |s, x, _| {
        let what = format!("{s:?}");
        assert_same(outputs(s), &what, |y| Reference.max_pool_f32(x, s, y), |y| isa.max_pool_f32(x, s, y));
    });
}

pub fn avg_pool_equals_reference_on_random_windows<I: IsaF32>(isa: I) {
    pools(10, |s, x, pad_end| {
        for count_pad in [false, true] {
            assert_same(
                outputs(s),
                &format!("{s:?}, {count_pad}"),
                |y| Reference.avg_pool_f32(x, s, pad_end, count_pad, y),
                |y| isa.avg_pool_f32(x, s, pad_end, count_pad, y),
            );
        }
    });
}

/// A convolution and its transpose are adjoint: ⟨conv(x), y⟩ = ⟨x, convᵀ(y)⟩, here in small integers.
#[test]
fn the_transposed_convolution_is_the_adjoint_of_the_convolution() {
    let mut rng = Rng::new(16);
    for _ in 0..200 {
        let case = Case { groups: 1 + rng.below(3), ..Case::random(&mut rng) };
        let s = case.shape();
        let t =
            ConvShape { in_h: s.out_h, in_w: s.out_w, in_c: s.out_c, out_h: s.in_h, out_w: s.in_w, out_c: s.in_c, ..s };
        let mut integers = |n: usize| (0..n).map(|_| rng.below(7) as f32 - 3.0).collect::<Vec<_>>();
        let (x, y) = (integers(outputs(&t)), integers(outputs(&s)));
        let (ic, oc, taps) = (s.in_c / s.groups, s.out_c / s.groups, s.kernel_h * s.kernel_w);
        // [group][oc][tap][ic]
        let w = integers(s.groups * oc * taps * ic);
        let mut packed = Vec::new();
        let mut transposed = vec![0.0; w.len()];
        for (group, w) in w.chunks(oc * taps * ic).enumerate() {
            let mut panel = vec![0.0; f32_elements(oc, taps * ic)];
            pack_f32(w, oc, taps * ic, &mut panel);
            packed.extend(panel);
            for (at, w) in w.iter().enumerate() {
                let (o, tap, i) = (at / (taps * ic), at / ic % taps, at % ic);
                transposed[((group * taps + tap) * oc + o) * ic + i] = *w;
            }
        }
        let layer = |weights| LayerF32 { weights, scales: (), bias: &[], lo: f32::NEG_INFINITY, hi: f32::INFINITY };
        let mut conv = vec![0.0; y.len()];
        Reference.conv2d_f32(&x, &s, &layer(&packed), &mut conv, &mut []);
        let mut back = vec![0.0; x.len()];
        Reference.conv_transpose2d_f32(&y, &t, &layer(&transposed), &mut back);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| a as f64 * b as f64).sum::<f64>();
        assert_eq!(dot(&conv, &y), dot(&x, &back), "{s:?}");
    }
}
