//! Test families of the int8 layers. Oracle: the reference kernel.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::buffers::{Guarded, Rng};
use super::outputs::{Epilogue, Kind};
use crate::args::*;
use crate::isa::IsaI8;
use crate::pack::*;
use crate::reference::Reference;

fn outputs(s: &ConvShape) -> usize {
    s.batch * s.out_h * s.out_w * s.out_c
}

/// Packed weights: all of int8, −128 included, or ±127 only, which a kernel may look for.
fn weights(rng: &mut Rng, n: usize, k: usize) -> Vec<i8> {
    let mut packed = vec![0; w8_bytes(n, k)];
    let least = if rng.next() & 1 == 0 { -128 } else { -127 };
    let rows: Vec<i8> = rng.i8s(n * k).into_iter().map(|w| w.max(least)).collect();
    pack_w8(&rows, n, k, &mut packed);
    packed
}

fn check_conv<I: IsaI8>(isa: I, rng: &mut Rng, s: &ConvShape, kind: Kind) {
    let offset = rng.range(0, 1) as usize;
    let (in_c, out_c) = (s.in_c / s.groups, s.out_c / s.groups);
    let k = s.kernel_h * s.kernel_w * in_c;
    let x = Guarded::new(&rng.i8s(s.batch * s.in_h * s.in_w * s.in_c), 99, offset);
    let w: Vec<i8> = (0..s.groups).flat_map(|_| weights(rng, out_c, k)).collect();
    let w = Guarded::new(&w, 99, offset);
    let pad_value = rng.next() as i8;
    let epilogue = Epilogue::random(rng, kind, 1, s.out_c, k, false);
    let mut scratch = Guarded::new(&vec![0xa5; conv_w8_scratch(s)], 0x77, offset);
    epilogue.compare(
        rng,
        outputs(s),
        offset,
        s,
        &mut |output| isa.conv2d_w8(x.get(), w.get(), s, pad_value, output, scratch.get_mut()),
        &mut |output| Reference.conv2d_w8(x.get(), w.get(), s, pad_value, output, &mut []),
    );
    scratch.assert_redzones();
}

fn check_depthwise<I: IsaI8>(isa: I, rng: &mut Rng, s: &ConvShape, kind: Kind) {
    let offset = rng.range(0, 1) as usize;
    let taps = s.kernel_h * s.kernel_w;
    let x = Guarded::new(&rng.i8s(s.batch * s.in_h * s.in_w * s.in_c), 99, offset);
    let mut w = vec![0; depthwise_w8_bytes(s.out_c, taps)];
    pack_depthwise_w8(&rng.i8s(taps * s.out_c), s.out_c, taps, &mut w);
    let w = Guarded::new(&w, 99, offset);
    let pad_value = rng.next() as i8;
    let epilogue = Epilogue::random(rng, kind, 1, s.out_c, taps, false);
    let mut scratch = Guarded::new(&vec![0xa5; depthwise_w8_scratch(s)], 0x77, offset);
    epilogue.compare(
        rng,
        outputs(s),
        offset,
        s,
        &mut |output| isa.depthwise_w8(x.get(), w.get(), s, pad_value, output, scratch.get_mut()),
        &mut |output| Reference.depthwise_w8(x.get(), w.get(), s, pad_value, output, &mut []),
    );
    scratch.assert_redzones();
}

fn check_dense<I: IsaI8>(isa: I, rng: &mut Rng, rows: usize, k: usize, n: usize, kind: Kind) {
    let offset = rng.range(0, 1) as usize;
    let x = Guarded::new(&rng.i8s(rows * k), 99, offset);
    let w = Guarded::new(&weights(rng, n, k), 99, offset);
    let row_scales = rng.next() & 1 == 0;
    let epilogue = Epilogue::random(rng, kind, rows, n, k, row_scales);
    epilogue.compare(
        rng,
        rows * n,
        offset,
        &(rows, k, n),
        &mut |output| isa.dense_w8(x.get(), w.get(), rows, k, n, output),
        &mut |output| Reference.dense_w8(x.get(), w.get(), rows, k, n, output),
    );
}

/// Pixels to 2·4 + 1, channels to 33, input channels over two quads and a tail; 1x1 windows.
pub fn conv2d_equals_reference_on_all_tiles_up_to_9x33<I: IsaI8>(isa: I) {
    let rng = &mut Rng(1);
    for pixels in 1..=9 {
        for out_c in 1..=33 {
            for in_c in [1, 2, 3, 4, 5, 7, 8, 9, 16, 17] {
                let s = ConvShape::of_window([1, 1, pixels, in_c], out_c, [1, 1], [1, 1], [1, 1], [0; 4], 1).unwrap();
                let kind = Kind::ALL[rng.range(0, 5) as usize];
                check_conv(isa, rng, &s, kind);
            }
        }
    }
}

/// Tiles of 8 pixels: every number of pixels from 8 to 17, with and without whole quads.
pub fn conv2d_equals_reference_on_8_to_17_pixels<I: IsaI8>(isa: I) {
    let rng = &mut Rng(6);
    for pixels in 8..=17 {
        for out_c in [1, 7, 8, 17] {
            for (in_c, kernel) in [(3, [1, 1]), (16, [1, 1]), (27, [1, 1]), (3, [1, 3]), (8, [1, 2])] {
                for kind in Kind::ALL {
                    let input = [1, 1, pixels + kernel[1] - 1, in_c];
                    let s = ConvShape::of_window(input, out_c, kernel, [1, 1], [1, 1], [0; 4], 1).unwrap();
                    check_conv(isa, rng, &s, kind);
                }
            }
        }
    }
}

/// Windows to 4x5 with every stride, dilation, group count and asymmetric padding of a small set.
pub fn conv2d_equals_reference_on_windows_strides_dilations_pads_and_groups<I: IsaI8>(isa: I) {
    let rng = &mut Rng(2);
    for kernel in [[1, 1], [1, 3], [3, 1], [2, 2], [3, 3], [4, 5]] {
        for stride in [[1, 1], [2, 1], [2, 3]] {
            for dilation in [[1, 1], [2, 1], [1, 2], [3, 2]] {
                for (groups, in_c, out_c) in [(1, 1, 3), (1, 3, 8), (1, 8, 9), (2, 6, 6), (3, 3, 27), (4, 16, 40)] {
                    for pad in [[0; 4], [1; 4], [2, 0, 1, 3], [0, 4, 3, 0]] {
                        let input =
                            [rng.range(1, 2) as usize, rng.range(1, 8) as usize, rng.range(1, 8) as usize, in_c];
                        let Some(s) = ConvShape::of_window(input, out_c, kernel, stride, dilation, pad, groups) else {
                            continue;
                        };
                        let kind = Kind::ALL[rng.range(0, 5) as usize];
                        check_conv(isa, rng, &s, kind);
                    }
                }
            }
        }
    }
}

/// More channels than a kernel may prepare epilogues for.
pub fn conv2d_equals_reference_on_300_channels<I: IsaI8>(isa: I) {
    let rng = &mut Rng(19);
    for (groups, pixels) in [(1, 5), (2, 4), (3, 1), (100, 3)] {
        for kind in Kind::ALL {
            let s = ConvShape::of_window([1, 2, pixels + 1, 300], 300, [2, 2], [1, 1], [1, 1], [0; 4], groups).unwrap();
            check_conv(isa, rng, &s, kind);
        }
    }
}

/// Random shapes, every epilogue.
pub fn conv2d_equals_reference_on_random_shapes<I: IsaI8>(isa: I) {
    let shapes = (any::<u64>(), 1..=4usize, 1..=4usize, 1..=3usize, 1..=3usize, 1..=40usize, 1..=40usize, 0..6usize);
    run_property(shapes, |(seed, kh, kw, stride, dilation, in_c, out_c, kind)| {
        let rng = &mut Rng(seed);
        let groups = [1, 1, 1, 2, 3][rng.range(0, 4) as usize];
        let pad: Vec<usize> = (0..4).map(|_| rng.range(0, 3) as usize).collect();
        let input = [rng.range(1, 2) as usize, rng.range(1, 11) as usize, rng.range(1, 11) as usize, in_c * groups];
        let pad = [pad[0], pad[1], pad[2], pad[3]];
        if let Some(s) = ConvShape::of_window(input, out_c * groups, [kh, kw], [stride; 2], [dilation; 2], pad, groups)
        {
            check_conv(isa, rng, &s, Kind::ALL[kind]);
        }
    });
}

/// Channels to 33, windows to 13 taps, one row and column of padding.
pub fn depthwise_equals_reference_on_all_channels_up_to_33<I: IsaI8>(isa: I) {
    let rng = &mut Rng(3);
    for channels in 1..=33 {
        for kernel in [[1, 1], [1, 2], [3, 1], [2, 2], [1, 5], [3, 3], [2, 5], [3, 4], [13, 1], [5, 5]] {
            for kind in Kind::ALL {
                let input = [1, rng.range(1, 13) as usize, rng.range(1, 13) as usize, channels];
                let pad = [kernel[0] / 2, kernel[1] / 2, kernel[0] / 2, kernel[1] / 2];
                let Some(s) = ConvShape::of_window(input, channels, kernel, [1, 1], [1, 1], pad, channels) else {
                    continue;
                };
                check_depthwise(isa, rng, &s, kind);
            }
        }
    }
}

/// Lines longer than a kernel may keep, and windows larger than it may unroll.
pub fn depthwise_equals_reference_on_wide_inputs_and_large_windows<I: IsaI8>(isa: I) {
    let rng = &mut Rng(18);
    let cases = [
        ([1, 4, 300, 9], [3, 3], [1, 1], [1, 1]),
        ([2, 9, 401, 8], [3, 3], [2, 2], [1, 1]),
        ([1, 3, 1000, 3], [1, 3], [1, 3], [1, 2]),
        ([1, 40, 37, 8], [5, 5], [1, 1], [4, 4]),
        ([1, 33, 33, 8], [3, 3], [1, 1], [15, 15]),
        ([1, 30, 31, 10], [5, 6], [1, 2], [1, 1]),
        ([1, 1, 900, 8], [1, 2], [1, 1], [1, 800]),
        ([1, 50, 50, 16], [40, 30], [1, 1], [1, 1]),
        ([1, 800, 2, 8], [13, 2], [1, 1], [60, 1]),
    ];
    for (input, kernel, stride, dilation) in cases {
        for pad in [[0; 4], [1, 2, 3, 0]] {
            for kind in Kind::ALL {
                let s = ConvShape::of_window(input, input[3], kernel, stride, dilation, pad, input[3]).unwrap();
                check_depthwise(isa, rng, &s, kind);
            }
        }
    }
}

/// Random windows, strides, dilations and asymmetric padding.
pub fn depthwise_equals_reference_on_random_shapes<I: IsaI8>(isa: I) {
    let shapes = (any::<u64>(), 1..=5usize, 1..=5usize, 1..=3usize, 1..=3usize, 1..=40usize, 0..6usize);
    run_property(shapes, |(seed, kh, kw, stride, dilation, channels, kind)| {
        let rng = &mut Rng(seed);
        let pad: Vec<usize> = (0..4).map(|_| rng.range(0, 3) as usize).collect();
        let input = [rng.range(1, 2) as usize, rng.range(1, 16) as usize, rng.range(1, 16) as usize, channels];
        let pad = [pad[0], pad[1], pad[2], pad[3]];
        if let Some(s) = ConvShape::of_window(input, channels, [kh, kw], [stride, 1], [1, dilation], pad, channels) {
            check_depthwise(isa, rng, &s, Kind::ALL[kind]);
        }
    });
}

/// Rows to 9, k to 33, n to 33.
pub fn dense_equals_reference_on_all_shapes_up_to_9x33x33<I: IsaI8>(isa: I) {
    let rng = &mut Rng(4);
    for rows in 1..=9 {
        for k in 1..=33 {
            for n in [1, 2, 5, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33] {
                let kind = Kind::ALL[rng.range(0, 5) as usize];
                check_dense(isa, rng, rows, k, n, kind);
            }
        }
    }
}

/// Tiles of 8 rows: every number of rows from 8 to 17, with and without whole quads.
pub fn dense_equals_reference_on_8_to_17_rows<I: IsaI8>(isa: I) {
    let rng = &mut Rng(7);
    for rows in 8..=17 {
        for k in [3, 8, 16, 27, 60] {
            for n in [1, 7, 8, 17] {
                for kind in Kind::ALL {
                    check_dense(isa, rng, rows, k, n, kind);
                }
            }
        }
    }
}

/// Long rows, around the blocks of k and n a kernel may have.
pub fn dense_equals_reference_on_long_rows<I: IsaI8>(isa: I) {
    let rng = &mut Rng(5);
    for k in [255, 256, 257, 1023, 1024, 1025, 2047, 2049, 4100] {
        for (rows, n) in [(1, 9), (2, 8), (3, 17), (4, 16), (5, 140)] {
            for kind in Kind::ALL {
                check_dense(isa, rng, rows, k, n, kind);
            }
        }
    }
}

/// Random shapes, every epilogue.
pub fn dense_equals_reference_on_random_shapes<I: IsaI8>(isa: I) {
    let shapes = (any::<u64>(), 1..=13usize, 1..=300usize, 1..=150usize, 0..6usize);
    run_property(shapes, |(seed, rows, k, n, kind)| check_dense(isa, &mut Rng(seed), rows, k, n, Kind::ALL[kind]));
}

/// Runs a property on the cases proptest draws; failures panic inside.
pub fn run_property<S: Strategy>(strategy: S, mut property: impl FnMut(S::Value)) {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) };
    let property = std::cell::RefCell::new(&mut property);
    let outcome = TestRunner::new(config).run(&strategy, |value| {
        property.borrow_mut()(value);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
