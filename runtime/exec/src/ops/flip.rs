//! uint8 to int8 and back.

use core::marker::PhantomData;

use selvedge_core::artifact::step_flags::IN_PLACE;
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::Isa;

use super::Any;
use crate::{Op, RunCtx, StepCtx};

/// Flips the top bit: a uint8 grid becomes the int8 grid whose zero point is 128 less, and the reverse.
pub struct FlipSign<F>(PhantomData<F>);

impl Op for FlipSign<Any> {
    const CODE: OpCode = OpCode::FlipSign;
    const FORMAT: Format = Format::Any;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        ctx.counts(1..=1, 1)?;
        ctx.flags(IN_PLACE)?;
        let (x, y) = (ctx.input(0)?, ctx.output(0)?);
        let types = (x.dtype, y.dtype);
        ctx.require(matches!(types, (DType::U8, DType::I8) | (DType::I8, DType::U8)) && x.elements == y.elements)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let in_place = ctx.step.in_place().is_some();
        let mut views = ctx.views()?;
        let (x, out) = (views.input::<u8>(0)?, views.output::<u8>(0)?);
        if in_place {
            out.iter_mut().for_each(|y| *y ^= 0x80);
        } else {
            out.iter_mut().zip(x).for_each(|(y, &x)| *y = x ^ 0x80);
        }
        Ok(())
    }
}
