//! Running sums and products along an axis.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, Format, OpCode, params};
use selvedge_kernels::scan::{Running, cum_sum};
use selvedge_kernels::{Isa, by_integer};

use super::geometry::{AxisSpan, axis_span};
use super::{F32, Int};
use crate::{Op, RunCtx, StepCtx};

/// ONNX CumSum and CumProd: one addition or multiplication an element, in the order of the axis or from its end.
pub struct CumSum<F>(PhantomData<F>);

fn plan(ctx: &StepCtx<'_>, float: bool) -> Result<(AxisSpan, Running), Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let (x, y) = (ctx.input(0)?, ctx.output(0)?);
    let p: &params::CumSum = ctx.params()?;
    ctx.require(x.dtype == y.dtype && (x.dtype == DType::F32) == float && x.dtype != DType::Bool)?;
    ctx.require(x.elements == y.elements && p.flags <= 7)?;
    let flag = |bit: u32| p.flags & bit != 0;
    let how = Running { exclusive: flag(1), reverse: flag(2), product: flag(4) };
    Ok((axis_span(ctx, &x, p.axis)?, how))
}

impl Op for CumSum<F32> {
    const CODE: OpCode = OpCode::CumSum;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx, true).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let (span, how) = plan(&ctx.step, true)?;
        let mut views = ctx.views()?;
        cum_sum::<f32>(views.input(0)?, span.n, span.inner, how, views.output(0)?);
        Ok(())
    }
}

impl Op for CumSum<Int> {
    const CODE: OpCode = OpCode::CumSum;
    const FORMAT: Format = Format::Int;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx, false).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let ((span, how), bad) = (plan(&ctx.step, false)?, ctx.step.bad());
        let dtype = ctx.step.output(0)?.dtype;
        let mut views = ctx.views()?;
        by_integer!(
            dtype,
            T => {
                cum_sum::<T>(views.input(0)?, span.n, span.inner, how, views.output(0)?);
                Ok(())
            },
            Err(bad)
        )
    }
}
