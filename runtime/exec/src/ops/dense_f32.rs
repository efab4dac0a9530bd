//! Dense in f32, its weights f32, half or int8.

use selvedge_core::params::DenseF32;
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{Isa, LayerF32, pack};

use super::geometry::{dense_fits, rows};
use super::{Dense, F16, F32, F32W8, Weights, layer_f32};
use crate::{Op, RunCtx, StepCtx};

struct Plan<'a, E: Weights> {
    rows: usize,
    k: usize,
    n: usize,
    layer: LayerF32<'a, E>,
}

fn plan<'a, E: Weights>(ctx: &StepCtx<'a>) -> Result<Plan<'a, E>, Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let p: &DenseF32 = ctx.params()?;
    let (count, k) = rows(ctx, &ctx.input_of(0, DType::F32)?)?;
    let (out_count, n) = rows(ctx, &ctx.output_of(0, DType::F32)?)?;
    ctx.require(count == out_count && dense_fits(n, k))?;
    let (weights, elements) = ((p.weights, p.weights_bytes), pack::f32_elements(n, k));
    let scales = E::scales(ctx, size_of::<DenseF32>(), n)?;
    let layer = layer_f32(ctx, weights, elements, p.bias, n, p.lo, p.hi, scales)?;
    Ok(Plan { rows: count, k, n, layer })
}

macro_rules! dense {
    ($format:ident, $element:ty) => {
        impl Op for Dense<$format> {
            const CODE: OpCode = OpCode::Dense;
            const FORMAT: Format = Format::$format;

            fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
                plan::<$element>(ctx).map(drop)
            }

            fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
                let plan = plan::<$element>(&ctx.step)?;
                let mut views = ctx.views()?;
                isa.dense_f32(views.input(0)?, plan.rows, plan.k, plan.n, &plan.layer, views.output(0)?);
                Ok(())
            }
        }
    };
}

dense!(F32, f32);
dense!(F16, u16);
dense!(F32W8, i8);
