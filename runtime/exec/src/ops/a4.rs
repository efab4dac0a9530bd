//! Activations stored in 4 bits.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, ErrorKind, Format, OpCode, params};
use selvedge_kernels::{Isa, a4};

use super::{F32, I8};
use crate::{Op, RunCtx, StepCtx};

/// f32 to 4 bits, one scale a row and a step for each group. Outputs: stored rows, scales.
pub struct DynamicQuantize4<F>(PhantomData<F>);

/// Stored rows to int8.
pub struct UnpackA4<F>(PhantomData<F>);

/// Rows of `row` values and their stored form.
fn fits(ctx: &StepCtx<'_>, row: usize, values: usize, stored: usize) -> Result<(), Error> {
    ctx.require(row > 0 && values.is_multiple_of(row))?;
    ctx.require((values / row.max(1)).checked_mul(a4::row_bytes(row)) == Some(stored))
}

fn check_quantize(ctx: &StepCtx<'_>) -> Result<usize, Error> {
    ctx.counts(1..=1, 2)?;
    ctx.flags(0)?;
    let x = ctx.input_of(0, DType::F32)?;
    let (y, scales) = (ctx.output_of(0, DType::U8)?, ctx.output_of(1, DType::F32)?);
    let row = ctx.params::<params::DynamicQuantize>()?.row as usize;
    fits(ctx, row, x.elements, y.elements)?;
    ctx.require(scales.elements == x.elements / row.max(1))?;
    Ok(row)
}

impl Op for DynamicQuantize4<F32> {
    const CODE: OpCode = OpCode::DynamicQuantize4;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        check_quantize(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let row = check_quantize(&ctx.step)?;
        let nan = ctx.step.error(ErrorKind::NotANumber);
        let mut views = ctx.views()?;
        let numbers = a4::quantize_a4(views.input(0)?, row, views.output(0)?, views.output(1)?);
        if numbers { Ok(()) } else { Err(nan) }
    }
}

fn check_unpack(ctx: &StepCtx<'_>) -> Result<usize, Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let (x, y) = (ctx.input_of(0, DType::U8)?, ctx.output_of(0, DType::I8)?);
    let row = ctx.params::<params::DynamicQuantize>()?.row as usize;
    fits(ctx, row, y.elements, x.elements)?;
    Ok(row)
}

impl Op for UnpackA4<I8> {
    const CODE: OpCode = OpCode::UnpackA4;
    const FORMAT: Format = Format::I8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        check_unpack(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let row = check_unpack(&ctx.step)?;
        let mut views = ctx.views()?;
        a4::unpack_a4(views.input(0)?, row, views.output(0)?);
        Ok(())
    }
}
