//! Another shape over the same elements.

use core::marker::PhantomData;

use selvedge_core::artifact::step_flags::IN_PLACE;
use selvedge_core::{Error, Format, OpCode};
use selvedge_kernels::Isa;

use super::Any;
use crate::{Op, RunCtx, StepCtx};

/// Reshape; in place it does nothing, else it copies.
pub struct Reshape<F>(PhantomData<F>);

impl Op for Reshape<Any> {
    const CODE: OpCode = OpCode::Reshape;
    const FORMAT: Format = Format::Any;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        ctx.counts(1..=1, 1)?;
        ctx.flags(IN_PLACE)?;
        let (x, y) = (ctx.input(0)?, ctx.output(0)?);
        ctx.require(x.dtype == y.dtype && x.elements == y.elements)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        if ctx.step.in_place().is_some() {
            return Ok(());
        }
        let bad = ctx.step.bad();
        let mut views = ctx.views()?;
        let (x, out) = (views.input::<u8>(0)?, views.output::<u8>(0)?);
        if x.len() != out.len() {
            return Err(bad);
        }
        out.copy_from_slice(x);
        Ok(())
    }
}
