//! Rows of a tile in scratch, as the loops of codes read them: of each k group a number for each
//! row, then its pairs.

use core::arch::asm;

use super::gather::Patches;
use super::low_tile::Groups;
use super::panels::{ROW, TILE};
use crate::args::LowBit;
use crate::code::Width;
use crate::pack::{KR, MR};
use crate::pack_low::groups_of;

/// Two i16 of 1.
const ONES: u32 = 0x1_0001;

/// How a layer's rows lie.
#[derive(Clone, Copy)]
pub struct Layout {
    pub k: usize,
    /// k of a row, padded to whole blocks, and of a group.
    padded: usize,
    pub group: usize,
    pub groups: usize,
    /// What the sum of a group's x is multiplied with.
    factor: i32,
}

impl Layout {
    /// `None` where the loops have no such layer.
    pub fn new(w: &LowBit<'_>, width: Width, kind: Groups) -> Option<Self> {
        let padded = w.k.next_multiple_of(width.block());
        let group = if w.group == 0 { padded } else { w.group };
        let factor = if kind == Groups::Offset { -1 } else { -i32::from(w.zero) };
        (w.k > 0 && group.is_multiple_of(width.block())).then_some(Self {
            k: w.k,
            padded,
            group,
            groups: groups_of(w.k, w.group),
            factor,
        })
    }

    /// Words of k in a row of `rows`, and of the numbers before a group.
    fn at(&self, rows: usize, group: usize) -> usize {
        group * rows * (1 + self.group / 2)
    }

    pub fn words(&self, rows: usize) -> usize {
        rows * (self.groups + self.padded / 2)
    }

    /// The words of a group's pairs.
    fn pairs<'a>(&self, words: &'a mut [u32], rows: usize, group: usize) -> &'a mut [u32] {
        let at = self.at(rows, group) + rows;
        let len = self.group.min(self.padded - group * self.group) / 2 * rows;
        words.get_mut(at..at + len).unwrap_or_default()
    }

    /// Widens `rows` (one or four) rows, and puts the numbers before each group.
    pub fn rows(&self, x: &[i8], words: &mut [u32], rows: usize) {
        let (quads, _) = x.as_chunks::<KR>();
        if self.groups > 1 || self.padded != self.k || x.len() != rows * self.k {
            for (row, x) in x.chunks(self.k.max(1)).enumerate() {
                self.row(x, words, rows, row);
            }
            return;
        }
        let Some((numbers, to)) = words.split_at_mut_checked(rows) else { return };
        for (row, (number, x)) in numbers.iter_mut().zip(quads.chunks((self.k / KR).max(1))).enumerate() {
            let sum = widen(x, to.get_mut(row..).unwrap_or_default(), 2 * rows);
            *number = sum.wrapping_mul(self.factor) as u32;
        }
    }

    /// Widens row `row` of `rows`, and puts the numbers before each group.
    fn row(&self, x: &[i8], words: &mut [u32], rows: usize, row: usize) {
        let step = 2 * rows;
        for (group, x) in x.chunks(self.group.max(1)).enumerate() {
            let at = self.at(rows, group) + row;
            let len = self.group.min(self.padded - group * self.group) / 2 * rows;
            let Some((number, to)) = words.get_mut(at..at - row + rows + len).and_then(|of| of.split_first_mut())
            else {
                return;
            };
            let to = to.get_mut(rows - 1..).unwrap_or_default();
            let (quads, tail) = x.as_chunks::<KR>();
            let mut sum = widen(quads, to, step);
            if x.len() < len * 2 / rows {
                let rest = to.get_mut(quads.len() * step..).unwrap_or_default();
                let mut quad = [[0; KR]];
                quad[0].iter_mut().zip(tail).for_each(|(to, &from)| *to = from);
                sum = sum.wrapping_add(widen(&quad[..usize::from(!tail.is_empty())], rest, step));
                clear(rest, usize::from(!tail.is_empty()), step);
            }
            *number = sum.wrapping_mul(self.factor) as u32;
        }
    }

    /// Widens the patch of output pixel `at` to row `row` of `rows`, as if it were one group.
    pub fn patch(
        &self,
        (patches, group): (&mut Patches<'_>, usize),
        at: (usize, usize, usize),
        words: &mut [u32],
        rows: usize,
        row: usize,
    ) {
        let step = 2 * rows;
        let to = words.get_mut(rows + row..rows + self.padded / 2 * rows).unwrap_or_default();
        patches.widen(at, group, to, step);
        // What follows the patch in its last quad counts in sums.
        let tail = self.k % KR;
        for odd in 0..2 {
            let keep = if tail == 0 { u32::MAX } else { [0, 0xffff][usize::from(tail > odd)] };
            let at = (self.k.div_ceil(KR) - 1) * step + odd * rows;
            if let Some(word) = to.get_mut(at) {
                *word &= if tail == 3 && odd == 0 { u32::MAX } else { keep };
            }
        }
        clear(to, self.k.div_ceil(KR), step);
    }

    /// Parts what [`Layout::patch`] has widened into groups.
    pub fn part(&self, words: &mut [u32], rows: usize) {
        for group in (1..self.groups).rev() {
            let from = rows + group * self.group / 2 * rows;
            let len = self.pairs(words, rows, group).len();
            let to = self.at(rows, group) + rows;
            if from <= to && to + len <= words.len() {
                let (from, to) = (words.as_ptr().wrapping_add(from + len), words.as_mut_ptr().wrapping_add(to + len));
                // SAFETY: `len` words before either end lie in `words`, whole fours as blocks are.
                unsafe { up(from, to, len / 4) }
            }
        }
    }

    /// Puts the numbers before each group.
    pub fn sum(&self, words: &mut [u32], rows: usize) {
        for group in 0..self.groups {
            let mut sums = [0; MR];
            if self.factor != 0 {
                let pairs = self.pairs(words, rows, group);
                if rows == MR {
                    sum_tile(pairs, &mut sums);
                } else {
                    sums[0] = sum_row(pairs);
                }
            }
            let at = self.at(rows, group);
            let to = words.get_mut(at..at + rows).unwrap_or_default();
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum.wrapping_mul(self.factor) as u32);
        }
    }
}

/// Widens quads, `step` words apart; the sum of their elements. Nothing where they do not fit.
#[inline(never)]
fn widen(x: &[[i8; KR]], to: &mut [u32], step: usize) -> i32 {
    if x.is_empty() || to.len() <= (x.len() - 1) * step + step / 2 {
        return 0;
    }
    // SAFETY: `to` holds the quads at this step.
    unsafe {
        match step {
            TILE => widen_at::<{ 4 * TILE }, { 2 * TILE }>(x, to),
            _ => widen_at::<{ 4 * ROW }, { 2 * ROW }>(x, to),
        }
    }
}

/// # Safety
/// There is room at `to` for quads `STEP` bytes apart, their odd half `ODD` bytes behind the even.
#[inline(always)]
unsafe fn widen_at<const STEP: usize, const ODD: usize>(x: &[[i8; KR]], to: &mut [u32]) -> i32 {
    let mut sum = 0;
    // SAFETY: reads the words of `x` at any alignment, writes two words for each as the caller says.
    unsafe {
        asm!(
            ".macro selvedge_quad",
            "ldr {w}, [{x}], #4",
            "sxtb16 {even}, {w}",
            "sxtb16 {w}, {w}, ror #8",
            "smlad {sum}, {even}, {ones}, {sum}",
            "smlad {sum}, {w}, {ones}, {sum}",
            "str {w}, [{to}, #{odd}]",
            "str {even}, [{to}], #{step}",
            ".endm",
            "lsrs {quads}, {quads}, #1",
            "bcc 3f",
            "selvedge_quad",
            "3:",
            "beq 4f",
            "2:",
            "selvedge_quad",
            "selvedge_quad",
            "subs {quads}, {quads}, #1",
            "bne 2b",
            "4:",
            ".purgem selvedge_quad",
            w = out(reg) _,
            even = out(reg) _,
            ones = in(reg) ONES,
            sum = inout(reg) sum,
            x = inout(reg) x.as_ptr() => _,
            to = inout(reg) to.as_mut_ptr() => _,
            quads = inout(reg) x.len() => _,
            odd = const ODD,
            step = const STEP,
            options(nostack),
        );
    }
    sum
}

/// Moves fours of words to where they end later, the last first.
///
/// # Safety
/// `fours` times 4 words before `from` and before `to`, which is not less, belong to one slice.
unsafe fn up(from: *const u32, to: *mut u32, fours: usize) {
    if fours == 0 {
        return;
    }
    // SAFETY: the caller's claim; what is overwritten has been read.
    unsafe {
        asm!(
            "2:",
            "ldmdb {from}!, {{r2, r3, r4, r5}}",
            "subs {fours}, {fours}, #1",
            "stmdb {to}!, {{r2, r3, r4, r5}}",
            "bne 2b",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            fours = inout(reg) fours => _,
            out("r2") _,
            out("r3") _,
            out("r4") _,
            out("r5") _,
            options(nostack),
        );
    }
}

/// Zeros from quad `quad` on.
fn clear(to: &mut [u32], quad: usize, step: usize) {
    to.iter_mut().skip(quad * step).step_by(step / 2).for_each(|word| *word = 0);
}

/// Sums of pairs of four rows.
fn sum_tile(pairs: &[u32], sums: &mut [i32; MR]) {
    let quads = pairs.len() / MR / 2;
    if quads == 0 {
        return;
    }
    let [a, b, c, d] = sums;
    // SAFETY: reads `quads` times 8 words of `pairs`.
    unsafe {
        asm!(
            "2:",
            "ldmia {x}!, {{r2, r3, r4, r5}}",
            "smlad {a}, r2, {ones}, {a}",
            "smlad {b}, r3, {ones}, {b}",
            "smlad {c}, r4, {ones}, {c}",
            "smlad {d}, r5, {ones}, {d}",
            "ldmia {x}!, {{r2, r3, r4, r5}}",
            "smlad {a}, r2, {ones}, {a}",
            "smlad {b}, r3, {ones}, {b}",
            "smlad {c}, r4, {ones}, {c}",
            "smlad {d}, r5, {ones}, {d}",
            "subs {quads}, {quads}, #1",
            "bne 2b",
            x = inout(reg) pairs.as_ptr() => _,
            quads = inout(reg) quads => _,
            ones = in(reg) ONES,
            a = inout(reg) *a,
            b = inout(reg) *b,
            c = inout(reg) *c,
            d = inout(reg) *d,
            out("r2") _,
            out("r3") _,
            out("r4") _,
            out("r5") _,
            options(nostack, readonly),
        );
    }
}

/// The sum of pairs of one row.
fn sum_row(pairs: &[u32]) -> i32 {
    let quads = pairs.len() / 2;
    let mut sum = 0;
    if quads == 0 {
        return sum;
    }
    // SAFETY: reads `quads` times 2 words of `pairs`.
    unsafe {
        asm!(
            "2:",
            "ldrd r2, r3, [{x}], #8",
            "smlad {sum}, r2, {ones}, {sum}",
            "smlad {sum}, r3, {ones}, {sum}",
            "subs {quads}, {quads}, #1",
            "bne 2b",
            x = inout(reg) pairs.as_ptr() => _,
            quads = inout(reg) quads => _,
            ones = in(reg) ONES,
            sum = inout(reg) sum,
            out("r2") _,
            out("r3") _,
            options(nostack, readonly),
        );
    }
    sum
}
