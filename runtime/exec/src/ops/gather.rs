//! Slices of a tensor picked by indices.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, ErrorKind, Format, OpCode, params};
use selvedge_kernels::Isa;

use super::Any;
use crate::{Op, RunCtx, StepCtx};

/// ONNX Gather: inputs data and indices (i32 or i64); negative indices count from the end.
pub struct Gather<F>(PhantomData<F>);

struct Plan {
    /// Length of the axis.
    size: usize,
    /// Bytes of one slice.
    slice: usize,
    indices: DType,
}

impl Plan {
    fn of(ctx: &StepCtx<'_>) -> Result<Self, Error> {
        ctx.counts(2..=2, 1)?;
        ctx.flags(0)?;
        let (data, indices, y) = (ctx.input(0)?, ctx.input(1)?, ctx.output(0)?);
        ctx.require(data.dtype == y.dtype && matches!(indices.dtype, DType::I32 | DType::I64))?;
        let axis = ctx.params::<params::Gather>()?.axis as usize;
        let (before, from) = data.dims.split_at_checked(axis).ok_or(ctx.bad())?;
        let (&size, behind) = from.split_first().ok_or(ctx.bad())?;
        ctx.require(before.iter().chain(indices.dims).chain(behind).eq(y.dims))?;
        let slice = behind.iter().map(|&d| d as usize).product::<usize>() * data.dtype.size();
        Ok(Plan { size: size as usize, slice, indices: indices.dtype })
    }

    fn pick(&self, data: &[u8], out: &mut [u8], indices: impl ExactSizeIterator<Item = i64> + Clone) -> Option<()> {
        let out = out.chunks_exact_mut((self.slice * indices.len()).max(1));
        for (data, out) in data.chunks_exact((self.slice * self.size).max(1)).zip(out) {
            for (index, out) in indices.clone().zip(out.chunks_exact_mut(self.slice.max(1))) {
                let index = if index < 0 { index.checked_add(self.size as i64)? } else { index };
                let start = usize::try_from(index).ok()?.checked_mul(self.slice)?;
                out.copy_from_slice(data.get(start..start.checked_add(out.len())?)?);
            }
        }
        Some(())
    }
}

impl Op for Gather<Any> {
    const CODE: OpCode = OpCode::Gather;
    const FORMAT: Format = Format::Any;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        Plan::of(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let plan = Plan::of(&ctx.step)?;
        let outside = ctx.step.error(ErrorKind::IndexOutOfRange);
        let mut views = ctx.views()?;
        let (data, out) = (views.input(0)?, views.output(0)?);
        let done = match plan.indices {
            DType::I32 => plan.pick(data, out, views.input::<i32>(1)?.iter().map(|&i| i as i64)),
            _ => plan.pick(data, out, views.input::<i64>(1)?.iter().copied()),
        };
        done.ok_or(outside)
    }
}
