//! Conv2d and DepthwiseConv2d in f32, their weights f32, half or int8.

use selvedge_core::params::ConvF32;
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{ConvShape, Isa, LayerF32, pack};

use super::geometry::{layer_fits, window_shape};
use super::{Conv2d, DepthwiseConv2d, F16, F32, F32W8, Weights, layer_f32};
use crate::{Op, RunCtx, StepCtx};

fn plan<'a, E: Weights>(ctx: &StepCtx<'a>, depthwise: bool) -> Result<(ConvShape, LayerF32<'a, E>, usize), Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let p: &ConvF32 = ctx.params()?;
    let (x, y) = (ctx.input_of(0, DType::F32)?, ctx.output_of(0, DType::F32)?);
    let shape = window_shape(x.record, y.record, &p.window, p.groups as usize).ok_or(ctx.bad())?;
    ctx.require(layer_fits(&shape))?;
    let taps = shape.kernel_h * shape.kernel_w;
    let (elements, scratch) = if depthwise {
        ctx.require(shape.in_c == shape.groups && shape.out_c == shape.groups)?;
        (pack::depthwise_f32_elements(shape.out_c, taps), pack::depthwise_f32_scratch(&shape))
    } else {
        let (k, n) = (taps * (shape.in_c / shape.groups), shape.out_c / shape.groups);
        (shape.groups * pack::f32_elements(n, k), pack::conv_f32_scratch(&shape))
    };
    ctx.scratch(scratch)?;
    let scales = E::scales(ctx, size_of::<ConvF32>(), shape.out_c)?;
    let layer = layer_f32(ctx, (p.weights, p.weights_bytes), elements, p.bias, shape.out_c, p.lo, p.hi, scales)?;
    Ok((shape, layer, scratch))
}

macro_rules! conv {
    ($op:ident<$format:ident>, $element:ty, $depthwise:literal, $kernel:ident) => {
        impl Op for $op<$format> {
            const CODE: OpCode = OpCode::$op;
            const FORMAT: Format = Format::$format;

            fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
                plan::<$element>(ctx, $depthwise).map(drop)
            }

            fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
                let (shape, layer, scratch) = plan::<$element>(&ctx.step, $depthwise)?;
                let mut views = ctx.views()?;
                isa.$kernel(views.input(0)?, &shape, &layer, views.output(0)?, views.scratch(scratch)?);
                Ok(())
            }
        }
    };
}

conv!(Conv2d<F32>, f32, false, conv2d_f32);
conv!(DepthwiseConv2d<F32>, f32, true, depthwise_f32);
conv!(Conv2d<F16>, u16, false, conv2d_f32);
conv!(DepthwiseConv2d<F16>, u16, true, depthwise_f32);
conv!(Conv2d<F32W8>, i8, false, conv2d_f32);
conv!(DepthwiseConv2d<F32W8>, i8, true, depthwise_f32);
