//! What kernels are given. Slices have exactly the lengths their shapes say;
//! callers validate once, kernels do not repeat it.

use crate::element::Element;

/// Geometry of a convolution or pool on NHWC tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    pub batch: usize,
    pub in_h: usize,
    pub in_w: usize,
    pub in_c: usize,
    pub out_h: usize,
    pub out_w: usize,
    pub out_c: usize,
    pub kernel_h: usize,
    pub kernel_w: usize,
    pub stride_h: usize,
    pub stride_w: usize,
    pub dilation_h: usize,
    pub dilation_w: usize,
    pub pad_top: usize,
    pub pad_left: usize,
    pub groups: usize,
}

impl ConvShape {
    /// The shape whose output follows from input (batch, height, width, channels), window and
    /// padding (top, left, bottom, right); `None` where the window is larger than the padded input.
    pub fn of_window(
        [batch, in_h, in_w, in_c]: [usize; 4],
        out_c: usize,
        kernel: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
        pad: [usize; 4],
        groups: usize,
    ) -> Option<ConvShape> {
        let size = |n: usize, k: usize, s: usize, d: usize, pad: usize| {
            let reach = k.checked_sub(1)?.checked_mul(d)?.checked_add(1)?;
            (n + pad).checked_sub(reach)?.checked_div(s)?.checked_add(1)
        };
        Some(ConvShape {
            batch,
            in_h,
            in_w,
            in_c,
            out_h: size(in_h, kernel[0], stride[0], dilation[0], pad[0] + pad[2])?,
            out_w: size(in_w, kernel[1], stride[1], dilation[1], pad[1] + pad[3])?,
            out_c,
            kernel_h: kernel[0],
            kernel_w: kernel[1],
            stride_h: stride[0],
            stride_w: stride[1],
            dilation_h: dilation[0],
            dilation_w: dilation[1],
            pad_top: pad[0],
            pad_left: pad[1],
            groups,
        })
    }
}

/// Bias per channel, the input's zero point folded in.
#[derive(Clone, Copy, Debug)]
pub enum Bias<'a> {
    I32(&'a [i32]),
    /// A `wide` layer: bias and sums are added in i64.
    I64(&'a [i64]),
}

/// Fused residual: y = clamp((y·m1 + skip·m2 + c) >> s, lo, hi), `skip` is what the output held.
#[derive(Clone, Copy, Debug)]
pub struct Residual {
    pub m1: i32,
    pub m2: i32,
    pub c: i32,
    pub s: u32,
    pub lo: i8,
    pub hi: i8,
}

/// Weights of fewer than 8 bits, packed as [`crate::pack_low`] says:
/// w = scale·code − offset, with the scale 1 where there are no scales, and the offset
/// `zero`·scale where there are no offsets.
#[derive(Clone, Copy, Debug)]
pub struct LowBit<'a> {
    /// Rows: output channels, of each group of a convolution.
    pub n: usize,
    /// Length of a row.
    pub k: usize,
    pub codes: &'a [u8],
    /// k that share a scale and an offset, a multiple of 32; 0: all of a row.
    pub group: usize,
    pub scales: &'a [u8],
    pub offsets: &'a [i16],
    /// At most the largest code; 0 where there are offsets.
    pub zero: u8,
}

/// Epilogue to int8. Arrays have one entry a channel.
#[derive(Clone, Copy, Debug)]
pub struct Requant<'a> {
    pub bias: Bias<'a>,
    pub multiplier: &'a [i32],
    pub shift: &'a [i8],
    pub zero_point: i32,
    pub lo: i8,
    pub hi: i8,
    pub residual: Option<Residual>,
}

/// Epilogue to f32: `(acc as f32)·(x_scale·w_scale) + bias`, clamped.
#[derive(Clone, Copy, Debug)]
pub struct Scale<'a> {
    /// One for the tensor, or one a row (dense).
    pub x_scale: &'a [f32],
    /// Per channel, as `bias`.
    pub w_scale: &'a [f32],
    pub bias: &'a [f32],
    pub lo: f32,
    pub hi: f32,
}

/// Epilogue to i32: `acc − zero_point·column_sum`.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    pub zero_point: i32,
    /// Sums of the weights per channel; those left out are 0.
    pub column_sum: &'a [i32],
}

/// A matrix quantized at run time: rows of int8 and a scale each.
#[derive(Clone, Copy, Debug)]
pub struct RowsI8<'a> {
    pub codes: &'a [i8],
    pub scales: &'a [f32],
}

/// Where a layer's sums go.
#[derive(Debug)]
pub enum Output<'a> {
    I8(Requant<'a>, &'a mut [i8]),
    F32(Scale<'a>, &'a mut [f32]),
    I32(Raw<'a>, &'a mut [i32]),
}

/// Weights, bias and clamp of an f32 layer, whose weights are stored as `E`.
#[derive(Clone, Copy, Debug)]
pub struct LayerF32<'a, E: Element = f32> {
    /// Packed.
    pub weights: &'a [E],
    /// Scales of the channels, where `E` has some.
    pub scales: E::Scales<'a>,
    /// Padded to a multiple of 8 channels; empty: none.
    pub bias: &'a [f32],
    pub lo: f32,
    pub hi: f32,
}

/// Layer normalization: `gamma` and `beta` have the length of a row.
#[derive(Clone, Copy, Debug)]
pub struct LayerNormF32<'a> {
    pub epsilon: f32,
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
}

/// Integer addition: `arith::add` with these constants.
#[derive(Clone, Copy, Debug)]
pub struct AddI8 {
    pub m1: i32,
    pub m2: i32,
    pub c: i32,
    pub s: u32,
    pub lo: i8,
    pub hi: i8,
}

/// Epilogue of a layer with int16 activations: `arith::requantize` around 0. Arrays have one entry a channel.
#[derive(Clone, Copy, Debug)]
pub struct RequantI16<'a> {
    pub bias: &'a [i64],
    pub multiplier: &'a [i32],
    pub shift: &'a [i8],
    pub lo: i16,
    pub hi: i16,
}

/// Addition of int16 values: `arith::add_i16` with these constants.
#[derive(Clone, Copy, Debug)]
pub struct AddI16 {
    pub m1: i32,
    pub m2: i32,
    pub s: u32,
    pub lo: i16,
    pub hi: i16,
}

/// Integer product: `arith::mul` with these constants.
#[derive(Clone, Copy, Debug)]
pub struct MulI8 {
    pub zp1: i32,
    pub zp2: i32,
    pub multiplier: i32,
    pub shift: i8,
    pub zero_point: i32,
    pub lo: i8,
    pub hi: i8,
}

/// Integer average pool: `arith::average` with these constants.
#[derive(Clone, Copy, Debug)]
pub struct AverageI8 {
    /// Rows and columns of padding behind the input that count with `count_pad`.
    pub pad_end: [usize; 2],
    pub count_pad: bool,
    pub input_zero_point: i32,
    pub multiplier: i32,
    pub shift: u32,
    pub zero_point: i32,
    pub lo: i8,
    pub hi: i8,
}

/// Integer softmax: `arith::softmax_exponential` of this table, `arith::softmax_probability`.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxI8<'a> {
    pub table: &'a [u32],
    pub inverse: u32,
    pub shift: u32,
    pub zero_point: i32,
}
