//! Recurrent cells in int8: rules 22 and 23 of `runtime/README.md`, one form for every instruction set.
//!
//! Exact. `x` and h are int8 codes, their products with int8 weights i32; gates are i16 in steps of
//! 2^−12, activations i16 in steps of 2^−15, c is i16 in steps of 2^−`cell_bits`, the h of a GRU i16 in
//! steps of 2^−15 beside its int8 codes.

use selvedge_core::arith;

/// Fraction bits of gates before their activation.
pub const GATE_BITS: u32 = 12;
/// Entries of an activation's table: one each 128 codes, and one behind the last.
pub const TABLE: usize = 513;

/// An activation: its values in steps of 2^−15 at the gates −32768, −32640, …, 32768.
#[derive(Clone, Copy, Debug)]
pub struct GateTable<'a>(pub &'a [i16]);

impl GateTable<'_> {
    /// The value at a gate, between two entries on a straight line, rounded half up.
    #[inline]
    pub fn at(self, gate: i32) -> i32 {
        let place = (gate.clamp(-32768, 32767) + 32768) as usize;
        let (index, part) = (place >> 7, (place & 127) as i32);
        let entry = |i: usize| i32::from(self.0.get(i).copied().unwrap_or(0));
        let (low, high) = (entry(index), entry(index + 1));
        low + (((high - low) * part + 64) >> 7)
    }
}

/// What all steps of one int8 layer share.
#[derive(Clone, Copy, Debug)]
pub struct CellI8<'a> {
    pub hidden: usize,
    /// f, g, h of ONNX.
    pub tables: [GateTable<'a>; 3],
    /// Bound of gates, in steps of 2^−12.
    pub clip: i32,
    /// Lstm: f = 1 − i.
    pub input_forget: bool,
    /// Multipliers of the products with x and with h, one a gate.
    pub multipliers: [&'a [i32]; 2],
    /// In units of 2^−(12+`shift`), half a unit of the result and the zero point of x folded in.
    pub bias: &'a [i64],
    /// A linear GRU's own bias of the candidate's product with h, likewise.
    pub recurrent_bias: &'a [i64],
    pub shift: u32,
    /// Fraction bits of c.
    pub cell_bits: u32,
    /// From steps of 2^−30 (r·h, o·h(c)) and of 2^−15 (the GRU's h) to codes of h.
    pub to_code: [(i32, i8); 2],
}

fn sat16(v: i64) -> i32 {
    v.clamp(-32768, 32767) as i32
}

impl CellI8<'_> {
    /// Sums of gate `at` from both products, in units of 2^−(12+shift).
    #[inline]
    fn sum(&self, at: usize, of_x: i32, of_h: i32) -> i64 {
        let [mx, mh] = self.multipliers;
        let m = |all: &[i32]| i64::from(all.get(at).copied().unwrap_or(0));
        let (x, h) = (i64::from(of_x).wrapping_mul(m(mx)), i64::from(of_h).wrapping_mul(m(mh)));
        x.wrapping_add(h).wrapping_add(self.bias.get(at).copied().unwrap_or(0))
    }

    #[inline]
    fn bounded(&self, gate: i64) -> i32 {
        sat16(gate).max(-self.clip).min(self.clip)
    }

    /// Gate `at`, saturated and clipped.
    #[inline]
    fn gate(&self, at: usize, of_x: i32, of_h: i32) -> i32 {
        self.bounded(self.sum(at, of_x, of_h) >> (self.shift & 63))
    }

    /// A value in steps of 2^−30 as a code of h.
    #[inline]
    fn code(&self, value: i64, steps: usize) -> i8 {
        let (m, k) = self.to_code.get(steps).copied().unwrap_or((0, 31));
        arith::requantize(value, m, k, 0, -127, 127) as i8
    }
}

/// Products of gate `part` of one row.
fn part(all: &[i32], part: usize, hidden: usize) -> &[i32] {
    all.get(part * hidden..).and_then(|rest| rest.get(..hidden)).unwrap_or_default()
}

/// One step of an LSTM for one row: `of_x` and `of_h` are the products with both weights, gates i, o, f, c.
pub fn lstm_i8(cell: &CellI8<'_>, of_x: &[i32], of_h: &[i32], h: &mut [i8], c: &mut [i16]) {
    let n = cell.hidden;
    let both = |g: usize| part(of_x, g, n).iter().zip(part(of_h, g, n));
    let [gate, input, output] = cell.tables;
    let fraction = cell.cell_bits & 15;
    let gates = both(0).zip(both(1)).zip(both(2).zip(both(3)));
    for (at, ((h, c), ((i, o), (f, g)))) in h.iter_mut().zip(c).zip(gates).enumerate() {
        let value = |g: usize, (x, h): (&i32, &i32)| cell.gate(g * n + at, *x, *h);
        let i = gate.at(value(0, i));
        let f = if cell.input_forget { 32768 - i } else { gate.at(value(2, f)) };
        let g = input.at(value(3, g));
        let o = gate.at(value(1, o));
        // Steps of 2^−30, then of c.
        let sum = (i64::from(f * i32::from(*c)) << (15 - fraction)) + i64::from(i * g);
        let next = sat16((sum + (1 << (29 - fraction))) >> (30 - fraction));
        *c = next as i16;
        let squashed = output.at(sat16(to_gate(next, fraction)));
        *h = cell.code(i64::from(o * squashed), 0);
    }
}

/// A state in steps of 2^−`fraction` in steps of gates.
fn to_gate(value: i32, fraction: u32) -> i64 {
    let value = i64::from(value);
    match fraction.checked_sub(GATE_BITS) {
        None => value << (GATE_BITS - fraction),
        Some(0) => value,
        Some(down) => (value + (1 << (down - 1))) >> down,
    }
}

/// The reset gate of a GRU for one row: puts the codes of r·h in `reset`.
pub fn gru_reset_i8(cell: &CellI8<'_>, of_x: &[i32], of_h: &[i32], state: &[i16], reset: &mut [i8]) {
    let n = cell.hidden;
    let products = part(of_x, 1, n).iter().zip(part(of_h, 1, n));
    for (at, ((reset, &h), (&x, &p))) in reset.iter_mut().zip(state).zip(products).enumerate() {
        let [gate, ..] = cell.tables;
        let r = gate.at(cell.gate(n + at, x, p));
        *reset = cell.code(i64::from(r * i32::from(h)), 0);
    }
}

/// One step of a GRU for one row: `of_h` are the products of z and r with h, `candidate` those of the third gate
/// with r·h or (`linear`) with h.
pub fn gru_i8(
    cell: &CellI8<'_>,
    of_x: &[i32],
    of_h: &[i32],
    candidate: &[i32],
    linear: bool,
    state: &mut [i16],
    h: &mut [i8],
) {
    let n = cell.hidden;
    let both = |g: usize| part(of_x, g, n).iter().zip(part(of_h, g, n));
    let [gate, input, _] = cell.tables;
    let gates = both(0).zip(both(1)).zip(part(of_x, 2, n).iter().zip(candidate));
    let shift = cell.shift & 63;
    for (at, ((state, code), ((z, r), (&x, &p)))) in state.iter_mut().zip(h).zip(gates).enumerate() {
        let z = gate.at(cell.gate(at, *z.0, *z.1));
        let gated = if linear {
            let r = gate.at(cell.gate(n + at, *r.0, *r.1));
            let [_, mh] = cell.multipliers;
            let m = i64::from(mh.get(2 * n + at).copied().unwrap_or(0));
            let bias = cell.recurrent_bias.get(at).copied().unwrap_or(0);
            let product = sat16(i64::from(p).wrapping_mul(m).wrapping_add(bias) >> shift);
            let own = cell.sum(2 * n + at, x, 0) >> shift;
            own.wrapping_add(i64::from((r * product + (1 << 14)) >> 15))
        } else {
            cell.sum(2 * n + at, x, p) >> shift
        };
        let g = input.at(cell.bounded(gated));
        let mixed = i64::from((32768 - z) * g) + i64::from(z * i32::from(*state));
        let next = sat16((mixed + (1 << 14)) >> 15);
        *state = next as i16;
        *code = cell.code(next.into(), 1);
    }
}
