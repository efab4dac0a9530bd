//! Functions of one int8 value as a table.

use core::marker::PhantomData;

use selvedge_core::artifact::step_flags::IN_PLACE;
use selvedge_core::{DType, Error, Format, OpCode, params::TableI8};
use selvedge_kernels::Isa;

use super::I8;
use crate::{Op, RunCtx, StepCtx};

/// `y = table[q + 128]`; in place where the plan says so.
pub struct Table<F>(PhantomData<F>);

fn plan<'a>(ctx: &StepCtx<'a>) -> Result<&'a [i8], Error> {
    ctx.counts(1..=1, 1)?;
    ctx.flags(IN_PLACE)?;
    let (x, y) = (ctx.input_of(0, DType::I8)?, ctx.output_of(0, DType::I8)?);
    ctx.require(x.elements == y.elements)?;
    ctx.array(ctx.params::<TableI8>()?.table, 256)
}

impl Op for Table<I8> {
    const CODE: OpCode = OpCode::Table;
    const FORMAT: Format = Format::I8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let table = plan(&ctx.step)?;
        let in_place = ctx.step.in_place().is_some();
        let mut views = ctx.views()?;
        let (x, out) = (views.input(0)?, views.output(0)?);
        if in_place {
            isa.table_in_place_i8(table, out);
        } else {
            isa.table_i8(x, table, out);
        }
        Ok(())
    }
}
