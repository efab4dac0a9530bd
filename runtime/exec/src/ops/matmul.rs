//! Product of two computed matrices.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::Isa;

use super::F32;
use super::broadcast::Broadcast;
use crate::{Op, RunCtx, StepCtx};

/// `[…, M, K]` times `[…, K, N]`; the leading dimensions are broadcast as ONNX does.
pub struct MatMul<F>(PhantomData<F>);

struct Plan {
    batch: Broadcast,
    m: usize,
    k: usize,
    n: usize,
}

fn plan(ctx: &StepCtx<'_>) -> Result<Plan, Error> {
    ctx.counts(2..=2, 1)?;
    ctx.flags(0)?;
    let (a, b, y) = (ctx.input_of(0, DType::F32)?, ctx.input_of(1, DType::F32)?, ctx.output_of(0, DType::F32)?);
    let (a_batch, &[m, k]) = a.dims.split_last_chunk().ok_or(ctx.bad())?;
    let (b_batch, &[b_k, n]) = b.dims.split_last_chunk().ok_or(ctx.bad())?;
    let (y_batch, y_matrix) = y.dims.split_last_chunk().ok_or(ctx.bad())?;
    ctx.require(b_k == k && *y_matrix == [m, n])?;
    let batch = Broadcast::of(ctx, a_batch, b_batch, y_batch)?;
    Ok(Plan { batch, m: m as usize, k: k as usize, n: n as usize })
}

impl Op for MatMul<F32> {
    const CODE: OpCode = OpCode::MatMul;
    const FORMAT: Format = Format::F32;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let (Plan { batch, m, k, n }, bad) = (plan(&ctx.step)?, ctx.step.bad());
        let mut views = ctx.views()?;
        let (a, b, out) = (views.input::<f32>(0)?, views.input::<f32>(1)?, views.output::<f32>(0)?);
        // Within a run of the batch an operand takes the next matrix, or the same again.
        let a_next = usize::from(batch.a_len() == batch.run_len());
        let b_next = usize::from(batch.b_len() == batch.run_len());
        let matrices = batch.runs().flat_map(|run| {
            (0..batch.run_len()).map(move |i| ((run.a + i * a_next) * m * k, (run.b + i * b_next) * k * n))
        });
        for ((a_at, b_at), y) in matrices.zip(out.chunks_exact_mut(m * n)) {
            let a = a.get(a_at..a_at + m * k).ok_or(bad)?;
            let b = b.get(b_at..b_at + k * n).ok_or(bad)?;
            isa.matmul_f32(a, b, m, k, n, y);
        }
        Ok(())
    }
}
