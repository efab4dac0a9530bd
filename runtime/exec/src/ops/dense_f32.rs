//! Dense in f32.

use selvedge_core::params::DenseF32;
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{Isa, LayerF32, pack};

use super::geometry::{dense_fits, rows};
use super::{Dense, F32, layer_f32};
use crate::{Op, RunCtx, StepCtx};

struct Plan<'a> {
    rows: usize,
    k: usize,
    n: usize,
    layer: LayerF32<'a>,
}

fn plan<'a>(ctx: &StepCtx<'a>) -> Result<Plan<'a>, Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let p: &DenseF32 = ctx.params()?;
    let (count, k) = rows(ctx, &ctx.input_of(0, DType::F32)?)?;
    let (out_count, n) = rows(ctx, &ctx.output_of(0, DType::F32)?)?;
    ctx.require(count == out_count && dense_fits(n, k))?;
    let layer = layer_f32(ctx, (p.weights, p.weights_bytes), pack::f32_elements(n, k), p.bias, n, p.lo, p.hi)?;
    Ok(Plan { rows: count, k, n, layer })
}

impl Op for Dense<F32> {
    const CODE: OpCode = OpCode::Dense;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let plan = plan(&ctx.step)?;
        let mut views = ctx.views()?;
        isa.dense_f32(views.input(0)?, plan.rows, plan.k, plan.n, &plan.layer, views.output(0)?);
        Ok(())
    }
}
