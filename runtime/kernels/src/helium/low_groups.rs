//! Full panels of codes with a scale for each group of k, whose outputs are int8: as
//! [`super::low_panels`]. The sums of a group become vectors, which its scales multiply; what the
//! groups behind have summed up lies in memory.

use core::arch::asm;

use super::dot::vectors;
use super::low_loops::{field, four, fours, two, twos};
use super::low_panels::{Args, load_plain, load_three, push, tail_plain, tail_three, tile_end};
use super::low_w3::{part, third_bits, three, threes};
use super::tile_loops::add_residual;

/// Panels of four rows, two channels at a time.
macro_rules! tile {
    (
        $name:ident,
        $mask:expr,
        [$load:expr, $tail:expr, $body:expr],
        [$push:expr, $pop:literal],
        $first:expr,
        $second:expr
    ) => {
        /// # Safety
        /// As [`super::low_panels::panels_w4`]; the groups are those of [`Args`], and there is a
        /// scale for each and each channel.
        #[inline(never)]
        pub unsafe fn $name(args: &mut Args) {
            // SAFETY: gathers read words of the panels, the last of them under a predicate; the
            // arrays have an entry a channel; a byte is stored for each row and channel. r6 and
            // r7 are given back as they were.
            unsafe {
                vectors!(
                    "push {{r6, r7}}",
                    $push,
                    // As in `low_panels`.
                    "mov r12, r0",
                    "push {{r12}}",
                    "add r1, r0, #20",
                    "ldm r1, {{r2, r3, r4, r5, r6}}",
                    "push {{r2, r3, r4, r5, r6}}",
                    "ldm r0, {{r2, r3, r4, r5, r6}}",
                    "push {{r2, r3, r4, r5, r6}}",
                    "ldr r11, [r0, #48]",
                    "vldrw.u32 q0, [r0, #64]",
                    "rsb r3, r11, #0",
                    "vadd.i32 q0, q0, r3",
                    "vstrw.32 q0, [r0, #128]",
                    "2:",
                    "ldr r3, [sp, #40]",
                    "vldrw.u32 q1, [r3, #128]",
                    "vadd.i32 q1, q1, r11",
                    "ldrd r0, r8, [r11], #8",
                    "vdup.32 q2, r0",
                    "vdup.32 q3, r8",
                    "ldr r5, [r3, #208]",
                    "vstrw.32 q2, [r3, #176]",
                    "vstrw.32 q3, [r3, #192]",
                    $mask,
                    "add r0, r5, #2",
                    "ldr r1, [sp]",
                    "str r0, [r3, #208]",
                    "ldrd r7, r9, [r3, #216]",
                    "cmp r7, #0",
                    "beq 8f",
                    // A group: r7 its gathers, r9 whole ones left, r5 scales.
                    "6:",
                    "ldm r1, {{r8, r10, r12, lr}}",
                    "ldm r1!, {{r0, r2, r4, r6}}",
                    "3:",
                    $load,
                    $body,
                    "subs r7, r7, #1",
                    "bne 3b",
                    "cmp r9, #0",
                    "bne 5f",
                    "4:",
                    "ldr r7, [r3, #228]",
                    "cmp r7, #0",
                    "beq 5f",
                    "vctp.32 r7",
                    $tail,
                    $body,
                    "5:",
                    "vmov q2[2], q2[0], r0, r4",
                    "ldrb r7, [r5, #1]",
                    "vmov q2[3], q2[1], r2, r6",
                    "vldrw.u32 q4, [r3, #176]",
                    "vmov q3[2], q3[0], r8, r12",
                    "vldrw.u32 q6, [r3, #192]",
                    "vmov q3[3], q3[1], r10, lr",
                    "ldrb r0, [r5], #8",
                    "vmla.i32 q6, q3, r7",
                    "ldr r7, [r3, #212]",
                    "vmla.i32 q4, q2, r0",
                    "vstrw.32 q6, [r3, #192]",
                    "subs r9, r9, #1",
                    "vstrw.32 q4, [r3, #176]",
                    "bgt 6b",
                    "blt 7f",
                    "ldrd r7, r0, [r3, #224]",
                    "cmp r7, #0",
                    "bne 6b",
                    "cmp r0, #0",
                    "beq 7f",
                    "8:",
                    "ldm r1, {{r8, r10, r12, lr}}",
                    "ldm r1!, {{r0, r2, r4, r6}}",
                    "b 4b",
                    "7:",
                    "vmov q2, q4",
                    "vmov q3, q6",
                    tile_end!(
                        "ldr r3, [sp, #40]
                        ldr r5, [r3, #232]
                        ldr r6, [r3, #208]
                        vldrw.u32 q0, [r3, #128]
                        add r6, r6, r5
                        str r6, [r3, #208]",
                        "vstrw.32 q0, [r3, #128]",
                        $first,
                        $second
                    ),
                    concat!("add sp, sp, #", $pop),
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

/// [`tile`] without and with a residual.
macro_rules! tiles {
    ($name:ident, $add:ident, $mask:expr, $loads:tt) => {
        tile!($name, $mask, $loads, ["", "44"], "", "");
        tile!(
            $add,
            $mask,
            $loads,
            [push!(), "68"],
            add_residual!("q2", "r7", "q5", ["44", "52", "60"], "q4", ["r0", "r2"]),
            add_residual!("q3", "r7", "q5", ["44", "52", "60"], "q4", ["r0", "r2"])
        );
    };
}

tiles!(groups_w4, groups_add_w4, "vmov.i8 q5, #15", [load_plain!(), tail_plain!(), fours!()]);
tiles!(groups_w2, groups_add_w2, "vmov.i8 q5, #3", [load_plain!(), tail_plain!(), twos!()]);
tiles!(groups_w3, groups_add_w3, "", [load_three!(), tail_three!(), threes!()]);

/// Panels of one row, four channels at a time.
macro_rules! row {
    ($name:ident, $mask:literal, $load:expr, [$a:expr, $b:expr, $c:expr, $d:expr]) => {
        /// # Safety
        /// As [`groups_w4`], with one row; no residual.
        #[inline(never)]
        pub unsafe fn $name(args: &mut Args) {
            // SAFETY: gathers read words of the panels, the loop is tail-predicated; arrays and
            // output have an entry a channel. r6 and r7 are given back as they were.
            unsafe {
                vectors!(
                    "push {{r6, r7}}",
                    "ldr r12, [r0]",
                    "ldrd r9, r5, [r0, #16]",
                    "ldr r3, [r0, #24]",
                    "ldr r7, [r0, #32]",
                    "ldr r11, [r0, #48]",
                    "mov r6, r0",
                    "vldrw.u32 q1, [r0, #64]",
                    "vstrw.32 q1, [r0, #96]",
                    concat!("vmov.i8 q5, #", $mask),
                    "2:",
                    "vldrw.u32 q1, [r6, #96]",
                    "mov r1, r12",
                    "ldm r11!, {{r0, r2, r4, r8}}",
                    "strd r0, r2, [r6, #176]",
                    "strd r4, r8, [r6, #184]",
                    "ldr r0, [r6, #208]",
                    "ldr r10, [r6, #236]",
                    "str r0, [r6, #192]",
                    "6:",
                    "ldr r0, [r1], #4",
                    "cmp r10, #1",
                    "ite eq",
                    "ldreq lr, [r6, #244]",
                    "ldrne lr, [r6, #240]",
                    "mov r2, r0",
                    "mov r4, r0",
                    "mov r8, r0",
                    "dlstp.32 lr, lr",
                    "3:",
                    $load,
                    $a,
                    $b,
                    $c,
                    $d,
                    "letp lr, 3b",
                    "vmov q2[2], q2[0], r0, r4",
                    "ldr r0, [r6, #192]",
                    "vmov q2[3], q2[1], r2, r8",
                    "vldrb.u32 q3, [r0], #8",
                    "vldrw.u32 q4, [r6, #176]",
                    "vmul.i32 q2, q2, q3",
                    "str r0, [r6, #192]",
                    "vadd.i32 q2, q2, q4",
                    "subs r10, r10, #1",
                    "vstrw.32 q2, [r6, #176]",
                    "bne 6b",
                    "vldrw.u32 q3, [r9], #16",
                    "vldrb.s32 q4, [r5], #4",
                    "vqdmulh.s32 q2, q2, q3",
                    "vneg.s32 q4, q4",
                    "ldrd r0, r1, [r6, #40]",
                    "vrshl.s32 q2, q2, q4",
                    "vdup.32 q6, r0",
                    "vadd.i32 q2, q2, r7",
                    "vdup.32 q7, r1",
                    "vmax.s32 q2, q2, q6",
                    "vldrw.u32 q1, [r6, #96]",
                    "vmin.s32 q2, q2, q7",
                    // To the second half, or the next panel.
                    "vstrb.32 q2, [r3], #4",
                    "ldr r1, [r6, #24]",
                    "mov r0, #16",
                    "ldr r2, [r6, #208]",
                    "sub r1, r3, r1",
                    "add r2, r2, #4",
                    "tst r1, #4",
                    "bne 4f",
                    "ldr r0, [r6, #12]",
                    "ldr r4, [r6, #232]",
                    "add r0, r0, #16",
                    "add r2, r2, r4",
                    "4:",
                    "vadd.i32 q1, q1, r0",
                    "str r2, [r6, #208]",
                    "ldr r2, [r6, #36]",
                    "vstrw.32 q1, [r6, #96]",
                    "cmp r3, r2",
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
    };
}

row!(
    group_rows_w4,
    "15",
    "vldrw.u32 q6, [r1], #16\nvldrw.u32 q7, [r1], #16",
    [four!(", #128]!", "r0"), four!(", #4]", "r2"), four!(", #8]", "r4"), four!(", #12]", "r8")]
);
row!(
    group_rows_w2,
    "3",
    "vldrw.u32 q0, [r1], #16\nvldrw.u32 q4, [r1], #16\nvldrw.u32 q6, [r1], #16\nvldrw.u32 q7, [r1], #16",
    [two!(", #128]!", "r0"), two!(", #4]", "r2"), two!(", #8]", "r4"), two!(", #12]", "r8")]
);
row!(
    group_rows_w3,
    "0",
    "vldrw.u32 q0, [r1], #16\nvldrw.u32 q4, [r1], #16\nvldrw.u32 q6, [r1], #16\nvldrw.u32 q7, [r1], #16",
    [
        three!(", #192]!", "0", "r0", "r6", "144", "160"),
        three!(", #4]", "4", "r2", "r6", "144", "160"),
        three!(", #8]", "8", "r4", "r6", "144", "160"),
        three!(", #12]", "12", "r8", "r6", "144", "160")
    ]
);
