//! Depthwise windows of two output pixels: blocks of 8 channels, one tap after the other.
//!
//! A table holds the addresses of the cells under each tap of both pixels, those in the padding
//! at a block of padding; the others move on from block to block. Products of a tap are those of
//! the even and of the odd channels (VMULLB, VMULLT), added to a vector of sums each.

use core::arch::asm;

use super::dot::vectors;
use super::tile_i8::Int8;
use crate::pack::NR;

/// Taps a table holds.
pub const TAPS: usize = 32;

/// Addresses of the cells under each tap of the first and of the second pixel.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct Taps([[*const i8; 2]; TAPS]);

impl Taps {
    #[inline]
    pub fn new() -> Self {
        Self([[core::ptr::null(); 2]; TAPS])
    }

    /// The cells of tap `tap` < [`TAPS`] of pixel `i` ≤ 1.
    #[inline]
    pub fn set(&mut self, i: usize, tap: usize, cells: *const i8) {
        self.0[tap % TAPS][i % 2] = cells;
    }

    /// The first `count` taps of `offsets`, relative to the `bases` of both pixels.
    #[inline]
    pub fn place(&mut self, count: usize, offsets: &Self, bases: [*const i8; 2]) {
        let vectors = count.min(TAPS).div_ceil(2);
        // SAFETY: `vectors` times four addresses lie in either table.
        unsafe {
            asm!(
                "vmov q1[2], q1[0], {first}, {first}",
                "vmov q1[3], q1[1], {second}, {second}",
                "wls lr, {vectors}, 3f",
                "2:",
                "vldrw.u32 q0, [{from}], #16",
                "vadd.i32 q0, q0, q1",
                "vstrw.32 q0, [{to}], #16",
                "le lr, 2b",
                "3:",
                first = in(reg) bases[0],
                second = in(reg) bases[1],
                vectors = in(reg) vectors,
                from = inout(reg) offsets.0.as_ptr() => _,
                to = inout(reg) self.0.as_mut_ptr() => _,
                out("lr") _,
                out("d0") _, out("d1") _, out("d2") _, out("d3") _,
                options(nostack),
            );
        }
    }
}

/// What the loop over blocks is given, in the order it loads it.
#[repr(C)]
struct Args {
    w: *const i8,
    taps: *mut Taps,
    /// Pairs of taps.
    pairs: usize,
    /// Blocks, the narrow one included.
    blocks: usize,
    /// Whether a tap without a partner follows the pairs.
    odd: usize,
    bias: *const i32,
    multiplier: *const i32,
    shift: *const i8,
    out: *mut i8,
    /// From an output of the first pixel to that of the second.
    second: usize,
    zero_point: i32,
    lo: i32,
    hi: i32,
    /// The cells in the padding.
    pads: *const i8,
    /// Whether a narrow block follows the full ones.
    rest: usize,
    /// Channels of each block.
    live: usize,
    /// Bytes of a pair of taps.
    step: usize,
}

/// Per-channel constants of the narrow block, with room for 8 channels.
struct Narrow {
    bias: [i32; NR],
    multiplier: [i32; NR],
    shift: [i8; NR],
}

/// The blocks of a layer with int8 outputs: those of 8 channels, and the narrow one behind them.
pub struct Blocks {
    full: Args,
    rest: Args,
    narrow: Narrow,
    channels: usize,
}

impl Blocks {
    /// `channels` channels of `count` ≤ [`TAPS`] taps. `w` is `depthwise_w8_bytes(channels,
    /// count)` long, the arrays of `int8` have `channels` entries.
    pub fn new(int8: &Int8<'_>, w: &[i8], channels: usize, count: usize, pads: &[i8; NR]) -> Self {
        let q = int8.q;
        let args = |first: usize, live: usize, blocks: usize| Args {
            w: w.as_ptr().wrapping_add(first * count.next_multiple_of(2)),
            taps: core::ptr::null_mut(),
            pairs: count / 2,
            blocks,
            odd: count % 2,
            bias: int8.bias.as_ptr(),
            multiplier: q.multiplier.as_ptr(),
            shift: q.shift.as_ptr(),
            out: core::ptr::null_mut(),
            second: channels,
            zero_point: q.zero_point,
            lo: q.lo as i32,
            hi: q.hi as i32,
            pads: pads.as_ptr(),
            rest: (!channels.is_multiple_of(NR)) as usize,
            live,
            step: 2 * live,
        };
        let full = channels / NR * NR;
        let mut narrow = Narrow { bias: [0; NR], multiplier: [0; NR], shift: [1; NR] };
        narrow.bias.iter_mut().zip(int8.bias.iter().take(channels).skip(full)).for_each(|(to, &from)| *to = from);
        narrow
            .multiplier
            .iter_mut()
            .zip(q.multiplier.iter().take(channels).skip(full))
            .for_each(|(to, &from)| *to = from);
        narrow.shift.iter_mut().zip(q.shift.iter().take(channels).skip(full)).for_each(|(to, &from)| *to = from);
        Self { full: args(0, NR, channels.div_ceil(NR)), rest: args(full, channels - full, 1), narrow, channels }
    }

    /// Computes the outputs of two pixels at `out`, or of one, whose cells are both of the
    /// table's. The table moves on. Exact.
    ///
    /// # Safety
    /// What `new` was given lives and is as it says. At every cell of the table, the channels of
    /// all blocks can be read, or 8 in the padding that `new` was given; the channels of both pixels can
    /// be written at `out`, or of the one.
    #[inline]
    pub unsafe fn pair(&mut self, taps: &mut Taps, out: *mut i8, single: bool) {
        let taps: *mut Taps = taps;
        let second = if single { 0 } else { self.channels };
        if self.channels >= NR {
            (self.full.taps, self.full.out, self.full.second) = (taps, out, second);
            // SAFETY: the caller's claims.
            unsafe { full_blocks(&self.full) };
        }
        if self.rest.live > 0 {
            let first = self.channels / NR * NR;
            (self.rest.taps, self.rest.out, self.rest.second) = (taps, out.wrapping_add(first), second);
            self.rest.bias = self.narrow.bias.as_ptr();
            self.rest.multiplier = self.narrow.multiplier.as_ptr();
            self.rest.shift = self.narrow.shift.as_ptr();
            // SAFETY: the caller's claims; the constants have room for 8 channels.
            unsafe { narrow_block(&self.rest) };
        }
    }
}

/// One tap of both pixels: addresses from the table at r2, weights in `$w`, sums in q0 to q3.
macro_rules! tap {
    ($first:literal, $second:literal, $w:literal) => {
        concat!(
            "ldrd r0, r1, [r2], #8\n",
            $first,
            concat!("\nvmullb.s16 q7, q6, ", $w),
            concat!("\nvmullt.s16 q6, q6, ", $w),
            "\nvadd.i32 q0, q0, q7\nvadd.i32 q1, q1, q6\n",
            $second,
            concat!("\nvmullb.s16 q7, q6, ", $w),
            concat!("\nvmullt.s16 q6, q6, ", $w),
            "\nvadd.i32 q2, q2, q7\nvadd.i32 q3, q3, q6"
        )
    };
}

/// All taps: `$pairs` of them, a register, then one more if r7 says so. `$weights` loads two
/// taps of weights into q4 and moves r3 on.
macro_rules! all_taps {
    ($pairs:literal, [$($weights:literal),+], $first:literal, $second:literal) => {
        concat!(
            concat!("wls lr, ", $pairs, ", 4f\n"),
            "3:\n",
            $($weights, "\n",)+
            "vmovlt.s8 q5, q4\n",
            "vmovlb.s8 q4, q4\n",
            tap!($first, $second, "q4"),
            "\n",
            tap!($first, $second, "q5"),
            "\nle lr, 3b\n",
            "4:\n",
            "cbz r7, 5f\n",
            $($weights, "\n",)+
            "vmovlb.s8 q4, q4\n",
            tap!($first, $second, "q4"),
            "\n5:"
        )
    };
}

/// Blocks with their epilogues. The stack holds the zero point, the clamp, the cells in the
/// padding and whether a narrow block follows.
macro_rules! blocks {
    ($name:ident, [$($begin:literal),*], [$($weights:literal),+], $first:literal, $second:literal, [$($store:literal),+],
     [$($next:literal),*]) => {
        /// # Safety
        /// As [`Blocks::pair`], for the blocks of `args`.
        #[inline(never)]
        unsafe fn $name(args: &Args) {
            // SAFETY: the caller's claims; r6 and r7 are given back as they were.
            unsafe {
                vectors!(
                    "push {{r6, r7}}",
                    "add r1, r0, #40",
                    "ldm r1!, {{r2, r3, r4, r5, r6}}",
                    "push {{r2, r3, r4, r5, r6, r7}}",
                    "ldm r0, {{r3, r4, r5, r6, r7, r8, r9, r10, r11, r12}}",
                    $($begin,)*
                    "2:",
                    "vld20.32 {{q0, q1}}, [r8]",
                    "vld21.32 {{q0, q1}}, [r8]!",
                    "mov r2, r4",
                    "vmov q2, q0",
                    "vmov q3, q1",
                    all_taps!("r5", [$($weights),+], $first, $second),
                    "vld20.32 {{q4, q5}}, [r9]",
                    "vld21.32 {{q4, q5}}, [r9]!",
                    "mov r0, r10",
                    "vqdmulh.s32 q0, q0, q4",
                    "vqdmulh.s32 q2, q2, q4",
                    "vqdmulh.s32 q1, q1, q5",
                    "vqdmulh.s32 q3, q3, q5",
                    "vldrb.s16 q4, [r0]",
                    "vneg.s16 q4, q4",
                    "vmovlt.s16 q5, q4",
                    "vmovlb.s16 q4, q4",
                    "vrshl.s32 q0, q0, q4",
                    "vrshl.s32 q2, q2, q4",
                    "vrshl.s32 q1, q1, q5",
                    "vrshl.s32 q3, q3, q5",
                    "ldrd r0, r1, [sp]",
                    "ldr r2, [sp, #8]",
                    "vqmovnb.s32 q0, q0",
                    "vqmovnb.s32 q2, q2",
                    "vqmovnt.s32 q0, q1",
                    "vqmovnt.s32 q2, q3",
                    "vqadd.s16 q0, q0, r0",
                    "vqadd.s16 q2, q2, r0",
                    "vdup.16 q4, r1",
                    "vdup.16 q5, r2",
                    "vmax.s16 q0, q0, q4",
                    "vmax.s16 q2, q2, q4",
                    "vmin.s16 q0, q0, q5",
                    "vmin.s16 q2, q2, q5",
                    "mov r0, r11",
                    "add r1, r11, r12",
                    $($store,)+
                    $($next,)*
                    "add sp, sp, #24",
                    "pop {{r6, r7}}",
                    inout("r0") args => _,
                    out("r1") _,
                    out("r2") _,
                    out("r3") _,
                    out("r4") _,
                    out("r5") _,
                    out("r8") _,
                    out("r9") _,
                    out("r10") _,
                    out("r11") _,
                    out("r12") _,
                    out("lr") _,
                );
            }
        }
    };
}

blocks!(
    full_blocks,
    [],
    ["vldrb.u8 q4, [r3], #16"],
    "vldrb.s16 q6, [r0]",
    "vldrb.s16 q6, [r1]",
    ["vstrb.16 q0, [r0]", "vstrb.16 q2, [r1]"],
    [
        "add r10, r10, #8",
        "add r11, r11, #8",
        "subs r6, r6, #1",
        "beq 7f",
        "mov r2, r4",
        "add r0, r5, r7",
        "dls lr, r0",
        "ldr r0, [sp, #12]",
        "mov r1, #8",
        "6:",
        "vldrw.u32 q4, [r2]",
        "vpt.i32 ne, q4, r0",
        "vaddt.i32 q4, q4, r1",
        "vstrw.32 q4, [r2], #16",
        "le lr, 6b",
        "ldr r0, [sp, #16]",
        "cmp r6, r0",
        "bne 2b",
        "7:"
    ]
);

blocks!(
    narrow_block,
    ["ldm r1, {{r1, r6}}", "vctp.16 r1"],
    ["vldrb.u8 q4, [r3]", "add r3, r3, r6"],
    "vpst\nvldrbt.s16 q6, [r0]",
    "vpst\nvldrbt.s16 q6, [r1]",
    ["vpstt", "vstrbt.16 q0, [r0]", "vstrbt.16 q2, [r1]"],
    []
);

/// Adds `count` ≤ [`TAPS`] taps of a block of `live` channels to the sums of a pair, from byte
/// `begin` of its weights on. Exact; sums wrap.
///
/// # Safety
/// At every cell of the table, `live` ≤ 8 channels can be read; 16 bytes of `block` at each pair
/// of taps.
#[inline(never)]
pub unsafe fn sums(taps: &Taps, count: usize, block: &[i8], begin: usize, live: usize, sums: &mut [[i32; NR]; 2]) {
    let args = [
        taps as *const Taps as usize,
        block.as_ptr() as usize + begin,
        2 * live,
        live,
        count % 2,
        sums.as_mut_ptr() as usize,
        count / 2,
    ];
    // SAFETY: the caller's claims; loads of cells are predicated to the live channels. r6 and
    // r7 are given back as they were.
    unsafe {
        vectors!(
            "push {{r6, r7}}",
            "ldm r0, {{r2, r3, r4, r6, r7, r8, r12}}",
            "vctp.16 r6",
            "vld20.32 {{q0, q1}}, [r8]",
            "vld21.32 {{q0, q1}}, [r8]!",
            "vld20.32 {{q2, q3}}, [r8]",
            "vld21.32 {{q2, q3}}, [r8]",
            all_taps!("r12", ["vldrb.u8 q4, [r3]", "add r3, r3, r4"], "vpst\nvldrbt.s16 q6, [r0]", "vpst\nvldrbt.s16 q6, [r1]"),
            "vst20.32 {{q2, q3}}, [r8]",
            "vst21.32 {{q2, q3}}, [r8]",
            "sub r8, r8, #32",
            "vst20.32 {{q0, q1}}, [r8]",
            "vst21.32 {{q0, q1}}, [r8]",
            "pop {{r6, r7}}",
            inout("r0") args.as_ptr() => _,
            out("r1") _,
            out("r2") _,
            out("r3") _,
            out("r4") _,
            out("r8") _,
            out("r12") _,
            out("lr") _,
        );
    }
}
