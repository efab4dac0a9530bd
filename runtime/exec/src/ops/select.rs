//! Elements of one of two tensors.

use core::marker::PhantomData;

use selvedge_core::shape::MAX_RANK;
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::Isa;

use super::Any;
use super::index::{Walk, by_size, strides};
use crate::{Op, RunCtx, StepCtx};

/// ONNX Where: inputs are a boolean tensor and two of one type, all broadcast.
pub struct Select<F>(PhantomData<F>);

/// Strides of an operand over the dimensions of the output: 0 where it repeats.
fn spread(from: &[u32], to: &[u32]) -> Option<[isize; MAX_RANK]> {
    let missing = to.len().checked_sub(from.len())?;
    let mut out = [0; MAX_RANK];
    let targets = out.iter_mut().zip(to).skip(missing);
    for ((slot, &wanted), (&dim, stride)) in targets.zip(from.iter().zip(strides(from))) {
        match dim {
            1 => {}
            dim if dim == wanted => *slot = stride,
            _ => return None,
        }
    }
    Some(out)
}

fn plan(ctx: &StepCtx<'_>) -> Result<[[isize; MAX_RANK]; 3], Error> {
    ctx.counts(3..=3, 1)?;
    ctx.flags(0)?;
    let (c, a, b, y) = (ctx.input_of(0, DType::Bool)?, ctx.input(1)?, ctx.input(2)?, ctx.output(0)?);
    ctx.require(a.dtype == y.dtype && b.dtype == y.dtype)?;
    let strides = [spread(c.dims, y.dims), spread(a.dims, y.dims), spread(b.dims, y.dims)];
    let [Some(c), Some(a), Some(b)] = strides else { return Err(ctx.bad()) };
    Ok([c, a, b])
}

fn select<T: Copy>(
    [c, a, b]: [[isize; MAX_RANK]; 3],
    dims: &[u32],
    condition: &[u8],
    (yes, no): (&[T], &[T]),
    out: &mut [T],
) -> Option<()> {
    let walk = |strides: [isize; MAX_RANK]| Walk::new(dims.iter().map(|&d| d as usize), strides);
    for (y, ((c, a), b)) in out.iter_mut().zip(walk(c).zip(walk(a)).zip(walk(b))) {
        let taken = *condition.get(c as usize)? != 0;
        *y = if taken { *yes.get(a as usize)? } else { *no.get(b as usize)? };
    }
    Some(())
}

impl Op for Select<Any> {
    const CODE: OpCode = OpCode::Select;
    const FORMAT: Format = Format::Any;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let (strides, y, bad) = (plan(&ctx.step)?, ctx.step.output(0)?, ctx.step.bad());
        let mut views = ctx.views()?;
        let c = views.input::<u8>(0)?;
        by_size!(y.dtype, T => {
            let (a, b, out) = (views.input::<T>(1)?, views.input::<T>(2)?, views.output::<T>(0)?);
            select(strides, y.dims, c, (a, b), out)
        })
        .ok_or(bad)
    }
}
