//! Convolutions over three axes, their weights an operand.

use core::marker::PhantomData;

use selvedge_core::artifact::TensorView;
use selvedge_core::params::{self, WindowNd};
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::Isa;
use selvedge_kernels::conv_nd::{ConvNd as Shape, conv_nd_f32, conv_transpose_nd_f32};

use super::F32;
use crate::{Op, RunCtx, StepCtx};

/// Convolution and transposed convolution: inputs x `[batch, channels, depth, rows, columns]`, weights
/// (`[out, in / groups, …]`, transposed `[in, out / groups, …]`) and optionally a bias.
pub struct ConvNd<F>(PhantomData<F>);

/// Geometry of a window from `x` to `y`. Positions stay below 2^48; with 32-bit words, below 2^31.
pub(super) fn geometry(
    ctx: &StepCtx<'_>,
    x: &TensorView<'_>,
    y: &TensorView<'_>,
    window: &WindowNd,
    transposed: bool,
) -> Result<Shape, Error> {
    let (&[batch, in_c, ref input @ ..], &[y_batch, out_c, ref output @ ..]) = (x.dims, y.dims) else {
        return Err(ctx.bad());
    };
    let three = |dims: &[u32]| <[u32; 3]>::try_from(dims).map(|d| d.map(|d| d as usize)).map_err(|_| ctx.bad());
    let (input, output) = (three(input)?, three(output)?);
    let wide = |v: [u16; 3]| v.map(usize::from);
    let shape = Shape {
        batch: batch as usize,
        in_c: in_c as usize,
        out_c: out_c as usize,
        input,
        output,
        kernel: wide(window.kernel),
        stride: wide(window.stride),
        dilation: wide(window.dilation),
        pad: wide(window.pad),
        groups: 1,
    };
    let (small, large) = if transposed { (input, output) } else { (output, input) };
    ctx.require(batch == y_batch)?;
    let axes = small.iter().zip(large).zip(shape.kernel.iter().zip(shape.stride)).zip(shape.dilation);
    for (((&small, large), (&kernel, stride)), dilation) in axes {
        ctx.require(kernel > 0 && stride > 0 && dilation > 0)?;
        let last = small.saturating_sub(1) as u64 * stride as u64 + (kernel - 1) as u64 * dilation as u64;
        ctx.require(last < 1 << 31 && large < 1 << 30)?;
    }
    Ok(shape)
}

fn plan(ctx: &StepCtx<'_>) -> Result<(Shape, bool), Error> {
    ctx.counts(2..=3, 1)?;
    ctx.flags(0)?;
    let p: &params::ConvNd = ctx.params()?;
    let (x, w, y) = (ctx.input_of(0, DType::F32)?, ctx.input_of(1, DType::F32)?, ctx.output_of(0, DType::F32)?);
    ctx.require(p.transposed <= 1)?;
    let transposed = p.transposed == 1;
    let groups = p.groups as usize;
    let shape = Shape { groups, ..geometry(ctx, &x, &y, &p.window, transposed)? };
    let divides = |channels: usize| channels.checked_rem(groups) == Some(0);
    ctx.require(divides(shape.in_c) && divides(shape.out_c))?;
    let taps: usize = shape.kernel.iter().product();
    let (rows, columns) = if transposed { (shape.in_c, shape.out_c) } else { (shape.out_c, shape.in_c) };
    let elements = rows.checked_mul(columns.checked_div(groups).unwrap_or(0)).and_then(|n| n.checked_mul(taps));
    ctx.require(elements == Some(w.elements))?;
    if ctx.step().inputs.len() == 3 {
        ctx.require(ctx.input_of(2, DType::F32)?.elements == shape.out_c)?;
    }
    Ok((shape, transposed))
}

impl Op for ConvNd<F32> {
    const CODE: OpCode = OpCode::ConvNd;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let (shape, transposed) = plan(&ctx.step)?;
        let bias = ctx.step.step().inputs.len() == 3;
        let mut views = ctx.views()?;
        let bias = if bias { views.input(2)? } else { &[] };
        let run = if transposed { conv_transpose_nd_f32 } else { conv_nd_f32 };
        run(views.input(0)?, views.input(1)?, bias, &shape, views.output(0)?);
        Ok(())
    }
}
