//! Between f32 and int8 or int16 on a fixed grid.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, ErrorKind, Format, OpCode, params};
use selvedge_kernels::Isa;

use super::{F32, I8, I16, zero_point_i8};
use crate::{Op, RunCtx, StepCtx};

/// f32 to int8 or int16, ONNX QuantizeLinear.
pub struct Quantize<F>(PhantomData<F>);

/// int8 or int16 to f32, ONNX DequantizeLinear; parameters are those of Quantize.
pub struct Dequantize<F>(PhantomData<F>);

fn grid(ctx: &StepCtx<'_>, from: DType, to: DType) -> Result<(f32, i32), Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    ctx.require(ctx.input_of(0, from)?.elements == ctx.output_of(0, to)?.elements)?;
    let p: &params::Quantize = ctx.params()?;
    ctx.require(p.scale.is_finite() && p.scale > 0.0)?;
    Ok((p.scale, zero_point_i8(ctx, p.zero_point)?))
}

impl Op for Quantize<F32> {
    const CODE: OpCode = OpCode::Quantize;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        grid(ctx, DType::F32, DType::I8).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let (scale, zero_point) = grid(&ctx.step, DType::F32, DType::I8)?;
        let nan = ctx.step.error(ErrorKind::NotANumber);
        let mut views = ctx.views()?;
        let numbers = isa.quantize_i8(views.input(0)?, scale, zero_point, views.output(0)?);
        if numbers { Ok(()) } else { Err(nan) }
    }
}

impl Op for Dequantize<I8> {
    const CODE: OpCode = OpCode::Dequantize;
    const FORMAT: Format = Format::I8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        grid(ctx, DType::I8, DType::F32).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let (scale, zero_point) = grid(&ctx.step, DType::I8, DType::F32)?;
        let mut views = ctx.views()?;
        isa.dequantize_i8(views.input(0)?, scale, zero_point, views.output(0)?);
        Ok(())
    }
}

/// The scale of an int16 grid, which lies around 0.
fn scale_i16(ctx: &StepCtx<'_>, from: DType, to: DType) -> Result<f32, Error> {
    let (scale, zero_point) = grid(ctx, from, to)?;
    ctx.require(zero_point == 0)?;
    Ok(scale)
}

impl Op for Quantize<I16> {
    const CODE: OpCode = OpCode::Quantize;
    const FORMAT: Format = Format::I16;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        scale_i16(ctx, DType::F32, DType::I16).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let scale = scale_i16(&ctx.step, DType::F32, DType::I16)?;
        let nan = ctx.step.error(ErrorKind::NotANumber);
        let mut views = ctx.views()?;
        let numbers = isa.quantize_i16(views.input(0)?, scale, views.output(0)?);
        if numbers { Ok(()) } else { Err(nan) }
    }
}

impl Op for Dequantize<I16> {
    const CODE: OpCode = OpCode::Dequantize;
    const FORMAT: Format = Format::I16;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        scale_i16(ctx, DType::I16, DType::F32).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let scale = scale_i16(&ctx.step, DType::I16, DType::F32)?;
        let mut views = ctx.views()?;
        isa.dequantize_i16(views.input(0)?, scale, views.output(0)?);
        Ok(())
    }
}
