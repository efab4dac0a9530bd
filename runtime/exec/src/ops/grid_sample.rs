//! Sampling at computed points.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, Format, OpCode, params};
use selvedge_kernels::Isa;
use selvedge_kernels::grid_sample::{GridSample as Shape, Mode, Outside, grid_sample_f32};

use super::F32;
use crate::{Op, RunCtx, StepCtx};

/// ONNX GridSample over two or three axes: inputs x and the grid.
pub struct GridSample<F>(PhantomData<F>);

fn plan(ctx: &StepCtx<'_>) -> Result<Shape, Error> {
    ctx.counts(2..=2, 1)?;
    ctx.flags(0)?;
    let (x, grid, y) = (ctx.input_of(0, DType::F32)?, ctx.input_of(1, DType::F32)?, ctx.output_of(0, DType::F32)?);
    let p: &params::GridSample = ctx.params()?;
    let mode = match p.mode {
        0 => Mode::Nearest,
        1 => Mode::Linear,
        2 => Mode::Cubic,
        _ => return Err(ctx.bad()),
    };
    let outside = match p.outside {
        0 => Outside::Zeros,
        1 => Outside::Border,
        2 => Outside::Reflection,
        _ => return Err(ctx.bad()),
    };
    let (&[batch, channels, ref spatial @ ..], Some((&axes, at))) = (x.dims, grid.dims.split_last()) else {
        return Err(ctx.bad());
    };
    let Some((&grid_batch, out)) = at.split_first() else { return Err(ctx.bad()) };
    ctx.require(spatial.len() == axes as usize && (2..=3).contains(&axes) && grid_batch == batch)?;
    ctx.require([batch, channels].iter().chain(out).eq(y.dims) && p.align_corners <= 1)?;
    let mut input = [1; 3];
    for (slot, &len) in input.iter_mut().rev().zip(spatial.iter().rev()) {
        *slot = len as usize;
    }
    let points = out.iter().map(|&d| d as usize).product();
    let align_corners = p.align_corners == 1;
    Ok(Shape { channels: channels as usize, input, axes: axes as usize, points, mode, outside, align_corners })
}

impl Op for GridSample<F32> {
    const CODE: OpCode = OpCode::GridSample;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let shape = plan(&ctx.step)?;
        let mut views = ctx.views()?;
        grid_sample_f32(views.input(0)?, views.input(1)?, &shape, views.output(0)?);
        Ok(())
    }
}
