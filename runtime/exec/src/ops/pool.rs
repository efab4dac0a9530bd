//! Max and average pooling.

use core::marker::PhantomData;

use selvedge_core::params::{AvgPool, MaxPool, Window};
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{AverageI8, ConvShape, Isa};

use super::geometry::window_shape;
use super::{F32, I8, clamp_i8};
use crate::{Op, RunCtx, StepCtx};

/// Maximum over a window.
pub struct MaxPool2d<F>(PhantomData<F>);

/// Mean over a window.
pub struct AvgPool2d<F>(PhantomData<F>);

fn shape(ctx: &StepCtx<'_>, dtype: DType, window: &Window) -> Result<ConvShape, Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let shape = window_shape(ctx.input_of(0, dtype)?.record, ctx.output_of(0, dtype)?.record, window, 1);
    shape.filter(|shape| shape.in_c == shape.out_c).ok_or(ctx.bad())
}

fn max_shape(ctx: &StepCtx<'_>, dtype: DType) -> Result<ConvShape, Error> {
    shape(ctx, dtype, &ctx.params::<MaxPool>()?.window)
}

fn average<'a>(ctx: &StepCtx<'a>, dtype: DType) -> Result<(ConvShape, &'a AvgPool), Error> {
    let p: &AvgPool = ctx.params()?;
    Ok((shape(ctx, dtype, &p.window)?, p))
}

fn average_i8(ctx: &StepCtx<'_>) -> Result<(ConvShape, AverageI8), Error> {
    let (shape, p) = average(ctx, DType::I8)?;
    let (lo, hi) = clamp_i8(p.lo, p.hi).ok_or(ctx.bad())?;
    let zero_points = [p.input_zero_point, p.output_zero_point].iter().all(|zp| (-128..=127).contains(zp));
    ctx.require((0..1 << 24).contains(&p.multiplier) && p.shift <= 38 && zero_points)?;
    let args = AverageI8 {
        pad_end: p.pad_end.map(usize::from),
        count_pad: p.count_include_pad != 0,
        input_zero_point: p.input_zero_point,
        multiplier: p.multiplier,
        shift: p.shift,
        zero_point: p.output_zero_point,
        lo,
        hi,
    };
    Ok((shape, args))
}

macro_rules! max_pool {
    ($format:ident, $kernel:ident) => {
        impl Op for MaxPool2d<$format> {
            const CODE: OpCode = OpCode::MaxPool2d;
            const FORMAT: Format = Format::$format;

            fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
                max_shape(ctx, DType::$format).map(drop)
            }

            fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
                let shape = max_shape(&ctx.step, DType::$format)?;
                let mut views = ctx.views()?;
                isa.$kernel(views.input(0)?, &shape, views.output(0)?);
                Ok(())
            }
        }
    };
}

max_pool!(I8, max_pool_i8);
max_pool!(F32, max_pool_f32);

impl Op for AvgPool2d<I8> {
    const CODE: OpCode = OpCode::AvgPool2d;
    const FORMAT: Format = Format::I8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        average_i8(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let (shape, args) = average_i8(&ctx.step)?;
        let mut views = ctx.views()?;
        isa.avg_pool_i8(views.input(0)?, &shape, &args, views.output(0)?);
        Ok(())
    }
}

impl Op for AvgPool2d<F32> {
    const CODE: OpCode = OpCode::AvgPool2d;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        average(ctx, DType::F32).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let (shape, p) = average(&ctx.step, DType::F32)?;
        let mut views = ctx.views()?;
        let pad_end = p.pad_end.map(usize::from);
        isa.avg_pool_f32(views.input(0)?, &shape, pad_end, p.count_include_pad != 0, views.output(0)?);
        Ok(())
    }
}
