//! Positions of extrema along an axis.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, Format, OpCode, params};
use selvedge_kernels::scan::{Extremum, arg_reduce};
use selvedge_kernels::{Isa, by_integer};

use super::geometry::{AxisSpan, axis_span};
use super::{F32, Int};
use crate::{Op, RunCtx, StepCtx};

/// ONNX ArgMax and ArgMin; the output is i64.
pub struct ArgReduce<F>(PhantomData<F>);

fn plan(ctx: &StepCtx<'_>, float: bool) -> Result<(AxisSpan, Extremum), Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let (x, y) = (ctx.input(0)?, ctx.output_of(0, DType::I64)?);
    let p: &params::ArgReduce = ctx.params()?;
    let span = axis_span(ctx, &x, p.axis)?;
    ctx.require((x.dtype == DType::F32) == float && p.flags <= 3 && y.elements == span.outer * span.inner)?;
    Ok((span, Extremum { least: p.flags & 1 != 0, last: p.flags & 2 != 0 }))
}

impl Op for ArgReduce<F32> {
    const CODE: OpCode = OpCode::ArgReduce;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx, true).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let (span, which) = plan(&ctx.step, true)?;
        let mut views = ctx.views()?;
        arg_reduce::<f32>(which, views.input(0)?, span.n, span.inner, views.output(0)?);
        Ok(())
    }
}

impl Op for ArgReduce<Int> {
    const CODE: OpCode = OpCode::ArgReduce;
    const FORMAT: Format = Format::Int;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx, false).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let ((span, which), bad, dtype) = (plan(&ctx.step, false)?, ctx.step.bad(), ctx.step.input(0)?.dtype);
        let mut views = ctx.views()?;
        by_integer!(
            dtype,
            T => {
                arg_reduce::<T>(which, views.input(0)?, span.n, span.inner, views.output(0)?);
                Ok(())
            },
            Err(bad)
        )
    }
}
