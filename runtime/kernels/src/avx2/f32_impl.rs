//! The f32 methods of AVX2: the portable bodies, compiled with AVX2 (and without fused multiply-add).

use super::Avx2;
use crate::args::{ConvShape, LayerF32, LayerNormF32};
use crate::element::Element;
use crate::isa::IsaF32;
use crate::portable::{
    f32_binary, f32_conv_transpose, f32_conv2d, f32_dense, f32_depthwise, f32_layer_norm, f32_pool, f32_reduce,
    f32_softmax, f32_unary,
};

/// Methods that are a portable body with AVX2 and F16C switched on.
macro_rules! with_avx2 {
    ($(fn $name:ident$(<$element:ident>)?($this:ident $(, $arg:ident: $ty:ty)*) $body:block)*) => {
        $(fn $name$(<$element: Element>)?(self $(, $arg: $ty)*) {
            #[target_feature(enable = "avx2,f16c")]
            #[allow(unused_variables, clippy::too_many_arguments)]
            fn body$(<$element: Element>)?(isa: Avx2 $(, $arg: $ty)*) {
                let $this = isa;
                $body
            }
            // SAFETY: a value of `Avx2` is the proof that the CPU has AVX2 and F16C.
            unsafe { body(self $(, $arg)*) }
        })*
    };
}

impl IsaF32 for Avx2 {
    with_avx2! {
        fn conv2d_f32<E>(isa, x: &[f32], shape: &ConvShape, layer: &LayerF32<'_, E>, out: &mut [f32], scratch: &mut [u8]) {
            f32_conv2d::conv2d(isa, x, shape, layer, out, scratch);
        }
        fn depthwise_f32<E>(isa, x: &[f32], shape: &ConvShape, layer: &LayerF32<'_, E>, out: &mut [f32], scratch: &mut [u8]) {
            f32_depthwise::depthwise(x, shape, layer, out);
        }
        fn conv_transpose2d_f32(isa, x: &[f32], shape: &ConvShape, layer: &LayerF32<'_>, out: &mut [f32]) {
            f32_conv_transpose::conv_transpose2d(x, shape, layer, out);
        }
        fn dense_f32<E>(isa, x: &[f32], rows: usize, k: usize, n: usize, layer: &LayerF32<'_, E>, out: &mut [f32]) {
            f32_dense::dense(isa, x, rows, k, n, layer, out);
        }
        fn matmul_f32(isa, a: &[f32], b: &[f32], m: usize, k: usize, n: usize, out: &mut [f32]) {
            f32_dense::matmul(isa, a, b, m, k, n, out);
        }
        fn max_pool_f32(isa, x: &[f32], shape: &ConvShape, out: &mut [f32]) {
            f32_pool::max_pool(x, shape, out);
        }
        fn avg_pool_f32(isa, x: &[f32], shape: &ConvShape, pad_end: [usize; 2], count_pad: bool, out: &mut [f32]) {
            f32_pool::avg_pool(x, shape, pad_end, count_pad, out);
        }
        fn unary_f32(isa, kind: u32, alpha: f32, beta: f32, x: &[f32], out: &mut [f32]) {
            f32_unary::unary(kind, alpha, beta, x, out);
        }
        fn unary_in_place_f32(isa, kind: u32, alpha: f32, beta: f32, out: &mut [f32]) {
            f32_unary::unary_in_place(kind, alpha, beta, out);
        }
        fn binary_f32(isa, kind: u32, a: &[f32], b: &[f32], lo: f32, hi: f32, out: &mut [f32]) {
            f32_binary::binary(kind, a, b, lo, hi, out);
        }
        fn softmax_f32(isa, x: &[f32], row: usize, out: &mut [f32]) {
            f32_softmax::softmax(x, row, out);
        }
        fn reduce_f32(isa, kind: u32, x: &[f32], outer: usize, n: usize, inner: usize, out: &mut [f32]) {
            f32_reduce::reduce(kind, x, n, inner, out);
        }
        fn layer_norm_f32(isa, x: &[f32], norm: &LayerNormF32<'_>, out: &mut [f32]) {
            f32_layer_norm::layer_norm(x, norm, out);
        }
    }
}
