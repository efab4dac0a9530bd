//! f32 depthwise convolution: the definition.

use crate::args::{ConvShape, LayerF32};
use crate::element::Element;
use crate::f32_rules::{BlockedSum, epilogue, tap};
use crate::pack::padded_channels;

/// Cells outside of the input hold 0 and are multiplied like others.
pub fn depthwise<E: Element>(x: &[f32], shape: &ConvShape, layer: &LayerF32<'_, E>, out: &mut [f32]) {
    let s = shape;
    let padded = padded_channels(s.in_c);
    for (at, y) in out.iter_mut().enumerate() {
        let (pixel, c) = (at / s.out_c, at % s.out_c);
        let (row, ox) = (pixel / s.out_w, pixel % s.out_w);
        let (b, oy) = (row / s.out_h, row % s.out_h);
        let mut sum = BlockedSum::default();
        for ky in 0..s.kernel_h {
            for kx in 0..s.kernel_w {
                let iy = tap(oy, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h);
                let ix = tap(ox, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w);
                let value = match (iy, ix) {
                    (Some(iy), Some(ix)) => x[((b * s.in_h + iy) * s.in_w + ix) * s.in_c + c],
                    _ => 0.0,
                };
                sum.add(value * layer.weights[(ky * s.kernel_w + kx) * padded + c].widen());
            }
        }
        let mut sum = [sum.finish()];
        E::scale(layer.scales, c, &mut sum);
        *y = epilogue(sum[0], layer.bias.get(c).copied(), layer.lo, layer.hi);
    }
}
