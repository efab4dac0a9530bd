//! Inner loop of panels of codes of 4 and 2 bits: one row times the channels of a group.

use super::low_tile::{Task, low_group, low_panel, low_rewind};
use super::row::{row_epilogue_four, row_epilogue_one, row_macros, row_purge};

/// The codes of four channels at bit `$s` times a pair of x.
macro_rules! four {
    (0) => { four!(@ "") };
    ($s:literal) => { four!(@ concat!(", lsr #", $s)) };
    (@ $shift:expr) => {
        concat!(
            "ldr r12, [r1], #4\n",
            "and lr, r3, r8", $shift, "\n",
            "smlad r4, r12, lr, r4\n",
            "and lr, r3, r9", $shift, "\n",
            "smlad r5, r12, lr, r5\n",
            "and lr, r3, r10", $shift, "\n",
            "smlad r6, r12, lr, r6\n",
            "and lr, r3, r11", $shift, "\n",
            "smlad r7, r12, lr, r7\n",
        )
    };
}

/// The codes of one channel at bit `$s` and at bit 8 + `$s` times two pairs of x.
macro_rules! one {
    (0 8) => { one!(@ "", ", lsr #8") };
    ($s:literal $t:literal) => { one!(@ concat!(", lsr #", $s), concat!(", lsr #", $t)) };
    (@ $even:expr, $odd:expr) => {
        concat!(
            "ldrd r8, r9, [r1], #8\n",
            "and lr, r11, r10", $even, "\n",
            "smlad r4, r8, lr, r4\n",
            "and lr, r11, r10", $odd, "\n",
            "smlad r4, r9, lr, r4\n",
        )
    };
}

macro_rules! row {
    ($(#[$doc:meta])* $name:ident, [$($s:tt $t:tt,)*]) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// As [`super::low_tile::tile_w4`], with one row, and one sum a channel.
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name(task: *mut Task) {
            dsp_asm!(
                // r0 weights, r1 x, r2 words less one and the stride, r3 the mask, r4-r7 sums,
                // r8-r11 codes; between the loops r12 the task.
                row_macros!(),
                "push {{r0, r4-r12, lr}}",
                "mov r12, r0",
                "ldr r0, [r12]",
                "ldr r2, [r12, #24]",
                "2:",
                low_panel!(),
                "lsls r3, r3, #2",
                "str r3, [r12, #12]",
                // The channel r2 and those behind it.
                "3:",
                "ldr r3, [r12, #80]",
                "ldr r8, [r12, #36]",
                "subs r3, r3, r2",
                "ldr r1, [r12, #4]",
                "add r8, r8, r2, lsl #2",
                "ldr r9, [r12, #136]",
                "cmp r3, #4",
                "blt 8f",
                "tst r0, #3",
                "bne 8f",
                "ldmia r8, {{r4-r7}}",
                "ldrd r2, r3, [r12, #8]",
                "cmp r9, #0",
                "bne 40f",
                "ldr r9, [r1], #4",
                "add r4, r4, r9",
                "add r5, r5, r9",
                "add r6, r6, r9",
                "add r7, r7, r9",
                // A group: r2 its words, r3 the stride.
                "41:",
                "sub r2, r2, #1",
                "orr r2, r3, r2, lsl #16",
                "ldr r3, [r12, #88]",
                "5:",
                "ldmia r0, {{r8-r11}}",
                "uxtah r0, r0, r2",
                $(four!($s), four!($t),)*
                "subs r2, r2, #0x10000",
                "bhs 5b",
                "ldr r12, [sp]",
                "ldr r9, [r12, #136]",
                "cmp r9, #0",
                "bne 42f",
                "43:",
                row_epilogue_four!(),
                // The groups of four channels: r2 words, r4-r7 biases.
                "40:",
                "orr r8, r3, r9, lsl #8",
                "cmp r8, #0x320",
                "beq 33f",
                "str r2, [r12, #112]",
                "add r3, r12, #120",
                "stmia r3, {{r4-r7}}",
                "44:",
                "ldr r4, [r1], #4",
                "ldr r8, [r12, #136]",
                "cmp r8, #2",
                "beq 45f",
                "46:",
                "mov r5, r4",
                "mov r6, r4",
                "mov r7, r4",
                low_group!(),
                "ldr r3, [r12, #12]",
                "b 41b",
                "45:",
                "ldr r2, [r12, #96]",
                "add r3, r12, #120",
                "ldmia r3, {{r8-r11}}",
                "ldrsh r5, [r2]",
                "mla r8, r4, r5, r8",
                "ldrsh r5, [r2, #2]",
                "mla r9, r4, r5, r9",
                "ldrsh r5, [r2, #4]",
                "mla r10, r4, r5, r10",
                "ldrsh r5, [r2, #6]",
                "mla r11, r4, r5, r11",
                "stmia r3, {{r8-r11}}",
                "ldr r3, [r12, #100]",
                "add r2, r2, r3, lsl #1",
                "str r2, [r12, #96]",
                "mov r4, #0",
                "b 46b",
                // Behind a group.
                "42:",
                "ldr r2, [r12, #92]",
                "ldr r3, [r12, #100]",
                "ldr lr, [r2]",
                "add r2, r2, r3",
                "str r2, [r12, #92]",
                "add r3, r12, #120",
                "ldmia r3, {{r8-r11}}",
                "uxtb r2, lr",
                "mla r4, r4, r2, r8",
                "uxtb r2, lr, ror #8",
                "mla r5, r5, r2, r9",
                "uxtb r2, lr, ror #16",
                "mla r6, r6, r2, r10",
                "lsr r2, lr, #24",
                "mla r7, r7, r2, r11",
                "ldr r2, [r12, #112]",
                "cmp r2, #0",
                "ble 47f",
                "stmia r3, {{r4-r7}}",
                "b 44b",
                "47:",
                low_rewind!(4),
                "b 43b",
                // One channel: r5 the sum of groups.
                "8:",
                "ldr r4, [r8]",
                "ldrd r2, r3, [r12, #8]",
                "ldr r11, [r12, #88]",
                "cmp r9, #0",
                "bne 50f",
                "ldr r9, [r1], #4",
                "add r4, r4, r9",
                "9:",
                "ldr r10, [r0]",
                "add r0, r0, r3",
                $(one!($s $t),)*
                "subs r2, r2, #1",
                "bne 9b",
                "ldr r9, [r12, #136]",
                "cmp r9, #0",
                "bne 52f",
                "53:",
                row_epilogue_one!(),
                "50:",
                "str r2, [r12, #112]",
                "mov r5, r4",
                "54:",
                "ldr r4, [r1], #4",
                "ldr r8, [r12, #136]",
                "cmp r8, #2",
                "bne 56f",
                "ldr r2, [r12, #96]",
                "ldrsh r3, [r2]",
                "mla r5, r4, r3, r5",
                "mov r4, #0",
                "ldr r3, [r12, #100]",
                "add r2, r2, r3, lsl #1",
                "str r2, [r12, #96]",
                "56:",
                low_group!(),
                "ldr r3, [r12, #12]",
                "b 9b",
                "52:",
                "ldr r2, [r12, #92]",
                "ldr r3, [r12, #100]",
                "ldrb lr, [r2]",
                "add r2, r2, r3",
                "str r2, [r12, #92]",
                "mla r5, r4, lr, r5",
                "ldr r2, [r12, #112]",
                "cmp r2, #0",
                "bgt 54b",
                "mov r4, r5",
                low_rewind!(1),
                "b 53b",
                // A full panel of spans, as in the loop of four rows.
                "33:",
                "sub sp, sp, #32",
                "stmia sp, {{r4-r7}}",
                "ldr r8, [r12, #92]",
                "ldrd r10, r11, [r12, #172]",
                "add r9, r8, #4",
                "ldr r2, [r12, #168]",
                "str r9, [r12, #92]",
                "str r8, [sp, #16]",
                "strd r10, r11, [sp, #20]",
                "ldr r3, [r12, #88]",
                "34:",
                "ldr r4, [r1], #4",
                "mov r5, r4",
                "mov r6, r4",
                "mov r7, r4",
                "35:",
                "ldmia r0, {{r8-r11}}",
                "add r0, r0, #32",
                $(four!($s), four!($t),)*
                "subs r2, r2, #0x10000",
                "bhs 35b",
                "ldr r12, [sp, #16]",
                "ldr lr, [r12], #8",
                "str r12, [sp, #16]",
                "ldmia sp, {{r8-r11}}",
                "uxtb r12, lr",
                "mla r4, r4, r12, r8",
                "uxtb r12, lr, ror #8",
                "ldr r8, [sp, #20]",
                "mla r5, r5, r12, r9",
                "uxtb r12, lr, ror #16",
                "mla r6, r6, r12, r10",
                "lsr r12, lr, #24",
                "mla r7, r7, r12, r11",
                "add r2, r2, r8",
                "lsls r8, r2, #16",
                "stmia sp, {{r4-r7}}",
                "bne 34b",
                "ldr r2, [sp, #24]",
                "str r8, [sp, #24]",
                "cmp r2, #0",
                "bne 34b",
                "add sp, sp, #32",
                "ldr r12, [sp]",
                "b 43b",
                row_purge!(),
            )
        }
    };
}

row! {
    /// Codes of 4 bits; four channels at a time where they are aligned to words, else one. Exact.
    row_w4, [0 8, 4 12,]
}
row! {
    /// Codes of 2 bits, as [`row_w4`]. Exact.
    row_w2, [0 8, 2 10, 4 12, 6 14,]
}
