//! The kernels of one instruction set, as a type. Op bodies are generic over it.

use crate::args::*;
use crate::code::Code;
use crate::element::Element;
use crate::select::IsaKind;
use crate::{pack, pack_low, portable};

/// One instruction set. A value of the type is the proof that the CPU has it.
///
/// Layers: `x` NHWC (rows `[rows, k]` for dense), weights packed as [`crate::pack`] says,
/// output NHWC. Scratch lengths come from [`crate::pack`], equal for every instruction set.
pub trait Isa: IsaI8 + IsaI16 + IsaF32 {
    fn name(self) -> &'static str;
}

impl<I: IsaI8 + IsaI16 + IsaF32> Isa for I {
    fn name(self) -> &'static str {
        I::KIND.name()
    }
}

/// The int8 kernels of an instruction set.
pub trait IsaI8: Copy + 'static {
    const KIND: IsaKind;

    /// Cells outside of the input hold `pad_value`.
    fn conv2d_w8(self, x: &[i8], w: &[i8], shape: &ConvShape, pad_value: i8, output: Output<'_>, scratch: &mut [u8]);
    /// `out_c == in_c == groups`.
    fn depthwise_w8(self, x: &[i8], w: &[i8], shape: &ConvShape, pad_value: i8, output: Output<'_>, scratch: &mut [u8]);
    fn dense_w8(self, x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, output: Output<'_>);
    /// As `conv2d_w8`, of weights of fewer than 8 bits. Scratch is aligned to 4 bytes.
    fn conv2d_low<C: Code>(
        self,
        x: &[i8],
        w: &LowBit<'_>,
        shape: &ConvShape,
        pad_value: i8,
        output: Output<'_>,
        scratch: &mut [u8],
    );
    /// As `dense_w8`, of weights of fewer than 8 bits. Scratch is aligned to 4 bytes.
    fn dense_low<C: Code>(self, x: &[i8], w: &LowBit<'_>, rows: usize, output: Output<'_>, scratch: &mut [u8]);
    /// As `depthwise_w8`, of weights `code − zero`, which are unpacked into scratch; scales and
    /// offsets are not read.
    fn depthwise_low<C: Code>(
        self,
        x: &[i8],
        w: &LowBit<'_>,
        shape: &ConvShape,
        pad_value: i8,
        output: Output<'_>,
        scratch: &mut [u8],
    ) {
        let bytes = pack::depthwise_w8_bytes(shape.out_c, shape.kernel_h * shape.kernel_w);
        let Some((weights, scratch)) = scratch.split_at_mut_checked(bytes) else { return };
        let weights: &mut [i8] = zerocopy::transmute_mut!(weights);
        pack_low::unpack_depthwise_low(C::WIDTH, w.codes, w.zero, weights);
        self.depthwise_w8(x, weights, shape, pad_value, output, scratch);
    }
    /// Adds `more << shift` to `sums`, wrapping; with a negative shift `more` is rounded to the
    /// right, half up.
    fn add_branch(self, sums: &mut [i32], more: &[i32], shift: i32) {
        portable::epilogue::add_branch(sums, more, shift);
    }
    /// Stores sums `[rows, n]` as a dense layer does.
    fn store_sums(self, sums: &[i32], rows: usize, n: usize, output: Output<'_>) {
        portable::epilogue::store_rows(sums, rows, n, output);
    }
    fn max_pool_i8(self, x: &[i8], shape: &ConvShape, out: &mut [i8]);
    fn avg_pool_i8(self, x: &[i8], shape: &ConvShape, args: &AverageI8, out: &mut [i8]);
    fn add_i8(self, a: &[i8], b: &[i8], args: &AddI8, out: &mut [i8]);
    /// `b` lies in `out`.
    fn add_in_place_i8(self, a: &[i8], args: &AddI8, out: &mut [i8]);
    fn mul_i8(self, a: &[i8], b: &[i8], args: &MulI8, out: &mut [i8]);
    fn rescale_i8(self, x: &[i8], m: i32, c: i32, s: u32, out: &mut [i8]);
    fn table_i8(self, x: &[i8], table: &[i8], out: &mut [i8]);
    fn table_in_place_i8(self, table: &[i8], out: &mut [i8]);
    /// Rows of `row` elements.
    fn softmax_i8(self, x: &[i8], row: usize, args: &SoftmaxI8<'_>, out: &mut [i8]);
    /// `false` where a value is NaN (the output is then unspecified).
    fn quantize_i8(self, x: &[f32], scale: f32, zero_point: i32, out: &mut [i8]) -> bool;
    fn dequantize_i8(self, x: &[i8], scale: f32, zero_point: i32, out: &mut [f32]);
    /// One scale a row of `row` elements; `false` where a value is NaN or infinite.
    fn dynamic_quantize_i8(self, x: &[f32], row: usize, out: &mut [i8], scales: &mut [f32]) -> bool;
    /// Rows `[m, k]` times rows `[n, k]`, each with its scale: `out[i][j] = acc·(a_scale[i]·b_scale[j])`.
    /// Scratch: [`w8_bytes`](crate::pack::w8_bytes) of `n` and `k`, and `n` f32.
    fn matmul_i8(self, a: RowsI8<'_>, b: RowsI8<'_>, k: usize, out: &mut [f32], scratch: &mut [i8], zeros: &mut [f32]) {
        crate::portable::matmul_i8::matmul(self, a, b, k, out, scratch, zeros);
    }
}

/// The kernels of an instruction set for int16 activations, which lie around 0: cells outside of the input are 0.
/// Weights are packed as for int8 activations, and scratch is as long; it is aligned to 4 bytes.
#[rustfmt::skip]
pub trait IsaI16: Copy + 'static {
    fn conv2d_i16(self, x: &[i16], w: &[i8], shape: &ConvShape, q: &RequantI16<'_>, out: &mut [i16], scratch: &mut [u8]) {
        portable::layers_i16::conv2d(x, w, shape, q, out, scratch);
    }
    /// `out_c == in_c == groups`.
    fn depthwise_i16(self, x: &[i16], w: &[i8], shape: &ConvShape, q: &RequantI16<'_>, out: &mut [i16]) {
        portable::layers_i16::depthwise(x, w, shape, q, out);
    }
    /// Rows of `k` to rows of `n`.
    fn dense_i16(self, x: &[i16], w: &[i8], k: usize, n: usize, q: &RequantI16<'_>, out: &mut [i16]) {
        portable::layers_i16::dense(x, w, k, n, q, out);
    }
    fn add_i16(self, a: &[i16], b: &[i16], args: &AddI16, out: &mut [i16]) {
        portable::layers_i16::add(a, b, args, out);
    }
    /// `b` lies in `out`.
    fn add_in_place_i16(self, a: &[i16], args: &AddI16, out: &mut [i16]) {
        portable::layers_i16::add_in_place(a, args, out);
    }
    /// `false` where a value is NaN (the output is then unspecified).
    fn quantize_i16(self, x: &[f32], scale: f32, out: &mut [i16]) -> bool {
        portable::layers_i16::quantize(x, scale, out)
    }
    fn dequantize_i16(self, x: &[i16], scale: f32, out: &mut [f32]) {
        portable::layers_i16::dequantize(x, scale, out);
    }
}

/// The f32 kernels of an instruction set. Scratch is aligned to 4 bytes.
pub trait IsaF32: Copy + 'static {
    fn conv2d_f32<E: Element>(
        self,
        x: &[f32],
        shape: &ConvShape,
        layer: &LayerF32<'_, E>,
        out: &mut [f32],
        scratch: &mut [u8],
    );
    fn depthwise_f32<E: Element>(
        self,
        x: &[f32],
        shape: &ConvShape,
        layer: &LayerF32<'_, E>,
        out: &mut [f32],
        scratch: &mut [u8],
    );
    /// Gather form; `shape`'s input and output are those of the transposed convolution.
    fn conv_transpose2d_f32(self, x: &[f32], shape: &ConvShape, layer: &LayerF32<'_>, out: &mut [f32]);
    fn dense_f32<E: Element>(
        self,
        x: &[f32],
        rows: usize,
        k: usize,
        n: usize,
        layer: &LayerF32<'_, E>,
        out: &mut [f32],
    );
    /// `[m, k]` times `[k, n]`, neither packed.
    fn matmul_f32(self, a: &[f32], b: &[f32], m: usize, k: usize, n: usize, out: &mut [f32]);
    fn max_pool_f32(self, x: &[f32], shape: &ConvShape, out: &mut [f32]);
    fn avg_pool_f32(self, x: &[f32], shape: &ConvShape, pad_end: [usize; 2], count_pad: bool, out: &mut [f32]);
    /// `kind` and constants as in `selvedge_core::params::unary`. `x` and `out` have one length.
    fn unary_f32(self, kind: u32, alpha: f32, beta: f32, x: &[f32], out: &mut [f32]);
    fn unary_in_place_f32(self, kind: u32, alpha: f32, beta: f32, out: &mut [f32]);
    /// `kind` as in `selvedge_core::params::binary`. `a`, `b` and `out` have one length, or one
    /// of `a` and `b` has length 1 and is broadcast.
    fn binary_f32(self, kind: u32, a: &[f32], b: &[f32], lo: f32, hi: f32, out: &mut [f32]);
    /// Rows of `row` elements.
    fn softmax_f32(self, x: &[f32], row: usize, out: &mut [f32]);
    /// `kind` as in `selvedge_core::params::reduce`; `[outer, n, inner]` to `[outer, inner]`.
    fn reduce_f32(self, kind: u32, x: &[f32], outer: usize, n: usize, inner: usize, out: &mut [f32]);
    /// Rows as long as `gamma`.
    fn layer_norm_f32(self, x: &[f32], norm: &LayerNormF32<'_>, out: &mut [f32]);
}
