//! Rows of a tile in scratch, arranged for gathers of codes.
//!
//! A gather fetches four words of a channel, a block of [`Layout::block`] k: 32 of W4, 64 of W2.
//! Field f of word l are the k 4·(l·fields + f) and the three behind. A block of a tile is
//! `[rows][fields][4 words][4 bytes]`; before the blocks of a k group lies a number for each row.

use core::arch::asm;

use crate::args::LowBit;
use crate::code::Width;
use crate::pack_low::groups_of;

/// Where the words of 16 k of a row go in a block.
#[repr(C, align(16))]
struct Offsets([u32; 4]);

/// How the rows of a layer lie.
#[derive(Clone, Copy)]
pub struct Layout {
    pub k: usize,
    /// k of a group.
    pub group: usize,
    pub groups: usize,
    /// k, which are bytes, of a block of a row.
    pub block: usize,
    /// What the sum of a group's x is multiplied with.
    factor: i32,
}

impl Layout {
    pub fn new(w: &LowBit<'_>, width: Width) -> Self {
        let group = if w.group == 0 { w.k } else { w.group };
        let factor = if w.offsets.is_empty() { -i32::from(w.zero) } else { -1 };
        Self { k: w.k, group, groups: groups_of(w.k, w.group), block: 4 * width.block(), factor }
    }

    /// Bytes of a group of `rows` rows.
    pub fn group_bytes(&self, rows: usize) -> usize {
        rows * (4 + self.group.min(self.k).next_multiple_of(self.block))
    }

    /// Bytes of `rows` rows.
    pub fn bytes(&self, rows: usize) -> usize {
        self.groups * self.group_bytes(rows)
    }

    /// k of a group.
    pub fn len(&self, group: usize) -> usize {
        self.group.min(self.k - group * self.group)
    }

    /// Arranges row `row` of `rows` in `lines`, which is as long as [`Layout::bytes`].
    pub fn row(&self, x: &[i8], lines: &mut [u8], rows: usize, row: usize) {
        let group_bytes = self.group_bytes(rows).max(1);
        for (x, lines) in x.chunks(self.group.max(1)).zip(lines.chunks_exact_mut(group_bytes)) {
            let Some((numbers, blocks)) = lines.split_at_mut_checked(4 * rows) else { return };
            let mut sum = 0;
            for (x, block) in x.chunks(self.block).zip(blocks.chunks_exact_mut(rows * self.block)) {
                let Some(to) = block.get_mut(row * self.block..(row + 1) * self.block) else { return };
                // SAFETY: `to` has `block` bytes, what `arrange` writes of a width.
                sum = unsafe { arrange(x, to, sum) };
            }
            if let Some(number) = numbers.as_chunks_mut().0.get_mut(row) {
                *number = sum.wrapping_mul(self.factor).to_le_bytes();
            }
        }
    }
}

/// Arranges up to a block of x, the rest zeros; adds their sum to `sum`.
///
/// # Safety
/// `to`, at a multiple of 4, has 32 or 64 bytes, `x` no more.
#[inline(never)]
unsafe fn arrange(x: &[i8], to: &mut [u8], mut sum: i32) -> i32 {
    let vectors = to.len() / 16;
    let (offsets, step) = if vectors == 2 { (Offsets([0, 16, 4, 20]), 8) } else { (Offsets([0, 16, 32, 48]), 4) };
    // SAFETY: loads are predicated to the elements there are; stores write 16 bytes a vector, all
    // within the block.
    unsafe {
        asm!(
            "vldrw.u32 q1, [{offsets}]",
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
            "subs {vectors}, {vectors}, #1",
            "bne 2b",
            offsets = in(reg) &offsets,
            n = inout(reg) x.len() => _,
            x = inout(reg) x.as_ptr() => _,
            inout("r4") sum,
            to = inout(reg) to.as_mut_ptr() => _,
            step = in(reg) step,
            vectors = inout(reg) vectors => _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _,
            options(nostack),
        );
    }
    sum
}
