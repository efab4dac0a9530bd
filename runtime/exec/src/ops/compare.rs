//! Comparisons of two tensors, element by element.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, Format, OpCode, params};
use selvedge_kernels::{Isa, by_integer, compare};

use super::broadcast::Broadcast;
use super::{F32, Int};
use crate::{Op, RunCtx, StepCtx};

/// ONNX Equal, Less, Greater, … with broadcasting; the output is boolean.
pub struct Compare<F>(PhantomData<F>);

fn plan(ctx: &StepCtx<'_>, float: bool) -> Result<(Broadcast, u32), Error> {
    ctx.counts(2..=2, 1)?;
    ctx.flags(0)?;
    let (a, b, y) = (ctx.input(0)?, ctx.input(1)?, ctx.output_of(0, DType::Bool)?);
    let p: &params::Compare = ctx.params()?;
    ctx.require(a.dtype == b.dtype && (a.dtype == DType::F32) == float && p.kind <= params::compare::LAST)?;
    Ok((Broadcast::of(ctx, a.dims, b.dims, y.dims)?, p.kind))
}

impl Op for Compare<F32> {
    const CODE: OpCode = OpCode::Compare;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx, true).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let ((broadcast, kind), bad) = (plan(&ctx.step, true)?, ctx.step.bad());
        let mut views = ctx.views()?;
        let (a, b, out) = (views.input::<f32>(0)?, views.input::<f32>(1)?, views.output::<u8>(0)?);
        broadcast.each(a, b, out, |a, b, y| compare::compare(kind, a, b, y)).ok_or(bad)
    }
}

impl Op for Compare<Int> {
    const CODE: OpCode = OpCode::Compare;
    const FORMAT: Format = Format::Int;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx, false).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let ((broadcast, kind), bad, dtype) = (plan(&ctx.step, false)?, ctx.step.bad(), ctx.step.input(0)?.dtype);
        let mut views = ctx.views()?;
        by_integer!(
            dtype,
            T => {
                let (a, b, out) = (views.input::<T>(0)?, views.input::<T>(1)?, views.output::<u8>(0)?);
                broadcast.each(a, b, out, |a, b, y| compare::compare(kind, a, b, y)).ok_or(bad)
            },
            Err(bad)
        )
    }
}
