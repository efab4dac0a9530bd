//! The reference's formulas against independent ones in i128 and f64.

use std::vec;

use super::buffers::Rng;
use crate::args::*;
use crate::isa::IsaI8;
use crate::pack::*;
use crate::reference::Reference;
use crate::reference::epilogue::requant;

/// Nearest integer to `acc·m / 2^(31+k)`, ties up, by euclidean division in i128.
fn rounded(acc: i128, m: i128, k: i32) -> i128 {
    let divisor = 1i128 << (31 + k);
    let (quotient, rest) = ((acc * m).div_euclid(divisor), (acc * m).rem_euclid(divisor));
    quotient + (2 * rest >= divisor) as i128
}

/// All shifts −3..=31, accumulators of every magnitude, residuals, wide biases.
#[test]
fn reference_requantize_equals_i128_division_on_random_triples_of_every_shift() {
    let rng = &mut Rng(16);
    for case in 0..400_000 {
        let k = rng.range(-3, 31) as i8;
        let bits = rng.range(1, if k < 1 { 20 } else { 31 });
        let acc = rng.range(-(1 << bits), (1 << bits) - 1) as i32;
        let m = rng.range(0, (1 << 31) - 1) as i32;
        let zero_point = rng.range(-128, 127) as i32;
        let wide = [rng.range(-(1 << 20), 1 << 20)];
        let q = Requant {
            bias: if case & 1 == 0 { Bias::I32(&[0]) } else { Bias::I64(&wide) },
            multiplier: &[m],
            shift: &[k],
            zero_point,
            lo: -100,
            hi: 101,
            residual: (case & 2 == 0).then_some(Residual {
                m1: 3 << 18,
                m2: -(5 << 17),
                c: 1 << 19,
                s: 20,
                lo: -90,
                hi: 90,
            }),
        };
        let sum = acc as i128 + if case & 1 == 0 { 0 } else { wide[0] as i128 };
        let mut want = (rounded(sum, m as i128, k as i32) + zero_point as i128).clamp(-100, 101);
        let skip = rng.next() as i8;
        if case & 2 == 0 {
            // 0.75·y − 0.625·skip, ties up.
            want = (want * 6 - skip as i128 * 5 + 4).div_euclid(8).clamp(-90, 90);
        }
        assert_eq!(requant(&q, 0, acc, skip) as i128, want, "acc {acc} m {m} k {k}");
    }
}

/// Packing and window arithmetic: unpacked weights in the order `[out][row][column][in]`.
#[test]
fn reference_conv_depthwise_and_dense_equal_unpacked_sums_on_random_shapes() {
    let rng = &mut Rng(17);
    for _ in 0..300 {
        let mut draw = |lo, hi| rng.range(lo, hi) as usize;
        let (kernel, stride, dilation) = ([draw(1, 3), draw(1, 4)], [draw(1, 2), draw(1, 3)], [draw(1, 2), draw(1, 2)]);
        let (groups, in_c, out_c) = (draw(1, 3), draw(1, 6), draw(1, 19));
        let (groups, in_c, out_c) = if draw(0, 2) == 0 { (draw(1, 20), 1, 1) } else { (groups, in_c, out_c) };
        let pad = [draw(0, 2), draw(0, 2), draw(0, 2), draw(0, 2)];
        let input = [draw(1, 2), draw(1, 6), draw(1, 6), in_c * groups];
        let Some(s) = ConvShape::of_window(input, out_c * groups, kernel, stride, dilation, pad, groups) else {
            continue;
        };
        let (taps, x) = (kernel[0] * kernel[1], rng.i8s(input.iter().product()));
        let k = taps * in_c;
        let rows = rng.i8s(s.out_c * k);
        let mut w = vec![0; conv_w8_bytes(groups, s.out_c, s.in_c, taps)];
        for (packed, rows) in w.chunks_mut(w8_bytes(out_c, k)).zip(rows.chunks(out_c * k)) {
            pack_w8(rows, out_c, k, packed);
        }
        let column_sum = vec![0; s.out_c];
        let raw = Raw { zero_point: 0, column_sum: &column_sum };
        let mut got = vec![0; s.batch * s.out_h * s.out_w * s.out_c];
        Reference.conv2d_w8(&x, &w, &s, -9, Output::I32(raw, &mut got), &mut []);
        let value = |b: usize, y: i64, z: i64, c: usize| {
            let inside = y >= 0 && z >= 0 && y < s.in_h as i64 && z < s.in_w as i64;
            if inside { x[((b * s.in_h + y as usize) * s.in_w + z as usize) * s.in_c + c] } else { -9 }
        };
        for (i, &got) in got.iter().enumerate() {
            let (pixel, oc) = (i / s.out_c, i % s.out_c);
            let (b, oy, ox) = (pixel / (s.out_h * s.out_w), pixel / s.out_w % s.out_h, pixel % s.out_w);
            let mut want = 0i128;
            for at in 0..k {
                let (tap, ic) = (at / in_c, at % in_c);
                let y = (oy * s.stride_h + tap / s.kernel_w * s.dilation_h) as i64 - s.pad_top as i64;
                let z = (ox * s.stride_w + tap % s.kernel_w * s.dilation_w) as i64 - s.pad_left as i64;
                want += rows[oc * k + at] as i128 * value(b, y, z, oc / out_c * in_c + ic) as i128;
            }
            assert_eq!(got as i128, want, "{s:?} output {i}");
        }
        // A dense layer is the 1x1 convolution of its rows; depthwise has one channel a group.
        let mut dense = vec![0; out_c * 5];
        let x5 = rng.i8s(5 * k);
        Reference.dense_w8(&x5, &w[..w8_bytes(out_c, k)], 5, k, out_c, Output::I32(raw, &mut dense));
        for (i, &got) in dense.iter().enumerate() {
            let terms = (0..k).map(|j| x5[i / out_c * k + j] as i128 * rows[i % out_c * k + j] as i128);
            assert_eq!(got as i128, terms.sum::<i128>());
        }
        if in_c == 1 && out_c == 1 {
            let by_tap: std::vec::Vec<i8> = (0..taps * groups).map(|i| rows[i % groups * taps + i / groups]).collect();
            let mut w = vec![0; depthwise_w8_bytes(groups, taps)];
            pack_depthwise_w8(&by_tap, groups, taps, &mut w);
            let mut depthwise = got.clone();
            Reference.depthwise_w8(&x, &w, &s, -9, Output::I32(raw, &mut depthwise), &mut []);
            assert_eq!(depthwise, got);
        }
    }
}
