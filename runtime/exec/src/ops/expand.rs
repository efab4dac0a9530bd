//! Broadcasting to a larger shape.

use core::marker::PhantomData;

use selvedge_core::shape::MAX_RANK;
use selvedge_core::{Error, Format, OpCode};
use selvedge_kernels::Isa;

use super::Any;
use super::index::{by_size, gather, strides};
use crate::{Op, RunCtx, StepCtx};

/// ONNX Expand: axes of length 1, and those the input lacks in front, are repeated.
pub struct Expand<F>(PhantomData<F>);

/// Stride of the input for each axis of the output.
fn plan(ctx: &StepCtx<'_>) -> Result<[isize; MAX_RANK], Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let (x, y) = (ctx.input(0)?, ctx.output(0)?);
    ctx.require(x.dtype == y.dtype)?;
    let missing = y.dims.len().checked_sub(x.dims.len()).ok_or(ctx.bad())?;
    let mut out = [0; MAX_RANK];
    let axes = x.dims.iter().zip(strides(x.dims)).zip(y.dims.iter().skip(missing));
    for (slot, ((&have, stride), &want)) in out.iter_mut().skip(missing).zip(axes) {
        ctx.require(have == want || have == 1)?;
        *slot = if have == 1 { 0 } else { stride };
    }
    Ok(out)
}

impl Op for Expand<Any> {
    const CODE: OpCode = OpCode::Expand;
    const FORMAT: Format = Format::Any;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let (steps, y, bad) = (plan(&ctx.step)?, ctx.step.output(0)?, ctx.step.bad());
        let mut views = ctx.views()?;
        by_size!(y.dtype, T => gather::<T>(views.input(0)?, views.output(0)?, y.dims, &steps, 0)).ok_or(bad)
    }
}
