//! Grids found from the data at run time.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, ErrorKind, Format, OpCode, arith, params};
use selvedge_kernels::Isa;

use super::F32;
use crate::{Op, RunCtx, StepCtx};

/// f32 to int8, symmetric, one scale a row. Outputs: values, scales.
pub struct DynamicQuantize<F>(PhantomData<F>);

/// ONNX DynamicQuantizeLinear. Outputs: uint8 values, scale, zero point.
pub struct DynamicQuantizeLinear<F>(PhantomData<F>);

fn row(ctx: &StepCtx<'_>) -> Result<usize, Error> {
    ctx.counts(1..=1, 2)?;
    ctx.flags(0)?;
    let x = ctx.input_of(0, DType::F32)?;
    let (y, scales) = (ctx.output_of(0, DType::I8)?, ctx.output_of(1, DType::F32)?);
    let row = ctx.params::<params::DynamicQuantize>()?.row as usize;
    ctx.require(row > 0 && x.elements.is_multiple_of(row))?;
    ctx.require(y.elements == x.elements && scales.elements == x.elements / row)?;
    Ok(row)
}

impl Op for DynamicQuantize<F32> {
    const CODE: OpCode = OpCode::DynamicQuantize;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        row(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let row = row(&ctx.step)?;
        let nan = ctx.step.error(ErrorKind::NotANumber);
        let mut views = ctx.views()?;
        let numbers = isa.dynamic_quantize_i8(views.input(0)?, row, views.output(0)?, views.output(1)?);
        if numbers { Ok(()) } else { Err(nan) }
    }
}

fn check_linear(ctx: &StepCtx<'_>) -> Result<(), Error> {
    ctx.counts(1..=1, 3)?;
    ctx.flags(0)?;
    let (x, y) = (ctx.input_of(0, DType::F32)?, ctx.output_of(0, DType::U8)?);
    let (scale, zero_point) = (ctx.output_of(1, DType::F32)?, ctx.output_of(2, DType::U8)?);
    ctx.require(x.elements == y.elements && scale.elements == 1 && zero_point.elements == 1)
}

impl Op for DynamicQuantizeLinear<F32> {
    const CODE: OpCode = OpCode::DynamicQuantizeLinear;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        check_linear(ctx)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let nan = ctx.step.error(ErrorKind::NotANumber);
        let mut views = ctx.views()?;
        let x = views.input::<f32>(0)?;
        if x.iter().any(|v| !v.is_finite()) {
            return Err(nan);
        }
        let (min, max) = x.iter().fold((0.0f32, 0.0f32), |(lo, hi), &v| (lo.min(v), hi.max(v)));
        let (scale, zero_point) = arith::onnx_dynamic_params(min, max);
        for (q, &v) in views.output::<u8>(0)?.iter_mut().zip(x) {
            let rounded = arith::round_ties_even(v / scale) as i32;
            *q = rounded.saturating_add(zero_point as i32).clamp(0, 255) as u8;
        }
        views.output::<f32>(1)?.fill(scale);
        views.output::<u8>(2)?.fill(zero_point);
        Ok(())
    }
}
