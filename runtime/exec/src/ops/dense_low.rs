//! Dense with int8 activations and weights of fewer than 8 bits.

use selvedge_core::params::DenseI8;
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{Code, Isa, LowBit, T2, W2, W3, W4, pack_low};

use super::Dense;
use super::geometry::{dense_fits, rows};
use super::layer_i8::{Epilogue, LayerParams, require};
use super::low_bit::low_bit;
use crate::{Op, RunCtx, StepCtx};

pub(super) struct Plan<'a> {
    pub rows: usize,
    pub w: LowBit<'a>,
    pub epilogue: Epilogue<'a>,
}

impl<'a> Plan<'a> {
    /// `inputs` of the step's are the layer's own.
    pub(super) fn build<C: Code>(ctx: &StepCtx<'a>, inputs: usize) -> Option<Self> {
        let p: &DenseI8 = ctx.params().ok()?;
        let layer = LayerParams {
            arrays: &p.arrays,
            zero_point: p.output_zero_point,
            lo: p.lo,
            hi: p.hi,
            lo_f32: p.lo_f32,
            hi_f32: p.hi_f32,
            inputs,
            params_bytes: size_of::<DenseI8>() + size_of::<selvedge_core::params::LowBit>(),
        };
        let (x, y) = (ctx.input_of(0, DType::I8).ok()?, ctx.output(0).ok()?);
        let ((count, k), (out_count, n)) = (rows(ctx, &x).ok()?, rows(ctx, &y).ok()?);
        require(count == out_count && dense_fits(n, k))?;
        let bytes = pack_low::low_bytes(C::WIDTH, n, k);
        let w = low_bit::<C>(ctx, size_of::<DenseI8>(), &p.arrays, bytes, [1, n, k])?;
        let epilogue = Epilogue::of(ctx, &layer, n, count)?;
        Some(Plan { rows: count, w, epilogue })
    }
}

macro_rules! dense {
    ($($code:ident)*) => {$(
        impl Op for Dense<$code> {
            const CODE: OpCode = OpCode::Dense;
            const FORMAT: Format = Format::$code;

            fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
                let plan = Plan::build::<$code>(ctx, ctx.step().inputs.len()).ok_or(ctx.bad())?;
                ctx.scratch(pack_low::dense_low_scratch(plan.rows, plan.w.k))?;
                plan.epilogue.validate(ctx)
            }

            fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
                let plan = Plan::build::<$code>(&ctx.step, ctx.step.step().inputs.len()).ok_or(ctx.step.bad())?;
                let mut views = ctx.views()?;
                let x = views.input(0)?;
                let scratch = views.scratch(pack_low::dense_low_scratch(plan.rows, plan.w.k))?;
                let output = plan.epilogue.output(&mut views)?;
                isa.dense_low::<$code>(x, &plan.w, plan.rows, output, scratch);
                Ok(())
            }
        }
    )*};
}

dense!(W4 W3 W2 T2);
