//! `dense_w4__reference`, `conv2d_w4__reference`, … : the definition of layers with weights of
//! fewer than 8 bits.

use super::epilogue;
use crate::args::*;
use crate::code::{Code, Width};
use crate::pack_low::{groups_of, low_bytes, low_code, scale_at};

/// The weight of `row` at `k = at`, in units of the row's scale: `scale·code − offset`.
struct Weights<'a> {
    width: Width,
    w: LowBit<'a>,
}

impl Weights<'_> {
    fn get(&self, row: usize, at: usize) -> i64 {
        let w = &self.w;
        let g = at.checked_div(w.group).unwrap_or(0);
        let place = scale_at(w.n, groups_of(w.k, w.group), row, g);
        let scale = if w.scales.is_empty() { 1 } else { w.scales[place] as i64 };
        let offset = if w.offsets.is_empty() { w.zero as i64 * scale } else { w.offsets[place] as i64 };
        scale * low_code(self.width, w.codes, w.n, w.k, row, at) as i64 - offset
    }
}

/// Rows `[rows, k]` times packed `[n, k]`. Exact.
pub fn dense<C: Code>(x: &[i8], w: &LowBit<'_>, rows: usize, mut output: Output<'_>) {
    let (n, k) = (w.n, w.k);
    let weights = Weights { width: C::WIDTH, w: *w };
    for row in 0..rows {
        for channel in 0..n {
            let sum = (0..k).map(|at| x[row * k + at] as i64 * weights.get(channel, at)).sum();
            epilogue::store(&mut output, row, channel, n, sum);
        }
    }
}

/// One output at a time over the packed weights. Exact.
pub fn conv2d<C: Code>(x: &[i8], w: &LowBit<'_>, s: &ConvShape, pad_value: i8, mut output: Output<'_>) {
    let (in_c, out_c) = (s.in_c / s.groups, s.out_c / s.groups);
    let k = s.kernel_h * s.kernel_w * in_c;
    let scales = out_c * groups_of(k, w.group);
    for channel in 0..s.out_c {
        let (group, local) = (channel / out_c, channel % out_c);
        let of_group = LowBit {
            codes: &w.codes[group * low_bytes(C::WIDTH, out_c, k)..],
            scales: if w.scales.is_empty() { &[] } else { &w.scales[group * scales..] },
            offsets: if w.offsets.is_empty() { &[] } else { &w.offsets[group * scales..] },
            ..*w
        };
        let weights = Weights { width: C::WIDTH, w: of_group };
        for pixel in 0..s.batch * s.out_h * s.out_w {
            let (b, oy, ox) = (pixel / (s.out_h * s.out_w), pixel / s.out_w % s.out_h, pixel % s.out_w);
            let mut sum = 0i64;
            for at in 0..k {
                let (ky, kx, ic) = (at / in_c / s.kernel_w, at / in_c % s.kernel_w, at % in_c);
                let y = (oy * s.stride_h + ky * s.dilation_h) as i64 - s.pad_top as i64;
                let z = (ox * s.stride_w + kx * s.dilation_w) as i64 - s.pad_left as i64;
                let inside = (0..s.in_h as i64).contains(&y) && (0..s.in_w as i64).contains(&z);
                let value = if inside {
                    let cell = (b * s.in_h + y as usize) * s.in_w + z as usize;
                    x[cell * s.in_c + group * in_c + ic]
                } else {
                    pad_value
                };
                sum += value as i64 * weights.get(local, at);
            }
            epilogue::store(&mut output, pixel, channel, s.out_c, sum);
        }
    }
}
