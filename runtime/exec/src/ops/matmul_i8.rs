//! Product of two matrices that were quantized at run time.

use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{Isa, RowsI8, pack};

use super::geometry::dense_fits;
use super::{I8, MatMul};
use crate::{Op, RunCtx, StepCtx};

/// Inputs: a `[…, M, K]` int8, its scales, b `[…, N, K]` int8, its scales, one a row each; the
/// leading dimensions are equal. Output `[…, M, N]` f32.
struct Plan {
    m: usize,
    k: usize,
    n: usize,
}

fn plan(ctx: &StepCtx<'_>) -> Result<Plan, Error> {
    ctx.counts(4..=4, 1)?;
    ctx.flags(0)?;
    let (a, b, y) = (ctx.input_of(0, DType::I8)?, ctx.input_of(2, DType::I8)?, ctx.output_of(0, DType::F32)?);
    let (a_scales, b_scales) = (ctx.input_of(1, DType::F32)?, ctx.input_of(3, DType::F32)?);
    let (a_batch, &[m, k]) = a.dims.split_last_chunk().ok_or(ctx.bad())?;
    let (b_batch, &[n, b_k]) = b.dims.split_last_chunk().ok_or(ctx.bad())?;
    let (y_batch, y_matrix) = y.dims.split_last_chunk().ok_or(ctx.bad())?;
    ctx.require(b_k == k && k > 0 && *y_matrix == [m, n] && a_batch == b_batch && a_batch == y_batch)?;
    let (m, k, n) = (m as usize, k as usize, n as usize);
    let of_rows = |elements: usize, scales: usize| elements.checked_div(k) == Some(scales);
    ctx.require(of_rows(a.elements, a_scales.elements) && of_rows(b.elements, b_scales.elements))?;
    ctx.require(dense_fits(n, k))?;
    ctx.scratch(pack::matmul_i8_scratch(n, k))?;
    Ok(Plan { m, k, n })
}

impl Op for MatMul<I8> {
    const CODE: OpCode = OpCode::MatMul;
    const FORMAT: Format = Format::I8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        plan(ctx).map(drop)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let (Plan { m, k, n }, bad) = (plan(&ctx.step)?, ctx.step.bad());
        let mut views = ctx.views()?;
        let scratch = views.scratch(pack::matmul_i8_scratch(n, k))?;
        let (packed, zeros) = scratch.split_at_mut_checked(pack::w8_bytes(n, k)).ok_or(bad)?;
        let packed = bytemuck::try_cast_slice_mut(packed).map_err(|_| bad)?;
        let zeros = bytemuck::try_cast_slice_mut(zeros).map_err(|_| bad)?;
        let (a, a_scales) = (views.input::<i8>(0)?, views.input::<f32>(1)?);
        let (b, b_scales) = (views.input::<i8>(2)?, views.input::<f32>(3)?);
        let out: &mut [f32] = views.output(0)?;
        for (batch, out) in out.chunks_exact_mut((m * n).max(1)).enumerate() {
            let a = rows(a, a_scales, batch, m, k).ok_or(bad)?;
            let b = rows(b, b_scales, batch, n, k).ok_or(bad)?;
            isa.matmul_i8(a, b, k, out, packed, zeros);
        }
        Ok(())
    }
}

/// Matrix `index` of those of `n` rows of `k`.
fn rows<'v>(codes: &'v [i8], scales: &'v [f32], index: usize, n: usize, k: usize) -> Option<RowsI8<'v>> {
    let first = index.checked_mul(n)?;
    let codes = codes.get(first.checked_mul(k)?..)?.get(..n.checked_mul(k)?)?;
    Some(RowsI8 { codes, scales: scales.get(first..)?.get(..n)? })
}
