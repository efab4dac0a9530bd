//! `depthwise_w8__reference`: the definition of the int8 depthwise convolution.

use super::epilogue;
use crate::args::*;
use crate::pack::depthwise_w8_at;

/// One output at a time over the packed weights. Exact.
pub fn depthwise(x: &[i8], w: &[i8], shape: &ConvShape, pad_value: i8, mut output: Output<'_>) {
    let s = shape;
    let taps = s.kernel_h * s.kernel_w;
    for pixel in 0..s.batch * s.out_h * s.out_w {
        let (b, oy, ox) = (pixel / (s.out_h * s.out_w), pixel / s.out_w % s.out_h, pixel % s.out_w);
        for channel in 0..s.out_c {
            let mut sum = 0i64;
            for ky in 0..s.kernel_h {
                for kx in 0..s.kernel_w {
                    let y = (oy * s.stride_h + ky * s.dilation_h) as i64 - s.pad_top as i64;
                    let z = (ox * s.stride_w + kx * s.dilation_w) as i64 - s.pad_left as i64;
                    let inside = (0..s.in_h as i64).contains(&y) && (0..s.in_w as i64).contains(&z);
                    let value = if inside {
                        x[((b * s.in_h + y as usize) * s.in_w + z as usize) * s.in_c + channel]
                    } else {
                        pad_value
                    };
                    let tap = ky * s.kernel_w + kx;
                    let weight = w[depthwise_w8_at(s.out_c, taps, channel, tap)];
                    sum += value as i64 * weight as i64;
                }
            }
            epilogue::store(&mut output, pixel, channel, s.out_c, sum);
        }
    }
}
