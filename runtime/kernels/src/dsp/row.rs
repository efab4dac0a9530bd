//! Inner loop of W8 panels: one row times the channels of a group, and the epilogue.

use super::asm::Task;

/// Macros of the epilogues, which [`row_purge`] takes back.
macro_rules! row_macros {
    () => {
        concat!(
            // r3 shifts, lr rounding
            ".macro selvedge_requantize sum, multiplier, ror\n",
            "uxtb r2, r3, ror #\\ror\n",
            "sub r2, r2, #2\n",
            "lsl r1, lr, r2\n",
            "add r2, r2, #1\n",
            "smmla \\sum, \\sum, \\multiplier, r1\n",
            "asr \\sum, \\sum, r2\n",
            ".endm\n",
            // r3 zero point, r8 and r9 the clamp
            ".macro selvedge_clamp y\n",
            "add \\y, \\y, r3\n",
            "cmp \\y, r8\n",
            "it lt\n",
            "movlt \\y, r8\n",
            "cmp \\y, r9\n",
            "it gt\n",
            "movgt \\y, r9\n",
            ".endm\n",
        )
    };
}

/// From the sums r4-r7 of four channels, r0 behind the weights of their last quad, to the channels
/// that follow, label 3, the next panel, label 2, or the end; r12 the task.
macro_rules! row_epilogue_four {
    () => {
        concat!(
            "ldrd r2, r3, [r12, #8]\n",
            "mls r0, r2, r3, r0\n",
            "add r0, r0, #16\n",
            "ldr r2, [r12, #24]\n",
            "ldr r3, [r12, #44]\n",
            "ldr lr, [r12, #40]\n",
            "cmp r3, #3\n",
            "beq 11f\n",
            "cmp r3, #0\n",
            "it ne\n",
            "movne lr, #1\n",
            "ldrd r8, r9, [r12, #16]\n",
            "ldr r3, [r9, r2]\n",
            "add r8, r8, r2, lsl #2\n",
            "ldmia r8, {{r8-r11}}\n",
            "selvedge_requantize r4, r8, 0\n",
            "selvedge_requantize r5, r9, 8\n",
            "selvedge_requantize r6, r10, 16\n",
            "selvedge_requantize r7, r11, 24\n",
            "ldr r3, [r12, #44]\n",
            "ldr r1, [r12, #48]\n",
            "ldr r2, [r12, #24]\n",
            "cmp r3, #0\n",
            "bne 12f\n",
            "ssat r4, #8, r4\n",
            "ssat r5, #8, r5\n",
            "ssat r6, #8, r6\n",
            "ssat r7, #8, r7\n",
            "13:\n",
            "add r1, r1, r2\n",
            "strb r4, [r1]\n",
            "strb r5, [r1, #1]\n",
            "strb r6, [r1, #2]\n",
            "strb r7, [r1, #3]\n",
            "adds r2, r2, #4\n",
            "7:\n",
            "ldr r8, [r12, #80]\n",
            "str r2, [r12, #24]\n",
            "cmp r2, r8\n",
            "bne 3b\n",
            "ldr r3, [r12, #32]\n",
            "ldr r4, [r12, #8]\n",
            "sub r0, r0, #32\n",
            "add r0, r0, r4, lsl #5\n",
            "cmp r2, r3\n",
            "bne 2b\n",
            "pop {{r0, r4-r12, pc}}\n",
        )
    };
}

/// As [`row_epilogue_four`], which goes before, from the sum r4 of one channel.
macro_rules! row_epilogue_one {
    () => {
        concat!(
            "ldrd r2, r3, [r12, #8]\n",
            "mls r0, r2, r3, r0\n",
            "add r0, r0, #4\n",
            "ldr r6, [r12, #24]\n",
            "ldr r7, [r12, #48]\n",
            "ldr r3, [r12, #44]\n",
            "ldr lr, [r12, #40]\n",
            "cmp r3, #3\n",
            "beq 10f\n",
            "cmp r3, #0\n",
            "it ne\n",
            "movne lr, #1\n",
            "ldrd r8, r9, [r12, #16]\n",
            "ldrb r3, [r9, r6]\n",
            "ldr r8, [r8, r6, lsl #2]\n",
            "selvedge_requantize r4, r8, 0\n",
            "ldr r3, [r12, #84]\n",
            "ldrd r8, r9, [r12, #56]\n",
            "ldr r2, [r12, #44]\n",
            "cmp r2, #0\n",
            "it eq\n",
            "moveq r3, #0\n",
            "selvedge_clamp r4\n",
            "strb r4, [r7, r6]\n",
            "adds r2, r6, #1\n",
            "b 7b\n",
            "10:\n",
            "str r4, [r7, r6, lsl #2]\n",
            "adds r2, r6, #1\n",
            "b 7b\n",
            "11:\n",
            "ldr r8, [r12, #48]\n",
            "add r8, r8, r2, lsl #2\n",
            "stmia r8, {{r4-r7}}\n",
            "adds r2, r2, #4\n",
            "b 7b\n",
            "12:\n",
            "ldr r3, [r12, #84]\n",
            "ldrd r8, r9, [r12, #56]\n",
            "selvedge_clamp r4\n",
            "selvedge_clamp r5\n",
            "selvedge_clamp r6\n",
            "selvedge_clamp r7\n",
            "b 13b\n",
        )
    };
}

macro_rules! row_purge {
    () => {
        ".purgem selvedge_clamp\n.purgem selvedge_requantize"
    };
}

pub(super) use {row_epilogue_four, row_epilogue_one, row_macros, row_purge};

/// One row; four channels at a time where the weights are aligned to words, else one. Exact.
///
/// # Safety
/// As [`super::asm::tile`], with one row and one sum a channel, and `quads` times 2 words from `x` on.
#[unsafe(naked)]
pub unsafe extern "C" fn row(task: *mut Task) {
    dsp_asm!(
        // r0 weights, r1 x, r2 quads left, r3 stride, r4-r7 sums, r8-r9 x, r10-r11 weights,
        // r12 the task.
        ".macro selvedge_macs first, second",
        "sxtb16 lr, r10",
        "sxtb16 r10, r10, ror #8",
        "smlad \\first, r8, lr, \\first",
        "smlad \\first, r9, r10, \\first",
        "sxtb16 lr, r11",
        "sxtb16 r11, r11, ror #8",
        "smlad \\second, r8, lr, \\second",
        "smlad \\second, r9, r11, \\second",
        ".endm",
        ".macro selvedge_quad",
        "ldrd r8, r9, [r1], #8",
        "ldrd r10, r11, [r0]",
        "selvedge_macs r4, r5",
        "ldrd r10, r11, [r0, #8]",
        "add r0, r0, r3",
        "selvedge_macs r6, r7",
        ".endm",
        row_macros!(),
        "push {{r0, r4-r12, lr}}",
        "mov r12, r0",
        "ldr r0, [r12]",
        "ldr r2, [r12, #24]",
        // A panel: 8 channels, or what is left.
        "2:",
        "ldr r3, [r12, #32]",
        "subs r3, r3, r2",
        "cmp r3, #8",
        "it hi",
        "movhi r3, #8",
        "adds r4, r2, r3",
        "str r4, [r12, #80]",
        "lsls r3, r3, #2",
        "str r3, [r12, #12]",
        // The channel r2 and those behind it.
        "3:",
        "ldr r3, [r12, #80]",
        "ldr r8, [r12, #36]",
        "subs r3, r3, r2",
        "ldr r1, [r12, #4]",
        "add r8, r8, r2, lsl #2",
        "cmp r3, #4",
        "blt 8f",
        "tst r0, #3",
        "bne 8f",
        "ldmia r8, {{r4-r7}}",
        "ldrd r2, r3, [r12, #8]",
        "lsrs r2, r2, #1",
        "bcc 4f",
        "selvedge_quad",
        "cmp r2, #0",
        "4:",
        "beq 6f",
        "5:",
        "selvedge_quad",
        "selvedge_quad",
        "subs r2, r2, #1",
        "bne 5b",
        "6:",
        row_epilogue_four!(),
        // One channel.
        "8:",
        "ldr r4, [r8]",
        "ldrd r2, r3, [r12, #8]",
        "9:",
        "ldrd r8, r9, [r1], #8",
        "ldr r10, [r0]",
        "add r0, r0, r3",
        "sxtb16 lr, r10",
        "sxtb16 r10, r10, ror #8",
        "smlad r4, r8, lr, r4",
        "smlad r4, r9, r10, r4",
        "subs r2, r2, #1",
        "bne 9b",
        row_epilogue_one!(),
        ".purgem selvedge_macs",
        ".purgem selvedge_quad",
        row_purge!(),
    )
}
