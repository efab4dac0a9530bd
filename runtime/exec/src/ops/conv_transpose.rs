//! Transposed convolution in f32.

use core::marker::PhantomData;

use selvedge_core::params::ConvF32;
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{ConvShape, Isa, LayerF32};

use super::geometry::{layer_fits, transposed_shape};
use super::{F32, layer_f32};
use crate::{Op, RunCtx, StepCtx};

/// Transposed convolution over rows and columns.
pub struct ConvTranspose2d<F>(PhantomData<F>);

fn plan<'a>(ctx: &StepCtx<'a>) -> Result<(ConvShape, LayerF32<'a>), Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let p: &ConvF32 = ctx.params()?;
    let (x, y) = (ctx.input_of(0, DType::F32)?, ctx.output_of(0, DType::F32)?);
    let shape = transposed_shape(x.record, y.record, &p.window, p.groups as usize).ok_or(ctx.bad())?;
    ctx.require(layer_fits(&shape))?;
    let elements = shape.kernel_h * shape.kernel_w * shape.in_c * (shape.out_c / shape.groups);
    let layer = layer_f32(ctx, (p.weights, p.weights_bytes), elements, p.bias, shape.out_c, p.lo, p.hi, ())?;
    Ok((shape, layer))
}

impl Op for ConvTranspose2d<F32> {
    const CODE: OpCode = OpCode::ConvTranspose2d;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let (shape, layer) = plan(&ctx.step)?;
        let mut views = ctx.views()?;
        isa.conv_transpose2d_f32(views.input(0)?, &shape, &layer, views.output(0)?);
        Ok(())
    }
}
