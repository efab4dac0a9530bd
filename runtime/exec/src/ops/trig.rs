//! Trigonometric and hyperbolic functions, apart from [`Unary`](super::Unary): few models pay for them.

use core::marker::PhantomData;

use selvedge_core::params::{self, unary};
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{Isa, math::trig};

use super::F32;
use crate::{Op, RunCtx, StepCtx};

/// Sin, Cos, …, Atanh of each element.
pub struct Trig<F>(PhantomData<F>);

fn plan(ctx: &StepCtx<'_>) -> Result<u32, Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    ctx.require(ctx.input_of(0, DType::F32)?.elements == ctx.output_of(0, DType::F32)?.elements)?;
    let p: &params::Unary = ctx.params()?;
    ctx.require((unary::SIN..=unary::LAST_TRIG).contains(&p.kind))?;
    Ok(p.kind)
}

impl Op for Trig<F32> {
    const CODE: OpCode = OpCode::Trig;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let kind = plan(&ctx.step)?;
        let mut views = ctx.views()?;
        let (x, out) = (views.input::<f32>(0)?, views.output::<f32>(0)?);
        out.iter_mut().zip(x).for_each(|(y, &x)| *y = trig(kind, x));
        Ok(())
    }
}
