//! Test families of layers with weights of fewer than 8 bits. Oracle: the reference kernel.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::buffers::{Guarded, Rng};
use super::layers::run_property;
use super::outputs::{Epilogue, Kind};
use crate::args::*;
use crate::code::{Code, Width};
use crate::isa::IsaI8;
use crate::pack::MR;
use crate::pack_low::*;
use crate::reference::Reference;

/// Packed weights of `conv_groups` times `n` rows of `k`.
struct Weights {
    codes: Vec<u8>,
    scales: Vec<u8>,
    offsets: Vec<i16>,
    zero: u8,
}

/// How large the numbers are.
#[derive(Clone, Copy, PartialEq)]
enum Size {
    Any,
    /// All codes, scales and offsets at one end of their range.
    Extreme,
}

impl Weights {
    fn new(rng: &mut Rng, width: Width, [conv_groups, n, k]: [usize; 3], group: usize, size: Size) -> Self {
        let groups = groups_of(k, group);
        let extreme = size == Size::Extreme;
        let pick = |rng: &mut Rng, lo: i64, hi: i64| {
            if !extreme {
                rng.range(lo, hi)
            } else if rng.next() & 1 == 0 {
                lo
            } else {
                hi
            }
        };
        let max = i64::from(width.max());
        let with_offsets = rng.range(0, 2) == 0;
        let zero = if with_offsets { 0 } else { [0, max / 2 + 1, max][rng.range(0, 2) as usize] as u8 };
        let mut w = Self { codes: vec![], scales: vec![], offsets: vec![], zero };
        for _ in 0..conv_groups {
            let one = pick(rng, 0, max) as u8;
            let codes: Vec<u8> = (0..n * k).map(|_| if extreme { one } else { rng.range(0, max) as u8 }).collect();
            let mut packed = vec![0; low_bytes(width, n, k)];
            pack_low(width, &codes, n, k, &mut packed);
            w.codes.extend(packed);
            if group > 0 {
                let scales: Vec<u8> = (0..n * groups).map(|_| pick(rng, 0, 255) as u8).collect();
                let mut packed = vec![0; n * groups];
                pack_scales(&scales, n, groups, &mut packed);
                w.scales.extend(packed);
            }
            if with_offsets {
                let offsets: Vec<i16> = (0..n * groups).map(|_| pick(rng, -32768, 32767) as i16).collect();
                let mut packed = vec![0; n * groups];
                pack_scales(&offsets, n, groups, &mut packed);
                w.offsets.extend(packed);
            }
        }
        w
    }

    /// Misaligned copies of the parts, to be borrowed.
    fn guarded(&self, offset: usize) -> (Guarded<u8>, Guarded<u8>, Guarded<i16>) {
        (
            Guarded::new(&self.codes, 0x99, offset),
            Guarded::new(&self.scales, 0x99, offset),
            Guarded::new(&self.offsets, 0x7777, offset),
        )
    }
}

/// Scratch aligned to 4 bytes, filled with rubbish.
fn scratch(bytes: usize) -> Vec<u32> {
    vec![0xa5a5_a5a5; bytes.div_ceil(4)]
}

fn check_dense<I: IsaI8, C: Code>(
    isa: I,
    rng: &mut Rng,
    [rows, k, n]: [usize; 3],
    group: usize,
    kind: Kind,
    size: Size,
) {
    let offset = rng.range(0, 1) as usize;
    let values = match (size, rng.range(0, 2)) {
        (Size::Any, _) => rng.i8s(rows * k),
        (_, 0) => vec![-128; rows * k],
        (_, 1) => vec![127; rows * k],
        _ => (0..rows * k).map(|i| if i % 2 == 0 { -128 } else { 127 }).collect(),
    };
    let x = Guarded::new(&values, 99, offset);
    let w = Weights::new(rng, C::WIDTH, [1, n, k], group, size);
    let (codes, scales, offsets) = w.guarded(offset);
    let low = LowBit { n, k, codes: codes.get(), group, scales: scales.get(), offsets: offsets.get(), zero: w.zero };
    let row_scales = rng.next() & 1 == 0;
    let epilogue = Epilogue::random(rng, kind, rows, n, k * 2000, row_scales);
    let bytes = dense_low_scratch(rows, k);
    let mut scratch = scratch(bytes);
    epilogue.compare(
        rng,
        rows * n,
        offset,
        &(C::WIDTH, rows, k, n, group, w.zero, w.offsets.len()),
        &mut |output| {
            let scratch: &mut [u8] = zerocopy::IntoBytes::as_mut_bytes(scratch.as_mut_slice());
            isa.dense_low::<C>(x.get(), &low, rows, output, &mut scratch[..bytes]);
        },
        &mut |output| Reference.dense_low::<C>(x.get(), &low, rows, output, &mut []),
    );
}

fn check_conv<I: IsaI8, C: Code>(isa: I, rng: &mut Rng, s: &ConvShape, group: usize, kind: Kind) {
    let offset = rng.range(0, 1) as usize;
    let (in_c, out_c) = (s.in_c / s.groups, s.out_c / s.groups);
    let k = s.kernel_h * s.kernel_w * in_c;
    let x = Guarded::new(&rng.i8s(s.batch * s.in_h * s.in_w * s.in_c), 99, offset);
    let w = Weights::new(rng, C::WIDTH, [s.groups, out_c, k], group, Size::Any);
    let (codes, scales, offsets) = w.guarded(offset);
    let low =
        LowBit { n: out_c, k, codes: codes.get(), group, scales: scales.get(), offsets: offsets.get(), zero: w.zero };
    let pad_value = rng.next() as i8;
    let epilogue = Epilogue::random(rng, kind, 1, s.out_c, k * 500, false);
    let bytes = conv_low_scratch(s);
    let mut scratch = scratch(bytes);
    epilogue.compare(
        rng,
        s.batch * s.out_h * s.out_w * s.out_c,
        offset,
        &(C::WIDTH, s, group, w.zero, w.offsets.len()),
        &mut |output| {
            let scratch: &mut [u8] = zerocopy::IntoBytes::as_mut_bytes(scratch.as_mut_slice());
            isa.conv2d_low::<C>(x.get(), &low, s, pad_value, output, &mut scratch[..bytes]);
        },
        &mut |output| Reference.conv2d_low::<C>(x.get(), &low, s, pad_value, output, &mut []),
    );
}

fn kind(rng: &mut Rng) -> Kind {
    Kind::ALL[rng.range(0, 5) as usize]
}

/// Group sizes, the whole row first.
const GROUPS: [usize; 5] = [0, 32, 64, 96, 128];

fn group(rng: &mut Rng) -> usize {
    GROUPS[rng.range(0, 4) as usize]
}

/// Rows to 2·4 + 1, n to 33, k over the blocks of every width and their tails.
pub fn dense_equals_reference_on_all_tiles<I: IsaI8, C: Code>(isa: I) {
    let rng = &mut Rng(31);
    for rows in 1..=9 {
        for n in [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33] {
            for k in [1, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 63, 65] {
                let (group, kind) = (group(rng), kind(rng));
                check_dense::<I, C>(isa, rng, [rows, k, n], group, kind, Size::Any);
            }
        }
    }
    for rows in 10..=17 {
        for n in [1, 8, 17] {
            let (group, kind) = (group(rng), kind(rng));
            check_dense::<I, C>(isa, rng, [rows, 40, n], group, kind, Size::Any);
        }
    }
}

/// Every group size and epilogue, with whole and short last groups.
pub fn dense_equals_reference_on_groups_and_tails<I: IsaI8, C: Code>(isa: I) {
    let rng = &mut Rng(32);
    for k in [31, 32, 64, 65, 96, 127, 128, 129, 160, 200, 256, 300] {
        for group in GROUPS {
            for kind in Kind::ALL {
                let (rows, n) = (rng.range(1, 6) as usize, rng.range(1, 20) as usize);
                check_dense::<I, C>(isa, rng, [rows, k, n], group, kind, Size::Any);
            }
        }
    }
}

/// Inputs, codes, scales and offsets at the ends of their ranges.
pub fn dense_equals_reference_on_extremes<I: IsaI8, C: Code>(isa: I) {
    let rng = &mut Rng(33);
    for k in [4, 32, 64, 100, 128, 256, 257, 512, 1056] {
        for group in GROUPS {
            for (rows, n) in [(1, 8), (4, 17), (5, 3)] {
                for kind in [Kind::F32, Kind::I32, Kind::I8] {
                    check_dense::<I, C>(isa, rng, [rows, k, n], group, kind, Size::Extreme);
                }
            }
        }
    }
}

/// Long rows, around the blocks of k a kernel may have.
pub fn dense_equals_reference_on_long_rows<I: IsaI8, C: Code>(isa: I) {
    let rng = &mut Rng(34);
    for k in [640, 1023, 1024, 1025, 2049, 4100] {
        for (rows, n) in [(1, 9), (2, 8), (4, 16), (5, 40)] {
            for group in [0, 64, 128] {
                let kind = kind(rng);
                check_dense::<I, C>(isa, rng, [rows, k, n], group, kind, Size::Any);
            }
        }
    }
    check_dense::<I, C>(isa, rng, [3, 96, 300], 32, Kind::I8, Size::Any);
}

/// Random shapes, every epilogue.
pub fn dense_equals_reference_on_random_shapes<I: IsaI8, C: Code>(isa: I) {
    let shapes = (any::<u64>(), 1..=13usize, 1..=300usize, 1..=70usize, 0..5usize, 0..6usize);
    run_property(shapes, |(seed, rows, k, n, group, kind)| {
        check_dense::<I, C>(isa, &mut Rng(seed), [rows, k, n], GROUPS[group], Kind::ALL[kind], Size::Any);
    });
}

/// 1x1 windows: pixels to 2·4 + 1 and beyond, channels to 33.
pub fn conv2d_equals_reference_on_all_tiles<I: IsaI8, C: Code>(isa: I) {
    let rng = &mut Rng(35);
    for pixels in (1..=2 * MR + 1).chain([13, 16, 17]) {
        for out_c in [1, 2, 4, 7, 8, 9, 16, 17, 24, 33] {
            for in_c in [1, 3, 4, 7, 8, 16, 17, 32, 33, 70] {
                let s = ConvShape::of_window([1, 1, pixels, in_c], out_c, [1, 1], [1, 1], [1, 1], [0; 4], 1).unwrap();
                let (group, kind) = (group(rng), kind(rng));
                check_conv::<I, C>(isa, rng, &s, group, kind);
            }
        }
    }
}

/// Windows to 4x5 with strides, dilations, groups and asymmetric padding.
pub fn conv2d_equals_reference_on_windows_and_groups<I: IsaI8, C: Code>(isa: I) {
    let rng = &mut Rng(36);
    for kernel in [[1, 1], [1, 3], [3, 1], [3, 3], [4, 5]] {
        for stride in [[1, 1], [2, 1], [2, 3]] {
            for dilation in [[1, 1], [2, 1], [1, 2]] {
                for (groups, in_c, out_c) in [(1, 1, 3), (1, 8, 9), (2, 6, 6), (3, 3, 27), (4, 16, 40)] {
                    for pad in [[0; 4], [1; 4], [2, 0, 1, 3]] {
                        let input =
                            [rng.range(1, 2) as usize, rng.range(1, 8) as usize, rng.range(1, 8) as usize, in_c];
                        let Some(s) = ConvShape::of_window(input, out_c, kernel, stride, dilation, pad, groups) else {
                            continue;
                        };
                        let (group, kind) = (group(rng), kind(rng));
                        check_conv::<I, C>(isa, rng, &s, group, kind);
                    }
                }
            }
        }
    }
}

/// Random shapes, every epilogue.
pub fn conv2d_equals_reference_on_random_shapes<I: IsaI8, C: Code>(isa: I) {
    let shapes = (any::<u64>(), 1..=3usize, 1..=3usize, 1..=2usize, 1..=40usize, 1..=40usize, 0..5usize, 0..6usize);
    run_property(shapes, |(seed, kh, kw, stride, in_c, out_c, group, kind)| {
        let rng = &mut Rng(seed);
        let groups = [1, 1, 1, 2][rng.range(0, 3) as usize];
        let pad = core::array::from_fn(|_| rng.range(0, 3) as usize);
        let input = [rng.range(1, 2) as usize, rng.range(1, 9) as usize, rng.range(1, 9) as usize, in_c * groups];
        if let Some(s) = ConvShape::of_window(input, out_c * groups, [kh, kw], [stride; 2], [1, 1], pad, groups) {
            check_conv::<I, C>(isa, rng, &s, GROUPS[group], Kind::ALL[kind]);
        }
    });
}

/// Channels to 33, windows to 13 taps, padding, strides.
pub fn depthwise_equals_reference_on_channels_and_windows<I: IsaI8, C: Code>(isa: I) {
    let rng = &mut Rng(37);
    for channels in [1, 2, 7, 8, 9, 16, 17, 33] {
        for kernel in [[1, 1], [1, 2], [3, 1], [3, 3], [2, 5], [13, 1]] {
            for stride in [[1, 1], [2, 1]] {
                let offset = rng.range(0, 1) as usize;
                let pad = [kernel[0] / 2, kernel[1] / 2, kernel[0] / 2, kernel[1] / 2];
                let input = [1, rng.range(1, 13) as usize, rng.range(1, 13) as usize, channels];
                let Some(s) = ConvShape::of_window(input, channels, kernel, stride, [1, 1], pad, channels) else {
                    continue;
                };
                let taps = kernel[0] * kernel[1];
                let max = i64::from(C::WIDTH.max());
                let zero = rng.range(0, max) as u8;
                let codes: Vec<u8> = (0..taps * channels).map(|_| rng.range(0, max) as u8).collect();
                let mut packed = vec![0; depthwise_low_bytes(C::WIDTH, channels, taps)];
                pack_depthwise_low(C::WIDTH, &codes, zero, channels, taps, &mut packed);
                let mut w8 = vec![0; crate::pack::depthwise_w8_bytes(channels, taps)];
                let weights: Vec<i8> = codes.iter().map(|&code| code as i8 - zero as i8).collect();
                crate::pack::pack_depthwise_w8(&weights, channels, taps, &mut w8);
                let x = Guarded::new(&rng.i8s(input.iter().product()), 99, offset);
                let w = LowBit { n: channels, k: taps, codes: &packed, group: 0, scales: &[], offsets: &[], zero };
                let pad_value = rng.next() as i8;
                let kind = kind(rng);
                let epilogue = Epilogue::random(rng, kind, 1, channels, taps, false);
                let mut scratch = Guarded::new(&vec![0xa5; depthwise_low_scratch(&s)], 0x77, offset);
                epilogue.compare(
                    rng,
                    s.batch * s.out_h * s.out_w * channels,
                    offset,
                    &(C::WIDTH, s, zero),
                    &mut |output| {
                        isa.depthwise_low::<C>(x.get(), &w, &s, pad_value, output, scratch.get_mut());
                    },
                    &mut |output| Reference.depthwise_w8(x.get(), &w8, &s, pad_value, output, &mut []),
                );
                scratch.assert_redzones();
            }
        }
    }
}

/// `low_code` gives back what `pack_low` packed.
#[test]
fn packed_codes_come_back_for_every_width_and_shape_to_17x70() {
    let rng = &mut Rng(38);
    for width in Width::ALL {
        for n in 1..=17 {
            for k in 1..=70 {
                let codes: Vec<u8> = (0..n * k).map(|_| rng.range(0, i64::from(width.max())) as u8).collect();
                let mut packed = vec![0xff; low_bytes(width, n, k)];
                pack_low(width, &codes, n, k, &mut packed);
                for (i, &code) in codes.iter().enumerate() {
                    assert_eq!(low_code(width, &packed, n, k, i / k, i % k), code, "{width:?} {n} {k} {i}");
                }
            }
        }
    }
}

/// Sums of 1 to 9 rows of 1 to 33 channels, every epilogue; branches with shifts −31 to 31. Oracle:
/// the reference's.
#[cfg(target_arch = "x86_64")]
#[test]
fn avx2_sums_are_stored_and_added_as_by_the_reference() {
    super::with::<crate::Avx2>("store_sums", |isa| {
        let rng = &mut Rng(39);
        for (rows, n) in (1..=9).flat_map(|rows| (1..=33).map(move |n| (rows, n))) {
            let mut sums: Vec<i32> = (0..rows * n).map(|_| rng.range(-1 << 29, 1 << 29) as i32).collect();
            let more: Vec<i32> = (0..rows * n).map(|_| rng.next() as i32).collect();
            let (mut expected, shift) = (sums.clone(), rng.range(-31, 31) as i32);
            isa.add_branch(&mut sums, &more, shift);
            Reference.add_branch(&mut expected, &more, shift);
            assert_eq!(sums, expected, "{rows} {n} {shift}");
            let (kind, row_scales) = (kind(rng), rng.next() & 1 == 0);
            let epilogue = Epilogue::random(rng, kind, rows, n, 1 << 15, row_scales);
            epilogue.compare(
                rng,
                rows * n,
                0,
                &(rows, n),
                &mut |output| isa.store_sums(&expected, rows, n, output),
                &mut |output| Reference.store_sums(&expected, rows, n, output),
            );
        }
    });
}
