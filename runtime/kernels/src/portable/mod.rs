//! Kernels in safe Rust that a compiler vectorizes for whatever the target has.
//!
//! Bodies are `#[inline(always)]`, so that an instruction set without a kernel of its own
//! compiles them again for its vectors.

pub mod conv2d_w8;
pub mod delegate;
pub mod dense_w8;
pub mod depthwise_w8;
pub mod dot;
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
pub mod f32_tile;
pub mod f32_unary;
pub mod gather;
pub mod layers_i16;
pub mod low_bit;
pub mod matmul_i8;
pub mod pool_i8;
pub mod quantize_i8;
pub mod scalar;
pub mod softmax_i8;

use crate::args::*;
use crate::code::Code;
use crate::isa::{IsaI8, IsaI16};
use crate::select::IsaKind;

/// Whether the target has vectors: sums then lie in their lanes, else in single registers.
const VECTORS: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "simd128"));

/// Runs everywhere.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl IsaI8 for Portable {
    const KIND: IsaKind = IsaKind::Portable;

    fn conv2d_w8(self, x: &[i8], w: &[i8], shape: &ConvShape, pad_value: i8, output: Output<'_>, scratch: &mut [u8]) {
        if VECTORS {
            conv2d_w8::conv2d(x, w, shape, pad_value, output, scratch);
        } else {
            scalar::conv2d_w8::conv2d(x, w, shape, pad_value, output, scratch);
        }
    }

    fn depthwise_w8(
        self,
        x: &[i8],
        w: &[i8],
        shape: &ConvShape,
        pad_value: i8,
        output: Output<'_>,
        scratch: &mut [u8],
    ) {
        if VECTORS {
            depthwise_w8::depthwise(x, w, shape, pad_value, output, scratch);
        } else {
            scalar::depthwise_w8::depthwise(x, w, shape, pad_value, output);
        }
    }

    fn dense_w8(self, x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, output: Output<'_>) {
        if VECTORS {
            dense_w8::dense(x, w, rows, k, n, output);
        } else {
            scalar::dense_w8::dense(x, w, rows, k, n, output);
        }
    }

    fn conv2d_low<C: Code>(
        self,
        x: &[i8],
        w: &LowBit<'_>,
        shape: &ConvShape,
        pad_value: i8,
        output: Output<'_>,
        scratch: &mut [u8],
    ) {
        low_bit::conv2d::<C>(x, w, shape, pad_value, output, scratch);
    }

    fn dense_low<C: Code>(self, x: &[i8], w: &LowBit<'_>, rows: usize, output: Output<'_>, scratch: &mut [u8]) {
        low_bit::dense::<C>(x, w, rows, output, scratch);
    }

    fn max_pool_i8(self, x: &[i8], shape: &ConvShape, out: &mut [i8]) {
        pool_i8::max_pool(x, shape, out);
    }

    fn avg_pool_i8(self, x: &[i8], shape: &ConvShape, args: &AverageI8, out: &mut [i8]) {
        if VECTORS {
            pool_i8::avg_pool(x, shape, args, out);
        } else {
            scalar::pool_i8::avg_pool(x, shape, args, out);
        }
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
        if VECTORS {
            softmax_i8::softmax(x, row, args, out);
        } else {
            scalar::softmax_i8::softmax(x, row, args, out);
        }
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
}

impl IsaI16 for Portable {}
