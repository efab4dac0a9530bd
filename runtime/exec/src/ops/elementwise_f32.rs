//! Functions of one and of two f32 tensors, element by element.

use core::marker::PhantomData;

use selvedge_core::artifact::step_flags::IN_PLACE;
use selvedge_core::params::{self, binary, unary};
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::Isa;

use super::F32;
use super::broadcast::Broadcast;
use crate::{Op, RunCtx, StepCtx};

/// A function of one tensor; in place where the plan says so.
pub struct Unary<F>(PhantomData<F>);

/// A function of two tensors, broadcast as ONNX does.
pub struct Binary<F>(PhantomData<F>);

fn plan_unary(ctx: &StepCtx<'_>) -> Result<params::Unary, Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(IN_PLACE)?;
    ctx.require(ctx.input_of(0, DType::F32)?.elements == ctx.output_of(0, DType::F32)?.elements)?;
    let p: &params::Unary = ctx.params()?;
    ctx.require(match p.kind {
        unary::CLIP => p.alpha <= p.beta,
        unary::FAKE_QUANT => p.alpha.is_finite() && p.alpha > 0.0 && (-128.0..=127.0).contains(&p.beta),
        kind => kind <= unary::LAST,
    })?;
    Ok(*p)
}

impl Op for Unary<F32> {
    const CODE: OpCode = OpCode::Unary;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan_unary(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let p = plan_unary(&ctx.step)?;
        let in_place = ctx.step.in_place().is_some();
        let mut views = ctx.views()?;
        let (x, out) = (views.input(0)?, views.output(0)?);
        if in_place {
            isa.unary_in_place_f32(p.kind, p.alpha, p.beta, out);
        } else {
            isa.unary_f32(p.kind, p.alpha, p.beta, x, out);
        }
        Ok(())
    }
}

fn plan_binary(ctx: &StepCtx<'_>) -> Result<(Broadcast, params::Binary), Error> {
    ctx.counts(2..=2, 1)?;
    ctx.flags(0)?;
    let (a, b, y) = (ctx.input_of(0, DType::F32)?, ctx.input_of(1, DType::F32)?, ctx.output_of(0, DType::F32)?);
    let p: &params::Binary = ctx.params()?;
    ctx.require(p.kind <= binary::LAST && p.lo <= p.hi)?;
    Ok((Broadcast::of(ctx, a.dims, b.dims, y.dims)?, *p))
}

impl Op for Binary<F32> {
    const CODE: OpCode = OpCode::Binary;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan_binary(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let ((broadcast, p), bad) = (plan_binary(&ctx.step)?, ctx.step.bad());
        let mut views = ctx.views()?;
        let (a, b, out) = (views.input::<f32>(0)?, views.input::<f32>(1)?, views.output::<f32>(0)?);
        broadcast.each(a, b, out, |a, b, y| isa.binary_f32(p.kind, a, b, p.lo, p.hi, y)).ok_or(bad)
    }
}
