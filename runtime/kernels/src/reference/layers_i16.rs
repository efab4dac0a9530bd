//! The definition of layers with int16 activations and int8 weights, and of the additions between them.

use selvedge_core::arith;

use crate::args::*;
use crate::pack::{depthwise_w8_at, w8_at, w8_bytes};

/// The cell under a tap of output pixel (batch, row, column), where it is inside of the input.
fn cell(s: &ConvShape, (b, oy, ox): (usize, usize, usize), (ky, kx): (usize, usize)) -> Option<usize> {
    let y = (oy * s.stride_h + ky * s.dilation_h) as i64 - s.pad_top as i64;
    let x = (ox * s.stride_w + kx * s.dilation_w) as i64 - s.pad_left as i64;
    let inside = (0..s.in_h as i64).contains(&y) && (0..s.in_w as i64).contains(&x);
    inside.then(|| (b * s.in_h + y as usize) * s.in_w + x as usize)
}

fn pixel(s: &ConvShape, index: usize) -> (usize, usize, usize) {
    (index / (s.out_h * s.out_w), index / s.out_w % s.out_h, index % s.out_w)
}

fn requant(q: &RequantI16<'_>, channel: usize, sum: i64) -> i16 {
    let sum = sum.wrapping_add(q.bias[channel]);
    arith::requantize(sum, q.multiplier[channel], q.shift[channel], 0, q.lo.into(), q.hi.into()) as i16
}

/// One output at a time over the packed weights. Exact.
pub fn conv2d(x: &[i16], w: &[i8], s: &ConvShape, q: &RequantI16<'_>, out: &mut [i16]) {
    let (in_c, out_c) = (s.in_c / s.groups, s.out_c / s.groups);
    let k = s.kernel_h * s.kernel_w * in_c;
    for (at, out) in out.iter_mut().enumerate() {
        let channel = at % s.out_c;
        let (group, local) = (channel / out_c, channel % out_c);
        let weights = &w[group * w8_bytes(out_c, k)..];
        let mut sum = 0i64;
        for tap in 0..s.kernel_h * s.kernel_w {
            let Some(cell) = cell(s, pixel(s, at / s.out_c), (tap / s.kernel_w, tap % s.kernel_w)) else { continue };
            for ic in 0..in_c {
                let weight = weights[w8_at(out_c, k, local, tap * in_c + ic)];
                sum += i64::from(x[cell * s.in_c + group * in_c + ic]) * i64::from(weight);
            }
        }
        *out = requant(q, channel, sum);
    }
}

/// One output at a time over the packed weights. Exact.
pub fn depthwise(x: &[i16], w: &[i8], s: &ConvShape, q: &RequantI16<'_>, out: &mut [i16]) {
    let taps = s.kernel_h * s.kernel_w;
    for (at, out) in out.iter_mut().enumerate() {
        let channel = at % s.out_c;
        let mut sum = 0i64;
        for tap in 0..taps {
            let Some(cell) = cell(s, pixel(s, at / s.out_c), (tap / s.kernel_w, tap % s.kernel_w)) else { continue };
            let weight = w[depthwise_w8_at(s.out_c, taps, channel, tap)];
            sum += i64::from(x[cell * s.in_c + channel]) * i64::from(weight);
        }
        *out = requant(q, channel, sum);
    }
}

/// Rows `[rows, k]` times packed `[n, k]`. Exact.
pub fn dense(x: &[i16], w: &[i8], k: usize, n: usize, q: &RequantI16<'_>, out: &mut [i16]) {
    for (at, out) in out.iter_mut().enumerate() {
        let (row, channel) = (at / n, at % n);
        let terms = (0..k).map(|i| i64::from(x[row * k + i]) * i64::from(w[w8_at(n, k, channel, i)]));
        *out = requant(q, channel, terms.sum());
    }
}

/// Exact.
pub fn add(a: &[i16], b: &[i16], p: &AddI16, out: &mut [i16]) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = arith::add_i16(a, b, p.m1, p.m2, p.s, p.lo, p.hi);
    }
}

/// Exact.
pub fn add_in_place(a: &[i16], p: &AddI16, out: &mut [i16]) {
    for (out, &a) in out.iter_mut().zip(a) {
        *out = arith::add_i16(a, *out, p.m1, p.m2, p.s, p.lo, p.hi);
    }
}

/// Exact; `false` where a value is NaN.
pub fn quantize(x: &[f32], scale: f32, out: &mut [i16]) -> bool {
    let mut numbers = true;
    for (out, &x) in out.iter_mut().zip(x) {
        let code = arith::quantize_i16(x, scale);
        numbers &= code.is_some();
        *out = code.unwrap_or(0);
    }
    numbers
}
