//! Slices written to computed places.

use core::marker::PhantomData;

use bytemuck::Pod;
use selvedge_core::params::{self, scatter};
use selvedge_core::{DType, Error, ErrorKind, Format, OpCode};
use selvedge_kernels::{Isa, by_integer};

use super::Any;
use super::places::{Places, with_indices};
use crate::{Op, RunCtx, StepCtx};

/// ONNX ScatterElements and ScatterND: inputs data, indices (i32 or i64) and updates. Where a
/// place is named twice, updates follow each other in the order of the indices.
pub struct Scatter<F>(PhantomData<F>);

/// Elements that updates can be combined with.
trait Element: Pod {
    fn combine(self, update: Self, reduction: u32) -> Self;
}

macro_rules! integers {
    ($($ty:ty),*) => {$(
        impl Element for $ty {
            fn combine(self, update: Self, reduction: u32) -> Self {
                match reduction {
                    scatter::ADD => self.wrapping_add(update),
                    scatter::MUL => self.wrapping_mul(update),
                    scatter::MIN => self.min(update),
                    scatter::MAX => self.max(update),
                    _ => update,
                }
            }
        }
    )*};
}
integers!(i8, u8, i16, u16, i32, u32, i64, u64);

impl Element for f32 {
    fn combine(self, update: Self, reduction: u32) -> Self {
        let nan = self.is_nan() || update.is_nan();
        let result = match reduction {
            scatter::ADD => self + update,
            scatter::MUL => self * update,
            scatter::MIN if !nan => {
                if update < self {
                    update
                } else {
                    self
                }
            }
            scatter::MAX if !nan => {
                if update > self {
                    update
                } else {
                    self
                }
            }
            scatter::MIN | scatter::MAX => f32::NAN,
            _ => return update,
        };
        // One NaN, whatever its payload was.
        if result.is_nan() { f32::from_bits(0x7fc0_0000) } else { result }
    }
}

fn plan(ctx: &StepCtx<'_>) -> Result<(Places, DType, u32), Error> {
    ctx.counts(3..=3, 1)?;
    ctx.flags(0)?;
    let (data, at, updates, y) = (ctx.input(0)?, ctx.input(1)?, ctx.input(2)?, ctx.output(0)?);
    ctx.require(data.dtype == y.dtype && updates.dtype == y.dtype && data.dims == y.dims)?;
    let p: &params::Scatter = ctx.params()?;
    let places = match p.kind {
        0 => Places::elements(ctx, &data, &at, p.axis as usize)?,
        _ => Places::tuples(ctx, &data, &at, 0)?,
    };
    let tuple = if p.kind == 0 { 1 } else { at.dims.last().map_or(1, |&d| d as usize) };
    let slices = at.elements.checked_div(tuple).ok_or(ctx.bad())?;
    ctx.require(p.kind <= 1 && slices.checked_mul(places.slice) == Some(updates.elements))?;
    ctx.require(p.reduction <= scatter::LAST && (p.reduction == scatter::REPLACE || y.dtype != DType::Bool))?;
    Ok((places, at.dtype, p.reduction))
}

fn run<T: Element>(ctx: &mut RunCtx<'_>) -> Result<(), Error> {
    let (places, dtype, reduction) = plan(&ctx.step)?;
    let (outside, bad) = (ctx.step.error(ErrorKind::IndexOutOfRange), ctx.step.bad());
    let mut views = ctx.views()?;
    let (data, updates, out) = (views.input::<T>(0)?, views.input::<T>(2)?, views.output::<T>(0)?);
    if data.len() != out.len() {
        return Err(bad);
    }
    out.copy_from_slice(data);
    let mut updates = updates.chunks_exact(places.slice.max(1));
    with_indices!(views, 1, dtype, indices => places.each(indices, |at| {
        let slice = out.get_mut(at..at.checked_add(places.slice)?)?;
        for (y, &update) in slice.iter_mut().zip(updates.next()?) {
            *y = y.combine(update, reduction);
        }
        Some(())
    }))
    .ok_or(outside)
}

impl Op for Scatter<Any> {
    const CODE: OpCode = OpCode::Scatter;
    const FORMAT: Format = Format::Any;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let dtype = ctx.step.output(0)?.dtype;
        by_integer!(dtype, T => run::<T>(ctx), run::<f32>(ctx))
    }
}
