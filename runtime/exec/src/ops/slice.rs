//! Parts of a tensor, with steps.

use core::marker::PhantomData;

use selvedge_core::shape::MAX_RANK;
use selvedge_core::{Error, Format, OpCode, params};
use selvedge_kernels::Isa;

use super::Any;
use super::index::{by_size, gather, strides};
use crate::{Op, RunCtx, StepCtx};

/// `y[i…] = x[start + i·step, …]`; steps may be negative.
pub struct Slice<F>(PhantomData<F>);

/// First element, and the stride of the input for each axis.
fn plan(ctx: &StepCtx<'_>) -> Result<(usize, [isize; MAX_RANK]), Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let (x, y) = (ctx.input(0)?, ctx.output(0)?);
    ctx.require(x.dtype == y.dtype && x.dims.len() == y.dims.len())?;
    let p: &params::Slice = ctx.params()?;
    let mut base = 0usize;
    let mut steps = strides(x.dims);
    let axes = steps.iter_mut().zip(p.start).zip(p.step).zip(x.dims.iter().zip(y.dims));
    for (((stride, start), step), (&size, &count)) in axes {
        let last = start as i64 + (count as i64 - 1) * step as i64;
        ctx.require(start < size && (0..size as i64).contains(&last))?;
        base += start as usize * *stride as usize;
        // An axis of one element may have any step; it is not taken.
        *stride = if count == 1 { *stride } else { *stride * step as isize };
    }
    Ok((base, steps))
}

impl Op for Slice<Any> {
    const CODE: OpCode = OpCode::Slice;
    const FORMAT: Format = Format::Any;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let ((base, steps), y, bad) = (plan(&ctx.step)?, ctx.step.output(0)?, ctx.step.bad());
        let mut views = ctx.views()?;
        by_size!(y.dtype, T => gather::<T>(views.input(0)?, views.output(0)?, y.dims, &steps, base)).ok_or(bad)
    }
}
