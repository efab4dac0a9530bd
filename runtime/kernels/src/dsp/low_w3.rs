//! Inner loops of panels of codes of 3 bits: four rows, and one, times the channels of a group.
//!
//! A block of 32 k is three words of a channel: low two bits twice, then the third bits. Once the
//! third bits of fields 2, 3 and 4, 5 have changed places, an AND and an OR put four of each byte
//! pair above their low bits: fields 0 and 2 (4 and 6) at the bottom of nibbles, 1 and 3 (5 and 7)
//! two bits higher. `AND Rd, mask, W, ROR #s` then takes two codes as those of [`super::low_tile`] do.

use super::asm::{tile_epilogue, tile_macros, tile_purge};
use super::low_tile::{Task, low_panel};
use super::row::{row_epilogue_four, row_epilogue_one, row_macros, row_purge};

/// r2, third bits, in the order of fields 0, 1, 4, 5, 2, 3, 6, 7; takes r8.
macro_rules! third_bits {
    () => {
        "eor r8, r2, r2, lsr #2
        and r8, r8, #0x0c0c0c0c
        eor r2, r2, r8
        eor r2, r2, r8, lsl #2\n"
    };
}

/// r12 and `$odd`: even and odd fields of the low bits r9, 0 to 3 or 4 to 7; takes r8.
macro_rules! fields {
    (first $odd:literal) => {
        fields!(@ $odd, "0x11111111", "lsl #2", "0x22222222", "ror #29")
    };
    (second $odd:literal) => {
        fields!(@ $odd, "0x44444444", "lsl #0", "0x88888888", "ror #31")
    };
    (@ $odd:literal, $even_bits:literal, $even_shift:literal, $odd_bits:literal, $odd_shift:literal) => {
        concat!(
            "and r8, r2, #", $even_bits, "\n",
            "and r12, r9, #0x33333333\n",
            "orr r12, r12, r8, ", $even_shift, "\n",
            "and r8, r2, #", $odd_bits, "\n",
            "and ", $odd, ", r9, #0xcccccccc\n",
            "orr ", $odd, ", ", $odd, ", r8, ", $odd_shift, "\n",
        )
    };
}

/// The codes of `$word` at bit `$s` times a pair of x of four rows.
macro_rules! pairs {
    ($($word:literal $s:literal),*) => {
        concat!($(
            "and lr, r3, ", $word, ", ror #", $s, "\n",
            "ldmia r1!, {{r8-r11}}\n",
            "smlad r4, r8, lr, r4\n",
            "smlad r5, r9, lr, r5\n",
            "smlad r6, r10, lr, r6\n",
            "smlad r7, r11, lr, r7\n",
        )*)
    };
}

/// The four fields of r12 and r0.
macro_rules! tile_half {
    () => {
        concat!(
            "and lr, r3, r12\n",
            "ldmia r1!, {{r8-r11}}\n",
            "smlad r4, r8, lr, r4\n",
            "smlad r5, r9, lr, r5\n",
            "smlad r6, r10, lr, r6\n",
            "smlad r7, r11, lr, r7\n",
            pairs!("r12" "8", "r0" "2", "r0" "10", "r12" "4", "r12" "12", "r0" "6", "r0" "14")
        )
    };
}

/// Four rows; one channel after the other. Exact.
///
/// # Safety
/// That of [`super::low_tile::tile_w4`]; three words a block.
#[unsafe(naked)]
pub unsafe extern "C" fn tile_w3(task: *mut Task) {
    dsp_asm!(
        // r0 weights, r1 x, r2 third bits, r3 the mask, r4-r7 sums, r8-r11 x of four rows, r12
        // and r0 codes; between the loops r12 the task, r2 the channel. From sp on: sums of the
        // groups behind, 16 scales, 20 offsets, 24 channels of a panel where there are scales,
        // 28 the weights ahead, 32 where those of the group end, 36 the stride, 40 words ahead
        // of the channel, 48 the task.
        tile_macros!(),
        "push {{r0, r4-r12, lr}}",
        "mov r12, r0",
        "ldr r0, [r12]",
        "ldr r2, [r12, #24]",
        "2:",
        low_panel!(),
        "lsls r3, r3, #2",
        "ldr r5, [r12, #8]",
        "mul r5, r5, r3",
        "subs r5, r5, #4",
        "str r5, [r12, #28]",
        "str r3, [r12, #12]",
        // A channel.
        "3:",
        "ldr r8, [r12, #36]",
        "ldr r1, [r12, #4]",
        "ldr r8, [r8, r2, lsl #2]",
        "ldrd r2, r10, [r12, #8]",
        "ldr r9, [r12, #136]",
        "ldr r3, [r12, #88]",
        "ldmia r1!, {{r4-r7}}",
        "sub sp, sp, #48",
        "str r9, [sp, #24]",
        "cmp r9, #0",
        "bne 20f",
        "add r4, r4, r8",
        "add r5, r5, r8",
        "add r6, r6, r8",
        "add r7, r7, r8",
        // A group: r2 its words, r10 the stride.
        "21:",
        "mla r9, r2, r10, r0",
        "cmp r10, #32",
        "strd r9, r10, [sp, #32]",
        "bne 6f",
        "4:",
        "ldr r2, [r0, #64]",
        "ldr r9, [r0], #96",
        "str r0, [sp, #28]",
        third_bits!(),
        fields!(first "r0"),
        tile_half!(),
        "ldr r0, [sp, #28]",
        "ldr r9, [r0, #-64]",
        fields!(second "r0"),
        tile_half!(),
        "ldrd r0, r8, [sp, #28]",
        "cmp r0, r8",
        "bne 4b",
        "7:",
        "ldr r8, [sp, #24]",
        "cmp r8, #0",
        "bgt 22f",
        "bmi 32f",
        "23:",
        "add sp, sp, #48",
        "ldr r12, [sp]",
        "ldrd r2, r3, [r12, #24]",
        "sub r0, r0, r3",
        tile_epilogue!(),
        // A narrow panel.
        "6:",
        "ldr r8, [sp, #36]",
        "ldr r9, [r0]",
        "add r0, r0, r8",
        "ldr r2, [r0, r8]",
        "str r0, [sp, #28]",
        third_bits!(),
        fields!(first "r0"),
        tile_half!(),
        "ldr r0, [sp, #28]",
        "ldr r8, [sp, #36]",
        "ldr r9, [r0]",
        "add r0, r0, r8, lsl #1",
        "str r0, [sp, #28]",
        fields!(second "r0"),
        tile_half!(),
        "ldrd r0, r8, [sp, #28]",
        "cmp r0, r8",
        "bne 6b",
        "b 7b",
        // A channel with scales: r2 its words, r8 bias, r9 the kind of groups, r10 the stride.
        "20:",
        "orr r9, r10, r9, lsl #8",
        "cmp r9, #0x320",
        "beq 33f",
        "mov r9, r8",
        "mov r10, r8",
        "mov r11, r8",
        "stm sp, {{r8-r11}}",
        "ldrd r8, r9, [r12, #92]",
        "strd r8, r9, [sp, #16]",
        "add r8, r8, #1",
        "add r9, r9, #2",
        "strd r8, r9, [r12, #92]",
        "ldr r8, [r12, #100]",
        "str r8, [sp, #24]",
        "str r2, [sp, #40]",
        "24:",
        "ldr r8, [r12, #136]",
        "cmp r8, #2",
        "beq 25f",
        "26:",
        "ldr r2, [sp, #40]",
        "ldr r8, [r12, #108]",
        "subs r9, r2, r8",
        "ite hi",
        "movhi r2, r8",
        "movls r9, #0",
        "str r9, [sp, #40]",
        "ldr r10, [r12, #12]",
        "b 21b",
        "25:",
        "ldrd r8, lr, [sp, #20]",
        "ldrsh r2, [r8]",
        "add r8, r8, lr, lsl #1",
        "str r8, [sp, #20]",
        "ldm sp, {{r8-r11}}",
        "mla r8, r4, r2, r8",
        "mla r9, r5, r2, r9",
        "mla r10, r6, r2, r10",
        "mla r11, r7, r2, r11",
        "stm sp, {{r8-r11}}",
        "mov r4, #0",
        "mov r5, #0",
        "mov r6, #0",
        "mov r7, #0",
        "b 26b",
        // Behind a group.
        "22:",
        "ldr r12, [sp, #16]",
        "ldrb lr, [r12]",
        "add r12, r12, r8",
        "str r12, [sp, #16]",
        "ldm sp, {{r8-r11}}",
        "mla r4, r4, lr, r8",
        "mla r5, r5, lr, r9",
        "mla r6, r6, lr, r10",
        "mla r7, r7, lr, r11",
        "ldr r2, [sp, #40]",
        "cmp r2, #0",
        "beq 23b",
        "stm sp, {{r4-r7}}",
        "ldmia r1!, {{r4-r7}}",
        "ldr r12, [sp, #48]",
        "b 24b",
        // A full panel without offsets: at 20 bytes of a group, at 24 less than nothing, at 40
        // where the weights of the channel end.
        "33:",
        "mla r11, r2, r10, r0",
        "mov r9, r8",
        "str r11, [sp, #40]",
        "mov r10, r8",
        "mov r11, r8",
        "stm sp, {{r8-r11}}",
        "ldr r8, [r12, #92]",
        "ldr r10, [r12, #108]",
        "add r9, r8, #1",
        "lsl r10, r10, #5",
        "str r9, [r12, #92]",
        "mvn r11, #0",
        "strd r8, r10, [sp, #16]",
        "str r11, [sp, #24]",
        "34:",
        "ldr r11, [sp, #40]",
        "ldr r10, [sp, #20]",
        "add r9, r0, r10",
        "cmp r9, r11",
        "it hi",
        "movhi r9, r11",
        "str r9, [sp, #32]",
        "b 4b",
        "32:",
        "ldr r12, [sp, #16]",
        "ldrb lr, [r12], #8",
        "str r12, [sp, #16]",
        "ldm sp, {{r8-r11}}",
        "mla r4, r4, lr, r8",
        "mla r5, r5, lr, r9",
        "mla r6, r6, lr, r10",
        "mla r7, r7, lr, r11",
        "ldr r9, [sp, #40]",
        "cmp r0, r9",
        "beq 23b",
        "stm sp, {{r4-r7}}",
        "ldmia r1!, {{r4-r7}}",
        "b 34b",
        tile_purge!(),
    )
}

/// The four fields of r12 and r5 times the pairs of one row.
macro_rules! row_half {
    () => {
        "ldmia r1!, {{r8-r11}}
        and lr, r3, r12
        smlad r4, r8, lr, r4
        and lr, r3, r12, ror #8
        smlad r4, r9, lr, r4
        and lr, r3, r5, ror #2
        smlad r4, r10, lr, r4
        and lr, r3, r5, ror #10
        smlad r4, r11, lr, r4
        ldmia r1!, {{r8-r11}}
        and lr, r3, r12, ror #4
        smlad r4, r8, lr, r4
        and lr, r3, r12, ror #12
        smlad r4, r9, lr, r4
        and lr, r3, r5, ror #6
        smlad r4, r10, lr, r4
        and lr, r3, r5, ror #14
        smlad r4, r11, lr, r4\n"
    };
}

/// One row; one channel after the other, four to an epilogue. Exact.
///
/// # Safety
/// As [`tile_w3`], with one row, and one sum a channel.
#[unsafe(naked)]
pub unsafe extern "C" fn row_w3(task: *mut Task) {
    dsp_asm!(
        // r0 weights, r1 x, r2 third bits, r3 the mask, r4 the sum, r6 where the weights of the
        // group end, r7 the stride, r8-r11 x, r12 and r5 codes; between the loops r12 the task.
        row_macros!(),
        "push {{r0, r4-r12, lr}}",
        "mov r12, r0",
        "ldr r0, [r12]",
        "ldr r2, [r12, #24]",
        "2:",
        low_panel!(),
        "lsls r3, r3, #2",
        "str r3, [r12, #12]",
        // The channel r2 and those behind it: their biases become sums.
        "3:",
        "ldr r3, [r12, #80]",
        "ldr r8, [r12, #36]",
        "subs r3, r3, r2",
        "add r8, r8, r2, lsl #2",
        "add r5, r12, #144",
        "cmp r3, #4",
        "blt 8f",
        "ldmia r8, {{r8-r11}}",
        "stmia r5, {{r8-r11}}",
        "add r6, r5, #16",
        "b 60f",
        "8:",
        "ldr r8, [r8]",
        "str r8, [r5]",
        "add r6, r5, #4",
        "60:",
        "strd r5, r6, [r12, #160]",
        "61:",
        "ldr r1, [r12, #4]",
        "ldr r4, [r5]",
        "ldrd r2, r7, [r12, #8]",
        "ldr r9, [r12, #136]",
        "cmp r9, #0",
        "bne 50f",
        "ldr r9, [r1], #4",
        "add r4, r4, r9",
        // A group: r2 its words.
        "51:",
        "ldr r3, [r12, #88]",
        "mla r6, r2, r7, r0",
        "9:",
        "ldr r9, [r0]",
        "add r0, r0, r7",
        "ldr r2, [r0, r7]",
        third_bits!(),
        fields!(first "r5"),
        row_half!(),
        "ldr r9, [r0]",
        "add r0, r0, r7, lsl #1",
        fields!(second "r5"),
        row_half!(),
        "cmp r0, r6",
        "bne 9b",
        "ldr r12, [sp]",
        "ldr r9, [r12, #136]",
        "ldrd r5, r6, [r12, #160]",
        "cmp r9, #0",
        "bne 52f",
        "53:",
        "str r4, [r5], #4",
        "str r5, [r12, #160]",
        "cmp r5, r6",
        "beq 54f",
        "ldrd r2, r7, [r12, #8]",
        "mls r0, r2, r7, r0",
        "add r0, r0, #4",
        "b 61b",
        "54:",
        "sub r6, r6, r12",
        "cmp r6, #160",
        "bne 55f",
        "sub r0, r0, #12",
        "add r3, r12, #144",
        "ldmia r3, {{r4-r7}}",
        row_epilogue_four!(),
        "55:",
        row_epilogue_one!(),
        // A channel with scales: the sum of its groups lies where its bias lay.
        "50:",
        "str r2, [r12, #112]",
        "ldrd r8, r9, [r12, #92]",
        "strd r8, r9, [r12, #120]",
        "add r8, r8, #1",
        "add r9, r9, #2",
        "strd r8, r9, [r12, #92]",
        "57:",
        "ldr r4, [r1], #4",
        "ldr r9, [r12, #136]",
        "cmp r9, #2",
        "bne 56f",
        "ldr r3, [r12, #124]",
        "ldr r8, [r12, #100]",
        "ldr r10, [r5]",
        "ldrsh r9, [r3]",
        "add r3, r3, r8, lsl #1",
        "str r3, [r12, #124]",
        "mla r10, r4, r9, r10",
        "str r10, [r5]",
        "mov r4, #0",
        "56:",
        "ldrd r8, r9, [r12, #108]",
        "ldr r7, [r12, #12]",
        "mov r2, r8",
        "subs r9, r9, r8",
        "it lt",
        "addlt r2, r8, r9",
        "str r9, [r12, #112]",
        "b 51b",
        "52:",
        "ldr r3, [r12, #120]",
        "ldr r8, [r12, #100]",
        "ldr r10, [r5]",
        "ldrb r9, [r3]",
        "add r3, r3, r8",
        "str r3, [r12, #120]",
        "mla r4, r4, r9, r10",
        "ldr r2, [r12, #112]",
        "cmp r2, #0",
        "ble 53b",
        "str r4, [r5]",
        "b 57b",
        row_purge!(),
    )
}
