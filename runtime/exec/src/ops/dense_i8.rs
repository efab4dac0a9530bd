//! Dense with int8 activations and weights.

use core::marker::PhantomData;

use selvedge_core::params::DenseI8;
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{Isa, pack};

use super::geometry::{dense_fits, rows};
use super::layer_i8::{Epilogue, LayerParams, require};
use super::{W8, weights_i8};
use crate::{Op, RunCtx, StepCtx};

/// Rows `[…, K]` times a constant `[N, K]`; `F` is the weight format.
pub struct Dense<F>(PhantomData<F>);

pub(super) struct Plan<'a> {
    pub rows: usize,
    pub k: usize,
    pub n: usize,
    pub weights: &'a [i8],
    pub epilogue: Epilogue<'a>,
}

impl<'a> Plan<'a> {
    fn of(ctx: &StepCtx<'a>) -> Result<Self, Error> {
        Self::build(ctx, ctx.step().inputs.len()).ok_or(ctx.bad())
    }

    /// `inputs` of the step's are the layer's own.
    pub(super) fn build(ctx: &StepCtx<'a>, inputs: usize) -> Option<Self> {
        let p: &DenseI8 = ctx.params().ok()?;
        let layer = LayerParams {
            arrays: &p.arrays,
            zero_point: p.output_zero_point,
            lo: p.lo,
            hi: p.hi,
            lo_f32: p.lo_f32,
            hi_f32: p.hi_f32,
            inputs,
            params_bytes: size_of::<DenseI8>(),
        };
        let (x, y) = (ctx.input_of(0, DType::I8).ok()?, ctx.output(0).ok()?);
        let ((count, k), (out_count, n)) = (rows(ctx, &x).ok()?, rows(ctx, &y).ok()?);
        require(count == out_count && dense_fits(n, k))?;
        let weights = weights_i8(ctx, &p.arrays, pack::w8_bytes(n, k))?;
        let epilogue = Epilogue::of(ctx, &layer, n, count)?;
        Some(Plan { rows: count, k, n, weights, epilogue })
    }
}

impl Op for Dense<W8> {
    const CODE: OpCode = OpCode::Dense;
    const FORMAT: Format = Format::W8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        Plan::of(ctx).as_ref().map_err(|&e| e)?.epilogue.validate(ctx)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let plan = Plan::of(&ctx.step)?;
        let mut views = ctx.views()?;
        let x = views.input(0)?;
        let output = plan.epilogue.output(&mut views)?;
        isa.dense_w8(x, plan.weights, plan.rows, plan.k, plan.n, output);
        Ok(())
    }
}
