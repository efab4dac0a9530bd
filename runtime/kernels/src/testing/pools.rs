//! Test families of the int8 pools. Oracle: the reference kernel.

use std::vec;

use proptest::prelude::*;

use super::buffers::{Guarded, Rng, assert_same};
use super::layers::run_property;
use crate::args::*;
use crate::isa::IsaI8;
use crate::reference::Reference;

fn random_shape(rng: &mut Rng, channels: usize) -> Option<ConvShape> {
    let mut draw = |lo, hi| rng.range(lo, hi) as usize;
    let input = [draw(1, 2), draw(1, 9), draw(1, 9), channels];
    let kernel = [draw(1, 4), draw(1, 4)];
    let (stride, dilation) = ([draw(1, 3), draw(1, 3)], [draw(1, 2), draw(1, 2)]);
    let pad = [draw(0, 3), draw(0, 3), draw(0, 3), draw(0, 3)];
    ConvShape::of_window(input, channels, kernel, stride, dilation, pad, channels)
}

fn check_max<I: IsaI8>(isa: I, rng: &mut Rng, s: &ConvShape) {
    let offset = rng.range(0, 1) as usize;
    let elements = s.batch * s.out_h * s.out_w * s.out_c;
    let x = Guarded::new(&rng.i8s(s.batch * s.in_h * s.in_w * s.in_c), 127, offset);
    let mut want = vec![0; elements];
    Reference.max_pool_i8(x.get(), s, &mut want);
    let mut got = Guarded::new(&vec![1; elements], 0x5a, offset);
    isa.max_pool_i8(x.get(), s, got.get_mut());
    assert_same(got.get(), &want, s);
    got.assert_redzones();
}

fn check_avg<I: IsaI8>(isa: I, rng: &mut Rng, s: &ConvShape) {
    let offset = rng.range(0, 1) as usize;
    let elements = s.batch * s.out_h * s.out_w * s.out_c;
    let lo = rng.range(-128, 127);
    let args = AverageI8 {
        pad_end: [rng.range(0, 3) as usize, rng.range(0, 3) as usize],
        count_pad: rng.next() & 1 == 0,
        input_zero_point: rng.range(-128, 127) as i32,
        multiplier: rng.range(1 << 23, (1 << 24) - 1) as i32,
        shift: rng.range(20, 38) as u32,
        zero_point: rng.range(-128, 127) as i32,
        lo: lo as i8,
        hi: rng.range(lo, 127) as i8,
    };
    let x = Guarded::new(&rng.i8s(s.batch * s.in_h * s.in_w * s.in_c), 127, offset);
    let mut want = vec![0; elements];
    Reference.avg_pool_i8(x.get(), s, &args, &mut want);
    let mut got = Guarded::new(&vec![1; elements], 0x5a, offset);
    isa.avg_pool_i8(x.get(), s, &args, got.get_mut());
    assert_same(got.get(), &want, &(s, args));
    got.assert_redzones();
}

/// Channels to 67, random windows, strides, dilations and asymmetric padding.
pub fn max_pool_equals_reference_on_all_channels_up_to_67<I: IsaI8>(isa: I) {
    let rng = &mut Rng(6);
    for channels in (1..=67).flat_map(|c| [c; 6]) {
        if let Some(s) = random_shape(rng, channels) {
            check_max(isa, rng, &s);
        }
    }
}

/// As for the maximum; counts with and without padding.
pub fn avg_pool_equals_reference_on_all_channels_up_to_67<I: IsaI8>(isa: I) {
    let rng = &mut Rng(7);
    for channels in (1..=67).flat_map(|c| [c; 6]) {
        if let Some(s) = random_shape(rng, channels) {
            check_avg(isa, rng, &s);
        }
    }
}

pub fn max_pool_equals_reference_on_random_shapes<I: IsaI8>(isa: I) {
    run_property((any::<u64>(), 1..=140usize), |(seed, channels)| {
        let rng = &mut Rng(seed);
        if let Some(s) = random_shape(rng, channels) {
            check_max(isa, rng, &s);
        }
    });
}

pub fn avg_pool_equals_reference_on_random_shapes<I: IsaI8>(isa: I) {
    run_property((any::<u64>(), 1..=140usize), |(seed, channels)| {
        let rng = &mut Rng(seed);
        if let Some(s) = random_shape(rng, channels) {
            check_avg(isa, rng, &s);
        }
    });
}
