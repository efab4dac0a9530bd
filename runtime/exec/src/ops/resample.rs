//! Interpolation along one axis.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, Format, OpCode, params};
use selvedge_kernels::Isa;
use selvedge_kernels::resample::{Axis, resample_f32};

use super::F32;
use crate::{Op, RunCtx, StepCtx};

/// Each element of the output's axis is a weighted sum of a few of the input's; the compiler makes
/// the table of indices and weights.
pub struct Resample<F>(PhantomData<F>);

fn plan<'a>(ctx: &StepCtx<'a>) -> Result<Axis<'a>, Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let (x, y) = (ctx.input_of(0, DType::F32)?, ctx.output_of(0, DType::F32)?);
    let p: &params::Resample = ctx.params()?;
    let axis = p.axis as usize;
    ctx.require(x.dims.len() == y.dims.len() && p.taps > 0)?;
    for (i, (have, want)) in x.dims.iter().zip(y.dims).enumerate() {
        ctx.require(i == axis || have == want)?;
    }
    let of = |dims: &[u32]| dims.get(axis).map(|&d| d as usize).ok_or(ctx.bad());
    let (len, out) = (of(x.dims)?, of(y.dims)?);
    let entries = out.checked_mul(p.taps as usize).ok_or(ctx.bad())?;
    let (indices, weights) = (ctx.array::<u32>(p.indices, entries)?, ctx.array::<f32>(p.weights, entries)?);
    ctx.require(indices.iter().all(|&i| (i as usize) < len))?;
    let inner = x.dims.iter().skip(axis.saturating_add(1)).map(|&d| d as usize).product();
    Ok(Axis { len, inner, taps: p.taps as usize, indices, weights })
}

impl Op for Resample<F32> {
    const CODE: OpCode = OpCode::Resample;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let axis = plan(&ctx.step)?;
        let mut views = ctx.views()?;
        resample_f32(views.input(0)?, &axis, views.output(0)?);
        Ok(())
    }
}
