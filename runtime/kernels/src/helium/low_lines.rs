//! Rows of a tile in scratch, arranged for gathers of codes.
//!
//! A gather fetches four words of a channel, a block of [`Layout::block`] k: 32 of W4, 64 of W2 and, by
//! the words of low bits, of W3.
//! Field f of word l are the k 4·(l·fields + f) and the three behind. A block of a tile is
//! `[rows][fields][4 words][4 bytes]`; before the blocks of a k group lies a number for each row.

use core::arch::asm;

use crate::args::LowBit;
use crate::code::{Code, Width};
use crate::pack_low::groups_of;

/// Where the words of 16 k of a row go in a block.
#[repr(C, align(16))]
struct Offsets([u32; 4]);

/// Of blocks of two fields, and of four.
static PAIRS: Offsets = Offsets([0, 16, 4, 20]);
static QUADS: Offsets = Offsets([0, 16, 32, 48]);

/// k of a channel's word; of codes of 3 bits those of a word of low bits.
pub const fn word_k<C: Code>() -> usize {
    match C::WIDTH {
        Width::W4 => 8,
        Width::W3 | Width::W2 | Width::T2 => 16,
    }
}

/// How the rows of a layer lie.
#[derive(Clone, Copy)]
pub struct Layout {
    pub k: usize,
    /// k of a group.
    pub group: usize,
    pub groups: usize,
    /// k, which are bytes, of a block of a row, and those of a group and of the last one, whole
    /// blocks.
    block: usize,
    padded: usize,
    last: usize,
    /// What the sum of a group's x is multiplied with.
    factor: i32,
}

impl Layout {
    #[inline(always)]
    pub fn new<C: Code>(w: &LowBit<'_>) -> Self {
        let group = if w.group == 0 { w.k } else { w.group };
        let factor = if w.offsets.is_empty() { -i32::from(w.zero) } else { -1 };
        let block = 4 * word_k::<C>();
        let padded = group.min(w.k).next_multiple_of(block);
        let groups = groups_of(w.k, w.group);
        let last = w.k.saturating_sub(group * groups.saturating_sub(1)).next_multiple_of(block);
        Self { k: w.k, group, groups, block, padded, last, factor }
    }

    /// Bytes of a group of `rows` rows, which the last one may not need.
    #[inline(always)]
    pub fn group_bytes(&self, rows: usize) -> usize {
        rows * (4 + self.padded)
    }

    /// Bytes of `rows` rows.
    #[inline(always)]
    pub fn bytes(&self, rows: usize) -> usize {
        self.groups.saturating_sub(1) * self.group_bytes(rows) + rows * (4 + self.last)
    }

    /// Bytes of group `group` of `rows` rows.
    #[inline(always)]
    pub fn bytes_of(&self, group: usize, rows: usize) -> usize {
        rows * (4 + if group + 1 < self.groups { self.padded } else { self.last })
    }

    /// k of a group.
    pub fn len(&self, group: usize) -> usize {
        self.group.min(self.k - group * self.group)
    }

    /// Arranges row `row` of `rows` in `lines`, which is as long as [`Layout::bytes`].
    #[inline(never)]
    pub fn row(&self, x: &[i8], lines: &mut [u8], rows: usize, row: usize) {
        let group_bytes = self.group_bytes(rows).max(1);
        for (x, lines) in x.chunks(self.group.max(1)).zip(lines.chunks_mut(group_bytes)) {
            let Some((numbers, blocks)) = lines.split_at_mut_checked(4 * rows) else { return };
            let Some(number) = numbers.as_chunks_mut().0.get_mut(row) else { return };
            let first = blocks.as_mut_ptr().wrapping_add(row * self.block);
            let padded = if blocks.len() < rows * self.padded { self.last } else { self.padded };
            if blocks.len() < rows * padded {
                return;
            }
            // SAFETY: the row's part of each of the group's blocks lies in `blocks`.
            let sum = unsafe { arrange(x, first, self.block, rows, padded) };
            *number = sum.wrapping_mul(self.factor).to_le_bytes();
        }
    }
}

/// Arranges x, behind it zeros, up to `padded` k > 0; their sum.
///
/// # Safety
/// At `to`, a multiple of 4, and at each `rows` times `block` bytes behind it, as many as there are
/// blocks in `padded`, lie `block` bytes, 32 or 64; `x` has no more than `padded` elements.
#[inline(never)]
unsafe fn arrange(x: &[i8], to: *mut u8, block: usize, rows: usize, padded: usize) -> i32 {
    let (offsets, step, vectors) = if block == 32 { (&PAIRS, 8, 2) } else { (&QUADS, 4, 4) };
    let mut sum = 0;
    // SAFETY: loads are predicated to the elements there are; stores write 16 bytes a vector, all
    // of them within the blocks.
    unsafe {
        asm!(
            "vldrw.u32 q1, [{offsets}]",
            "3:",
            "cmp {n}, {block}",
            "blt 5f",
            "dls lr, {vectors}",
            "4:",
            "vldrb.u8 q0, [{x}], #16",
            "vaddva.s8 r4, q0",
            "vstrw.32 q0, [{to}, q1]",
            "add {to}, {to}, {step}",
            "le lr, 4b",
            "sub {n}, {n}, {block}",
            "b 6f",
            // A block that x ends in, or behind.
            "5:",
            "mov lr, {vectors}",
            "2:",
            "vctp.8 {n}",
            "vpst",
            "vldrbt.u8 q0, [{x}], #16",
            "vaddva.s8 r4, q0",
            "vstrw.32 q0, [{to}, q1]",
            "add {to}, {to}, {step}",
            "subs {n}, {n}, #16",
            "it lt",
            "movlt {n}, #0",
            "subs lr, lr, #1",
            "bne 2b",
            "6:",
            "add {to}, {to}, {jump}",
            "subs {padded}, {padded}, {block}",
            "bgt 3b",
            offsets = in(reg) offsets,
            block = in(reg) block,
            out("lr") _,
            vectors = in(reg) vectors,
            n = inout(reg) x.len() => _,
            x = inout(reg) x.as_ptr() => _,
            inout("r4") sum,
            to = inout(reg) to => _,
            step = in(reg) step,
            jump = in(reg) rows * block - vectors * step,
            padded = inout(reg) padded => _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _,
            options(nostack),
        );
    }
    sum
}
