//! f32 convolution: the definition.

use crate::args::{ConvShape, LayerF32};
use crate::element::Element;
use crate::f32_rules::{BlockedSum, epilogue, tap};
use crate::pack::{NR, f32_elements};

/// Cells outside of the input hold 0 and are multiplied like others.
pub fn conv2d<E: Element>(x: &[f32], shape: &ConvShape, layer: &LayerF32<'_, E>, out: &mut [f32]) {
    let s = shape;
    let (icg, ocg) = (s.in_c / s.groups, s.out_c / s.groups);
    let k = s.kernel_h * s.kernel_w * icg;
    for (at, y) in out.iter_mut().enumerate() {
        let (pixel, oc) = (at / s.out_c, at % s.out_c);
        let (row, ox) = (pixel / s.out_w, pixel % s.out_w);
        let (b, oy) = (row / s.out_h, row % s.out_h);
        let (group, oc_of_group) = (oc / ocg, oc % ocg);
        let panel = group * f32_elements(ocg, k) + oc_of_group / NR * (NR * k);
        let mut sum = BlockedSum::default();
        let mut i = 0;
        for ky in 0..s.kernel_h {
            for kx in 0..s.kernel_w {
                let iy = tap(oy, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h);
                let ix = tap(ox, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w);
                for ic in 0..icg {
                    let value = match (iy, ix) {
                        (Some(iy), Some(ix)) => x[((b * s.in_h + iy) * s.in_w + ix) * s.in_c + group * icg + ic],
                        _ => 0.0,
                    };
                    sum.add(value * layer.weights[panel + i * NR + oc_of_group % NR].widen());
                    i += 1;
                }
            }
        }
        let mut sum = [sum.finish()];
        E::scale(layer.scales, oc, &mut sum);
        *y = epilogue(sum[0], layer.bias.get(oc).copied(), layer.lo, layer.hi);
    }
}
