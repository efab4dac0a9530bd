//! Conv2d and DepthwiseConv2d with int8 activations and weights.

use core::marker::PhantomData;

use selvedge_core::params::ConvI8;
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{ConvShape, Isa, pack};

use super::geometry::{layer_fits, window_shape};
use super::layer_i8::{Epilogue, LayerParams};
use super::{W8, weights_i8};
use crate::{Op, RunCtx, StepCtx};

/// Convolution over rows and columns; `F` is the weight format.
pub struct Conv2d<F>(PhantomData<F>);

/// Convolution of each channel with its own window; `F` is the weight format.
pub struct DepthwiseConv2d<F>(PhantomData<F>);

struct Plan<'a> {
    shape: ConvShape,
    weights: &'a [i8],
    pad_value: i8,
    epilogue: Epilogue<'a>,
    scratch: usize,
}

impl<'a> Plan<'a> {
    fn of(ctx: &StepCtx<'a>, depthwise: bool) -> Result<Self, Error> {
        let p: ConvI8 = ctx.params()?;
        let layer = LayerParams {
            arrays: p.arrays,
            zero_point: p.output_zero_point,
            lo: p.lo,
            hi: p.hi,
            lo_f32: p.lo_f32,
            hi_f32: p.hi_f32,
            params_bytes: size_of::<ConvI8>(),
        };
        let (x, y) = (ctx.input_of(0, DType::I8)?, ctx.output(0)?);
        let shape = window_shape(ctx, &x, &y, &p.window, p.groups as usize)?;
        let epilogue = Epilogue::of(ctx, &layer, shape.out_c, |n| n == 1)?;
        ctx.require(layer_fits(&shape))?;
        let taps = shape.kernel_h * shape.kernel_w;
        let (bytes, scratch) = if depthwise {
            ctx.require(shape.in_c == shape.groups && shape.out_c == shape.groups)?;
            (pack::depthwise_w8_bytes(shape.out_c, taps), pack::depthwise_w8_scratch(&shape))
        } else {
            (pack::conv_w8_bytes(shape.groups, shape.out_c, shape.in_c, taps), pack::conv_w8_scratch(&shape))
        };
        ctx.scratch(scratch)?;
        let weights = weights_i8(ctx, &p.arrays, bytes)?;
        let pad_value = i8::try_from(p.pad_value).map_err(|_| ctx.bad())?;
        Ok(Plan { shape, weights, pad_value, epilogue, scratch })
    }
}

macro_rules! conv {
    ($op:ident, $depthwise:literal, $kernel:ident) => {
        impl Op for $op<W8> {
            const CODE: OpCode = OpCode::$op;
            const FORMAT: Format = Format::W8;

            fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
                Plan::of(ctx, $depthwise)?.epilogue.validate(ctx)
            }

            fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
                let plan = Plan::of(&ctx.step, $depthwise)?;
                let mut views = ctx.views()?;
                let pad_value = plan.epilogue.runtime_zero_point(&views)?.unwrap_or(plan.pad_value);
                let (x, scratch) = (views.input(0)?, views.scratch(plan.scratch)?);
                let output = plan.epilogue.output(&mut views)?;
                isa.$kernel(x, plan.weights, &plan.shape, pad_value, output, scratch);
                Ok(())
            }
        }
    };
}

conv!(Conv2d, false, conv2d_w8);
conv!(DepthwiseConv2d, true, depthwise_w8);
