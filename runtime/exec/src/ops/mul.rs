//! Integer product with rescale.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, Format, OpCode, params};
use selvedge_kernels::{Isa, MulI8};

use super::add::pieces;
use super::broadcast::Broadcast;
use super::{I8, clamp_i8, zero_point_i8};
use crate::{Op, RunCtx, StepCtx};

/// Product of two tensors, broadcast as ONNX does.
pub struct Mul<F>(PhantomData<F>);

fn plan(ctx: &StepCtx<'_>) -> Result<(Broadcast, MulI8), Error> {
    ctx.counts(2..=2, 1)?;
    ctx.flags(0)?;
    let (a, b, y) = (ctx.input_of(0, DType::I8)?, ctx.input_of(1, DType::I8)?, ctx.output_of(0, DType::I8)?);
    let p: &params::MulI8 = ctx.params()?;
    let (lo, hi) = clamp_i8(p.lo, p.hi).ok_or(ctx.bad())?;
    ctx.require(p.multiplier >= 0 && (-30..=31).contains(&p.shift))?;
    let [zp1, zp2] = p.zero_point;
    let args = MulI8 {
        zp1: zero_point_i8(ctx, zp1)?,
        zp2: zero_point_i8(ctx, zp2)?,
        multiplier: p.multiplier,
        shift: p.shift as i8,
        zero_point: zero_point_i8(ctx, p.output_zero_point)?,
        lo,
        hi,
    };
    Ok((Broadcast::of(ctx, a.dims, b.dims, y.dims)?, args))
}

impl Op for Mul<I8> {
    const CODE: OpCode = OpCode::Mul;
    const FORMAT: Format = Format::I8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let ((broadcast, args), bad) = (plan(&ctx.step)?, ctx.step.bad());
        let mut views = ctx.views()?;
        let (a, b, out) = (views.input::<i8>(0)?, views.input::<i8>(1)?, views.output::<i8>(0)?);
        let swapped = MulI8 { zp1: args.zp2, zp2: args.zp1, ..args };
        let (a_len, b_len) = (broadcast.a_len(), broadcast.b_len());
        for (run, y) in broadcast.runs().zip(out.chunks_exact_mut(broadcast.run_len().max(1))) {
            let a = a.get(run.a..run.a + a_len).ok_or(bad)?;
            let b = b.get(run.b..run.b + b_len).ok_or(bad)?;
            // The product is symmetric: the repeated operand comes first.
            let (one, other, args) = if a_len <= b_len { (a, b, &args) } else { (b, a, &swapped) };
            let mut at = 0;
            pieces(one, y, |one, y| {
                if let Some(other) = other.get(at..at + y.len()) {
                    isa.mul_i8(one, other, args, y);
                }
                at += y.len();
            });
        }
        Ok(())
    }
}
