//! Layer normalization.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, Format, OpCode, params};
use selvedge_kernels::{Isa, LayerNormF32};

use super::F32;
use crate::{Op, RunCtx, StepCtx};

/// Normalizes each run of `row` elements, scaled and shifted by constants.
pub struct LayerNorm<F>(PhantomData<F>);

fn plan<'a>(ctx: &StepCtx<'a>) -> Result<LayerNormF32<'a>, Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let (x, y) = (ctx.input_of(0, DType::F32)?, ctx.output_of(0, DType::F32)?);
    let p: &params::LayerNorm = ctx.params()?;
    let row = p.row as usize;
    ctx.require(row > 0 && x.elements == y.elements && x.elements.is_multiple_of(row) && p.epsilon >= 0.0)?;
    Ok(LayerNormF32 { epsilon: p.epsilon, gamma: ctx.array(p.gamma, row)?, beta: ctx.array(p.beta, row)? })
}

impl Op for LayerNorm<F32> {
    const CODE: OpCode = OpCode::LayerNorm;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let norm = plan(&ctx.step)?;
        let mut views = ctx.views()?;
        isa.layer_norm_f32(views.input(0)?, &norm, views.output(0)?);
        Ok(())
    }
}
