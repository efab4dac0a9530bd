//! Permutation of axes.

use core::marker::PhantomData;

use selvedge_core::shape::MAX_RANK;
use selvedge_core::{Error, Format, OpCode, params};
use selvedge_kernels::Isa;

use super::Any;
use super::index::{by_size, gather, strides};
use crate::{Op, RunCtx, StepCtx};

/// Axis `i` of the output is axis `perm[i]` of the input.
pub struct Transpose<F>(PhantomData<F>);

/// Stride of the input for each axis of the output.
fn plan(ctx: &StepCtx<'_>) -> Result<[isize; MAX_RANK], Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let (x, y) = (ctx.input(0)?, ctx.output(0)?);
    ctx.require(x.dtype == y.dtype && x.dims.len() == y.dims.len())?;
    let perm = ctx.params::<params::Transpose>()?.perm;
    let steps = strides(x.dims);
    let (mut out, mut seen) = ([0; MAX_RANK], 0u32);
    for ((slot, &axis), &dim) in out.iter_mut().zip(&perm).zip(y.dims) {
        let axis = axis as usize;
        ctx.require(x.dims.get(axis) == Some(&dim) && seen & 1 << axis == 0)?;
        seen |= 1 << axis;
        *slot = *steps.get(axis).ok_or(ctx.bad())?;
    }
    Ok(out)
}

impl Op for Transpose<Any> {
    const CODE: OpCode = OpCode::Transpose;
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
