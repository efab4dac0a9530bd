//! Functions of one and of two tensors of plain integers or booleans, element by element.

use selvedge_core::artifact::step_flags::IN_PLACE;
use selvedge_core::params::{self, binary, unary};
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{Isa, by_integer, integer};

use super::broadcast::Broadcast;
use super::{Binary, Int, Unary};
use crate::{Op, RunCtx, StepCtx};

fn plan_unary(ctx: &StepCtx<'_>) -> Result<u32, Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(IN_PLACE)?;
    let (x, y) = (ctx.input(0)?, ctx.output(0)?);
    let p: &params::Unary = ctx.params()?;
    ctx.require(x.dtype == y.dtype && x.dtype != DType::F32 && x.elements == y.elements)?;
    ctx.require((x.dtype == DType::Bool) == (p.kind == unary::LOGICAL_NOT) && integer::has_unary(p.kind))?;
    Ok(p.kind)
}

impl Op for Unary<Int> {
    const CODE: OpCode = OpCode::Unary;
    const FORMAT: Format = Format::Int;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan_unary(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let (kind, bad, dtype) = (plan_unary(&ctx.step)?, ctx.step.bad(), ctx.step.output(0)?.dtype);
        let in_place = ctx.step.in_place().is_some();
        let mut views = ctx.views()?;
        by_integer!(
            dtype,
            T => {
                let (x, out) = (views.input::<T>(0)?, views.output::<T>(0)?);
                let f = integer::unary_function::<T>(kind);
                if in_place {
                    out.iter_mut().for_each(|y| *y = f(*y));
                } else {
                    out.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x));
                }
                Ok(())
            },
            Err(bad)
        )
    }
}

fn plan_binary(ctx: &StepCtx<'_>) -> Result<(Broadcast, u32), Error> {
    ctx.counts(2..=2, 1)?;
    ctx.flags(0)?;
    let (a, b, y) = (ctx.input(0)?, ctx.input(1)?, ctx.output(0)?);
    let p: &params::Binary = ctx.params()?;
    ctx.require(y.dtype != DType::F32 && a.dtype == y.dtype && b.dtype == y.dtype)?;
    let bits = matches!(p.kind, binary::AND | binary::OR | binary::XOR | binary::MAX | binary::MIN);
    ctx.require(p.kind <= binary::LAST_INT && p.kind != binary::PRELU && (bits || y.dtype != DType::Bool))?;
    Ok((Broadcast::of(ctx, a.dims, b.dims, y.dims)?, p.kind))
}

impl Op for Binary<Int> {
    const CODE: OpCode = OpCode::Binary;
    const FORMAT: Format = Format::Int;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan_binary(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let ((broadcast, kind), bad, dtype) = (plan_binary(&ctx.step)?, ctx.step.bad(), ctx.step.output(0)?.dtype);
        let mut views = ctx.views()?;
        by_integer!(
            dtype,
            T => {
                let f = integer::binary_function::<T>(kind);
                let (a, b, out) = (views.input::<T>(0)?, views.input::<T>(1)?, views.output::<T>(0)?);
                broadcast.each(a, b, out, |a, b, y| integer::each(a, b, y, f)).ok_or(bad)
            },
            Err(bad)
        )
    }
}
