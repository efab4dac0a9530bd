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
/// Rows whose sums lie in scratch at once.
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

/// Bytes of the sums of a chunk of rows, of the layer and of a branch.
fn sums_bytes(rows: usize, n: usize) -> usize {
    2 * 4 * n * rows.min(ROWS)
}

/// Runs a layer of `n` channels in chunks of rows. `sums(first, rows, output, scratch)` stores the
/// layer's own sums of some rows; the scratch behind the chunk's sums is for it.
fn run<I: Isa>(
    ctx: &mut RunCtx<'_>,
    isa: I,
    epilogue: Epilogue<'_>,
    branches: [Option<Up<'_>>; MAX_BRANCHES],
    (rows, n): (usize, usize),
    own_scratch: usize,
    mut own: impl FnMut(&[i8], usize, Output<'_>, &mut [u8]),
) -> Result<(), Error> {
    let bad = ctx.step.bad();
    let mut views = ctx.views()?;
    let x: &[i8] = views.input(0)?;
    let mut t: [&[i8]; MAX_BRANCHES] = [&[]; MAX_BRANCHES];
    for (i, t) in t.iter_mut().enumerate() {
        if branches.get(i).is_some_and(|branch| branch.is_some()) {
            *t = views.input(OWN + i)?;
        }
    }
    let scratch = views.scratch(sums_bytes(rows, n).saturating_add(own_scratch))?;
    let (sums, scratch) = scratch.split_at_mut_checked(sums_bytes(rows, n)).ok_or(bad)?;
    let sums: &mut [i32] = bytemuck::try_cast_slice_mut(sums).map_err(|_| bad)?;
    let (sums, more) = sums.split_at_mut_checked(sums.len() / 2).ok_or(bad)?;
    let mut output = epilogue.output(&mut views)?;
    let k = x.len() / rows.max(1);
    for (chunk, x) in x.chunks((ROWS * k).max(1)).enumerate() {
        let (first, live) = (chunk * ROWS, rows.saturating_sub(chunk * ROWS).min(ROWS));
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
        ctx.scratch(sums_bytes(plan.rows, plan.n))?;
        plan.epilogue.validate(ctx)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let bad = ctx.step.bad();
        let plan = dense_i8::Plan::build(&ctx.step, OWN).ok_or(bad)?;
        let ups = branches(&ctx.step, size_of::<DenseI8>(), plan.rows, plan.n).ok_or(bad)?;
        let (k, n) = (plan.k, plan.n);
        run(ctx, isa, plan.epilogue, ups, (plan.rows, n), 0, |x, rows, output, _| {
            isa.dense_w8(x, plan.weights, rows, k, n, output);
        })
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
                ctx.scratch(sums_bytes(plan.rows, plan.w.n).saturating_add(low_scratch(&plan)))?;
                plan.epilogue.validate(ctx)
            }

            fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
                let bad = ctx.step.bad();
                let plan = dense_low::Plan::build::<$code>(&ctx.step, OWN).ok_or(bad)?;
                let offset = size_of::<DenseI8>() + size_of::<LowBit>();
                let ups = branches(&ctx.step, offset, plan.rows, plan.w.n).ok_or(bad)?;
                let scratch = low_scratch(&plan);
                run(ctx, isa, plan.epilogue, ups, (plan.rows, plan.w.n), scratch, |x, rows, output, scratch| {
                    isa.dense_low::<$code>(x, &plan.w, rows, output, scratch);
                })
            }
        }
    )*};
}

/// Scratch of a chunk's own sums.
fn low_scratch(plan: &dense_low::Plan<'_>) -> usize {
    pack_low::dense_low_scratch(plan.rows.min(ROWS), plan.w.k)
}

low_rank!(W4 W3 W2 T2);
