//! Convolutions over three axes with weights that are a tensor as any other: one form for every
//! instruction set, the definition and the kernel.
//!
//! Tensors are `[batch, channels, depth, rows, columns]`. Each output is one sum from +0 over (input
//! channel, depth, row, column) of the cells that lie inside, ascending, each product rounded; then the
//! bias is added.

use crate::f32_rules::canonical;

/// Geometry of a convolution; axes in the order depth, rows, columns.
#[derive(Clone, Copy, Debug)]
pub struct ConvNd {
    pub batch: usize,
    pub in_c: usize,
    pub out_c: usize,
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    pub dilation: [usize; 3],
    pub pad: [usize; 3],
    pub groups: usize,
}

/// Positions p below `len` for which p·stride + offset lies in `0..size`: first and end.
#[inline(always)]
fn range(len: usize, size: usize, stride: usize, offset: isize) -> (usize, usize) {
    let stride = stride.max(1);
    let begin = if offset < 0 { offset.unsigned_abs().div_ceil(stride) } else { 0 };
    let room = (size as isize).saturating_sub(offset);
    let end = if room <= 0 { 0 } else { (room as usize).div_ceil(stride).min(len) };
    (begin.min(end), end)
}

/// Calls `run(dense, first, strided, step, count)` for each tap and row: element i of the run pairs
/// index `dense + i` of the axis that steps by one with `strided + i·step` of the other.
#[inline(always)]
fn rows(s: &ConvNd, tap: [usize; 3], small: [usize; 3], large: [usize; 3], mut run: impl FnMut(usize, usize, usize)) {
    let offset = |i: usize| (tap[i].wrapping_mul(s.dilation[i]) as isize).wrapping_sub(s.pad[i] as isize);
    let place = |p: usize, i: usize| (p.wrapping_mul(s.stride[i]) as isize).wrapping_add(offset(i)) as usize;
    let [depth, row, column] = [0, 1, 2].map(|i| range(small[i], large[i], s.stride[i], offset(i)));
    let count = column.1 - column.0;
    if count == 0 {
        return;
    }
    for d in depth.0..depth.1 {
        for r in row.0..row.1 {
            let at_small = (d * small[1] + r) * small[2] + column.0;
            let at_large = (place(d, 0) * large[1] + place(r, 1)) * large[2] + place(column.0, 2);
            run(at_small, at_large, count);
        }
    }
}

/// All taps of a kernel, row-major, with their number.
fn taps(kernel: [usize; 3]) -> impl Iterator<Item = (usize, [usize; 3])> {
    let [_, rows, columns] = kernel.map(|n| n.max(1));
    let all: usize = kernel.iter().product();
    (0..all).map(move |at| (at, [at / columns / rows, at / columns % rows, at % columns]))
}

/// `w` is `[out_c, in_c / groups, kernel…]`, `bias` `[out_c]` or empty.
pub fn conv_nd_f32(x: &[f32], w: &[f32], bias: &[f32], shape: &ConvNd, out: &mut [f32]) {
    each_plane(x, w, bias, shape, out, false);
}

/// The transposed convolution: `w` is `[in_c, out_c / groups, kernel…]`.
pub fn conv_transpose_nd_f32(x: &[f32], w: &[f32], bias: &[f32], shape: &ConvNd, out: &mut [f32]) {
    each_plane(x, w, bias, shape, out, true);
}

fn each_plane(x: &[f32], w: &[f32], bias: &[f32], s: &ConvNd, out: &mut [f32], transposed: bool) {
    let planes = |size: [usize; 3]| size.iter().product::<usize>();
    let (in_plane, out_plane, taps_len) = (planes(s.input), planes(s.output), planes(s.kernel));
    let (in_per, out_per) = ((s.in_c / s.groups.max(1)).max(1), (s.out_c / s.groups.max(1)).max(1));
    for (at, out) in out.chunks_exact_mut(out_plane.max(1)).enumerate() {
        let (b, oc) = (at / s.out_c.max(1), at % s.out_c.max(1));
        let group = oc / out_per;
        out.fill(0.0);
        for k in 0..in_per {
            let ic = group * in_per + k;
            let x = x.get((b * s.in_c + ic) * in_plane..).and_then(|x| x.get(..in_plane)).unwrap_or_default();
            let matrix = if transposed { ic * out_per + oc % out_per } else { oc * in_per + k };
            let w = w.get(matrix * taps_len..).and_then(|w| w.get(..taps_len)).unwrap_or_default();
            for ((_, tap), &weight) in taps(s.kernel).zip(w) {
                let step = s.stride[2].max(1);
                if transposed {
                    rows(s, tap, s.input, s.output, |from, to, count| {
                        let (from, to) = (x.get(from..).unwrap_or_default(), out.get_mut(to..).unwrap_or_default());
                        for (y, &x) in to.iter_mut().step_by(step).zip(from).take(count) {
                            *y += weight * x;
                        }
                    });
                } else {
                    rows(s, tap, s.output, s.input, |to, from, count| {
                        let from = x.get(from..).unwrap_or_default();
                        let to = out.get_mut(to..).and_then(|to| to.get_mut(..count)).unwrap_or_default();
                        if step == 1 {
                            for (y, &x) in to.iter_mut().zip(from) {
                                *y += weight * x;
                            }
                        } else {
                            for (y, &x) in to.iter_mut().zip(from.iter().step_by(step)) {
                                *y += weight * x;
                            }
                        }
                    });
                }
            }
        }
        let bias = bias.get(oc).copied();
        for y in out {
            *y = canonical(bias.map_or(*y, |bias| *y + bias));
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 + 11) % 23) as f32 - 11.0).collect()
    }

    /// Every (output cell, input cell, tap) triple of one axis that a convolution pairs.
    fn pairs(s: &ConvNd, axis: usize, transposed: bool) -> Vec<(usize, usize, usize)> {
        let mut all = vec![];
        for o in 0..s.output[axis] {
            for i in 0..s.input[axis] {
                for k in 0..s.kernel[axis] {
                    let (small, large) = if transposed { (i, o) } else { (o, i) };
                    if small * s.stride[axis] + k * s.dilation[axis] == large + s.pad[axis] {
                        all.push((o, i, k));
                    }
                }
            }
        }
        all
    }

    /// Oracle: the sum over all pairs of cells, on integers, which f32 holds exactly.
    #[test]
    fn both_directions_equal_the_sum_over_all_pairs_of_cells() {
        let plain = ConvNd {
            batch: 2,
            in_c: 4,
            out_c: 6,
            input: [3, 4, 5],
            output: [2, 3, 3],
            kernel: [2, 3, 2],
            stride: [1, 2, 2],
            dilation: [1, 1, 2],
            pad: [0, 2, 1],
            groups: 2,
        };
        let up = ConvNd { input: [2, 3, 3], output: [3, 5, 7], ..plain };
        for (s, transposed) in [(plain, false), (up, true)] {
            let (ins, outs): (usize, usize) = (s.input.iter().product(), s.output.iter().product());
            let taps: usize = s.kernel.iter().product();
            let x = numbers(s.batch * s.in_c * ins);
            let w = numbers(s.in_c * s.out_c / s.groups * taps);
            let bias = numbers(s.out_c);
            let mut want = vec![0.0; s.batch * s.out_c * outs];
            let (in_per, out_per) = (s.in_c / s.groups, s.out_c / s.groups);
            for b in 0..s.batch {
                for oc in 0..s.out_c {
                    for o in 0..outs {
                        want[(b * s.out_c + oc) * outs + o] = bias[oc];
                    }
                    for ic in oc / out_per * in_per..(oc / out_per + 1) * in_per {
                        let matrix = if transposed { ic * out_per + oc % out_per } else { oc * in_per + ic % in_per };
                        for (od, id, kd) in pairs(&s, 0, transposed) {
                            for (or, ir, kr) in pairs(&s, 1, transposed) {
                                for (oc_, ic_, kc) in pairs(&s, 2, transposed) {
                                    let o = (od * s.output[1] + or) * s.output[2] + oc_;
                                    let i = (id * s.input[1] + ir) * s.input[2] + ic_;
                                    let k = (kd * s.kernel[1] + kr) * s.kernel[2] + kc;
                                    want[(b * s.out_c + oc) * outs + o] +=
                                        x[(b * s.in_c + ic) * ins + i] * w[matrix * taps + k];
                                }
                            }
                        }
                    }
                }
            }
            let mut out = vec![f32::NAN; want.len()];
            let run = if transposed { conv_transpose_nd_f32 } else { conv_nd_f32 };
            run(&x, &w, &bias, &s, &mut out);
            assert_eq!(out, want, "transposed: {transposed}");
        }
    }
}
