//! Conv2d, DepthwiseConv2d and Dense with int16 activations and int8 weights.

use selvedge_core::params::{ConvI8, DenseI8, LayerArrays};
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{ConvShape, Isa, RequantI16, pack};

use super::geometry::{dense_fits, layer_fits, rows, window_shape};
use super::layer_i8::{are_shifts, not_negative, require};
use super::{Conv2d, Dense, DepthwiseConv2d, I16W8, weights_i8};
use crate::{Op, RunCtx, StepCtx};

/// Bounds of int16 outputs, `lo` ≤ `hi`.
pub(super) fn clamp_i16(lo: i32, hi: i32) -> Option<(i16, i16)> {
    (-32_768 <= lo && lo <= hi && hi <= 32_767).then_some((lo as i16, hi as i16))
}

/// The epilogue of a layer around 0.
fn requant<'a>(
    ctx: &StepCtx<'a>,
    arrays: &LayerArrays,
    channels: usize,
    (lo, hi): (i32, i32),
) -> Option<RequantI16<'a>> {
    let (lo, hi) = clamp_i16(lo, hi)?;
    Some(RequantI16 {
        bias: ctx.array(arrays.bias, channels).ok()?,
        multiplier: ctx.array(arrays.multiplier, channels).ok()?,
        shift: ctx.array(arrays.shift, channels).ok()?,
        lo,
        hi,
    })
}

/// Checks the values of the arrays, once.
fn validate(ctx: &StepCtx<'_>, requant: Option<RequantI16<'_>>) -> Result<(), Error> {
    let q = requant.ok_or(ctx.bad())?;
    ctx.require(not_negative(q.multiplier) && are_shifts(q.shift))
}

struct Conv<'a> {
    shape: ConvShape,
    weights: &'a [i8],
    requant: RequantI16<'a>,
    scratch: usize,
}

impl<'a> Conv<'a> {
    #[inline(never)]
    fn of(ctx: &StepCtx<'a>, depthwise: bool) -> Option<Self> {
        ctx.counts(1..=1, 1).and_then(|()| ctx.flags(0)).ok()?;
        let p: &ConvI8 = ctx.params().ok()?;
        let (x, y) = (ctx.input_of(0, DType::I16).ok()?, ctx.output_of(0, DType::I16).ok()?);
        let shape = window_shape(x.record, y.record, &p.window, p.groups as usize)?;
        require(layer_fits(&shape) && p.pad_value == 0 && p.output_zero_point == 0)?;
        let taps = shape.kernel_h * shape.kernel_w;
        let (bytes, scratch) = if depthwise {
            require(shape.in_c == shape.groups && shape.out_c == shape.groups)?;
            (pack::depthwise_w8_bytes(shape.out_c, taps), 0)
        } else {
            (pack::conv_w8_bytes(shape.groups, shape.out_c, shape.in_c, taps), pack::conv_w8_scratch(&shape))
        };
        ctx.scratch(scratch).ok()?;
        let weights = weights_i8(ctx, &p.arrays, bytes)?;
        let requant = requant(ctx, &p.arrays, shape.out_c, (p.lo, p.hi))?;
        Some(Conv { shape, weights, requant, scratch })
    }
}

impl Op for Conv2d<I16W8> {
    const CODE: OpCode = OpCode::Conv2d;
    const FORMAT: Format = Format::I16W8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        validate(ctx, Conv::of(ctx, false).map(|conv| conv.requant))
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let conv = Conv::of(&ctx.step, false).ok_or(ctx.step.bad())?;
        let mut views = ctx.views()?;
        let (x, out, scratch) = (views.input(0)?, views.output(0)?, views.scratch(conv.scratch)?);
        isa.conv2d_i16(x, conv.weights, &conv.shape, &conv.requant, out, scratch);
        Ok(())
    }
}

impl Op for DepthwiseConv2d<I16W8> {
    const CODE: OpCode = OpCode::DepthwiseConv2d;
    const FORMAT: Format = Format::I16W8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        validate(ctx, Conv::of(ctx, true).map(|conv| conv.requant))
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let conv = Conv::of(&ctx.step, true).ok_or(ctx.step.bad())?;
        let mut views = ctx.views()?;
        isa.depthwise_i16(views.input(0)?, conv.weights, &conv.shape, &conv.requant, views.output(0)?);
        Ok(())
    }
}

struct Matrix<'a> {
    k: usize,
    n: usize,
    weights: &'a [i8],
    requant: RequantI16<'a>,
}

impl<'a> Matrix<'a> {
    fn of(ctx: &StepCtx<'a>) -> Option<Self> {
        ctx.counts(1..=1, 1).and_then(|()| ctx.flags(0)).ok()?;
        let p: &DenseI8 = ctx.params().ok()?;
        let (x, y) = (ctx.input_of(0, DType::I16).ok()?, ctx.output_of(0, DType::I16).ok()?);
        let ((count, k), (out_count, n)) = (rows(ctx, &x).ok()?, rows(ctx, &y).ok()?);
        require(count == out_count && dense_fits(n, k) && p.output_zero_point == 0)?;
        let weights = weights_i8(ctx, &p.arrays, pack::w8_bytes(n, k))?;
        Some(Matrix { k, n, weights, requant: requant(ctx, &p.arrays, n, (p.lo, p.hi))? })
    }
}

impl Op for Dense<I16W8> {
    const CODE: OpCode = OpCode::Dense;
    const FORMAT: Format = Format::I16W8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        validate(ctx, Matrix::of(ctx).map(|matrix| matrix.requant))
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let matrix = Matrix::of(&ctx.step).ok_or(ctx.step.bad())?;
        let mut views = ctx.views()?;
        isa.dense_i16(views.input(0)?, matrix.weights, matrix.k, matrix.n, &matrix.requant, views.output(0)?);
        Ok(())
    }
}
