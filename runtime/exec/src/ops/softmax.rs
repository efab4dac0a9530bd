//! Softmax over the last axis.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, Format, OpCode, arith, params};
use selvedge_kernels::{Isa, SoftmaxI8};

use super::geometry::rows;
use super::{F32, I8, zero_point_i8};
use crate::{Op, RunCtx, StepCtx};

/// Softmax over the last axis.
pub struct Softmax<F>(PhantomData<F>);

/// Length of a row.
fn row(ctx: &StepCtx<'_>, dtype: DType) -> Result<usize, Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let (x, y) = (ctx.input_of(0, dtype)?, ctx.output_of(0, dtype)?);
    let (_, row) = rows(ctx, &x)?;
    ctx.require(x.elements == y.elements)?;
    Ok(row)
}

fn plan<'a>(ctx: &StepCtx<'a>) -> Result<(usize, SoftmaxI8<'a>), Error> {
    let row = row(ctx, DType::I8)?;
    let p: &params::SoftmaxI8 = ctx.params()?;
    ctx.require(row <= 1 << 16)?;
    ctx.require(p.inverse < 1 << 25 && p.shift <= 16)?;
    let args = SoftmaxI8 {
        table: ctx.array(p.table, arith::SOFTMAX_TABLE)?,
        inverse: p.inverse,
        shift: p.shift,
        zero_point: zero_point_i8(ctx, p.output_zero_point)?,
    };
    Ok((row, args))
}

impl Op for Softmax<I8> {
    const CODE: OpCode = OpCode::Softmax;
    const FORMAT: Format = Format::I8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        let (_, args) = plan(ctx)?;
        // One is 2^24: sums of 2^16 entries shifted by 17 stay below 2^63.
        ctx.require(args.table.iter().all(|&e| e <= 1 << 24))
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let (row, args) = plan(&ctx.step)?;
        let mut views = ctx.views()?;
        isa.softmax_i8(views.input(0)?, row, &args, views.output(0)?);
        Ok(())
    }
}

impl Op for Softmax<F32> {
    const CODE: OpCode = OpCode::Softmax;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        row(ctx, DType::F32).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let row = row(&ctx.step, DType::F32)?;
        let mut views = ctx.views()?;
        isa.softmax_f32(views.input(0)?, row, views.output(0)?);
        Ok(())
    }
}
