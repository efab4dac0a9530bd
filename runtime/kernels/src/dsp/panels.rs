//! Rows times the panels of a group: the inner loops with their epilogue where that is enough,
//! else their sums and the epilogue of any layer.

use core::ptr::{null, null_mut};

use super::asm::{self, Mode, Task};
use super::epilogue::{self, Block};
use super::row;
use crate::args::*;
use crate::pack::{KR, MR, NR, panel_channels};

/// Words of a quad of four rows.
pub const TILE: usize = 2 * MR;
/// Words of a quad of one row.
pub const ROW: usize = 2;

/// Largest shift k with which any sum, the rounding constant 2^(k−2) and an int8 zero point,
/// shifted by k − 1, add up in 32 bits.
pub const FOLDED: i8 = 24;

/// Sums of a panel.
pub type Sums = [i32; NR * MR];

/// The epilogue of the inner loops that serves every channel of a layer.
fn mode(q: &Requant<'_>) -> Mode {
    let Some(folded) = folded(q.shift).filter(|_| matches!(q.bias, Bias::I32(_))) else { return Mode::Sums };
    match &q.residual {
        None if (q.lo, q.hi) == (-128, 127) && folded => Mode::Full,
        None => Mode::Clamped,
        Some(r) if (r.lo, r.hi) == (-128, 127) => Mode::Residual,
        Some(_) => Mode::Sums,
    }
}

/// Whether no shift is above [`FOLDED`]; `None` where one is not in 2..=31.
fn folded(shifts: &[i8]) -> Option<bool> {
    // Four at a time: 30 more sets bit 5 of those from 2 on, 7 more that of those past 24.
    const LARGE: i8 = 31 - FOLDED;
    let (fours, rest) = shifts.as_chunks::<4>();
    let bytes = |k: i8| u32::from_le_bytes([k as u8; 4]);
    let (mut any, mut two, mut large) = (0, bytes(32), 0);
    for &four in fours {
        let k = u32::from_le_bytes(four.map(|k| k as u8));
        any |= k;
        two &= k.wrapping_add(bytes(30));
        large |= k.wrapping_add(bytes(LARGE));
    }
    let sound = any & bytes(-32) == 0 && two == bytes(32) && rest.iter().all(|k| (2..=31).contains(k));
    sound.then_some(large & bytes(32) == 0 && rest.iter().all(|&k| k <= FOLDED))
}

/// The channels of a group of a layer.
pub struct Group<'a> {
    w: &'a [i8],
    quads: usize,
    first: usize,
    n: usize,
    channels: usize,
    /// What the inner loops with their epilogue need; rows, and elements of the output, follow.
    fused: Option<Task>,
}

impl<'a> Group<'a> {
    /// The packed weights `w` of `n` channels, from `first` on of `channels`.
    pub fn new(w: &'a [i8], quads: usize, first: usize, n: usize, channels: usize, output: &Output<'_>) -> Self {
        let fused = match output {
            Output::I8(q, _) => fused(w, quads, first, n, channels, q),
            _ => None,
        };
        Self { w, quads, first, n, channels, fused }
    }

    /// Stores `rows` (one or four) rows of the output from `row` on; `x` holds theirs, widened.
    pub fn run(&mut self, x: &[u32], rows: usize, row: usize, output: &mut Output<'_>) {
        let at = row * self.channels + self.first;
        match (output, &mut self.fused) {
            (Output::I8(_, out), Some(task)) if rows == MR || task.mode != Mode::Residual => {
                let Some(out) = out.get_mut(at..at + (rows - 1) * self.channels + self.n) else { return };
                if !holds(self.w, x, self.quads, self.n, rows) {
                    return;
                }
                (task.channel, task.x, task.out) = (0, x.as_ptr(), out.as_mut_ptr());
                // SAFETY: `holds` has seen to weights and x, `fused` to arrays and shifts; `out`
                // ends with the last element of the last row.
                unsafe { run(task, rows) }
            }
            (output, _) => self.sums(x, rows, row, output),
        }
    }

    #[cold]
    #[inline(never)]
    fn sums(&self, x: &[u32], rows: usize, row: usize, output: &mut Output<'_>) {
        let mut sums = [0; NR * MR];
        for (i, panel) in self.w.chunks((NR * self.quads * KR).max(1)).enumerate() {
            let live = panel_channels(self.n, i);
            panel_sums(panel, x, self.quads, live, rows, &[0; NR], &mut sums);
            let channel = self.first + i * NR;
            let block = Block { row, row_step: 1, rows, channel, live, channels: self.channels };
            epilogue::store(output, &block, &sums, rows);
        }
    }
}

/// A task without rows: `None` where the inner loops have no epilogue for the layer.
pub fn fused(w: &[i8], quads: usize, first: usize, n: usize, row: usize, q: &Requant<'_>) -> Option<Task> {
    let mode = mode(q);
    let Bias::I32(bias) = q.bias else { return None };
    let end = first + n;
    let (bias, multiplier, shift) = (bias.get(first..end)?, q.multiplier.get(first..end)?, q.shift.get(first..end)?);
    if mode == Mode::Sums || n == 0 {
        return None;
    }
    let (m1, m2, c, s) = q.residual.as_ref().map_or((0, 0, 0, 0), |r| (r.m1, r.m2, r.c, r.s & 31));
    Some(Task {
        w: w.as_ptr(),
        x: null(),
        quads,
        stride: 0,
        multiplier: multiplier.as_ptr(),
        shift: shift.as_ptr(),
        channel: 0,
        rewind: 0,
        channels: n,
        bias: bias.as_ptr(),
        rounding: if mode == Mode::Full { 2 * q.zero_point + 1 } else { 0 },
        mode,
        out: null_mut(),
        row,
        lo: q.lo as i32,
        hi: q.hi as i32,
        m1,
        m2,
        c,
        s,
        end: 0,
        zero_point: q.zero_point,
    })
}

/// Whether weights and rows are as long as `quads` > 0 quads of `channels` channels need.
fn holds(w: &[i8], x: &[u32], quads: usize, channels: usize, rows: usize) -> bool {
    quads > 0 && w.len() >= quads * channels * KR && x.len() >= quads * ROW * rows
}

/// # Safety
/// That of [`asm::tile`] for four rows, of [`row::row`] for others.
unsafe fn run(task: &mut Task, rows: usize) {
    if rows == MR {
        // SAFETY: the caller's claim.
        unsafe { asm::tile(task) }
    } else {
        // SAFETY: the caller's claim.
        unsafe { row::row(task) }
    }
}

/// Sums of one or four rows times the `live` channels of a panel, those of a channel side by
/// side, added to `before`. Exact; sums wrap.
pub fn panel_sums(
    panel: &[i8],
    x: &[u32],
    quads: usize,
    live: usize,
    rows: usize,
    before: &[i32; NR],
    sums: &mut Sums,
) {
    if !(1..=NR).contains(&live) || !holds(panel, x, quads, live, rows) {
        return;
    }
    let mut task = sums_task(panel, x, quads, live, before, sums);
    // SAFETY: `holds` has seen to weights and x; `before` serves as the arrays of eight channels, two of which do not matter,
    // and room for four sums of each.
    unsafe { run(&mut task, rows) }
}

/// The task of [`panel_sums`].
pub fn sums_task(panel: &[i8], x: &[u32], quads: usize, live: usize, before: &[i32; NR], sums: &mut Sums) -> Task {
    Task {
        w: panel.as_ptr(),
        x: x.as_ptr(),
        quads,
        stride: 0,
        multiplier: before.as_ptr(),
        shift: before.as_ptr().cast(),
        channel: 0,
        rewind: 0,
        channels: live,
        bias: before.as_ptr(),
        rounding: 0,
        mode: Mode::Sums,
        out: sums.as_mut_ptr().cast(),
        row: 0,
        lo: 0,
        hi: 0,
        m1: 0,
        m2: 0,
        c: 0,
        s: 0,
        end: 0,
        zero_point: 0,
    }
}
