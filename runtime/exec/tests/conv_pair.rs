//! ConvPair. Oracle: the same two convolutions as steps of their own.
mod support;

use proptest::prelude::*;
use selvedge_core::artifact::step_flags;
use selvedge_core::params::{ConvI8, ConvPair, ResidualAdd, Window};
use selvedge_core::{DType, ErrorKind, Format, OpCode};
use selvedge_kernels::{ConvShape, pack, pair};
use support::{Program, params};

/// What one convolution is made of; sizes of its output follow.
#[derive(Clone, Copy, Debug)]
struct Conv {
    outs: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    /// top, left, bottom, right
    pad: [usize; 4],
    zero_point: i32,
    wide: bool,
}

const CONV: Conv =
    Conv { outs: 5, kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pad: [0; 4], zero_point: -7, wide: false };

/// Numbers from a fixed sequence.
struct Random(u64);

impl Random {
    fn i8s(&mut self, n: usize) -> Vec<i8> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 40) as i8
        };
        (0..n).map(|_| next()).collect()
    }
}

fn shape(c: &Conv, input: [usize; 4]) -> Option<ConvShape> {
    ConvShape::of_window(input, c.outs, c.kernel, c.stride, c.dilation, c.pad, 1)
}

/// Parameters of a convolution with random weights and, channel for channel, other scales.
fn conv(p: &mut Program, rng: &mut Random, c: &Conv, s: &ConvShape, pad_value: i32) -> ConvI8 {
    let k = s.kernel_h * s.kernel_w * s.in_c;
    let mut weights = vec![0; pack::w8_bytes(s.out_c, k)];
    pack::pack_w8(&rng.i8s(s.out_c * k), s.out_c, k, &mut weights);
    let bias: Vec<i32> = rng.i8s(s.out_c).iter().map(|&b| b as i32 * 40).collect();
    let multipliers: Vec<i32> = rng.i8s(s.out_c).iter().map(|&m| (1 << 30) + (m as i32 + 128) * 4_000_000).collect();
    let shifts: Vec<i8> = rng.i8s(s.out_c).iter().map(|&k| 6 + k.rem_euclid(4)).collect();
    let mut layer = support::layers::unit_scale(p, &weights, &bias);
    layer.multiplier = p.channels(&multipliers);
    layer.shift = p.channels(&shifts);
    if c.wide {
        layer.bias = p.channels(&bias.iter().map(|&b| b as i64).collect::<Vec<_>>());
    }
    let pair = |v: [usize; 2]| v.map(|v| v as u16);
    ConvI8 {
        window: Window {
            kernel: pair(c.kernel),
            stride: pair(c.stride),
            dilation: pair(c.dilation),
            pad: pair([c.pad[0], c.pad[1]]),
        },
        groups: 1,
        arrays: layer,
        pad_value,
        output_zero_point: c.zero_point,
        lo: -120,
        hi: 119,
        lo_f32: 0.0,
        hi_f32: 0.0,
    }
}

fn dims(s: &ConvShape) -> [u32; 4] {
    [s.batch, s.out_h, s.out_w, s.out_c].map(|n| n as u32)
}

/// Both programs and the bytes of the pair's scratch; `None` where a window does not fit.
fn programs(
    input: [usize; 4],
    first: &Conv,
    second: &Conv,
    sum: bool,
) -> Option<([Program; 2], usize, [ConvShape; 2])> {
    let a = shape(first, input)?;
    let b = shape(second, [a.batch, a.out_h, a.out_w, a.out_c])?;
    let made = [false, true].map(|paired| {
        let (mut p, mut rng) = (Program::default(), Random(5));
        let x = p.input(DType::I8, &input.map(|n| n as u32));
        let skip = sum.then(|| p.input(DType::I8, &dims(&b)));
        let one = conv(&mut p, &mut rng, first, &a, 3);
        let two = conv(&mut p, &mut rng, second, &b, first.zero_point);
        let (mut from, mut bytes) = (x, params(two));
        let mut scratch = pack::conv_w8_scratch(&b);
        let mut op = OpCode::Conv2d;
        let mut flags = if second.wide { step_flags::WIDE } else { 0 };
        if paired {
            let [_, height, width, channels] = dims(&a);
            let wide = u32::from(first.wide) + 2 * u32::from(second.wide);
            bytes = params(ConvPair { first: one, second: two, height, width, channels, wide });
            (op, flags, scratch) = (OpCode::ConvPair, 0, pair::pair_scratch(&a, &b));
        } else {
            from = p.tensor(DType::I8, &dims(&a));
            p.step((OpCode::Conv2d, Format::W8), &[x], &[from], params(one), pack::conv_w8_scratch(&a)).flags =
                if first.wide { step_flags::WIDE } else { 0 };
        }
        if sum {
            bytes.extend(params(ResidualAdd { m1: 700, m2: 900, c: 33, s: 10, lo: -128, hi: 127 }));
            flags |= step_flags::FUSED_ADD;
        }
        let y = p.tensor(DType::I8, &dims(&b));
        let inputs: Vec<u16> = [from].into_iter().chain(skip).collect();
        p.step((op, Format::W8), &inputs, &[y], bytes, scratch).flags = flags;
        if sum {
            p.in_place(1);
        }
        p.output(y);
        p
    });
    Some((made, pair::pair_scratch(&a, &b), [a, b]))
}

/// Runs both programs on all instruction sets; false where a window does not fit.
fn equal(input: [usize; 4], first: &Conv, second: &Conv, sum: bool) -> bool {
    let Some(([apart, paired], scratch, [a, b])) = programs(input, first, second, sum) else { return false };
    let mut rng = Random(9);
    let x = rng.i8s(input.iter().product());
    let skip = rng.i8s(b.batch * b.out_h * b.out_w * b.out_c);
    let inputs: &[&[u8]] = if sum { &[support::i8s(&x), support::i8s(&skip)] } else { &[support::i8s(&x)] };
    assert_eq!((apart.refusal(), paired.refusal()), (None, None), "{input:?} {first:?} {second:?}");
    assert_eq!(apart.run(inputs), paired.run(inputs), "{input:?} {first:?} {second:?}");
    // No more of the value in between than the second window's rows.
    let window = (second.kernel[0] - 1) * second.dilation[0] + 1;
    let work = pack::conv_w8_scratch(&a).max(pack::conv_w8_scratch(&b));
    assert_eq!(scratch, work + window * a.out_w * a.out_c);
    true
}

const STRIDED: Conv = Conv { kernel: [3, 3], stride: [2, 2], pad: [1, 1, 1, 1], ..CONV };

#[test]
fn both_factorizations_of_a_strided_3x3_equal_their_two_steps() {
    for (h, w) in [(9, 7), (8, 8), (5, 11), (3, 3), (1, 1), (2, 5)] {
        for batch in [1, 2] {
            for rank in [1, 3, 8, 13] {
                for (wide, sum) in [(false, false), (true, false), (false, true)] {
                    let input = [batch, h, w, 6];
                    let channel =
                        [Conv { outs: rank, wide, ..STRIDED }, Conv { outs: 17, zero_point: 4, wide, ..CONV }];
                    let spatial = [
                        Conv { outs: rank, kernel: [3, 1], stride: [2, 1], pad: [1, 0, 1, 0], wide, ..CONV },
                        Conv {
                            outs: 9,
                            kernel: [1, 3],
                            stride: [1, 2],
                            pad: [0, 1, 0, 1],
                            zero_point: 4,
                            wide,
                            ..CONV
                        },
                    ];
                    for [first, second] in [channel, spatial] {
                        assert!(equal(input, &first, &second, sum));
                    }
                }
            }
        }
    }
}

#[test]
fn windows_of_several_rows_slide_over_kept_rows() {
    for (kernel, stride, dilation, pad) in
        [(3, 1, 1, 1), (3, 2, 1, 1), (2, 1, 1, 0), (2, 3, 1, 2), (3, 1, 2, 2), (3, 4, 2, 1), (5, 2, 1, 4)]
    {
        let second = Conv {
            outs: 7,
            kernel: [kernel, 3],
            stride: [stride, 1],
            dilation: [dilation, 1],
            pad: [pad, 1, pad, 1],
            ..CONV
        };
        for h in [3, 7, 12] {
            for first in [Conv { outs: 4, ..CONV }, Conv { outs: 4, ..STRIDED }] {
                // A window larger than the padded input has no output.
                let fits = equal([2, h, 6, 3], &first, &second, false);
                assert!(fits || h < 12, "{second:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_two_windows_equal_their_two_steps(
        input in (1usize..3, 1usize..10, 1usize..8, 1usize..6),
        sizes in prop::array::uniform16(0usize..4),
        outs in (1usize..11, 1usize..19),
        zero_points in (-128i32..128, -128i32..128),
        flags in prop::array::uniform3(any::<bool>()),
    ) {
        let conv = |v: &[usize], outs, zero_point, wide| Conv {
            outs,
            kernel: [v[0] % 3 + 1, v[1] % 3 + 1],
            stride: [v[2] % 3 + 1, v[3] % 3 + 1],
            dilation: [v[4] / 2 + 1, v[5] / 2 + 1],
            // Also more padding than the window is high: rows that see nothing of the input.
            pad: [v[6], v[7], v[7], v[6]],
            zero_point,
            wide,
        };
        let first = conv(&sizes[..8], outs.0, zero_points.0, flags[0]);
        let second = conv(&sizes[8..], outs.1, zero_points.1, flags[1]);
        equal([input.0, input.1, input.2, input.3], &first, &second, flags[2]);
    }
}

/// A valid pair, changed; the kind of its refusal.
fn damaged(sum: bool, change: impl FnOnce(&mut Program)) -> Option<ErrorKind> {
    let second = Conv { outs: 4, kernel: [2, 2], ..CONV };
    let ([_, mut p], ..) = programs([1, 6, 6, 3], &STRIDED, &second, sum).expect("fits");
    change(&mut p);
    p.refusal().map(|e| e.kind())
}

#[test]
fn every_field_of_a_pair_is_proved() {
    type Change = fn(&mut ConvPair);
    let set = |change: Change| {
        move |p: &mut Program| {
            let bytes: &mut ConvPair = bytemuck_params(p);
            change(bytes);
        }
    };
    assert_eq!(damaged(false, |_| ()), None);
    assert_eq!(damaged(true, |_| ()), None);
    let changes: &[Change] = &[
        |p| p.height = 0,
        |p| p.height += 1,
        |p| p.height = u32::MAX,
        |p| p.width -= 1,
        |p| p.width = 1 << 30,
        |p| p.channels += 1,
        |p| p.channels = 0,
        |p| p.wide = 4,
        |p| p.first.groups = 0,
        |p| p.first.groups = 2,
        |p| p.second.groups = 3,
        |p| p.first.pad_value = 128,
        |p| p.second.pad_value = -129,
        |p| p.first.output_zero_point = 200,
        |p| p.second.output_zero_point = -200,
        |p| p.first.lo = 127,
        |p| p.second.hi = 128,
        |p| p.first.arrays.weights_bytes += 4,
        |p| p.second.arrays.weights = u32::MAX,
        |p| p.first.arrays.bias += 2,
        |p| p.second.arrays.multiplier = u32::MAX - 3,
        |p| p.first.arrays.shift = p.first.arrays.weights,
        |p| p.second.window.kernel[0] = 3,
        |p| p.first.window.stride[0] = 0,
        |p| p.second.window.dilation = [0, 1],
        |p| p.first.window.pad[0] = u16::MAX,
    ];
    for (index, &change) in changes.iter().enumerate() {
        assert_eq!(damaged(false, set(change)), Some(ErrorKind::BadStep), "change {index}");
    }
    // Less scratch by a byte, another output, flags, parameters cut short.
    assert_eq!(damaged(false, |p| p.steps[0].scratch_bytes -= 1), Some(ErrorKind::BadStep));
    assert_eq!(damaged(false, |p| p.steps[0].params_bytes -= 4), Some(ErrorKind::BadStep));
    assert_eq!(damaged(true, |p| p.steps[0].params_bytes -= 4), Some(ErrorKind::BadStep));
    assert_eq!(damaged(true, |p| p.steps[0].flags &= !step_flags::FUSED_ADD), Some(ErrorKind::BadStep));
    for flag in [step_flags::WIDE, step_flags::OUT_F32, step_flags::OUT_I32, step_flags::FUSED_ADD] {
        assert_eq!(damaged(false, |p| p.steps[0].flags |= flag), Some(ErrorKind::BadStep));
    }
}

/// The parameters of the last step, which come first.
fn bytemuck_params(p: &mut Program) -> &mut ConvPair {
    let bytes = &mut p.params[..size_of::<ConvPair>()];
    zerocopy::FromBytes::mut_from_bytes(bytes).expect("aligned")
}
