//! The same bits as another type.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::Isa;

use super::Any;
use crate::{Op, RunCtx, StepCtx};

/// ONNX BitCast between types of one size; booleans can be read so, not made.
pub struct BitCast<F>(PhantomData<F>);

impl Op for BitCast<Any> {
    const CODE: OpCode = OpCode::BitCast;
    const FORMAT: Format = Format::Any;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        ctx.counts(1..=1, 1)?;
        ctx.flags(0)?;
        let (x, y) = (ctx.input(0)?, ctx.output(0)?);
        ctx.require(x.elements == y.elements && x.dtype.size() == y.dtype.size() && y.dtype != DType::Bool)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let mut views = ctx.views()?;
        let (x, out) = (views.input::<u8>(0)?, views.output::<u8>(0)?);
        out.iter_mut().zip(x).for_each(|(y, &x)| *y = x);
        Ok(())
    }
}
