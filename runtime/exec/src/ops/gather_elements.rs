//! Slices read from computed places.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, ErrorKind, Format, OpCode, params};
use selvedge_kernels::Isa;

use super::Any;
use super::places::{Places, with_indices};
use crate::{Op, RunCtx, StepCtx};

/// ONNX GatherElements and GatherND: inputs data and indices (i32 or i64); negative indices count
/// from the end.
pub struct GatherElements<F>(PhantomData<F>);

fn plan(ctx: &StepCtx<'_>) -> Result<(Places, DType), Error> {
    ctx.counts(2..=2, 1)?;
    ctx.flags(0)?;
    let (data, at, y) = (ctx.input(0)?, ctx.input(1)?, ctx.output(0)?);
    ctx.require(data.dtype == y.dtype)?;
    let p: &params::GatherElements = ctx.params()?;
    let places = match p.kind {
        0 => Places::elements(ctx, &data, &at, p.axis as usize)?,
        _ => Places::tuples(ctx, &data, &at, p.axis as usize)?,
    };
    let tuple = if p.kind == 0 { 1 } else { at.dims.last().map_or(1, |&d| d as usize) };
    let slices = at.elements.checked_div(tuple).ok_or(ctx.bad())?;
    ctx.require(p.kind <= 1 && slices.checked_mul(places.slice) == Some(y.elements))?;
    Ok((places, at.dtype))
}

impl Op for GatherElements<Any> {
    const CODE: OpCode = OpCode::GatherElements;
    const FORMAT: Format = Format::Any;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let (places, dtype) = plan(&ctx.step)?;
        let outside = ctx.step.error(ErrorKind::IndexOutOfRange);
        let size = ctx.step.output(0)?.dtype.size();
        let mut views = ctx.views()?;
        let (data, out) = (views.input::<u8>(0)?, views.output::<u8>(0)?);
        let bytes = places.slice.saturating_mul(size);
        let mut out = out.chunks_exact_mut(bytes.max(1));
        with_indices!(views, 1, dtype, indices => places.each(indices, |at| {
            let start = at.checked_mul(size)?;
            out.next()?.copy_from_slice(data.get(start..start.checked_add(bytes)?)?);
            Some(())
        }))
        .ok_or(outside)
    }
}
