//! Constant padding.

use core::marker::PhantomData;

use selvedge_core::{Error, Format, OpCode, params};
use selvedge_kernels::Isa;

use super::Any;
use super::index::{Walk, strides};
use crate::{Op, RunCtx, StepCtx};

/// The input lies at `begin` in an output filled with one value.
pub struct Pad<F>(PhantomData<F>);

fn plan(ctx: &StepCtx<'_>) -> Result<params::Pad, Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(0)?;
    let (x, y) = (ctx.input(0)?, ctx.output(0)?);
    ctx.require(x.dtype == y.dtype && x.dims.len() == y.dims.len())?;
    let p: &params::Pad = ctx.params()?;
    for ((&begin, &inside), &outside) in p.begin.iter().zip(x.dims).zip(y.dims) {
        ctx.require(begin as u64 + inside as u64 <= outside as u64)?;
    }
    Ok(*p)
}

impl Op for Pad<Any> {
    const CODE: OpCode = OpCode::Pad;
    const FORMAT: Format = Format::Any;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let (step, p, bad) = (ctx.step, plan(&ctx.step)?, ctx.step.bad());
        let (x, y) = (step.input(0)?, step.output(0)?);
        let size = y.dtype.size();
        let mut views = ctx.views()?;
        let (src, dst) = (views.input::<u8>(0)?, views.output::<u8>(0)?);
        let value = p.value.get(..size).ok_or(bad)?;
        for element in dst.chunks_exact_mut(size.max(1)) {
            for (byte, &value) in element.iter_mut().zip(value) {
                *byte = value;
            }
        }
        let steps = strides(y.dims);
        let start: usize = p.begin.iter().zip(steps).map(|(&b, step)| b as usize * step as usize).sum();
        let outer = x.dims.len().saturating_sub(1);
        let row = x.dims.last().map_or(1, |&d| d as usize) * size;
        let walk = Walk::new(x.dims.iter().take(outer).map(|&d| d as usize), steps.into_iter().take(outer));
        for (src, offset) in src.chunks_exact(row.max(1)).zip(walk) {
            let at = (start + offset as usize) * size;
            dst.get_mut(at..at + src.len()).ok_or(bad)?.copy_from_slice(src);
        }
        Ok(())
    }
}
