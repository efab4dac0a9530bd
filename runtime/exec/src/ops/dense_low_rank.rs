//! Dense with low-rank branches that end in the layer's own integer sums.

use core::marker::PhantomData;

use selvedge_core::params::{Branch, Branches, DenseI8, LowBit};
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{Isa, Output, Raw, T2, W2, W3, W4, pack, pack_low};

use super::geometry::{dense_fits, rows};
use super::layer_i8::{Epilogue, require};
use super::{W8, dense_i8, dense_low};
use crate::{MAX_INPUTS, Op, RunCtx, StepCtx};

/// Dense whose sums get `(Σ up·t) << shift` of each branch before they are requantized; `F` is
/// the format of the layer's own weights. Inputs: activations, their scales or none, then the
/// `t` of each branch, int8 `[rows, rank]`.
pub struct DenseLowRank<F>(PhantomData<F>);

/// Inputs in front of the branches'.
const OWN: usize = 2;
/// Branches of one step.
const MAX_BRANCHES: usize = MAX_INPUTS - OWN;
/// Rows whose sums lie in scratch at once, at least; more where the plan gives more scratch.
const ROWS: usize = 8;

/// A branch: packed weights `[n, rank]`.
#[derive(Clone, Copy)]
struct Up<'a> {
    weights: &'a [i8],
    rank: usize,
    shift: i32,
}

/// The branches, whose count lies `offset` bytes into the parameters.
fn branches<'a>(ctx: &StepCtx<'a>, offset: usize, count: usize, n: usize) -> Option<[Option<Up<'a>>; MAX_BRANCHES]> {
    let p: &Branches = ctx.params_at(offset).ok()?;
    let of_step = p.count as usize;
    require((1..=MAX_BRANCHES).contains(&of_step) && ctx.step().inputs.len() == OWN + of_step)?;
    let mut all = [None; MAX_BRANCHES];
    for (i, up) in all.iter_mut().enumerate().take(of_step) {
        let b: &Branch = ctx.params_at(offset + size_of::<Branches>() + i * size_of::<Branch>()).ok()?;
        let t = ctx.input_of(OWN + i, DType::I8).ok()?;
        let rank = b.rank as usize;
        require(rows(ctx, &t).ok()? == (count, rank) && dense_fits(n, rank) && (-31..=31).contains(&b.shift))?;
        let bytes = pack::w8_bytes(n, rank);
        require(b.up_bytes as usize == bytes)?;
        *up = Some(Up { weights: ctx.array(b.up, bytes).ok()?, rank, shift: b.shift });
    }
    Some(all)
}

/// Bytes of a chunk of rows: the sums of the layer and of a branch, then its own scratch.
fn chunk_bytes(rows: usize, n: usize, own: impl Fn(usize) -> usize) -> usize {
    n.saturating_mul(rows).saturating_mul(2 * 4).saturating_add(own(rows))
}

/// Rows of a chunk: [`ROWS`], doubled as long as `bytes` of scratch hold them.
fn rows_at_once(bytes: usize, rows: usize, n: usize, own: impl Fn(usize) -> usize) -> usize {
    let mut chunk = rows.min(ROWS);
    while chunk < rows {
        let more = (chunk * 2).min(rows);
        if chunk_bytes(more, n, &own) > bytes {
            break;
        }
        chunk = more;
    }
    chunk
}

/// Runs a layer of `n` channels in chunks of rows. `own(x, rows, output, scratch)` stores the
/// layer's own sums of some rows; the scratch behind the chunk's sums, `own_scratch(rows)` bytes,
/// is for it.
fn run<I: Isa>(
    ctx: &mut RunCtx<'_>,
    isa: I,
    epilogue: Epilogue<'_>,
    branches: [Option<Up<'_>>; MAX_BRANCHES],
    (rows, n): (usize, usize),
    own_scratch: impl Fn(usize) -> usize,
    mut own: impl FnMut(&[i8], usize, Output<'_>, &mut [u8]),
) -> Result<(), Error> {
    let bad = ctx.step.bad();
    let chunk = rows_at_once(ctx.step.scratch_bytes(), rows, n, &own_scratch);
    let mut views = ctx.views()?;
    let x: &[i8] = views.input(0)?;
    let mut t: [&[i8]; MAX_BRANCHES] = [&[]; MAX_BRANCHES];
    for (i, t) in t.iter_mut().enumerate() {
        if branches.get(i).is_some_and(|branch| branch.is_some()) {
            *t = views.input(OWN + i)?;
        }
    }
    let scratch = views.scratch(chunk_bytes(chunk, n, own_scratch))?;
    let (sums, scratch) = scratch.split_at_mut_checked(chunk_bytes(chunk, n, |_| 0)).ok_or(bad)?;
    let sums: &mut [i32] = bytemuck::try_cast_slice_mut(sums).map_err(|_| bad)?;
    let (sums, more) = sums.split_at_mut_checked(sums.len() / 2).ok_or(bad)?;
    let mut output = epilogue.output(&mut views)?;
    let k = x.len() / rows.max(1);
    for (i, x) in x.chunks(chunk.saturating_mul(k).max(1)).enumerate() {
        let (first, live) = (i * chunk, rows.saturating_sub(i * chunk).min(chunk));
        let sums = sums.get_mut(..live * n).ok_or(bad)?;
        let raw = Raw { zero_point: 0, column_sum: &[] };
        own(x, live, Output::I32(raw, sums), scratch);
        for (up, t) in branches.iter().flatten().zip(t) {
            let t = t.get(first * up.rank..(first + live) * up.rank).ok_or(bad)?;
            let more = more.get_mut(..live * n).ok_or(bad)?;
            isa.dense_w8(t, up.weights, live, up.rank, n, Output::I32(raw, more));
            isa.add_branch(sums, more, up.shift);
        }
        isa.store_sums(sums, live, n, rows_of(&mut output, first, live, n).ok_or(bad)?);
    }
    Ok(())
}

/// Rows `first..first + live` of an output.
fn rows_of<'o>(output: &'o mut Output<'_>, first: usize, live: usize, n: usize) -> Option<Output<'o>> {
    let (from, to) = (first * n, (first + live) * n);
    Some(match output {
        Output::I8(requant, out) => Output::I8(*requant, out.get_mut(from..to)?),
        Output::F32(scale, out) => {
            let x_scale =
                if scale.x_scale.len() == 1 { scale.x_scale } else { scale.x_scale.get(first..first + live)? };
            Output::F32(selvedge_kernels::Scale { x_scale, ..*scale }, out.get_mut(from..to)?)
        }
        Output::I32(raw, out) => Output::I32(*raw, out.get_mut(from..to)?),
    })
}

impl Op for DenseLowRank<W8> {
    const CODE: OpCode = OpCode::DenseLowRank;
    const FORMAT: Format = Format::W8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        let plan = dense_i8::Plan::build(ctx, OWN).ok_or(ctx.bad())?;
        branches(ctx, size_of::<DenseI8>(), plan.rows, plan.n).ok_or(ctx.bad())?;
        ctx.scratch(chunk_bytes(plan.rows.min(ROWS), plan.n, |_| 0))?;
        plan.epilogue.validate(ctx)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let bad = ctx.step.bad();
        let plan = dense_i8::Plan::build(&ctx.step, OWN).ok_or(bad)?;
        let ups = branches(&ctx.step, size_of::<DenseI8>(), plan.rows, plan.n).ok_or(bad)?;
        let (k, n) = (plan.k, plan.n);
        run(
            ctx,
            isa,
            plan.epilogue,
            ups,
            (plan.rows, n),
            |_| 0,
            |x, rows, output, _| {
                isa.dense_w8(x, plan.weights, rows, k, n, output);
            },
        )
    }
}

macro_rules! low_rank {
    ($($code:ident)*) => {$(
        impl Op for DenseLowRank<$code> {
            const CODE: OpCode = OpCode::DenseLowRank;
            const FORMAT: Format = Format::$code;

            fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
                let plan = dense_low::Plan::build::<$code>(ctx, OWN).ok_or(ctx.bad())?;
                let offset = size_of::<DenseI8>() + size_of::<LowBit>();
                branches(ctx, offset, plan.rows, plan.w.n).ok_or(ctx.bad())?;
                ctx.scratch(chunk_bytes(plan.rows.min(ROWS), plan.w.n, low_scratch(plan.w.k)))?;
                plan.epilogue.validate(ctx)
            }

            fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
                let bad = ctx.step.bad();
                let plan = dense_low::Plan::build::<$code>(&ctx.step, OWN).ok_or(bad)?;
                let offset = size_of::<DenseI8>() + size_of::<LowBit>();
                let ups = branches(&ctx.step, offset, plan.rows, plan.w.n).ok_or(bad)?;
                let scratch = low_scratch(plan.w.k);
                run(ctx, isa, plan.epilogue, ups, (plan.rows, plan.w.n), scratch, |x, rows, output, scratch| {
                    isa.dense_low::<$code>(x, &plan.w, rows, output, scratch);
                })
            }
        }
    )*};
}

/// Scratch of the own sums of some rows of `k`.
fn low_scratch(k: usize) -> impl Fn(usize) -> usize {
    move |rows| pack_low::dense_low_scratch(rows, k)
}

low_rank!(W4 W3 W2 T2);
