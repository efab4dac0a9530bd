//! Running sums along an axis.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, Format, OpCode, params};
use selvedge_kernels::Isa;
use selvedge_kernels::scan::cum_sum;

use super::geometry::{AxisSpan, axis_span};
use super::index::by_integer;
use super::{F32, Int};
use crate::{Op, RunCtx, StepCtx};

/// ONNX CumSum: one addition an element, in the order of the axis or from its end.
pub struct CumSum<F>(PhantomData<F>);

/// The axis, and whether sums are exclusive and reversed.
fn plan(ctx: &StepCtx<'_>, float: bool) -> Result<(AxisSpan, bool, bool), Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let (x, y) = (ctx.input(0)?, ctx.output(0)?);
    let p: &params::CumSum = ctx.params()?;
    ctx.require(x.dtype == y.dtype && (x.dtype == DType::F32) == float && x.dtype != DType::Bool)?;
    ctx.require(x.elements == y.elements && p.flags <= 3)?;
    Ok((axis_span(ctx, &x, p.axis)?, p.flags & 1 != 0, p.flags & 2 != 0))
}

impl Op for CumSum<F32> {
    const CODE: OpCode = OpCode::CumSum;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx, true).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let (span, exclusive, reverse) = plan(&ctx.step, true)?;
        let mut views = ctx.views()?;
        cum_sum::<f32>(views.input(0)?, span.n, span.inner, exclusive, reverse, views.output(0)?);
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
        let ((span, exclusive, reverse), bad) = (plan(&ctx.step, false)?, ctx.step.bad());
        let dtype = ctx.step.output(0)?.dtype;
        let mut views = ctx.views()?;
        by_integer!(
            dtype,
            T => {
                cum_sum::<T>(views.input(0)?, span.n, span.inner, exclusive, reverse, views.output(0)?);
                Ok(())
            },
            Err(bad)
        )
    }
}
