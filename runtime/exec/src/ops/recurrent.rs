//! LSTM, GRU and simple recurrent networks in f32.

use core::marker::PhantomData;

use selvedge_core::params::{NONE, RecurrentF32, recurrent};
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::recurrent::{Activation, Cell, gru, gru_gates, lstm, rnn};
use selvedge_kernels::{Isa, LayerF32, pack};

use super::F32;
use super::geometry::dense_fits;
use crate::{Op, RunCtx, StepCtx};

/// LSTM in one direction. Inputs: x `[steps, batch, input]`, weights computed at run time or none, h and c
/// before the first step `[batch, hidden]` or none (zeros), lengths of the sequences i32 `[batch]` or none.
/// Outputs: h after each step (with `SEQUENCE`), h and c after the last.
pub struct Lstm<F>(PhantomData<F>);
/// GRU in one direction; operands as those of [`Lstm`], without c.
pub struct Gru<F>(PhantomData<F>);
/// Simple recurrent network in one direction; operands as those of [`Gru`].
pub struct Rnn<F>(PhantomData<F>);

/// Time steps whose products with x are computed at once.
const CHUNK: usize = 8;

/// Sizes of a layer.
#[derive(Clone, Copy)]
struct Sizes {
    code: OpCode,
    steps: usize,
    batch: usize,
    input: usize,
    hidden: usize,
}

/// Lengths, in f32, of the parts of the scratch.
#[derive(Clone, Copy)]
struct Parts {
    /// Products with x of some time steps.
    gates: usize,
    /// Products with h of one.
    products: usize,
    /// r·h of a GRU.
    reset: usize,
    /// Weights computed at run time, packed: of x, of h, the GRU's other ones of h; both biases.
    packed: [usize; 5],
}

impl Sizes {
    fn gates(&self) -> usize {
        match self.code {
            OpCode::Lstm => 4,
            OpCode::Gru => 3,
            _ => 1,
        }
    }

    /// Rows of the recurrent weights that read h itself, and of those of a GRU's candidate.
    fn recurrent_rows(&self) -> [usize; 2] {
        match self.code {
            OpCode::Gru => [2 * self.hidden, self.hidden],
            _ => [self.gates() * self.hidden, 0],
        }
    }

    fn chunk(&self) -> usize {
        self.steps.min(CHUNK)
    }

    /// `None` where a size does not fit 31 bits.
    fn parts(&self, live: bool) -> Option<Parts> {
        let rows = self.gates() * self.hidden;
        let gru = self.code == OpCode::Gru;
        let all = |a: usize, b: usize| a.checked_mul(b).filter(|&n| n < 1 << 29);
        let [direct, other] = self.recurrent_rows();
        let packed = [
            pack::f32_elements(rows, self.input),
            pack::f32_elements(direct, self.hidden),
            pack::f32_elements(other, self.hidden),
            pack::padded_channels(rows),
            pack::padded_channels(self.hidden),
        ];
        Some(Parts {
            gates: all(all(self.chunk(), self.batch)?, rows)?,
            products: all(self.batch, rows)?,
            reset: if gru { all(self.batch, self.hidden)? } else { 0 },
            packed: if live { packed } else { [0; 5] },
        })
    }
}

impl Parts {
    fn bytes(&self) -> usize {
        let packed = self.packed.iter().fold(0usize, |sum, &n| sum.saturating_add(n));
        packed.saturating_add(self.gates + self.products + self.reset).saturating_mul(4)
    }
}

/// A validated step.
struct Plan<'a> {
    p: &'a RecurrentF32,
    sizes: Sizes,
    parts: Parts,
}

fn plan<'a>(ctx: &StepCtx<'a>, code: OpCode) -> Result<Plan<'a>, Error> {
    let p: &RecurrentF32 = ctx.params()?;
    let states = if code == OpCode::Lstm { 2 } else { 1 };
    let sequence = usize::from(p.flags & recurrent::SEQUENCE != 0);
    ctx.counts(5..=5, states + sequence)?;
    ctx.flags(0)?;
    let x = ctx.input_of(0, DType::F32)?;
    let &[steps, batch, input] = x.dims else { return Err(ctx.bad()) };
    let sizes =
        Sizes { code, steps: steps as usize, batch: batch as usize, input: input as usize, hidden: p.hidden as usize };
    let hidden = sizes.hidden;
    ctx.require(p.flags & !recurrent::ALL_FLAGS == 0 && hidden > 0 && hidden < 1 << 24 && p.clip > 0.0)?;
    ctx.require(dense_fits(sizes.gates() * hidden, sizes.input) && dense_fits(sizes.gates() * hidden, hidden))?;
    ctx.require(activations(p).iter().all(Activation::is_known))?;
    let state = [batch, p.hidden];
    for output in 0..states + sequence {
        let y = ctx.output_of(output, DType::F32)?;
        let whole = output < sequence;
        ctx.require(if whole { y.dims == [steps, batch, p.hidden] } else { y.dims == state })?;
    }
    for (i, allowed) in [(2, true), (3, code == OpCode::Lstm)] {
        if let Some(before) = ctx.optional_input(i)? {
            ctx.require(allowed && before.dtype == DType::F32 && before.dims == state)?;
        }
    }
    if let Some(lengths) = ctx.optional_input(4)? {
        ctx.require(lengths.dtype == DType::I32 && lengths.dims == [batch])?;
    }
    let live = p.flags & recurrent::LIVE != 0;
    let parts = sizes.parts(live).ok_or(ctx.bad())?;
    match ctx.optional_input(1)? {
        Some(weights) => {
            ctx.require(live && weights.dtype == DType::F32 && Some(weights.elements) == live_elements(&sizes, p.flags))
        }
        None => ctx.require(!live),
    }?;
    ctx.scratch(parts.bytes())?;
    let plan = Plan { p, sizes, parts };
    if !live {
        plan.stored(ctx)?;
    }
    Ok(plan)
}

/// Elements of input 1.
fn live_elements(sizes: &Sizes, flags: u32) -> Option<usize> {
    let rows = sizes.gates().checked_mul(sizes.hidden)?;
    let weights = rows.checked_mul(sizes.input.checked_add(sizes.hidden)?.checked_add(1)?)?;
    let of = |flag: u32, n: usize| if flags & flag != 0 { n } else { 0 };
    let more = of(recurrent::LIVE_RECURRENT_BIAS, sizes.hidden);
    weights.checked_add(more)?.checked_add(of(recurrent::LIVE_PEEPHOLES, sizes.hidden.checked_mul(3)?))
}

fn activations(p: &RecurrentF32) -> [Activation; 3] {
    let ([f, g, h], [fa, ga, ha], [fb, gb, hb]) = (p.activations, p.alpha, p.beta);
    [(f, fa, fb), (g, ga, gb), (h, ha, hb)].map(|(kind, alpha, beta)| Activation { kind, alpha, beta })
}

/// The layer's arrays, as the dense kernel reads them.
#[derive(Clone, Copy, Default)]
struct Weights<'a> {
    /// Of x, of h, the GRU's other ones of h.
    packed: [&'a [f32]; 3],
    bias: &'a [f32],
    recurrent_bias: &'a [f32],
    peepholes: &'a [f32],
}

impl Plan<'_> {
    /// Weights of the artifact.
    fn stored<'a>(&self, ctx: &StepCtx<'a>) -> Result<Weights<'a>, Error> {
        let (p, s) = (self.p, &self.sizes);
        let rows = s.gates() * s.hidden;
        let optional = |offset: u32, n: usize| if offset == NONE { Ok(&[][..]) } else { ctx.array(offset, n) };
        let [direct, other] = s.recurrent_rows().map(|rows| pack::f32_elements(rows, s.hidden));
        let recurrent: &[f32] = ctx.array(p.recurrent, direct + other)?;
        let (direct, other) = recurrent.split_at_checked(direct).ok_or(ctx.bad())?;
        Ok(Weights {
            packed: [ctx.array(p.weights, pack::f32_elements(rows, s.input))?, direct, other],
            bias: optional(p.bias, pack::padded_channels(rows))?,
            recurrent_bias: optional(p.recurrent_bias, pack::padded_channels(s.hidden))?,
            peepholes: optional(p.peepholes, 3 * s.hidden)?,
        })
    }

    /// Weights computed at run time, packed into scratch.
    fn live<'s>(&self, values: &'s [f32], scratch: &'s mut [f32]) -> Option<Weights<'s>> {
        let (s, flags) = (&self.sizes, self.p.flags);
        let [direct, other] = s.recurrent_rows();
        let (w, rest) = values.split_at_checked((direct + other) * s.input)?;
        let (r, rest) = rest.split_at_checked(direct * s.hidden)?;
        let (r_other, rest) = rest.split_at_checked(other * s.hidden)?;
        let (b, mut rest) = rest.split_at_checked(direct + other)?;
        let mut more = &[][..];
        if flags & recurrent::LIVE_RECURRENT_BIAS != 0 {
            (more, rest) = rest.split_at_checked(s.hidden)?;
        }
        let [to_w, to_r, to_other, to_b, to_more] = self.parts.packed;
        let (to_w, scratch) = scratch.split_at_mut_checked(to_w)?;
        let (to_r, scratch) = scratch.split_at_mut_checked(to_r)?;
        let (to_other, scratch) = scratch.split_at_mut_checked(to_other)?;
        let (to_b, scratch) = scratch.split_at_mut_checked(to_b)?;
        let to_more = scratch.get_mut(..to_more)?;
        pack::pack_f32(w, direct + other, s.input, to_w);
        pack::pack_f32(r, direct, s.hidden, to_r);
        pack::pack_f32(r_other, other, s.hidden, to_other);
        for (to, from) in [(&mut *to_b, b), (&mut *to_more, more)] {
            to.fill(0.0);
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
        }
        let peepholes = if flags & recurrent::LIVE_PEEPHOLES != 0 { rest } else { &[] };
        Some(Weights { packed: [to_w, to_r, to_other], bias: to_b, recurrent_bias: to_more, peepholes })
    }

    fn run<I: Isa>(&self, ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let bad = ctx.step.bad();
        let live = self.p.flags & recurrent::LIVE != 0;
        let stored = if live { Weights::default() } else { self.stored(&ctx.step)? };
        let mut views = ctx.views()?;
        let scratch = bytemuck::try_cast_slice_mut(views.scratch(self.parts.bytes())?).map_err(|_| bad)?;
        let mut index = 0;
        let mut next = || {
            index += 1;
            index - 1
        };
        let sequence: &mut [f32] =
            if self.p.flags & recurrent::SEQUENCE != 0 { views.output(next())? } else { &mut [] };
        let h: &mut [f32] = views.output(next())?;
        let c: &mut [f32] = if self.sizes.code == OpCode::Lstm { views.output(next())? } else { &mut [] };
        for (state, input) in [(&mut *h, 2), (&mut *c, 3)] {
            let before: &[f32] = views.input(input)?;
            if before.is_empty() {
                state.fill(0.0);
            } else {
                state.iter_mut().zip(before).for_each(|(to, &from)| *to = from);
            }
        }
        let (x, values): (&[f32], &[f32]) = (views.input(0)?, views.input(1)?);
        let lengths: &[i32] = views.input(4)?;
        self.steps(isa, stored, (x, values, lengths), (sequence, h, c), scratch).ok_or(bad)
    }

    fn steps<I: Isa>(
        &self,
        isa: I,
        stored: Weights<'_>,
        (x, values, lengths): (&[f32], &[f32], &[i32]),
        (sequence, h, c): (&mut [f32], &mut [f32], &mut [f32]),
        scratch: &mut [f32],
    ) -> Option<()> {
        let (s, parts, flags) = (&self.sizes, &self.parts, self.p.flags);
        let (gates, scratch) = scratch.split_at_mut_checked(parts.gates)?;
        let (products, scratch) = scratch.split_at_mut_checked(parts.products)?;
        let (reset, scratch) = scratch.split_at_mut_checked(parts.reset)?;
        let w = if flags & recurrent::LIVE != 0 { self.live(values, scratch)? } else { stored };
        let cell = Cell {
            hidden: s.hidden,
            activations: activations(self.p),
            clip: self.p.clip,
            input_forget: flags & recurrent::INPUT_FORGET != 0,
            peepholes: w.peepholes,
        };
        let [of_x, of_h, of_other] = w.packed;
        let layer = |weights, bias| LayerF32 { weights, scales: (), bias, lo: f32::NEG_INFINITY, hi: f32::INFINITY };
        let [direct, other] = s.recurrent_rows();
        let rows = direct + other;
        let linear = flags & recurrent::LINEAR_BEFORE_RESET != 0;
        let chunk = s.chunk().max(1);
        let chunks = s.steps.div_ceil(chunk);
        let reverse = flags & recurrent::REVERSE != 0;
        for number in 0..chunks {
            let first = if reverse { chunks - 1 - number } else { number } * chunk;
            let live = (s.steps - first).min(chunk);
            let x = x.get(first * s.batch * s.input..)?.get(..live * s.batch * s.input)?;
            let gates = gates.get_mut(..live * s.batch * rows)?;
            isa.dense_f32(x, live * s.batch, s.input, rows, &layer(of_x, w.bias), gates);
            for step in 0..live {
                let step = if reverse { live - 1 - step } else { step };
                let time = first + step;
                let gates = gates.get_mut(step * s.batch * rows..)?.get_mut(..s.batch * rows)?;
                let (direct_products, products) = products.split_at_mut_checked(s.batch * direct)?;
                isa.dense_f32(h, s.batch, s.hidden, direct, &layer(of_h, &[]), direct_products);
                if other > 0 {
                    let of_rows = gates.chunks_exact_mut(rows).zip(direct_products.chunks_exact(direct));
                    let states = h.chunks_exact(s.hidden).zip(reset.chunks_exact_mut(s.hidden));
                    for ((gates, products), (h, reset)) in of_rows.zip(states) {
                        gru_gates(isa, &cell, gates, products, h, reset);
                    }
                    let from: &[f32] = if linear { h } else { reset };
                    isa.dense_f32(from, s.batch, s.hidden, other, &layer(of_other, w.recurrent_bias), products);
                }
                let mut sequence = sequence.chunks_exact_mut(s.hidden).skip(time * s.batch);
                let mut states_c = c.chunks_exact_mut(s.hidden);
                for (row, (gates, h)) in gates.chunks_exact_mut(rows).zip(h.chunks_exact_mut(s.hidden)).enumerate() {
                    let c = states_c.next().unwrap_or_default();
                    let y = sequence.next().unwrap_or_default();
                    if lengths.get(row).is_some_and(|&length| time as i64 >= i64::from(length)) {
                        y.fill(0.0);
                        continue;
                    }
                    let of_row = |all: &'_ [f32], n: usize| -> Option<core::ops::Range<usize>> {
                        let range = row * n..(row + 1) * n;
                        (range.end <= all.len()).then_some(range)
                    };
                    match s.code {
                        OpCode::Lstm => {
                            let range = of_row(direct_products, direct)?;
                            lstm(isa, &cell, gates, direct_products.get(range)?, h, c);
                        }
                        OpCode::Gru => {
                            let range = of_row(products, other)?;
                            gru(isa, &cell, gates, products.get(range)?, linear, h);
                        }
                        _ => {
                            let range = of_row(direct_products, direct)?;
                            rnn(isa, &cell, gates, direct_products.get(range)?, h);
                        }
                    }
                    y.iter_mut().zip(&*h).for_each(|(y, &h)| *y = h);
                }
            }
        }
        Some(())
    }
}

macro_rules! recurrent {
    ($($name:ident)*) => {$(
        impl Op for $name<F32> {
            const CODE: OpCode = OpCode::$name;
            const FORMAT: Format = Format::F32;

            fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
                plan(ctx, OpCode::$name).map(drop)
            }

            fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
                plan(&ctx.step, OpCode::$name)?.run(ctx, isa)
            }
        }
    )*};
}

recurrent!(Lstm Gru Rnn);
