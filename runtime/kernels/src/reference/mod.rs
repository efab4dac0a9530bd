//! The definition of every kernel: plain loops, sums in i64, no cleverness.

pub mod conv2d_w8;
pub mod dense_w8;
pub mod depthwise_w8;
pub mod elementwise_i8;
pub mod epilogue;
pub mod f32_binary;
pub mod f32_conv2d;
pub mod f32_conv_transpose;
pub mod f32_dense;
pub mod f32_depthwise;
mod f32_impl;
pub mod f32_layer_norm;
pub mod f32_pool;
pub mod f32_reduce;
pub mod f32_softmax;
pub mod f32_unary;
pub mod layers_i16;
pub mod low_bit;
pub mod matmul_i8;
pub mod pool_i8;
pub mod quantize_i8;
pub mod softmax_i8;

use crate::args::*;
use crate::code::Code;
use crate::isa::{IsaI8, IsaI16};
use crate::select::IsaKind;

/// Runs everywhere; what the other instruction sets are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Reference;

impl IsaI8 for Reference {
    const KIND: IsaKind = IsaKind::Reference;

    fn conv2d_w8(self, x: &[i8], w: &[i8], shape: &ConvShape, pad_value: i8, output: Output<'_>, _scratch: &mut [u8]) {
        conv2d_w8::conv2d(x, w, shape, pad_value, output);
    }

    fn depthwise_w8(
        self,
        x: &[i8],
        w: &[i8],
        shape: &ConvShape,
        pad_value: i8,
        output: Output<'_>,
        _scratch: &mut [u8],
    ) {
        depthwise_w8::depthwise(x, w, shape, pad_value, output);
    }

    fn dense_w8(self, x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, output: Output<'_>) {
        dense_w8::dense(x, w, rows, k, n, output);
    }

    fn conv2d_low<C: Code>(
        self,
        x: &[i8],
        w: &LowBit<'_>,
        shape: &ConvShape,
        pad_value: i8,
        output: Output<'_>,
        _scratch: &mut [u8],
    ) {
        low_bit::conv2d::<C>(x, w, shape, pad_value, output);
    }

    fn dense_low<C: Code>(self, x: &[i8], w: &LowBit<'_>, rows: usize, output: Output<'_>, _scratch: &mut [u8]) {
        low_bit::dense::<C>(x, w, rows, output);
    }

    fn max_pool_i8(self, x: &[i8], shape: &ConvShape, out: &mut [i8]) {
        pool_i8::max_pool(x, shape, out);
    }

    fn avg_pool_i8(self, x: &[i8], shape: &ConvShape, args: &AverageI8, out: &mut [i8]) {
        pool_i8::avg_pool(x, shape, args, out);
    }

    fn add_i8(self, a: &[i8], b: &[i8], args: &AddI8, out: &mut [i8]) {
        elementwise_i8::add(a, b, args, out);
    }

    fn add_in_place_i8(self, a: &[i8], args: &AddI8, out: &mut [i8]) {
        elementwise_i8::add_in_place(a, args, out);
    }

    fn mul_i8(self, a: &[i8], b: &[i8], args: &MulI8, out: &mut [i8]) {
        elementwise_i8::mul(a, b, args, out);
    }

    fn rescale_i8(self, x: &[i8], m: i32, c: i32, s: u32, out: &mut [i8]) {
        elementwise_i8::rescale(x, m, c, s, out);
    }

    fn table_i8(self, x: &[i8], table: &[i8], out: &mut [i8]) {
        elementwise_i8::table(x, table, out);
    }

    fn table_in_place_i8(self, table: &[i8], out: &mut [i8]) {
        elementwise_i8::table_in_place(table, out);
    }

    fn softmax_i8(self, x: &[i8], row: usize, args: &SoftmaxI8<'_>, out: &mut [i8]) {
        softmax_i8::softmax(x, row, args, out);
    }

    fn quantize_i8(self, x: &[f32], scale: f32, zero_point: i32, out: &mut [i8]) -> bool {
        quantize_i8::quantize(x, scale, zero_point, out)
    }

    fn dequantize_i8(self, x: &[i8], scale: f32, zero_point: i32, out: &mut [f32]) {
        quantize_i8::dequantize(x, scale, zero_point, out);
    }

    fn dynamic_quantize_i8(self, x: &[f32], row: usize, out: &mut [i8], scales: &mut [f32]) -> bool {
        quantize_i8::dynamic_quantize(x, row, out, scales)
    }

    fn matmul_i8(self, a: RowsI8<'_>, b: RowsI8<'_>, k: usize, out: &mut [f32], _: &mut [i8], _: &mut [f32]) {
        matmul_i8::matmul(a, b, k, out);
    }
}

#[rustfmt::skip]
impl IsaI16 for Reference {
    fn conv2d_i16(self, x: &[i16], w: &[i8], shape: &ConvShape, q: &RequantI16<'_>, out: &mut [i16], _scratch: &mut [u8]) {
        layers_i16::conv2d(x, w, shape, q, out);
    }

    fn depthwise_i16(self, x: &[i16], w: &[i8], shape: &ConvShape, q: &RequantI16<'_>, out: &mut [i16]) {
        layers_i16::depthwise(x, w, shape, q, out);
    }

    fn dense_i16(self, x: &[i16], w: &[i8], k: usize, n: usize, q: &RequantI16<'_>, out: &mut [i16]) {
        layers_i16::dense(x, w, k, n, q, out);
    }

    fn add_i16(self, a: &[i16], b: &[i16], args: &AddI16, out: &mut [i16]) {
        layers_i16::add(a, b, args, out);
    }

    fn add_in_place_i16(self, a: &[i16], args: &AddI16, out: &mut [i16]) {
        layers_i16::add_in_place(a, args, out);
    }

    fn quantize_i16(self, x: &[f32], scale: f32, out: &mut [i16]) -> bool {
        layers_i16::quantize(x, scale, out)
    }
}
