//! Op bodies, one family a file, and the table of all of them.
//!
//! Each op resolves its parameters into a plan; `validate` proves it once, `run` builds it again
//! from the same checks and calls the kernels.

mod a4;
mod add;
mod arg_reduce;
mod bit_cast;
mod broadcast;
mod cast;
mod compare;
mod concat;
mod conv_f32;
mod conv_i8;
mod conv_low;
mod conv_nd;
mod conv_pair;
mod conv_transpose;
mod cum_sum;
mod dense_f32;
mod dense_i8;
mod dense_low;
mod dense_low_rank;
mod dynamic;
mod elementwise_f32;
mod elementwise_int;
mod expand;
mod flip;
mod gather;
mod gather_elements;
mod gather_w8;
mod geometry;
mod grid_sample;
mod group_norm;
mod index;
mod layer_i8;
mod layer_norm;
mod layers_i16;
mod low_bit;
mod matmul;
mod matmul_i8;
mod max_pool_nd;
mod mul;
mod pad;
mod places;
mod pool;
mod quantize;
mod recurrent;
mod recurrent_i8;
mod reduce;
mod resample;
mod reshape;
mod scatter;
mod select;
mod slice;
mod softmax;
mod table;
mod top_k;
mod transpose;
mod trig;

pub use a4::{DynamicQuantize4, UnpackA4};
pub use add::Add;
pub use arg_reduce::ArgReduce;
pub use bit_cast::BitCast;
pub use cast::Cast;
pub use compare::Compare;
pub use concat::Concat;
pub use conv_i8::{Conv2d, DepthwiseConv2d};
pub use conv_nd::ConvNd;
pub use conv_pair::ConvPair;
pub use conv_transpose::ConvTranspose2d;
pub use cum_sum::CumSum;
pub use dense_i8::Dense;
pub use dense_low_rank::DenseLowRank;
pub use dynamic::{DynamicQuantize, DynamicQuantizeLinear};
pub use elementwise_f32::{Binary, Unary};
pub use expand::Expand;
pub use flip::FlipSign;
pub use gather::Gather;
pub use gather_elements::GatherElements;
pub use grid_sample::GridSample;
pub use group_norm::GroupNorm;
pub use layer_norm::LayerNorm;
pub use matmul::MatMul;
pub use max_pool_nd::MaxPoolNd;
pub use mul::Mul;
pub use pad::Pad;
pub use pool::{AvgPool2d, MaxPool2d};
pub use quantize::{Dequantize, Quantize};
pub use recurrent::{Gru, Lstm, Rnn};
pub use reduce::Reduce;
pub use resample::Resample;
pub use reshape::Reshape;
pub use scatter::Scatter;
pub use select::Select;
pub use slice::Slice;
pub use softmax::Softmax;
pub use table::Table;
pub use top_k::TopK;
pub use transpose::Transpose;
pub use trig::Trig;

use bytemuck::Pod;
use selvedge_core::Error;
use selvedge_core::params::{LayerArrays, NONE, WeightScales};
use selvedge_kernels::{Element, LayerF32, pack};
pub use selvedge_kernels::{T2, W2, W3, W4};

use crate::{OpEntry, StepCtx};

/// Moves bytes; any element type.
pub struct Any;
/// f32 values.
pub struct F32;
/// f32 activations, weights in IEEE half.
pub struct F16;
/// f32 activations, int8 weights.
pub struct F32W8;
/// int16 activations, no weights.
pub struct I16;
/// int16 activations, int8 weights.
pub struct I16W8;
/// int8 activations, no weights.
pub struct I8;
/// Plain integers or booleans of the tensors' own type.
pub struct Int;
/// int8 activations, int8 weights.
pub struct W8;

/// Every op of the runtime.
pub const ALL: &[OpEntry] = &[
    OpEntry::of::<Conv2d<W8>>(),
    OpEntry::of::<DepthwiseConv2d<W8>>(),
    OpEntry::of::<ConvPair<W8>>(),
    OpEntry::of::<Dense<W8>>(),
    OpEntry::of::<Conv2d<W4>>(),
    OpEntry::of::<DepthwiseConv2d<W4>>(),
    OpEntry::of::<Dense<W4>>(),
    OpEntry::of::<Conv2d<W3>>(),
    OpEntry::of::<DepthwiseConv2d<W3>>(),
    OpEntry::of::<Dense<W3>>(),
    OpEntry::of::<Conv2d<W2>>(),
    OpEntry::of::<DepthwiseConv2d<W2>>(),
    OpEntry::of::<Dense<W2>>(),
    OpEntry::of::<Conv2d<T2>>(),
    OpEntry::of::<DepthwiseConv2d<T2>>(),
    OpEntry::of::<Dense<T2>>(),
    OpEntry::of::<DenseLowRank<W8>>(),
    OpEntry::of::<DenseLowRank<W4>>(),
    OpEntry::of::<DenseLowRank<W3>>(),
    OpEntry::of::<DenseLowRank<W2>>(),
    OpEntry::of::<DenseLowRank<T2>>(),
    OpEntry::of::<Add<I8>>(),
    OpEntry::of::<Mul<I8>>(),
    OpEntry::of::<MaxPool2d<I8>>(),
    OpEntry::of::<AvgPool2d<I8>>(),
    OpEntry::of::<Table<I8>>(),
    OpEntry::of::<Softmax<I8>>(),
    OpEntry::of::<Concat<I8>>(),
    OpEntry::of::<Quantize<F32>>(),
    OpEntry::of::<Dequantize<I8>>(),
    OpEntry::of::<DynamicQuantize<F32>>(),
    OpEntry::of::<DynamicQuantizeLinear<F32>>(),
    OpEntry::of::<DynamicQuantize4<F32>>(),
    OpEntry::of::<UnpackA4<I8>>(),
    OpEntry::of::<FlipSign<Any>>(),
    OpEntry::of::<Cast<Any>>(),
    OpEntry::of::<Reshape<Any>>(),
    OpEntry::of::<Transpose<Any>>(),
    OpEntry::of::<Concat<Any>>(),
    OpEntry::of::<Pad<Any>>(),
    OpEntry::of::<Slice<Any>>(),
    OpEntry::of::<Gather<Any>>(),
    OpEntry::of::<Conv2d<F32>>(),
    OpEntry::of::<DepthwiseConv2d<F32>>(),
    OpEntry::of::<ConvTranspose2d<F32>>(),
    OpEntry::of::<Dense<F32>>(),
    OpEntry::of::<Conv2d<F16>>(),
    OpEntry::of::<DepthwiseConv2d<F16>>(),
    OpEntry::of::<Dense<F16>>(),
    OpEntry::of::<Conv2d<F32W8>>(),
    OpEntry::of::<DepthwiseConv2d<F32W8>>(),
    OpEntry::of::<Dense<F32W8>>(),
    OpEntry::of::<MatMul<F32>>(),
    OpEntry::of::<MaxPool2d<F32>>(),
    OpEntry::of::<AvgPool2d<F32>>(),
    OpEntry::of::<Softmax<F32>>(),
    OpEntry::of::<Unary<F32>>(),
    OpEntry::of::<Binary<F32>>(),
    OpEntry::of::<Reduce<F32>>(),
    OpEntry::of::<LayerNorm<F32>>(),
    OpEntry::of::<MatMul<I8>>(),
    OpEntry::of::<Gather<W8>>(),
    OpEntry::of::<GroupNorm<I8>>(),
    OpEntry::of::<GroupNorm<F32>>(),
    OpEntry::of::<Expand<Any>>(),
    OpEntry::of::<Scatter<Any>>(),
    OpEntry::of::<GatherElements<Any>>(),
    OpEntry::of::<TopK<Any>>(),
    OpEntry::of::<Resample<F32>>(),
    OpEntry::of::<ConvNd<F32>>(),
    OpEntry::of::<MaxPoolNd<Any>>(),
    OpEntry::of::<GridSample<F32>>(),
    OpEntry::of::<Lstm<F32>>(),
    OpEntry::of::<Gru<F32>>(),
    OpEntry::of::<Rnn<F32>>(),
    OpEntry::of::<Unary<Int>>(),
    OpEntry::of::<Binary<Int>>(),
    OpEntry::of::<Reduce<Int>>(),
    OpEntry::of::<Compare<F32>>(),
    OpEntry::of::<Compare<Int>>(),
    OpEntry::of::<Select<Any>>(),
    OpEntry::of::<ArgReduce<F32>>(),
    OpEntry::of::<ArgReduce<Int>>(),
    OpEntry::of::<CumSum<F32>>(),
    OpEntry::of::<CumSum<Int>>(),
    OpEntry::of::<Trig<F32>>(),
    OpEntry::of::<Lstm<W8>>(),
    OpEntry::of::<Gru<W8>>(),
    OpEntry::of::<BitCast<Any>>(),
    OpEntry::of::<Conv2d<I16W8>>(),
    OpEntry::of::<DepthwiseConv2d<I16W8>>(),
    OpEntry::of::<Dense<I16W8>>(),
    OpEntry::of::<Add<I16>>(),
    OpEntry::of::<Quantize<I16>>(),
    OpEntry::of::<Dequantize<I16>>(),
];

/// Bounds of int8 outputs, `lo` ≤ `hi`.
fn clamp_i8(lo: i32, hi: i32) -> Option<(i8, i8)> {
    (-128 <= lo && lo <= hi && hi <= 127).then_some((lo as i8, hi as i8))
}

/// A zero point of an int8 grid.
fn zero_point_i8(ctx: &StepCtx<'_>, zero_point: i32) -> Result<i32, Error> {
    ctx.require((-128..=127).contains(&zero_point))?;
    Ok(zero_point)
}

/// A layer's packed weights, of exactly this many bytes.
fn weights_i8<'a>(ctx: &StepCtx<'a>, arrays: &LayerArrays, bytes: usize) -> Option<&'a [i8]> {
    ctx.array(arrays.weights, bytes).ok().filter(|_| arrays.weights_bytes as usize == bytes)
}

/// Element types of the weights of f32 layers, and where a step says what their scales are.
trait Weights: Element + Pod {
    /// The scales of the channels, from parameters `at` bytes into the step's.
    fn scales<'a>(ctx: &StepCtx<'a>, at: usize, channels: usize) -> Result<Self::Scales<'a>, Error>;
}

impl Weights for f32 {
    fn scales<'a>(_: &StepCtx<'a>, _: usize, _: usize) -> Result<(), Error> {
        Ok(())
    }
}

impl Weights for u16 {
    fn scales<'a>(_: &StepCtx<'a>, _: usize, _: usize) -> Result<(), Error> {
        Ok(())
    }
}

impl Weights for i8 {
    fn scales<'a>(ctx: &StepCtx<'a>, at: usize, channels: usize) -> Result<&'a [f32], Error> {
        ctx.array(ctx.params_at::<WeightScales>(at)?.scales, pack::padded_channels(channels))
    }
}

/// Weights (offset, bytes), scales, bias and clamp of an f32 layer.
#[allow(clippy::too_many_arguments)]
fn layer_f32<'a, E: Weights>(
    ctx: &StepCtx<'a>,
    (weights, weights_bytes): (u32, u32),
    elements: usize,
    bias: u32,
    channels: usize,
    lo: f32,
    hi: f32,
    scales: E::Scales<'a>,
) -> Result<LayerF32<'a, E>, Error> {
    ctx.require(weights_bytes as u64 == elements as u64 * size_of::<E>() as u64 && lo <= hi)?;
    let bias = if bias == NONE { &[][..] } else { ctx.array(bias, pack::padded_channels(channels))? };
    Ok(LayerF32 { weights: ctx.array(weights, elements)?, scales, bias, lo, hi })
}
