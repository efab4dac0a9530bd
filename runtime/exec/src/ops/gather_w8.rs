//! Rows of an int8 table, picked by indices.

use selvedge_core::{DType, Error, ErrorKind, Format, OpCode, params};
use selvedge_kernels::Isa;

use super::{Gather, W8};
use crate::{Op, RunCtx, StepCtx};

struct Plan<'a> {
    table: &'a [i8],
    scales: &'a [f32],
    row: usize,
    indices: DType,
}

impl<'a> Plan<'a> {
    fn of(ctx: &StepCtx<'a>) -> Result<Self, Error> {
        ctx.counts(1..=1, 1)?;
        ctx.flags(0)?;
        let (indices, y) = (ctx.input(0)?, ctx.output_of(0, DType::F32)?);
        let p: &params::GatherW8 = ctx.params()?;
        let (rows, row) = (p.rows as usize, p.row as usize);
        ctx.require(matches!(indices.dtype, DType::I32 | DType::I64))?;
        let bytes = rows.checked_mul(row).filter(|&bytes| bytes > 0).ok_or(ctx.bad())?;
        ctx.require(indices.elements.checked_mul(row) == Some(y.elements))?;
        Ok(Plan { table: ctx.array(p.table, bytes)?, scales: ctx.array(p.scales, rows)?, row, indices: indices.dtype })
    }

    fn pick<I: Isa>(&self, isa: I, out: &mut [f32], indices: impl Iterator<Item = i64>) -> Option<()> {
        let rows = self.scales.len() as i64;
        for (index, out) in indices.zip(out.chunks_exact_mut(self.row.max(1))) {
            let index = if index < 0 { index.checked_add(rows)? } else { index };
            let index = usize::try_from(index).ok()?;
            let scale = *self.scales.get(index)?;
            let start = index.checked_mul(self.row)?;
            isa.dequantize_i8(self.table.get(start..start.checked_add(self.row)?)?, scale, 0, out);
        }
        Some(())
    }
}

impl Op for Gather<W8> {
    const CODE: OpCode = OpCode::Gather;
    const FORMAT: Format = Format::W8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        Plan::of(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let plan = Plan::of(&ctx.step)?;
        let outside = ctx.step.error(ErrorKind::IndexOutOfRange);
        let mut views = ctx.views()?;
        let out = views.output(0)?;
        let done = match plan.indices {
            DType::I32 => plan.pick(isa, out, views.input::<i32>(0)?.iter().map(|&i| i as i64)),
            _ => plan.pick(isa, out, views.input::<i64>(0)?.iter().copied()),
        };
        done.ok_or(outside)
    }
}
