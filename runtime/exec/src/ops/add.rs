//! Integer addition and subtraction with rescale: int8 and int16.

use core::marker::PhantomData;

use selvedge_core::artifact::step_flags::IN_PLACE;
use selvedge_core::{DType, Error, Format, OpCode, params};
use selvedge_kernels::{AddI8, AddI16, Isa};

use super::broadcast::Broadcast;
use super::layers_i16::clamp_i16;
use super::{I8, I16, clamp_i8};
use crate::{Op, RunCtx, StepCtx};

/// Sum of two tensors, broadcast as ONNX does; in place on either input.
pub struct Add<F>(PhantomData<F>);

/// Repetitions of one value that a kernel call takes.
const REPEAT: usize = 64;

struct Plan {
    broadcast: Broadcast,
    args: AddI8,
    in_place: Option<usize>,
}

impl Plan {
    fn of(ctx: &StepCtx<'_>) -> Result<Self, Error> {
        ctx.counts(2..=2, 1)?;
        ctx.flags(IN_PLACE)?;
        let (a, b, y) = (ctx.input_of(0, DType::I8)?, ctx.input_of(1, DType::I8)?, ctx.output_of(0, DType::I8)?);
        let broadcast = Broadcast::of(ctx, a.dims, b.dims, y.dims)?;
        let p: &params::AddI8 = ctx.params()?;
        let (lo, hi) = clamp_i8(p.lo, p.hi).ok_or(ctx.bad())?;
        ctx.require(p.s <= 31)?;
        let mut args = AddI8 { m1: p.m1, m2: p.m2, c: p.c, s: p.s, lo, hi };
        let in_place = ctx.in_place();
        if let Some(i) = in_place {
            let [first, second] = [a, b].map(|t| t.elements == y.elements);
            ctx.require(if i == 0 { first } else { second })?;
            ctx.require(ctx.step().inputs.first() != ctx.step().inputs.last())?;
            if i == 0 {
                // The kernel's second summand is the one that lies in the output.
                core::mem::swap(&mut args.m1, &mut args.m2);
            }
        }
        Ok(Plan { broadcast, args, in_place })
    }
}

impl Op for Add<I8> {
    const CODE: OpCode = OpCode::Add;
    const FORMAT: Format = Format::I8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        Plan::of(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let (plan, bad) = (Plan::of(&ctx.step)?, ctx.step.bad());
        let mut views = ctx.views()?;
        let (a, b, out) = (views.input::<i8>(0)?, views.input::<i8>(1)?, views.output::<i8>(0)?);
        let (broadcast, args) = (&plan.broadcast, &plan.args);
        let (a_len, b_len) = (broadcast.a_len(), broadcast.b_len());
        for (run, y) in broadcast.runs().zip(out.chunks_exact_mut(broadcast.run_len().max(1))) {
            let a = || a.get(run.a..run.a + a_len).ok_or(bad);
            let b = || b.get(run.b..run.b + b_len).ok_or(bad);
            match plan.in_place {
                Some(i) => {
                    let other = if i == 0 { b()? } else { a()? };
                    pieces(other, y, |other, y| isa.add_in_place_i8(other, args, y));
                }
                None if a_len <= b_len => {
                    let b = b()?;
                    let mut at = 0;
                    pieces(a()?, y, |a, y| {
                        if let Some(b) = b.get(at..at + y.len()) {
                            isa.add_i8(a, b, args, y);
                        }
                        at += y.len();
                    });
                }
                None => {
                    let a = a()?;
                    let mut at = 0;
                    pieces(b()?, y, |b, y| {
                        if let Some(a) = a.get(at..at + y.len()) {
                            isa.add_i8(a, b, args, y);
                        }
                        at += y.len();
                    });
                }
            }
        }
        Ok(())
    }
}

struct PlanI16 {
    broadcast: Broadcast,
    args: AddI16,
    in_place: Option<usize>,
}

fn plan_i16(ctx: &StepCtx<'_>) -> Result<PlanI16, Error> {
    ctx.counts(2..=2, 1)?;
    ctx.flags(IN_PLACE)?;
    let (a, b, y) = (ctx.input_of(0, DType::I16)?, ctx.input_of(1, DType::I16)?, ctx.output_of(0, DType::I16)?);
    let p: &params::AddI16 = ctx.params()?;
    let (lo, hi) = clamp_i16(p.lo, p.hi).ok_or(ctx.bad())?;
    ctx.require((1..=46).contains(&p.s))?;
    let in_place = ctx.in_place();
    if let Some(i) = in_place {
        ctx.require(if i == 0 { a } else { b }.elements == y.elements)?;
        ctx.require(ctx.step().inputs.first() != ctx.step().inputs.last())?;
    }
    let broadcast = Broadcast::of(ctx, a.dims, b.dims, y.dims)?;
    Ok(PlanI16 { broadcast, args: AddI16 { m1: p.m1, m2: p.m2, s: p.s, lo, hi }, in_place })
}

impl Op for Add<I16> {
    const CODE: OpCode = OpCode::Add;
    const FORMAT: Format = Format::I16;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan_i16(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let (PlanI16 { broadcast, args, in_place }, bad) = (plan_i16(&ctx.step)?, ctx.step.bad());
        // A repeated summand comes first, one that lies in the output second.
        let swapped = AddI16 { m1: args.m2, m2: args.m1, ..args };
        let mut views = ctx.views()?;
        let (a, b, out) = (views.input::<i16>(0)?, views.input::<i16>(1)?, views.output::<i16>(0)?);
        let (a_len, b_len) = (broadcast.a_len(), broadcast.b_len());
        for (run, y) in broadcast.runs().zip(out.chunks_exact_mut(broadcast.run_len().max(1))) {
            let a = || a.get(run.a..run.a + a_len).ok_or(bad);
            let b = || b.get(run.b..run.b + b_len).ok_or(bad);
            if let Some(i) = in_place {
                let (other, args) = if i == 0 { (b()?, &swapped) } else { (a()?, &args) };
                pieces(other, y, |other, y| isa.add_in_place_i16(other, args, y));
                continue;
            }
            let (a, b) = (a()?, b()?);
            let (one, other, args) = if a_len <= b_len { (a, b, &args) } else { (b, a, &swapped) };
            let mut at = 0;
            pieces(one, y, |one, y| {
                if let Some(other) = other.get(at..at + y.len()) {
                    isa.add_i16(one, other, args, y);
                }
                at += y.len();
            });
        }
        Ok(())
    }
}

/// Calls `f` with `x` and `y` at one length: at once, or, where `x` is one value, in pieces of
/// `y` with the value repeated.
pub(super) fn pieces<T: Copy>(x: &[T], y: &mut [T], mut f: impl FnMut(&[T], &mut [T])) {
    match x {
        [value] if y.len() > 1 => {
            let repeated = [*value; REPEAT];
            for piece in y.chunks_mut(REPEAT) {
                if let Some(x) = repeated.get(..piece.len()) {
                    f(x, piece);
                }
            }
        }
        _ => f(x, y),
    }
}
