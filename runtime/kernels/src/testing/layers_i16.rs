//! Test families of layers with int16 activations. Oracle: the reference kernel.

use std::vec;
use std::vec::Vec;

use super::buffers::{Guarded, Rng, assert_same};
use super::quantizers::{lengths, values};
use crate::args::*;
use crate::isa::IsaI16;
use crate::pack::*;
use crate::reference::Reference;

/// int16 values; one buffer in four has extreme values only.
fn i16s(rng: &mut Rng, n: usize) -> Vec<i16> {
    match rng.range(0, 7) {
        0 => (0..n).map(|_| if rng.next() & 1 == 0 { -32_768 } else { 32_767 }).collect(),
        1 => vec![-32_768; n],
        _ => (0..n).map(|_| rng.next() as i16).collect(),
    }
}

struct Epilogue {
    bias: Vec<i64>,
    multiplier: Vec<i32>,
    shift: Vec<i8>,
    lo: i16,
    hi: i16,
}

impl Epilogue {
    /// Scales that bring sums of `k` products near int16; biases of 34 bits.
    fn random(rng: &mut Rng, n: usize, k: usize) -> Self {
        let (lo, hi) = if rng.next() & 1 == 0 { (-32_768, 32_767) } else { (0, 20_000) };
        let shift = 1 + (k.max(1).ilog2() / 2) as i64;
        Epilogue {
            bias: (0..n).map(|_| rng.range(-1 << 33, 1 << 33)).collect(),
            multiplier: (0..n).map(|_| rng.range(0, 1 << 26) as i32).collect(),
            shift: (0..n).map(|_| rng.range(-1, shift + 2) as i8).collect(),
            lo,
            hi,
        }
    }

    fn args(&self) -> RequantI16<'_> {
        RequantI16 { bias: &self.bias, multiplier: &self.multiplier, shift: &self.shift, lo: self.lo, hi: self.hi }
    }
}

fn check(
    n: usize,
    offset: usize,
    case: &dyn std::fmt::Debug,
    kernel: &mut dyn FnMut(&mut [i16]),
    reference: &mut dyn FnMut(&mut [i16]),
) {
    let mut want = vec![1; n];
    reference(&mut want);
    let mut got = Guarded::new(&vec![2; n], 0x5a5a, offset);
    kernel(got.get_mut());
    assert_same(got.get(), &want, case);
    got.assert_redzones();
}

fn check_conv<I: IsaI16>(isa: I, rng: &mut Rng, s: &ConvShape) {
    let offset = rng.range(0, 1) as usize;
    let (in_c, out_c, taps) = (s.in_c / s.groups, s.out_c / s.groups, s.kernel_h * s.kernel_w);
    let k = taps * in_c;
    let x = Guarded::new(&i16s(rng, s.batch * s.in_h * s.in_w * s.in_c), 99, offset);
    let mut w = vec![0; conv_w8_bytes(s.groups, s.out_c, s.in_c, taps)];
    for packed in w.chunks_exact_mut(w8_bytes(out_c, k)) {
        pack_w8(&rng.i8s(out_c * k), out_c, k, packed);
    }
    let w = Guarded::new(&w, 99, offset);
    let epilogue = Epilogue::random(rng, s.out_c, k);
    let mut scratch = Guarded::new(&vec![0xa5a5_a5a5u32; conv_w8_scratch(s).div_ceil(4)], 0x7777_7777, 0);
    check(
        s.batch * s.out_h * s.out_w * s.out_c,
        offset,
        s,
        &mut |out| {
            let scratch = &mut zerocopy::IntoBytes::as_mut_bytes(scratch.get_mut())[..conv_w8_scratch(s)];
            isa.conv2d_i16(x.get(), w.get(), s, &epilogue.args(), out, scratch);
        },
        &mut |out| Reference.conv2d_i16(x.get(), w.get(), s, &epilogue.args(), out, &mut []),
    );
    scratch.assert_redzones();
}

/// Pixels to 2·4 + 1, channels to 33, input channels over two quads and a tail; 1x1 windows.
pub fn conv2d_equals_reference_on_all_tiles<I: IsaI16>(isa: I) {
    let rng = &mut Rng(21);
    for pixels in 1..=9 {
        for out_c in [1, 2, 5, 7, 8, 9, 15, 16, 17, 24, 33] {
            for in_c in [1, 2, 3, 4, 5, 8, 9, 17] {
                let s = ConvShape::of_window([1, 1, pixels, in_c], out_c, [1, 1], [1, 1], [1, 1], [0; 4], 1).unwrap();
                check_conv(isa, rng, &s);
            }
        }
    }
}

/// Windows to 4x5 with strides, dilations, groups and asymmetric padding.
pub fn conv2d_equals_reference_on_windows_and_groups<I: IsaI16>(isa: I) {
    let rng = &mut Rng(22);
    for kernel in [[1, 1], [1, 3], [2, 2], [3, 3], [4, 5]] {
        for (stride, dilation) in [([1, 1], [1, 1]), ([2, 1], [1, 2]), ([2, 3], [3, 2])] {
            for (groups, in_c, out_c) in [(1, 1, 3), (1, 8, 9), (2, 6, 6), (4, 16, 40)] {
                for pad in [[0; 4], [1; 4], [2, 0, 1, 3]] {
                    let input = [rng.range(1, 2) as usize, rng.range(1, 8) as usize, rng.range(1, 8) as usize, in_c];
                    let s = ConvShape::of_window(input, out_c, kernel, stride, dilation, pad, groups);
                    if let Some(s) = s {
                        check_conv(isa, rng, &s);
                    }
                }
            }
        }
    }
}

/// Around one and two blocks of k.
pub fn conv2d_equals_reference_across_blocks_of_k<I: IsaI16>(isa: I) {
    let rng = &mut Rng(23);
    for in_c in [28, 29, 56, 57, 58] {
        for out_c in [3, 8, 12] {
            for _ in 0..6 {
                let s = ConvShape::of_window([1, 4, 5, in_c], out_c, [3, 3], [1, 1], [1, 1], [1; 4], 1).unwrap();
                check_conv(isa, rng, &s);
            }
        }
    }
}

/// Channels to 33; windows to 17x17, whose taps are more than a block.
pub fn depthwise_equals_reference_on_channels_and_windows<I: IsaI16>(isa: I) {
    let rng = &mut Rng(24);
    for channels in [1, 2, 7, 8, 9, 16, 17, 31, 33] {
        for (kernel, stride, dilation) in [
            ([1, 1], [1, 1], [1, 1]),
            ([3, 3], [1, 1], [1, 1]),
            ([3, 3], [2, 2], [1, 1]),
            ([2, 5], [1, 2], [2, 1]),
            ([13, 1], [1, 1], [1, 1]),
            ([17, 17], [1, 1], [1, 1]),
        ] {
            for pad in [[0; 4], [1, 2, 0, 1], [8; 4]] {
                let offset = rng.range(0, 1) as usize;
                let input = [rng.range(1, 2) as usize, rng.range(1, 19) as usize, rng.range(1, 19) as usize, channels];
                let Some(s) = ConvShape::of_window(input, channels, kernel, stride, dilation, pad, channels) else {
                    continue;
                };
                let taps = kernel[0] * kernel[1];
                let x = Guarded::new(&i16s(rng, input.iter().product()), 99, offset);
                let mut w = vec![0; depthwise_w8_bytes(channels, taps)];
                pack_depthwise_w8(&rng.i8s(taps * channels), channels, taps, &mut w);
                let w = Guarded::new(&w, 99, offset);
                let epilogue = Epilogue::random(rng, channels, taps);
                check(
                    s.batch * s.out_h * s.out_w * channels,
                    offset,
                    &s,
                    &mut |out| isa.depthwise_i16(x.get(), w.get(), &s, &epilogue.args(), out),
                    &mut |out| Reference.depthwise_i16(x.get(), w.get(), &s, &epilogue.args(), out),
                );
            }
        }
    }
}

fn check_dense<I: IsaI16>(isa: I, rng: &mut Rng, x: &[i16], rows: &[i8], (k, n): (usize, usize)) {
    let offset = rng.range(0, 1) as usize;
    let x = Guarded::new(x, 99, offset);
    let mut w = vec![0; w8_bytes(n, k)];
    pack_w8(rows, n, k, &mut w);
    let w = Guarded::new(&w, 99, offset);
    let epilogue = Epilogue::random(rng, n, k);
    check(
        x.get().len() / k * n,
        offset,
        &(k, n),
        &mut |out| isa.dense_i16(x.get(), w.get(), k, n, &epilogue.args(), out),
        &mut |out| Reference.dense_i16(x.get(), w.get(), k, n, &epilogue.args(), out),
    );
}

/// Rows to 9, k to 33, n to 33.
pub fn dense_equals_reference_on_all_tiles<I: IsaI16>(isa: I) {
    let rng = &mut Rng(25);
    for rows in 1..=9 {
        for k in 1..=33 {
            for n in [1, 5, 7, 8, 9, 17, 24, 33] {
                let x = i16s(rng, rows * k);
                let w = rng.i8s(n * k);
                check_dense(isa, rng, &x, &w, (k, n));
            }
        }
    }
}

/// Every product the largest there is, of either sign: sums of blocks of 32 bits must not leave them.
pub fn dense_equals_reference_on_extremes_of_long_rows<I: IsaI16>(isa: I) {
    let rng = &mut Rng(26);
    for k in [255, 256, 257, 511, 512, 513, 2049, 4100] {
        for (x, w) in [(-32_768, -128), (-32_768, 127), (32_767, -128)] {
            check_dense(isa, rng, &vec![x; 5 * k], &vec![w; 9 * k], (k, 9));
        }
        let (x, w) = (i16s(rng, 5 * k), rng.i8s(17 * k));
        check_dense(isa, rng, &x, &w, (k, 17));
    }
}

pub fn add_equals_reference_on_all_tails_of_64<I: IsaI16>(isa: I) {
    let rng = &mut Rng(27);
    for (n, offset) in lengths() {
        let (a, b) = (Guarded::new(&i16s(rng, n), 1, offset), Guarded::new(&i16s(rng, n), 1, offset));
        let mut factor = || rng.range(-(1 << 31), (1 << 31) - 1) as i32;
        let (m1, m2) = (factor(), factor());
        let args = AddI16 { m1, m2, s: rng.range(1, 46) as u32, lo: -30_000, hi: 32_767 };
        check(n, offset, &args, &mut |out| isa.add_i16(a.get(), b.get(), &args, out), &mut |out| {
            Reference.add_i16(a.get(), b.get(), &args, out)
        });
        let in_place = &mut |out: &mut [i16]| {
            out.copy_from_slice(b.get());
            isa.add_in_place_i16(a.get(), &args, out);
        };
        check(n, offset, &args, in_place, &mut |out| Reference.add_i16(a.get(), b.get(), &args, out));
    }
}

pub fn quantize_equals_reference_on_all_tails_of_64<I: IsaI16>(isa: I) {
    let rng = &mut Rng(28);
    for (n, offset) in lengths() {
        for scale in [1.0, 0.25, 0.017_3, 3e-39, 1e30] {
            let x = Guarded::new(&values(rng, n, scale), 1.0, offset);
            let case = (n, scale, x.get().to_vec());
            check(n, offset, &case, &mut |out| assert!(isa.quantize_i16(x.get(), scale, out)), &mut |out| {
                assert!(Reference.quantize_i16(x.get(), scale, out))
            });
        }
    }
}

pub fn quantize_finds_nan_at_every_place_up_to_67<I: IsaI16>(isa: I) {
    for n in 1..=67 {
        for at in 0..n {
            let mut x = vec![1.0; n];
            x[at] = f32::NAN;
            assert!(!isa.quantize_i16(&x, 1.0, &mut vec![0; n]), "NaN at {at} of {n}");
        }
    }
}

pub fn dequantize_equals_reference_on_every_code<I: IsaI16>(isa: I) {
    let codes: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    let mut real = vec![0.0; codes.len()];
    isa.dequantize_i16(&codes, 0.017_3, &mut real);
    for (&code, &real) in codes.iter().zip(&real) {
        assert_eq!(real.to_bits(), (f32::from(code) * 0.017_3f32).to_bits(), "{code}");
    }
}
