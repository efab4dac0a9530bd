//! Conv2d and DepthwiseConv2d with int8 activations and weights.

use core::marker::PhantomData;

use selvedge_core::params::ConvI8;
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{ConvShape, Isa, pack};

use super::geometry::{layer_fits, window_shape};
use super::layer_i8::{Epilogue, LayerParams, require};
use super::{W8, weights_i8};
use crate::{Op, RunCtx, StepCtx};

/// Convolution over rows and columns; `F` is the weight format.
pub struct Conv2d<F>(PhantomData<F>);

/// Convolution of each channel with its own window; `F` is the weight format.
pub struct DepthwiseConv2d<F>(PhantomData<F>);

struct Plan<'a> {
    weights: &'a [i8],
    pad_value: i8,
    epilogue: Epilogue<'a>,
    scratch: usize,
}

pub(super) fn shape(ctx: &StepCtx<'_>) -> Option<ConvShape> {
    let p: &ConvI8 = ctx.params().ok()?;
    let record = |operands: &[u16]| ctx.artifact().record(*operands.first()? as usize).ok();
    let (x, y) = (record(ctx.step().inputs)?, record(ctx.step().outputs)?);
    require(x.dtype == DType::I8 as u8)?;
    window_shape(x, y, &p.window, p.groups as usize)
}

impl<'a> Plan<'a> {
    fn of(ctx: &StepCtx<'a>, s: &ConvShape, depthwise: bool) -> Option<Self> {
        let p: &ConvI8 = ctx.params().ok()?;
        let layer = LayerParams {
            arrays: &p.arrays,
            zero_point: p.output_zero_point,
            lo: p.lo,
            hi: p.hi,
            lo_f32: p.lo_f32,
            hi_f32: p.hi_f32,
            inputs: ctx.step().inputs.len(),
            params_bytes: size_of::<ConvI8>(),
        };
        require(layer_fits(s))?;
        let taps = s.kernel_h * s.kernel_w;
        let (bytes, scratch) = if depthwise {
            require(s.in_c == s.groups && s.out_c == s.groups)?;
            (pack::depthwise_w8_bytes(s.out_c, taps), pack::depthwise_w8_scratch(s))
        } else {
            (pack::conv_w8_bytes(s.groups, s.out_c, s.in_c, taps), pack::conv_w8_scratch(s))
        };
        ctx.scratch(scratch).ok()?;
        let weights = weights_i8(ctx, &p.arrays, bytes)?;
        let pad_value = i8::try_from(p.pad_value).ok()?;
        let epilogue = Epilogue::of(ctx, &layer, s.out_c, 1)?;
        Some(Plan { weights, pad_value, epilogue, scratch })
    }
}

// Out of line: one copy for both ops.
#[inline(never)]
fn validate(ctx: &StepCtx<'_>, depthwise: bool) -> Result<(), Error> {
    // By reference: shape and plan are large.
    let shape = shape(ctx);
    let plan = shape.as_ref().and_then(|shape| Plan::of(ctx, shape, depthwise));
    plan.as_ref().ok_or(ctx.bad())?.epilogue.validate(ctx)
}

macro_rules! conv {
    ($op:ident, $depthwise:literal, $kernel:ident) => {
        impl Op for $op<W8> {
            const CODE: OpCode = OpCode::$op;
            const FORMAT: Format = Format::W8;

            fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
                validate(ctx, $depthwise)
            }

            fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
                let Some(shape) = shape(&ctx.step) else { return Err(ctx.step.bad()) };
                let plan = Plan::of(&ctx.step, &shape, $depthwise).ok_or(ctx.step.bad())?;
                let mut views = ctx.views()?;
                let pad_value = plan.epilogue.runtime_zero_point(&views)?.unwrap_or(plan.pad_value);
                let (x, scratch) = (views.input(0)?, views.scratch(plan.scratch)?);
                let output = plan.epilogue.output(&mut views)?;
                isa.$kernel(x, plan.weights, &shape, pad_value, output, scratch);
                Ok(())
            }
        }
    };
}

conv!(Conv2d, false, conv2d_w8);
conv!(DepthwiseConv2d, true, depthwise_w8);
