//! LSTM and GRU in int8.

use selvedge_core::params::{NONE, RecurrentI8, recurrent};
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::recurrent_i8::{CellI8, GateTable, TABLE, gru_i8, gru_reset_i8, lstm_i8};
use selvedge_kernels::{Isa, Output, Raw, pack};

use super::geometry::dense_fits;
use super::{Gru, Lstm, W8};
use crate::{Op, RunCtx, StepCtx};

/// Sizes of a layer. Operands are those of the f32 forms in int8; the states of c and of a GRU's h are i16.
struct Plan<'a> {
    p: &'a RecurrentI8,
    steps: usize,
    batch: usize,
    input: usize,
    gru: bool,
    cell: CellI8<'a>,
    weights: &'a [i8],
    /// Of h itself, and of a GRU's candidate.
    recurrent: [&'a [i8]; 2],
}

impl<'a> Plan<'a> {
    fn of(ctx: &StepCtx<'a>, gru: bool) -> Result<Self, Error> {
        let p: &RecurrentI8 = ctx.params()?;
        let states = if gru { 1 } else { 2 };
        let sequence = usize::from(p.flags & recurrent::SEQUENCE != 0);
        let known = recurrent::REVERSE | recurrent::INPUT_FORGET | recurrent::LINEAR_BEFORE_RESET | recurrent::SEQUENCE;
        ctx.counts(5..=5, states + sequence)?;
        ctx.flags(0)?;
        let x = ctx.input_of(0, DType::I8)?;
        let &[steps, batch, input] = x.dims else { return Err(ctx.bad()) };
        let (hidden, input) = (p.hidden as usize, input as usize);
        let gates = if gru { 3 } else { 4 };
        ctx.require(p.flags & !known == 0 && hidden > 0 && hidden < 1 << 24)?;
        let rows = gates * hidden;
        ctx.require(dense_fits(rows, input) && dense_fits(rows, hidden))?;
        ctx.require((0..=32767).contains(&p.clip) && p.shift <= 48 && (4..=15).contains(&p.cell_bits))?;
        ctx.require(ctx.optional_input(1)?.is_none())?;
        let state = [batch, p.hidden];
        let of_h = if gru { DType::I16 } else { DType::I8 };
        let fits = |dims: &[u32], dtype: DType, wanted: DType| dims == state && dtype == wanted;
        for (i, wanted) in [(2, Some(of_h)), (3, (!gru).then_some(DType::I16))] {
            if let Some(before) = ctx.optional_input(i)? {
                ctx.require(wanted.is_some_and(|wanted| fits(before.dims, before.dtype, wanted)))?;
            }
        }
        if let Some(lengths) = ctx.optional_input(4)? {
            ctx.require(lengths.dtype == DType::I32 && lengths.dims == [batch])?;
        }
        if sequence == 1 {
            ctx.require(ctx.output_of(0, DType::I8)?.dims == [steps, batch, p.hidden])?;
        }
        ctx.require(ctx.output_of(sequence, of_h)?.dims == state)?;
        if !gru {
            ctx.require(ctx.output_of(sequence + 1, DType::I16)?.dims == state)?;
        }
        let array = |offset: u32| ctx.array::<i16>(offset, TABLE).map(GateTable);
        let [f, g, h] = p.tables;
        let in_range = |(m, k): (i32, i32)| m >= 0 && (-30..=31).contains(&k);
        let to_code = [(p.to_code_multiplier[0], p.to_code_shift[0]), (p.to_code_multiplier[1], p.to_code_shift[1])];
        ctx.require(to_code.into_iter().all(in_range))?;
        let linear = p.flags & recurrent::LINEAR_BEFORE_RESET != 0;
        ctx.require(linear == (p.recurrent_bias != NONE))?;
        let cell = CellI8 {
            hidden,
            tables: [array(f)?, array(g)?, array(h)?],
            clip: p.clip,
            input_forget: p.flags & recurrent::INPUT_FORGET != 0,
            multipliers: [ctx.array(p.multiplier_x, rows)?, ctx.array(p.multiplier_h, rows)?],
            bias: ctx.array(p.bias, rows)?,
            recurrent_bias: if linear { ctx.array(p.recurrent_bias, hidden)? } else { &[] },
            shift: p.shift,
            cell_bits: p.cell_bits,
            to_code: to_code.map(|(m, k)| (m, k as i8)),
        };
        let direct = pack::w8_bytes(if gru { 2 * hidden } else { rows }, hidden);
        let other = if gru { pack::w8_bytes(hidden, hidden) } else { 0 };
        let recurrent: &[i8] = ctx.array(p.recurrent, direct.saturating_add(other))?;
        let recurrent = recurrent.split_at_checked(direct).ok_or(ctx.bad())?.into();
        let weights = ctx.array(p.weights, pack::w8_bytes(rows, input))?;
        let plan = Plan { p, steps: steps as usize, batch: batch as usize, input, gru, cell, weights, recurrent };
        ctx.require(plan.batch.checked_mul(rows).is_some_and(|n| n < 1 << 26))?;
        ctx.scratch(plan.scratch_bytes())?;
        Ok(plan)
    }

    fn rows(&self) -> usize {
        if self.gru { 3 * self.cell.hidden } else { 4 * self.cell.hidden }
    }

    /// Products with x and h of one step, as i32; for a GRU codes of h and of r·h behind them.
    fn scratch_bytes(&self) -> usize {
        let state = self.batch * self.cell.hidden;
        self.batch * self.rows() * 8 + if self.gru { 2 * state } else { 0 }
    }

    fn run<I: Isa>(&self, ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let bad = ctx.step.bad();
        let mut views = ctx.views()?;
        let scratch = views.scratch(self.scratch_bytes())?;
        let sequence = usize::from(self.p.flags & recurrent::SEQUENCE != 0);
        let y: &mut [i8] = if sequence == 1 { views.output(0)? } else { &mut [] };
        let (x, lengths): (&[i8], &[i32]) = (views.input(0)?, views.input(4)?);
        let (of_x, rest) = scratch.split_at_mut_checked(self.batch * self.rows() * 4).ok_or(bad)?;
        let (of_h, rest) = rest.split_at_mut_checked(self.batch * self.rows() * 4).ok_or(bad)?;
        let of_x: &mut [i32] = bytemuck::try_cast_slice_mut(of_x).map_err(|_| bad)?;
        let of_h: &mut [i32] = bytemuck::try_cast_slice_mut(of_h).map_err(|_| bad)?;
        let run = Run { plan: self, x, lengths };
        if self.gru {
            let state: &mut [i16] = views.output(sequence)?;
            start(state, views.input(2)?);
            let codes: &mut [i8] = bytemuck::try_cast_slice_mut(rest).map_err(|_| bad)?;
            let (h, reset) = codes.split_at_mut_checked(self.batch * self.cell.hidden).ok_or(bad)?;
            for (code, &state) in h.iter_mut().zip(&*state) {
                let [_, (m, k)] = self.cell.to_code;
                *code = selvedge_core::arith::requantize(state.into(), m, k, 0, -127, 127) as i8;
            }
            run.gru(isa, (of_x, of_h), (h, reset, state), y).ok_or(bad)
        } else {
            let h: &mut [i8] = views.output(sequence)?;
            let c: &mut [i16] = views.output(sequence + 1)?;
            start(h, views.input(2)?);
            start(c, views.input(3)?);
            run.lstm(isa, (of_x, of_h), (h, c), y).ok_or(bad)
        }
    }
}

/// Puts a state before the first step in place: zeros where there is none.
fn start<T: Copy + Default>(state: &mut [T], before: &[T]) {
    let mut before = before.iter();
    state.iter_mut().for_each(|to| *to = before.next().copied().unwrap_or_default());
}

/// The data of one run.
struct Run<'r> {
    plan: &'r Plan<'r>,
    x: &'r [i8],
    lengths: &'r [i32],
}

impl Run<'_> {
    /// The time steps in the order they run.
    fn times(&self) -> impl Iterator<Item = usize> + use<> {
        let (steps, reverse) = (self.plan.steps, self.plan.p.flags & recurrent::REVERSE != 0);
        (0..steps).map(move |step| if reverse { steps - 1 - step } else { step })
    }

    /// Whether a row's sequence has ended.
    fn ended(&self, row: usize, time: usize) -> bool {
        self.lengths.get(row).is_some_and(|&length| time as i64 >= i64::from(length))
    }

    fn products<I: Isa>(
        &self,
        isa: I,
        time: usize,
        h: &[i8],
        direct: usize,
        of_x: &mut [i32],
        of_h: &mut [i32],
    ) -> Option<()> {
        let p = self.plan;
        let raw = |out| Output::I32(Raw { zero_point: 0, column_sum: &[] }, out);
        let x = self.x.get(time * p.batch * p.input..)?.get(..p.batch * p.input)?;
        isa.dense_w8(x, p.weights, p.batch, p.input, p.rows(), raw(of_x));
        let of_h = of_h.get_mut(..p.batch * direct)?;
        isa.dense_w8(h, p.recurrent[0], p.batch, p.cell.hidden, direct, raw(of_h));
        Some(())
    }

    fn lstm<I: Isa>(
        &self,
        isa: I,
        (of_x, of_h): (&mut [i32], &mut [i32]),
        (h, c): (&mut [i8], &mut [i16]),
        y: &mut [i8],
    ) -> Option<()> {
        let (n, rows) = (self.plan.cell.hidden, self.plan.rows());
        for time in self.times() {
            self.products(isa, time, h, rows, of_x, of_h)?;
            let mut out = y.chunks_exact_mut(n).skip(time * self.plan.batch);
            let products = of_x.chunks_exact(rows).zip(of_h.chunks_exact(rows));
            let states = h.chunks_exact_mut(n).zip(c.chunks_exact_mut(n));
            for (row, ((h, c), (of_x, of_h))) in states.zip(products).enumerate() {
                let out = out.next().unwrap_or_default();
                if self.ended(row, time) {
                    out.fill(0);
                    continue;
                }
                lstm_i8(&self.plan.cell, of_x, of_h, h, c);
                out.iter_mut().zip(&*h).for_each(|(to, &h)| *to = h);
            }
        }
        Some(())
    }

    fn gru<I: Isa>(
        &self,
        isa: I,
        (of_x, of_h): (&mut [i32], &mut [i32]),
        (h, reset, state): (&mut [i8], &mut [i8], &mut [i16]),
        y: &mut [i8],
    ) -> Option<()> {
        let (n, rows, batch) = (self.plan.cell.hidden, self.plan.rows(), self.plan.batch);
        let linear = self.plan.p.flags & recurrent::LINEAR_BEFORE_RESET != 0;
        for time in self.times() {
            self.products(isa, time, h, 2 * n, of_x, of_h)?;
            let (of_h, candidate) = of_h.split_at_mut_checked(batch * 2 * n)?;
            if !linear {
                let products = of_x.chunks_exact(rows).zip(of_h.chunks_exact(2 * n));
                let states = state.chunks_exact(n).zip(reset.chunks_exact_mut(n));
                for ((state, reset), (of_x, of_h)) in states.zip(products) {
                    gru_reset_i8(&self.plan.cell, of_x, of_h, state, reset);
                }
            }
            let from: &[i8] = if linear { h } else { reset };
            let raw = Raw { zero_point: 0, column_sum: &[] };
            isa.dense_w8(from, self.plan.recurrent[1], batch, n, n, Output::I32(raw, candidate));
            let mut out = y.chunks_exact_mut(n).skip(time * batch);
            let products = of_x.chunks_exact(rows).zip(of_h.chunks_exact(2 * n)).zip(candidate.chunks_exact(n));
            let states = state.chunks_exact_mut(n).zip(h.chunks_exact_mut(n));
            for (row, ((state, h), ((of_x, of_h), candidate))) in states.zip(products).enumerate() {
                let out = out.next().unwrap_or_default();
                if self.ended(row, time) {
                    out.fill(0);
                    continue;
                }
                gru_i8(&self.plan.cell, of_x, of_h, candidate, linear, state, h);
                out.iter_mut().zip(&*h).for_each(|(to, &h)| *to = h);
            }
        }
        Some(())
    }
}

macro_rules! recurrent {
    ($($name:ident $gru:literal)*) => {$(
        impl Op for $name<W8> {
            const CODE: OpCode = OpCode::$name;
            const FORMAT: Format = Format::W8;

            fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
                Plan::of(ctx, $gru).map(drop)
            }

            fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
                Plan::of(&ctx.step, $gru)?.run(ctx, isa)
            }
        }
    )*};
}

recurrent!(Lstm false Gru true);
