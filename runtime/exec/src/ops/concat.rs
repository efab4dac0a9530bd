//! Concatenation along an axis.

use core::marker::PhantomData;

use selvedge_core::artifact::TensorView;
use selvedge_core::params::{self, Rescale};
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::Isa;

use super::{Any, I8};
use crate::{Op, RunCtx, StepCtx};

/// Concatenation; in int8 each input may move to another grid.
pub struct Concat<F>(PhantomData<F>);

/// Elements of a tensor from the axis on: what is contiguous in it.
fn run_len(tensor: &TensorView<'_>, axis: usize) -> usize {
    tensor.dims.iter().skip(axis).map(|&d| d as usize).product()
}

/// Gives the axis; all inputs fit together to the output.
fn plan(ctx: &StepCtx<'_>) -> Result<usize, Error> {
    ctx.flags(0)?;
    let inputs = ctx.step().inputs.len();
    ctx.counts(1..=u8::MAX as usize, 1)?;
    let axis = ctx.params::<params::Concat>()?.axis as usize;
    let y = ctx.output(0)?;
    ctx.require(axis < y.dims.len())?;
    let mut sum = 0u64;
    for i in 0..inputs {
        let x = ctx.input_of(i, y.dtype)?;
        ctx.require(x.dims.len() == y.dims.len())?;
        for (d, (&have, &want)) in x.dims.iter().zip(y.dims).enumerate() {
            if d == axis {
                sum += have as u64;
            } else {
                ctx.require(have == want)?;
            }
        }
    }
    ctx.require(y.dims.get(axis).is_some_and(|&d| d as u64 == sum))?;
    Ok(axis)
}

fn rescale(ctx: &StepCtx<'_>, input: usize) -> Result<Rescale, Error> {
    let r: &Rescale = ctx.params_at(size_of::<params::Concat>() + input * size_of::<Rescale>())?;
    ctx.require(r.s <= 31)?;
    Ok(*r)
}

/// Calls `f` with each run of input `i` and where it goes.
fn each_run(
    ctx: &mut RunCtx<'_>,
    axis: usize,
    mut f: impl FnMut(usize, &[u8], &mut [u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let (step, bad) = (ctx.step, ctx.step.bad());
    let y = step.output(0)?;
    let out_run = run_len(&y, axis) * y.dtype.size();
    let mut start = 0;
    for i in 0..step.step().inputs.len() {
        let run = run_len(&step.input(i)?, axis) * y.dtype.size();
        let mut views = ctx.view_of_input(i)?;
        let (x, out) = (views.input::<u8>(0)?, views.output::<u8>(0)?);
        for (x, out) in x.chunks_exact(run.max(1)).zip(out.chunks_exact_mut(out_run.max(1))) {
            f(i, x, out.get_mut(start..start + x.len()).ok_or(bad)?)?;
        }
        start += run;
    }
    Ok(())
}

impl Op for Concat<Any> {
    const CODE: OpCode = OpCode::Concat;
    const FORMAT: Format = Format::Any;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let axis = plan(&ctx.step)?;
        each_run(ctx, axis, |_, x, out| {
            out.copy_from_slice(x);
            Ok(())
        })
    }
}

impl Op for Concat<I8> {
    const CODE: OpCode = OpCode::Concat;
    const FORMAT: Format = Format::I8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx)?;
        ctx.output_of(0, DType::I8)?;
        (0..ctx.step().inputs.len()).try_for_each(|i| rescale(ctx, i).map(drop))
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let (step, axis) = (ctx.step, plan(&ctx.step)?);
        each_run(ctx, axis, |i, x, out| {
            let Rescale { m, c, s } = rescale(&step, i)?;
            if m == 0 && s == 0 {
                out.copy_from_slice(x);
            } else {
                isa.rescale_i8(bytemuck::cast_slice(x), m, c, s, bytemuck::cast_slice_mut(out));
            }
            Ok(())
        })
    }
}
