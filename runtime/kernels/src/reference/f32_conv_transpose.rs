//! f32 transposed convolution: the definition.

use crate::args::{ConvShape, LayerF32};
use crate::f32_rules::{BlockedSum, epilogue, transposed_tap};

/// Gathers, for each output, the taps that an input cell reaches, in ascending (row, column) of
/// the window, then input channel. Other taps do not exist: they are not products with 0.
pub fn conv_transpose2d(x: &[f32], shape: &ConvShape, layer: &LayerF32<'_>, out: &mut [f32]) {
    let s = shape;
    let (icg, ocg) = (s.in_c / s.groups, s.out_c / s.groups);
    for (at, y) in out.iter_mut().enumerate() {
        let (pixel, oc) = (at / s.out_c, at % s.out_c);
        let (row, ox) = (pixel / s.out_w, pixel % s.out_w);
        let (b, oy) = (row / s.out_h, row % s.out_h);
        let group = oc / ocg;
        let mut sum = BlockedSum::default();
        for ky in 0..s.kernel_h {
            let Some(iy) = transposed_tap(oy, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h) else { continue };
            for kx in 0..s.kernel_w {
                let Some(ix) = transposed_tap(ox, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w) else { continue };
                for ic in 0..icg {
                    let value = x[((b * s.in_h + iy) * s.in_w + ix) * s.in_c + group * icg + ic];
                    let tap = (group * s.kernel_h + ky) * s.kernel_w + kx;
                    sum.add(value * layer.weights[(tap * icg + ic) * ocg + oc % ocg]);
                }
            }
        }
        *y = epilogue(sum.finish(), layer.bias.get(oc).copied(), layer.lo, layer.hi);
    }
}
