//! The loops of [`super::tile_i8`]: panels of 8 channels, a narrow panel, panels with a short k.
//!
//! A loop that needs more operands than there are registers keeps the first fields of
//! [`Args`] on the stack, and behind them, 56 bytes up, the constants of a residual.

use core::arch::asm;

use super::dot::vectors;
use super::tile_i8::Args;

/// Puts the constants of a residual on the stack.
macro_rules! push_residual {
    () => {
        "add r1, r0, #112\nldm r1, {{r2, r3, r4, r5, r6, r8}}\npush {{r2, r3, r4, r5, r6, r8}}"
    };
}

/// Puts the first 14 fields on the stack.
macro_rules! push_args {
    () => {
        "add r1, r0, #28
        ldm r1, {{r2, r3, r4, r5, r6, r8, r9}}
        push {{r2, r3, r4, r5, r6, r8, r9}}
        ldm r0, {{r2, r3, r4, r5, r6, r8, r9}}
        push {{r2, r3, r4, r5, r6, r8, r9}}
        add r0, r0, #56"
    };
}

/// Adds what the output, `$pixels` from `$out` on, holds to the four values `$y`. The constants
/// lie on the stack from `$m1`, `$c` and `$lo` on; `$t`, `$a`, `$b` are overwritten.
macro_rules! add_residual {
    ($y:literal, $out:literal, $pixels:literal, [$m1:literal, $c:literal, $lo:literal], $t:literal, [$a:literal, $b:literal]) => {
        concat!(
            concat!("ldrd ", $a, ", ", $b, ", [sp, #", $m1, "]\n"),
            concat!("vldrb.s32 ", $t, ", [", $out, ", ", $pixels, "]\n"),
            concat!("vmul.i32 ", $y, ", ", $y, ", ", $a, "\n"),
            concat!("vmla.i32 ", $y, ", ", $t, ", ", $b, "\n"),
            concat!("ldrd ", $a, ", ", $b, ", [sp, #", $c, "]\n"),
            concat!("vadd.i32 ", $y, ", ", $y, ", ", $a, "\n"),
            concat!("vshl.s32 ", $y, ", ", $b, "\n"),
            concat!("ldrd ", $a, ", ", $b, ", [sp, #", $lo, "]\n"),
            concat!("vdup.32 ", $t, ", ", $a, "\n"),
            concat!("vmax.s32 ", $y, ", ", $y, ", ", $t, "\n"),
            concat!("vdup.32 ", $t, ", ", $b, "\n"),
            concat!("vmin.s32 ", $y, ", ", $y, ", ", $t),
        )
    };
}

pub(super) use add_residual;

/// An asm block that uses every register but r6, r7 (which it gives back) and r13.
macro_rules! whole {
    ($args:ident: $($asm:tt)*) => {
        vectors!(
            "push {{r6, r7}}",
            $($asm)*
            "pop {{r6, r7}}",
            inout("r0") $args => _,
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
        )
    };
}

/// Panels of 8 channels, two at a time, 16 k at a time. q0: addresses of a panel's first words
/// less those of its biases; q5: offsets of the pixels; q6, q7: clamp.
macro_rules! full {
    ($name:ident, [$push:expr, $pop:literal], $first:expr, $second:expr) => {
        /// # Safety
        /// As `Panels::tile`, for the panels of `args`; `k` > 16.
        #[inline(never)]
        pub unsafe fn $name(args: &Args) {
            // SAFETY: gather loads read words of channels that hold k below `k`, the loads of
            // rows their first `k` bytes: whole vectors, then a predicated one; the arrays have
            // an entry a channel; a byte is stored for each pixel and channel.
            unsafe {
                whole!(args:
                    $push,
                    push_args!(),
                    "ldm r0, {{r1, r2, r3, r11}}",
                    "vdup.32 q6, r1",
                    "vdup.32 q7, r2",
                    "vldrw.u32 q0, [r0, #24]",
                    "vldrw.u32 q5, [r0, #40]",
                    "sub r3, r3, r11",
                    "vadd.i32 q0, q0, r3",
                    "2:",
                    "vadd.i32 q1, q0, r11",
                    "ldrd r0, r8, [r11], #8",
                    "ldrd r1, r3, [sp]",
                    "ldrd r5, r9, [sp, #8]",
                    "ldr r7, [sp, #16]",
                    "mov r2, r0",
                    "mov r4, r0",
                    "mov r6, r0",
                    "mov r10, r8",
                    "mov r12, r8",
                    "mov lr, r8",
                    "3:",
                    "vldrw.u32 q2, [q1, #128]!",
                    "vldrb.u8 q4, [r1], #16",
                    "vmladava.s8 r0, q2, q4",
                    "vldrw.u32 q3, [q1, #4]",
                    "vmladava.s8 r8, q3, q4",
                    "vldrb.u8 q4, [r3], #16",
                    "vmladava.s8 r2, q2, q4",
                    "vmladava.s8 r10, q3, q4",
                    "vldrb.u8 q4, [r5], #16",
                    "vmladava.s8 r4, q2, q4",
                    "vmladava.s8 r12, q3, q4",
                    "vldrb.u8 q4, [r9], #16",
                    "vmladava.s8 r6, q2, q4",
                    "vmladava.s8 lr, q3, q4",
                    "subs r7, r7, #1",
                    "bne 3b",
                    "ldr r7, [sp, #20]",
                    "cbz r7, 4f",
                    "vctp.8 r7",
                    "vpstttt",
                    "vldrwt.u32 q2, [q1, #128]!",
                    "vldrbt.u8 q4, [r1]",
                    "vmladavat.s8 r0, q2, q4",
                    "vldrwt.u32 q3, [q1, #4]",
                    "vpstttt",
                    "vmladavat.s8 r8, q3, q4",
                    "vldrbt.u8 q4, [r3]",
                    "vmladavat.s8 r2, q2, q4",
                    "vmladavat.s8 r10, q3, q4",
                    "vpstttt",
                    "vldrbt.u8 q4, [r5]",
                    "vmladavat.s8 r4, q2, q4",
                    "vmladavat.s8 r12, q3, q4",
                    "vldrbt.u8 q4, [r9]",
                    "vpstt",
                    "vmladavat.s8 r6, q2, q4",
                    "vmladavat.s8 lr, q3, q4",
                    "4:",
                    "vmov q2[2], q2[0], r0, r4",
                    "vmov q2[3], q2[1], r2, r6",
                    "ldrd r1, r3, [sp, #24]",
                    "vmov q3[2], q3[0], r8, r12",
                    "vmov q3[3], q3[1], r10, lr",
                    "ldrd r0, r2, [r1], #8",
                    "ldrsb r4, [r3], #1",
                    "vqdmulh.s32 q2, q2, r0",
                    "ldrsb r5, [r3], #1",
                    "vqdmulh.s32 q3, q3, r2",
                    "strd r1, r3, [sp, #24]",
                    "rsb r4, r4, #0",
                    "vrshl.s32 q2, r4",
                    "rsb r5, r5, #0",
                    "vrshl.s32 q3, r5",
                    "ldr r9, [sp, #40]",
                    "vadd.i32 q2, q2, r9",
                    "ldrd r7, r8, [sp, #32]",
                    "vadd.i32 q3, q3, r9",
                    "vmax.s32 q2, q2, q6",
                    "vmax.s32 q3, q3, q6",
                    "vmin.s32 q2, q2, q7",
                    "vmin.s32 q3, q3, q7",
                    $first,
                    "vstrb.32 q2, [r7, q5]",
                    "add r7, r7, #1",
                    $second,
                    "vstrb.32 q3, [r7, q5]",
                    "add r7, r7, #1",
                    "str r7, [sp, #32]",
                    "cmp r7, r8",
                    "bne 2b",
                    "ldrd r1, r2, [sp, #44]",
                    "add r8, r8, #8",
                    "vadd.i32 q0, q0, r1",
                    "str r8, [sp, #36]",
                    "cmp r7, r2",
                    "bne 2b",
                    concat!("add sp, sp, #", $pop),
                );
            }
        }
    };
}

full!(full_panels, ["", "56"], "", "");
full!(
    full_panels_add,
    [push_residual!(), "80"],
    add_residual!("q2", "r7", "q5", ["56", "64", "72"], "q4", ["r0", "r2"]),
    add_residual!("q3", "r7", "q5", ["56", "64", "72"], "q4", ["r0", "r2"])
);

/// A panel of fewer channels, one at a time. As above; q4: from one 16 k to the next.
macro_rules! narrow {
    ($name:ident, [$push:expr, $pop:literal], $add:expr) => {
        /// # Safety
        /// As `Panels::tile`, for the panel of `args`; `k` > 16.
        #[inline(never)]
        pub unsafe fn $name(args: &Args) {
            // SAFETY: gather loads read words of channels that hold k below `k`, the loads of
            // rows their first `k` bytes, both by tail predication; the arrays have an entry a
            // channel; a byte is stored for each pixel and channel.
            unsafe {
                whole!(args:
                    $push,
                    push_args!(),
                    "ldm r0, {{r1, r2, r3, r7, r10}}",
                    "ldr r4, [r0, #20]",
                    "vdup.32 q6, r1",
                    "vdup.32 q7, r2",
                    "vdup.32 q4, r4",
                    "vldrw.u32 q0, [r0, #24]",
                    "vldrw.u32 q5, [r0, #40]",
                    "ldrd r11, r6, [sp, #24]",
                    "ldr r12, [sp, #32]",
                    "sub r3, r3, r7",
                    "vadd.i32 q0, q0, r3",
                    "2:",
                    "vadd.i32 q1, q0, r7",
                    "ldrd r1, r3, [sp]",
                    "ldr r0, [r7], #4",
                    "ldrd r5, r9, [sp, #8]",
                    "mov r2, r0",
                    "mov r4, r0",
                    "mov r8, r0",
                    "dlstp.8 lr, r10",
                    "3:",
                    "vldrw.u32 q2, [q1]",
                    "vadd.i32 q1, q1, q4",
                    "vldrb.u8 q3, [r1], #16",
                    "vmladava.s8 r0, q2, q3",
                    "vldrb.u8 q3, [r3], #16",
                    "vmladava.s8 r2, q2, q3",
                    "vldrb.u8 q3, [r5], #16",
                    "vmladava.s8 r4, q2, q3",
                    "vldrb.u8 q3, [r9], #16",
                    "vmladava.s8 r8, q2, q3",
                    "letp lr, 3b",
                    "vmov q2[2], q2[0], r0, r4",
                    "ldr r1, [r11], #4",
                    "vmov q2[3], q2[1], r2, r8",
                    "ldrsb r2, [r6], #1",
                    "vqdmulh.s32 q2, q2, r1",
                    "rsb r2, r2, #0",
                    "vrshl.s32 q2, r2",
                    "ldrd r0, r4, [sp, #36]",
                    "vadd.i32 q2, q2, r4",
                    "vmax.s32 q2, q2, q6",
                    "vmin.s32 q2, q2, q7",
                    $add,
                    "vstrb.32 q2, [r12, q5]",
                    "add r12, r12, #1",
                    "cmp r12, r0",
                    "bne 2b",
                    concat!("add sp, sp, #", $pop),
                );
            }
        }
    };
}

narrow!(narrow_panel, ["", "56"], "");
narrow!(
    narrow_panel_add,
    [push_residual!(), "80"],
    add_residual!("q2", "r12", "q5", ["56", "64", "72"], "q3", ["r1", "r3"])
);

/// Panels of up to 16 k; the rows stay in registers. q0: addresses of the channel before; q2:
/// offsets of the pixels. The stack holds the step of panels and the end of all outputs.
macro_rules! short {
    ($name:ident, [$push:expr, $pop:literal], $add:expr) => {
        /// # Safety
        /// As `Panels::tile`, for the panels of `args`; `k` ≤ 16.
        #[inline(never)]
        pub unsafe fn $name(args: &Args) {
            // SAFETY: gather loads read words of channels that hold k below `k`, the loads of
            // rows are predicated to `k` bytes; the arrays have an entry a channel; a byte is
            // stored for each pixel and channel.
            unsafe {
                whole!(args:
                    $push,
                    "ldr r5, [r0, #72]",
                    "ldm r0, {{r1, r2, r3, r4}}",
                    "vctp.8 r5",
                    "vpstttt",
                    "vldrbt.u8 q4, [r1]",
                    "vldrbt.u8 q5, [r2]",
                    "vldrbt.u8 q6, [r3]",
                    "vldrbt.u8 q7, [r4]",
                    "ldrd r11, r6, [r0, #24]",
                    "ldr r12, [r0, #32]",
                    "ldr r5, [r0, #40]",
                    "ldrd r2, r4, [r0, #44]",
                    "push {{r2, r4}}",
                    "ldr r9, [r0, #52]",
                    "ldrd r1, r3, [r0, #56]",
                    "ldrd r2, r7, [r0, #64]",
                    "vldrw.u32 q0, [r0, #80]",
                    "vldrw.u32 q2, [r0, #96]",
                    "vadd.i32 q0, q0, r2",
                    "2:",
                    "dls lr, r9",
                    "3:",
                    "vldrw.u32 q1, [q0, #4]!",
                    "vmladav.s8 r0, q1, q4",
                    "vmladav.s8 r2, q1, q5",
                    "vmladav.s8 r4, q1, q6",
                    "vmladav.s8 r8, q1, q7",
                    "ldr r10, [r7], #4",
                    "vmov q1[2], q1[0], r0, r4",
                    "vmov q1[3], q1[1], r2, r8",
                    "ldr r0, [r11], #4",
                    "vadd.i32 q1, q1, r10",
                    "ldrsb r2, [r6], #1",
                    "vqdmulh.s32 q1, q1, r0",
                    "rsb r2, r2, #0",
                    "vrshl.s32 q1, r2",
                    "vdup.32 q3, r1",
                    "vadd.i32 q1, q1, r5",
                    "vmax.s32 q1, q1, q3",
                    "vdup.32 q3, r3",
                    "vmin.s32 q1, q1, q3",
                    $add,
                    "vstrb.32 q1, [r12, q2]",
                    "add r12, r12, #1",
                    "le lr, 3b",
                    "ldrd r0, r2, [sp]",
                    "vadd.i32 q0, q0, r0",
                    "cmp r12, r2",
                    "bne 2b",
                    concat!("add sp, sp, #", $pop),
                );
            }
        }
    };
}

short!(short_panels, ["", "8"], "");
short!(
    short_panels_add,
    [push_residual!(), "32"],
    add_residual!("q1", "r12", "q2", ["8", "16", "24"], "q3", ["r0", "r2"])
);
