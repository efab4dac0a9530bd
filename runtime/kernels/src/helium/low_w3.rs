//! Codes of 3 bits: how a gather's worth of words becomes vectors of codes, and the inner products
//! of panels whose sums go to memory, as [`super::low_loops`].
//!
//! A gather fetches the low bits of two blocks of a channel, two words each, another one their
//! third bits, twice each, which a shift by lanes brings to the bottom. To part a field, its low
//! bits move to bits 5 and 6 of their bytes, VSLI puts the third bit above, and a shift down clears
//! the rest. Rows lie as for codes of 2 bits.

use core::arch::asm;

use super::dot::vectors;
use super::low_loops::{Args, field};

/// Shifts of the third bits of a gather: those of a block's second word lie 4 bits higher.
pub const LANES: [u32; 4] = [0, 0xfcfc_fcfc, 0, 0xfcfc_fcfc];

/// Fetches the third bits q4 and q5 of two channels: `$high` and `$lanes` are where the offsets from
/// low to third bits, and [`LANES`], lie behind `$args`; `$p` and `$t` predicate. Takes q6.
macro_rules! third_bits {
    ($args:literal, $high:literal, $lanes:literal, $p:literal, $t:literal) => {
        concat!(
            "vldrw.u32 q6, [",
            $args,
            ", #",
            $high,
            "]\n",
            "vadd.i32 q6, q6, q1\n",
            $p,
            "vldrw",
            $t,
            ".u32 q4, [q6]\n",
            "vldrw",
            $t,
            ".u32 q5, [q6, #4]\n",
            "vldrw.u32 q6, [",
            $args,
            ", #",
            $lanes,
            "]\n",
            "vshl.u8 q4, q4, q6\n",
            "vshl.u8 q5, q5, q6\n",
        )
    };
}

/// A field of the low bits `$low` and the third bits `$high`, which moves on, as codes `$to`.
macro_rules! part {
    (0, $to:literal, $low:literal, $high:literal) => {
        part!(@ "", "5", $to, $low, $high)
    };
    (1, $to:literal, $low:literal, $high:literal) => {
        part!(@ concat!("vshr.u8 ", $high, ", ", $high, ", #1\n"), "3", $to, $low, $high)
    };
    (2, $to:literal, $low:literal, $high:literal) => {
        part!(@ concat!("vshr.u8 ", $high, ", ", $high, ", #1\n"), "1", $to, $low, $high)
    };
    (3, $to:literal, $low:literal, $high:literal) => {
        concat!(
            "vshl.i8 ", $to, ", ", $high, ", #6\n",
            "vsri.8 ", $to, ", ", $low, ", #1\n",
            "vshr.u8 ", $to, ", ", $to, ", #5\n",
        )
    };
    (@ $next:expr, $shift:literal, $to:literal, $low:literal, $high:literal) => {
        concat!(
            $next,
            "vshl.i8 ", $to, ", ", $low, ", #", $shift, "\n",
            "vsli.8 ", $to, ", ", $high, ", #7\n",
            "vshr.u8 ", $to, ", ", $to, ", #5\n",
        )
    };
}

/// The low bits q2 and q3 and the third bits q4 and q5 of two channels times 64 values of four
/// rows; r1 goes on by 256. Takes q0 and q6.
macro_rules! threes {
    () => {
        concat!(
            part!(0, "q0", "q2", "q4"),
            part!(0, "q6", "q3", "q5"),
            field!("], #256", "q0", "q6", ["-192", "-128", "-64"]),
            part!(1, "q0", "q2", "q4"),
            part!(1, "q6", "q3", "q5"),
            field!(", #-240]", "q0", "q6", ["-176", "-112", "-48"]),
            part!(2, "q0", "q2", "q4"),
            part!(2, "q6", "q3", "q5"),
            field!(", #-224]", "q0", "q6", ["-160", "-96", "-32"]),
            part!(3, "q0", "q2", "q4"),
            part!(3, "q6", "q3", "q5"),
            field!(", #-208]", "q0", "q6", ["-144", "-80", "-16"]),
        )
    };
}

/// A channel's codes, its low bits at `$low` and its third bits at `$at` behind what offsets at
/// `$high` say, times q0, q4, q6 and q7, the values of one row. Takes q2, q3 and q5.
macro_rules! three {
    ($low:literal, $at:literal, $sum:literal, $args:literal, $high:literal, $lanes:literal) => {
        concat!(
            "vldrw.u32 q2, [q1",
            $low,
            "\n",
            "vldrw.u32 q5, [",
            $args,
            ", #",
            $high,
            "]\n",
            "vadd.i32 q5, q5, q1\n",
            "vldrw.u32 q3, [q5, #",
            $at,
            "]\n",
            "vldrw.u32 q5, [",
            $args,
            ", #",
            $lanes,
            "]\n",
            "vshl.u8 q3, q3, q5\n",
            part!(0, "q5", "q2", "q3"),
            "vmladava.s8 ",
            $sum,
            ", q5, q0\n",
            part!(1, "q5", "q2", "q3"),
            "vmladava.s8 ",
            $sum,
            ", q5, q4\n",
            part!(2, "q5", "q2", "q3"),
            "vmladava.s8 ",
            $sum,
            ", q5, q6\n",
            part!(3, "q5", "q2", "q3"),
            "vmladava.s8 ",
            $sum,
            ", q5, q7\n",
        )
    };
}

/// Pairs of channels of four rows.
///
/// # Safety
/// As [`super::low_loops::tile_w4`]; `words` are those of low bits, the lanes of `at` those of two
/// blocks, and `high` lies ahead of them what their third bits do.
#[inline(never)]
pub unsafe fn tile_w3(args: &Args) {
    // SAFETY: the caller's claims; the last words are gathered under a predicate. r6 and r7 are
    // given back as they were.
    unsafe {
        vectors!(
            "push {{r6, r7}}",
            // Of the channel reached: its offset, where its sums go; pairs left.
            "ldrd r2, r3, [r0, #16]",
            "mov r1, #0",
            "push {{r1, r2, r3}}",
            "mov r11, r0",
            "ldr r9, [r0, #24]",
            "ldr r7, [r0, #12]",
            "2:",
            "ldr r3, [sp]",
            "vldrw.u32 q1, [r11, #32]",
            "ldr r1, [r11]",
            "vadd.i32 q1, q1, r3",
            "sub r5, r1, #16",
            "ldm r5, {{r0, r2, r4, r6}}",
            "ldm r5, {{r8, r10, r12, lr}}",
            "ldrd r3, r5, [r7], #8",
            "add r0, r0, r3",
            "add r2, r2, r3",
            "add r4, r4, r3",
            "add r6, r6, r3",
            "add r8, r8, r5",
            "add r10, r10, r5",
            "add r12, r12, r5",
            "add lr, lr, r5",
            "ldrd r3, r5, [r11, #4]",
            "cmp r3, #0",
            "beq 4f",
            "3:",
            "vldrw.u32 q2, [q1]",
            "vldrw.u32 q3, [q1, #4]",
            third_bits!("r11", "48", "64", "", ""),
            "vadd.i32 q1, q1, r9",
            threes!(),
            "subs r3, r3, #1",
            "bne 3b",
            "4:",
            "cmp r5, #0",
            "beq 5f",
            "vctp.32 r5",
            "vpstt",
            "vldrwt.u32 q2, [q1]",
            "vldrwt.u32 q3, [q1, #4]",
            third_bits!("r11", "48", "64", "vpstt\n", "t"),
            threes!(),
            "5:",
            "ldr r3, [sp, #4]",
            "strd r0, r8, [r3], #8",
            "strd r2, r10, [r3, #24]",
            "strd r4, r12, [r3, #56]",
            "strd r6, lr, [r3, #88]",
            "ldr r1, [sp]",
            "ldr r2, [sp, #8]",
            "add r1, r1, #8",
            "strd r1, r3, [sp]",
            "subs r2, r2, #1",
            "str r2, [sp, #8]",
            "bne 2b",
            "add sp, sp, #12",
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

/// Four channels at a time of one row.
///
/// # Safety
/// As [`tile_w3`], of one row, and fours of channels.
#[inline(never)]
pub unsafe fn row_w3(args: &Args) {
    // SAFETY: the caller's claims; the loop is tail-predicated. r6 and r7 are given back as they
    // were.
    unsafe {
        vectors!(
            "push {{r6, r7}}",
            "mov r3, r0",
            "ldrd r7, r9, [r3, #12]",
            "ldrd r11, r12, [r3, #20]",
            "ldr r10, [r3, #28]",
            "mov r5, #0",
            "2:",
            "vldrw.u32 q1, [r3, #32]",
            "ldr r1, [r3]",
            "vadd.i32 q1, q1, r5",
            "ldrd r0, r2, [r7], #8",
            "ldrd r4, r6, [r7], #8",
            "ldr lr, [r1, #-4]",
            "add r0, r0, lr",
            "add r2, r2, lr",
            "add r4, r4, lr",
            "add r6, r6, lr",
            "dlstp.32 lr, r10",
            "3:",
            "vldrw.u32 q0, [r1], #16",
            "vldrw.u32 q4, [r1], #16",
            "vldrw.u32 q6, [r1], #16",
            "vldrw.u32 q7, [r1], #16",
            three!("]", "0", "r0", "r3", "48", "64"),
            three!(", #4]", "4", "r2", "r3", "48", "64"),
            three!(", #8]", "8", "r4", "r3", "48", "64"),
            three!(", #12]", "12", "r6", "r3", "48", "64"),
            "vadd.i32 q1, q1, r12",
            "letp lr, 3b",
            "strd r0, r2, [r9], #8",
            "strd r4, r6, [r9], #8",
            "add r5, r5, #16",
            "subs r11, r11, #1",
            "bne 2b",
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

pub(super) use {part, third_bits, three, threes};
