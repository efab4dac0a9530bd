//! Reductions over any set of axes.

use core::marker::PhantomData;

use selvedge_core::params::{self, reduce};
use selvedge_core::shape::MAX_RANK;
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{Isa, by_integer, integer, math::sqrt};

use super::index::{Walk, strides};
use super::{F32, Int};
use crate::{Op, RunCtx, StepCtx};

/// Mean, sum, maximum, … over the axes whose bits are set.
///
/// Adjacent axes are one kernel call. Axes with others between them are read in the order of
/// memory into the eight lanes that the kernels use (element `i` of the reduced set in lane
/// `i mod 8`), so that the result does not depend on which of the two ways is taken.
pub struct Reduce<F>(PhantomData<F>);

/// Neighbouring axes of one fate, as one.
#[derive(Clone, Copy, Default)]
struct Group {
    len: usize,
    stride: isize,
    reduced: bool,
}

struct Plan {
    kind: u32,
    groups: [Group; MAX_RANK],
    used: usize,
}

impl Plan {
    fn of(ctx: &StepCtx<'_>) -> Result<Self, Error> {
        ctx.counts(1..=1, 1)?;
        ctx.flags(0)?;
        let (x, y) = (ctx.input(0)?, ctx.output(0)?);
        ctx.require(x.dtype == y.dtype)?;
        let p: &params::Reduce = ctx.params()?;
        ctx.require(p.kind <= reduce::LAST && p.axes.checked_shr(x.dims.len() as u32) == Some(0))?;
        let mut plan = Plan { kind: p.kind, groups: [Group::default(); MAX_RANK], used: 0 };
        let mut kept = 1usize;
        for (axis, (&dim, stride)) in x.dims.iter().zip(strides(x.dims)).enumerate() {
            let (len, reduced) = (dim as usize, p.axes >> axis & 1 == 1);
            kept *= if reduced { 1 } else { len };
            if len == 1 {
                continue;
            }
            match plan.used.checked_sub(1).and_then(|at| plan.groups.get_mut(at)) {
                Some(last) if last.reduced == reduced => {
                    last.len *= len;
                    last.stride = stride;
                }
                _ => {
                    *plan.groups.get_mut(plan.used).ok_or(ctx.bad())? = Group { len, stride, reduced };
                    plan.used += 1;
                }
            }
        }
        ctx.require(kept == y.elements)?;
        Ok(plan)
    }

    fn groups(&self, reduced: bool) -> impl DoubleEndedIterator<Item = &Group> {
        self.groups.iter().take(self.used).filter(move |g| g.reduced == reduced)
    }

    fn walk(&self, reduced: bool) -> Walk {
        Walk::new(self.groups(reduced).map(|g| g.len), self.groups(reduced).map(|g| g.stride))
    }

    /// `[outer, n, inner]` where at most one group is reduced.
    fn contiguous(&self, elements: usize) -> Option<(usize, usize, usize)> {
        if self.groups(true).count() > 1 {
            return None;
        }
        match self.groups(true).next() {
            None => Some((elements, 1, 1)),
            Some(g) => {
                let inner = g.stride as usize;
                Some((elements / (g.len * inner).max(1), g.len, inner))
            }
        }
    }
}

impl Op for Reduce<F32> {
    const CODE: OpCode = OpCode::Reduce;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        ctx.input_of(0, DType::F32)?;
        Plan::of(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let (plan, bad) = (Plan::of(&ctx.step)?, ctx.step.bad());
        let mut views = ctx.views()?;
        let (x, out) = (views.input::<f32>(0)?, views.output::<f32>(0)?);
        if let Some((outer, n, inner)) = plan.contiguous(x.len()) {
            isa.reduce_f32(plan.kind, x, outer, n, inner, out);
            return Ok(());
        }
        for (y, start) in out.iter_mut().zip(plan.walk(false)) {
            let at = |offset: isize| usize::try_from(start + offset).ok().and_then(|i| x.get(i)).copied();
            *y = lanes(plan.kind, plan.walk(true).map(at)).ok_or(bad)?;
        }
        Ok(())
    }
}

impl Op for Reduce<Int> {
    const CODE: OpCode = OpCode::Reduce;
    const FORMAT: Format = Format::Int;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        let plan = Plan::of(ctx)?;
        let boolean = ctx.input(0)?.dtype == DType::Bool;
        ctx.require(ctx.input(0)?.dtype != DType::F32 && integer::has_reduction(plan.kind))?;
        ctx.require(!boolean || matches!(plan.kind, reduce::MAX | reduce::MIN))
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let (plan, bad, dtype) = (Plan::of(&ctx.step)?, ctx.step.bad(), ctx.step.output(0)?.dtype);
        let mut views = ctx.views()?;
        by_integer!(
            dtype,
            T => {
                let (x, out) = (views.input::<T>(0)?, views.output::<T>(0)?);
                for (y, start) in out.iter_mut().zip(plan.walk(false)) {
                    // All offsets lie in the tensor: the strides are its own.
                    let at = |offset: isize| usize::try_from(start + offset).ok().and_then(|i| x.get(i)).copied();
                    *y = integer::reduce(plan.kind, plan.walk(true).filter_map(at));
                }
                Ok(())
            },
            Err(bad)
        )
    }
}

/// The reduction of a sequence, in the fixed order of eight lanes.
fn lanes(kind: u32, values: impl Iterator<Item = Option<f32>>) -> Option<f32> {
    let identity = match kind {
        reduce::MAX => f32::NEG_INFINITY,
        reduce::MIN => f32::INFINITY,
        reduce::PROD => 1.0,
        _ => 0.0,
    };
    let combine = |a: f32, b: f32| match kind {
        reduce::MAX | reduce::MIN if a.is_nan() => a,
        reduce::MAX => {
            if b > a || b.is_nan() {
                b
            } else {
                a
            }
        }
        reduce::MIN => {
            if b < a || b.is_nan() {
                b
            } else {
                a
            }
        }
        reduce::PROD => a * b,
        _ => a + b,
    };
    let mut lanes = [identity; 8];
    let mut count = 0usize;
    for value in values {
        let v = value?;
        let v = if matches!(kind, reduce::SUM_SQUARE | reduce::L2) { v * v } else { v };
        let lane = lanes.get_mut(count % 8)?;
        *lane = combine(*lane, v);
        count += 1;
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    let even = combine(combine(a, e), combine(c, g));
    let odd = combine(combine(b, f), combine(d, h));
    let total = combine(even, odd);
    let result = match kind {
        reduce::MEAN => total / count as f32,
        reduce::L2 => sqrt(total),
        _ => total,
    };
    Some(if result.is_nan() { f32::from_bits(0x7fc0_0000) } else { result })
}
