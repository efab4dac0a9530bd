//! `conv2d_w8__reference`: the definition of the int8 convolution.

use super::epilogue;
use crate::args::*;
use crate::pack::{w8_at, w8_bytes};

/// One output at a time over the packed weights. Exact.
pub fn conv2d(x: &[i8], w: &[i8], shape: &ConvShape, pad_value: i8, mut output: Output<'_>) {
    let s = shape;
    let (in_c, out_c) = (s.in_c / s.groups, s.out_c / s.groups);
    let k = s.kernel_h * s.kernel_w * in_c;
    for pixel in 0..s.batch * s.out_h * s.out_w {
        let (b, oy, ox) = (pixel / (s.out_h * s.out_w), pixel / s.out_w % s.out_h, pixel % s.out_w);
        for channel in 0..s.out_c {
            let (group, local) = (channel / out_c, channel % out_c);
            let weights = &w[group * w8_bytes(out_c, k)..];
            let mut sum = 0i64;
            for ky in 0..s.kernel_h {
                for kx in 0..s.kernel_w {
                    let y = (oy * s.stride_h + ky * s.dilation_h) as i64 - s.pad_top as i64;
                    let z = (ox * s.stride_w + kx * s.dilation_w) as i64 - s.pad_left as i64;
                    let inside = (0..s.in_h as i64).contains(&y) && (0..s.in_w as i64).contains(&z);
                    for ic in 0..in_c {
                        let value = if inside {
                            let cell = (b * s.in_h + y as usize) * s.in_w + z as usize;
                            x[cell * s.in_c + group * in_c + ic]
                        } else {
                            pad_value
                        };
                        let at = (ky * s.kernel_w + kx) * in_c + ic;
                        let weight = weights[w8_at(out_c, k, local, at)];
                        sum += value as i64 * weight as i64;
                    }
                }
            }
            epilogue::store(&mut output, pixel, channel, s.out_c, sum);
        }
    }
}
