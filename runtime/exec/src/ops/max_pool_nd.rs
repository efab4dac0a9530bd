//! Maxima and where they lie.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, Format, OpCode, params};
use selvedge_kernels::Isa;
use selvedge_kernels::conv_nd::ConvNd as Shape;
use selvedge_kernels::max_pool_nd::max_pool_nd;

use super::Any;
use super::conv_nd::geometry;
use crate::{Op, RunCtx, StepCtx};

/// ONNX MaxPool with both outputs, on `[batch, channels, depth, rows, columns]`: maxima and their
/// indices (i64).
pub struct MaxPoolNd<F>(PhantomData<F>);

fn plan(ctx: &StepCtx<'_>) -> Result<(Shape, bool), Error> {
    ctx.counts(1..=1, 2)?;
    ctx.flags(0)?;
    let (x, y, at) = (ctx.input(0)?, ctx.output(0)?, ctx.output_of(1, DType::I64)?);
    ctx.require(x.dtype == y.dtype && at.dims == y.dims && matches!(x.dtype, DType::F32 | DType::I8 | DType::U8))?;
    let p: &params::MaxPoolNd = ctx.params()?;
    let shape = geometry(ctx, &x, &y, &p.window, false)?;
    ctx.require(shape.in_c == shape.out_c && p.column_major <= 1)?;
    // Every window must cover a cell of the input.
    let axes = shape.input.iter().zip(shape.output).zip(shape.kernel.iter().zip(shape.stride));
    for (((&size, positions), (&kernel, stride)), (dilation, pad)) in axes.zip(shape.dilation.iter().zip(shape.pad)) {
        let last = positions.saturating_sub(1).saturating_mul(stride);
        let reach = (kernel - 1).saturating_mul(*dilation);
        ctx.require(pad <= reach && last < size.saturating_add(pad))?;
    }
    Ok((shape, p.column_major == 1))
}

impl Op for MaxPoolNd<Any> {
    const CODE: OpCode = OpCode::MaxPoolNd;
    const FORMAT: Format = Format::Any;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let (shape, columns) = plan(&ctx.step)?;
        let dtype = ctx.step.input(0)?.dtype;
        let mut views = ctx.views()?;
        match dtype {
            DType::F32 => {
                max_pool_nd::<f32>(views.input(0)?, &shape, columns, views.output(0)?, views.output(1)?);
            }
            DType::I8 => max_pool_nd::<i8>(views.input(0)?, &shape, columns, views.output(0)?, views.output(1)?),
            _ => max_pool_nd::<u8>(views.input(0)?, &shape, columns, views.output(0)?, views.output(1)?),
        }
        Ok(())
    }
}
