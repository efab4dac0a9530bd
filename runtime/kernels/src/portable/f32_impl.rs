//! The f32 methods of the portable instruction set.

use super::{
    Portable, f32_binary, f32_conv_transpose, f32_dense, f32_layer_norm, f32_pool, f32_reduce, f32_softmax, f32_unary,
};
use crate::args::{ConvShape, LayerF32, LayerNormF32};
use crate::element::Element;
use crate::isa::IsaF32;

impl IsaF32 for Portable {
    fn conv2d_f32<E: Element>(
        self,
        x: &[f32],
        shape: &ConvShape,
        layer: &LayerF32<'_, E>,
        out: &mut [f32],
        scratch: &mut [u8],
    ) {
        E::conv2d(x, shape, layer, out, scratch);
    }

    fn depthwise_f32<E: Element>(
        self,
        x: &[f32],
        shape: &ConvShape,
        layer: &LayerF32<'_, E>,
        out: &mut [f32],
        _scratch: &mut [u8],
    ) {
        E::depthwise(x, shape, layer, out);
    }

    fn conv_transpose2d_f32(self, x: &[f32], shape: &ConvShape, layer: &LayerF32<'_>, out: &mut [f32]) {
        f32_conv_transpose::conv_transpose2d(x, shape, layer, out);
    }

    fn dense_f32<E: Element>(
        self,
        x: &[f32],
        rows: usize,
        k: usize,
        n: usize,
        layer: &LayerF32<'_, E>,
        out: &mut [f32],
    ) {
        E::dense(x, rows, k, n, layer, out);
    }

    fn matmul_f32(self, a: &[f32], b: &[f32], m: usize, k: usize, n: usize, out: &mut [f32]) {
        f32_dense::matmul(self, a, b, m, k, n, out);
    }

    fn max_pool_f32(self, x: &[f32], shape: &ConvShape, out: &mut [f32]) {
        f32_pool::max_pool(x, shape, out);
    }

    fn avg_pool_f32(self, x: &[f32], shape: &ConvShape, pad_end: [usize; 2], count_pad: bool, out: &mut [f32]) {
        f32_pool::avg_pool(x, shape, pad_end, count_pad, out);
    }

    fn unary_f32(self, kind: u32, alpha: f32, beta: f32, x: &[f32], out: &mut [f32]) {
        f32_unary::unary(kind, alpha, beta, x, out);
    }

    fn unary_in_place_f32(self, kind: u32, alpha: f32, beta: f32, out: &mut [f32]) {
        f32_unary::unary_in_place(kind, alpha, beta, out);
    }

    fn binary_f32(self, kind: u32, a: &[f32], b: &[f32], lo: f32, hi: f32, out: &mut [f32]) {
        f32_binary::binary(kind, a, b, lo, hi, out);
    }

    fn softmax_f32(self, x: &[f32], row: usize, out: &mut [f32]) {
        f32_softmax::softmax(x, row, out);
    }

    fn reduce_f32(self, kind: u32, x: &[f32], _outer: usize, n: usize, inner: usize, out: &mut [f32]) {
        f32_reduce::reduce(kind, x, n, inner, out);
    }

    fn layer_norm_f32(self, x: &[f32], norm: &LayerNormF32<'_>, out: &mut [f32]) {
        f32_layer_norm::layer_norm(x, norm, out);
    }
}
