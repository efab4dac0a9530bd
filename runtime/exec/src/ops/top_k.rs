//! The largest or smallest elements along an axis.

use core::marker::PhantomData;

use bytemuck::Pod;
use selvedge_core::{DType, Error, Format, OpCode, params};
use selvedge_kernels::{Isa, by_integer};

use super::Any;
use crate::{Op, RunCtx, StepCtx};

/// ONNX TopK, sorted; of equal elements the one with the lower index comes first. Outputs: values
/// and their indices (i64). A NaN is never better than another element.
pub struct TopK<F>(PhantomData<F>);

struct Plan {
    largest: bool,
    /// Elements of the axis in the input and in the output.
    len: usize,
    k: usize,
    /// Elements between two neighbours of the axis.
    inner: usize,
}

fn plan(ctx: &StepCtx<'_>) -> Result<Plan, Error> {
    ctx.counts(1..=1, 2)?;
    ctx.flags(0)?;
    let (x, y, at) = (ctx.input(0)?, ctx.output(0)?, ctx.output_of(1, DType::I64)?);
    ctx.require(x.dtype == y.dtype && y.dims == at.dims && x.dims.len() == y.dims.len())?;
    let p: &params::TopK = ctx.params()?;
    let axis = p.axis as usize;
    for (i, (&have, &want)) in x.dims.iter().zip(y.dims).enumerate() {
        ctx.require(if i == axis { want <= have } else { want == have })?;
    }
    let of = |dims: &[u32]| dims.get(axis).map(|&d| d as usize).ok_or(ctx.bad());
    let inner = x.dims.iter().skip(axis.saturating_add(1)).map(|&d| d as usize).product();
    ctx.require(p.largest <= 1)?;
    Ok(Plan { largest: p.largest == 1, len: of(x.dims)?, k: of(y.dims)?, inner })
}

impl Plan {
    /// Keeps the best `k` so far, sorted, in the outputs themselves.
    fn select<T: Pod + PartialOrd>(&self, x: &[T], values: &mut [T], indices: &mut [i64]) -> Option<()> {
        let (block, kept) = (self.len.saturating_mul(self.inner), self.k.saturating_mul(self.inner));
        let outer = x.chunks_exact(block.max(1)).zip(values.chunks_exact_mut(kept.max(1)));
        for ((x, values), indices) in outer.zip(indices.chunks_exact_mut(kept.max(1))) {
            for lane in 0..self.inner {
                let mut used = 0;
                let column = x.get(lane..)?.iter().step_by(self.inner.max(1)).take(self.len);
                for (index, &v) in column.enumerate() {
                    let slot = |rank: usize| rank.saturating_mul(self.inner).saturating_add(lane);
                    let better = |other: T| if self.largest { v > other } else { v < other };
                    if used == self.k {
                        if !better(*values.get(slot(used.saturating_sub(1)))?) {
                            continue;
                        }
                    } else {
                        used += 1;
                    }
                    let mut rank = used.saturating_sub(1);
                    while rank > 0 {
                        let (to, from) = (slot(rank), slot(rank - 1));
                        let other = *values.get(from)?;
                        if !better(other) {
                            break;
                        }
                        *values.get_mut(to)? = other;
                        *indices.get_mut(to)? = *indices.get(from)?;
                        rank -= 1;
                    }
                    *values.get_mut(slot(rank))? = v;
                    *indices.get_mut(slot(rank))? = index as i64;
                }
            }
        }
        Some(())
    }
}

fn run<T: Pod + PartialOrd>(ctx: &mut RunCtx<'_>) -> Result<(), Error> {
    let (plan, bad) = (plan(&ctx.step)?, ctx.step.bad());
    let mut views = ctx.views()?;
    plan.select::<T>(views.input(0)?, views.output(0)?, views.output(1)?).ok_or(bad)
}

impl Op for TopK<Any> {
    const CODE: OpCode = OpCode::TopK;
    const FORMAT: Format = Format::Any;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let dtype = ctx.step.input(0)?.dtype;
        by_integer!(dtype, T => run::<T>(ctx), run::<f32>(ctx))
    }
}
