//! Group normalization.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, Format, OpCode, params};
use selvedge_kernels::Isa;
use selvedge_kernels::group_norm::{
    Constants, GroupNormF32, GroupNormI8, LARGEST_GROUP_I8, group_norm_f32, group_norm_i8,
};

use super::{F32, I8, clamp_i8};
use crate::{Op, RunCtx, StepCtx};

/// Normalizes groups of channels (the last axis) of each image, scaled and shifted by constants.
pub struct GroupNorm<F>(PhantomData<F>);

/// What both forms share.
struct Plan<'a> {
    params: &'a params::GroupNorm,
    gamma: &'a [f32],
    beta: &'a [f32],
    /// Positions of an image.
    pixels: usize,
}

fn plan<'a>(ctx: &StepCtx<'a>, dtype: DType) -> Result<Plan<'a>, Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let (x, y) = (ctx.input_of(0, dtype)?, ctx.output_of(0, dtype)?);
    let params: &params::GroupNorm = ctx.params()?;
    ctx.require(x.dims == y.dims && x.dims.len() >= 2)?;
    let (Some(&batch), Some(&channels)) = (x.dims.first(), x.dims.last()) else { return Err(ctx.bad()) };
    let (channels, groups) = (channels as usize, params.groups as usize);
    ctx.require(channels.checked_rem(groups) == Some(0))?;
    let pixels = x.elements.checked_div(batch as usize).and_then(|image| image.checked_div(channels));
    let pixels = pixels.ok_or(ctx.bad())?;
    ctx.require(params.epsilon >= 0.0 && params.epsilon < f32::INFINITY)?;
    let array = |offset: u32| ctx.array(offset, channels);
    Ok(Plan { params, gamma: array(params.gamma)?, beta: array(params.beta)?, pixels })
}

/// The int8 form and the bytes of its scratch.
fn plan_i8<'a>(ctx: &StepCtx<'a>) -> Result<(usize, GroupNormI8<'a>, usize), Error> {
    let Plan { params: p, gamma, beta, pixels } = plan(ctx, DType::I8)?;
    let groups = p.groups as usize;
    let size = gamma.len().checked_div(groups).unwrap_or(0);
    ctx.require(pixels.checked_mul(size).is_some_and(|n| n <= LARGEST_GROUP_I8))?;
    let (lo, hi) = clamp_i8(p.lo, p.hi).ok_or(ctx.bad())?;
    let scratch = gamma.len().saturating_mul(size_of::<Constants>());
    ctx.scratch(scratch)?;
    Ok((pixels, GroupNormI8 { groups, epsilon: p.epsilon, gamma, beta, lo, hi }, scratch))
}

fn plan_f32<'a>(ctx: &StepCtx<'a>) -> Result<(usize, GroupNormF32<'a>), Error> {
    let Plan { params: p, gamma, beta, pixels } = plan(ctx, DType::F32)?;
    ctx.require(p.lo_f32 <= p.hi_f32)?;
    let (groups, lo, hi) = (p.groups as usize, p.lo_f32, p.hi_f32);
    Ok((pixels, GroupNormF32 { groups, epsilon: p.epsilon, gamma, beta, lo, hi }))
}

impl Op for GroupNorm<I8> {
    const CODE: OpCode = OpCode::GroupNorm;
    const FORMAT: Format = Format::I8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan_i8(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let bad = ctx.step.bad();
        let (pixels, args, scratch) = plan_i8(&ctx.step)?;
        let mut views = ctx.views()?;
        let constants = bytemuck::try_cast_slice_mut(views.scratch(scratch)?).map_err(|_| bad)?;
        group_norm_i8(views.input(0)?, pixels, &args, constants, views.output(0)?);
        Ok(())
    }
}

impl Op for GroupNorm<F32> {
    const CODE: OpCode = OpCode::GroupNorm;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan_f32(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let (pixels, args) = plan_f32(&ctx.step)?;
        let mut views = ctx.views()?;
        group_norm_f32(views.input(0)?, pixels, &args, views.output(0)?);
        Ok(())
    }
}
