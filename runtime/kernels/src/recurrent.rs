//! Recurrent cells in f32: what a time step does behind the products with the weights.
//!
//! One form for every instruction set: sums and products are elementwise, each rounded, and the
//! activations are the kernels' own. Gates lie one after the other in a row, in the order of ONNX.

use selvedge_core::params::{recurrent, unary};

use crate::f32_rules::canonical;
use crate::{IsaF32, math};

/// An activation: a code of `params::unary` or `params::recurrent` and its constants.
#[derive(Clone, Copy, Debug)]
pub struct Activation {
    pub kind: u32,
    pub alpha: f32,
    pub beta: f32,
}

impl Activation {
    /// Whether the code is one of an activation.
    pub const fn is_known(&self) -> bool {
        self.kind < unary::FAKE_QUANT || (self.kind >= recurrent::AFFINE && self.kind <= recurrent::SOFTSIGN)
    }

    /// Applies it to every value.
    pub fn apply<I: IsaF32>(&self, isa: I, values: &mut [f32]) {
        let (alpha, beta) = (self.alpha, self.beta);
        match self.kind {
            recurrent::AFFINE => each(values, |x| alpha * x + beta),
            recurrent::THRESHOLDED_RELU => each(values, |x| if x <= alpha { 0.0 } else { x }),
            recurrent::SCALED_TANH => each(values, |x| alpha * math::tanh(beta * x)),
            recurrent::SOFTSIGN => each(values, |x| x / (1.0 + x.abs())),
            kind => isa.unary_in_place_f32(kind, alpha, beta, values),
        }
    }
}

#[inline(always)]
fn each(values: &mut [f32], f: impl Fn(f32) -> f32) {
    for value in values {
        *value = canonical(f(*value));
    }
}

/// `x` bounded to ±`clip`; NaN stays NaN.
fn clip(values: &mut [f32], clip: f32) {
    if clip < f32::INFINITY {
        each(values, |x| {
            if x > clip {
                clip
            } else if x < -clip {
                -clip
            } else {
                x
            }
        });
    }
}

fn add(values: &mut [f32], more: &[f32]) {
    for (value, &more) in values.iter_mut().zip(more) {
        *value += more;
    }
}

/// What the steps of one layer share.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    pub hidden: usize,
    /// f, g, h of ONNX.
    pub activations: [Activation; 3],
    pub clip: f32,
    /// Lstm: f = 1 − i.
    pub input_forget: bool,
    /// `[3·hidden]` for i, o, f, or empty.
    pub peepholes: &'a [f32],
}

/// Parts of `hidden` values each; those past the end are empty.
fn parts<const N: usize>(mut values: &mut [f32], hidden: usize) -> [&mut [f32]; N] {
    core::array::from_fn(|_| {
        let (part, rest) = core::mem::take(&mut values).split_at_mut_checked(hidden).unwrap_or_default();
        values = rest;
        part
    })
}

fn peephole(values: &mut [f32], weights: Option<&[f32]>, c: &[f32]) {
    for (value, (&w, &c)) in values.iter_mut().zip(weights.unwrap_or_default().iter().zip(c)) {
        *value += w * c;
    }
}

/// One step of an LSTM for one row of the batch.
///
/// `gates` holds x·Wᵀ + bias for i, o, f, c and is overwritten, `products` h·Rᵀ.
/// i = f(i + P_i·c), f = f(f + P_f·c) or 1 − i, c = f·c + i·g(c̃), o = f(o + P_o·c), h = o·h(c).
pub fn lstm<I: IsaF32>(isa: I, cell: &Cell<'_>, gates: &mut [f32], products: &[f32], h: &mut [f32], c: &mut [f32]) {
    add(gates, products);
    let [i, o, f, g] = parts(gates, cell.hidden);
    let [gate, input, output] = &cell.activations;
    let mut weights = cell.peepholes.chunks_exact(cell.hidden.max(1));
    let [pi, po, pf] = [weights.next(), weights.next(), weights.next()];
    peephole(i, pi, c);
    clip(i, cell.clip);
    gate.apply(isa, i);
    if cell.input_forget {
        f.iter_mut().zip(&*i).for_each(|(f, &i)| *f = 1.0 - i);
    } else {
        peephole(f, pf, c);
        clip(f, cell.clip);
        gate.apply(isa, f);
    }
    clip(g, cell.clip);
    input.apply(isa, g);
    for ((c, &f), (&i, &g)) in c.iter_mut().zip(&*f).zip(i.iter().zip(&*g)) {
        *c = canonical(f * *c + i * g);
    }
    peephole(o, po, c);
    clip(o, cell.clip);
    gate.apply(isa, o);
    g.iter_mut().zip(&*c).for_each(|(g, &c)| *g = c);
    output.apply(isa, g);
    for (h, (&o, &g)) in h.iter_mut().zip(o.iter().zip(&*g)) {
        *h = canonical(o * g);
    }
}

/// The gates z and r of a GRU for one row: `gates` holds x·Wᵀ + bias for z, r, h, `products` h·Rᵀ
/// for z and r. Puts r·h in `reset`.
pub fn gru_gates<I: IsaF32>(
    isa: I,
    cell: &Cell<'_>,
    gates: &mut [f32],
    products: &[f32],
    h: &[f32],
    reset: &mut [f32],
) {
    let [z, r] = parts(gates, cell.hidden);
    let (of_z, of_r) = products.split_at_checked(cell.hidden).unwrap_or_default();
    let [gate, ..] = &cell.activations;
    for (gates, products) in [(z, of_z), (&mut *r, of_r)] {
        add(gates, products);
        clip(gates, cell.clip);
        gate.apply(isa, gates);
    }
    for (reset, (&r, &h)) in reset.iter_mut().zip(r.iter().zip(h)) {
        *reset = r * h;
    }
}

/// The rest of a GRU's step: `product` is the product with the recurrent weights of h, of r·h or
/// (`linear`) of h, its bias added. h = (1 − z)·g(h̃) + z·h.
pub fn gru<I: IsaF32>(isa: I, cell: &Cell<'_>, gates: &mut [f32], product: &[f32], linear: bool, h: &mut [f32]) {
    let [z, r, g] = parts(gates, cell.hidden);
    if linear {
        for (g, (&r, &product)) in g.iter_mut().zip(r.iter().zip(product)) {
            *g += r * product;
        }
    } else {
        add(g, product);
    }
    clip(g, cell.clip);
    let [_, input, _] = &cell.activations;
    input.apply(isa, g);
    for (h, (&z, &g)) in h.iter_mut().zip(z.iter().zip(&*g)) {
        *h = canonical((1.0 - z) * g + z * *h);
    }
}

/// One step of a simple recurrent network for one row: h = f(x·Wᵀ + bias + h·Rᵀ).
pub fn rnn<I: IsaF32>(isa: I, cell: &Cell<'_>, gates: &mut [f32], products: &[f32], h: &mut [f32]) {
    add(gates, products);
    clip(gates, cell.clip);
    let [gate, ..] = &cell.activations;
    gate.apply(isa, gates);
    for (h, &g) in h.iter_mut().zip(&*gates) {
        *h = canonical(g);
    }
}
