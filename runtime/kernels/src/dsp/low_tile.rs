//! Inner loop of panels of codes of 4 and 2 bits: four rows times the channels of a group.
//!
//! `AND Rd, mask, W, LSR #s` takes two codes of a word at once, as a pair of i16 that goes with a
//! pair of activations in the order of [`super::asm::Task`]: rows lie as those of W8 do.

use super::asm::{self, tile_epilogue, tile_macros, tile_purge};

/// What an inner loop works on. Before the x of each k group lies a number for each row: with
/// [`Groups::Offset`] less the sum of its x, else `zero` times that.
#[repr(C)]
pub struct Task {
    /// `quads` counts the words of a channel, `w` points to codes.
    pub layer: asm::Task,
    /// 0x000f000f, 0x00070007 or 0x00030003: what the loops take at a time.
    pub mask: u32,
    /// Those of the channel and group reached; the loops keep both.
    pub scales: *const u8,
    pub offsets: *const i16,
    /// Channels of the panel, and that times the groups; the loops keep both.
    pub live: usize,
    pub span: usize,
    /// Words of a k group.
    pub words: usize,
    /// Words ahead in the channel, less than none behind a short last group; the loops keep it.
    pub left: isize,
    pub groups: usize,
    /// Sums of the groups behind; the loops keep them.
    pub totals: [i32; 4],
    pub kind: Groups,
    /// From the scales of a panel, as the loops leave them, to those of the next; the loops keep it.
    pub skip: usize,
    /// Sums of up to four channels, the one in work, and where they end; [`super::low_w3::row_w3`]
    /// keeps them.
    pub sums: [i32; 4],
    pub reached: [usize; 2],
    /// With [`Groups::Spans`] how far the loops go.
    pub steps: Steps,
}

/// Turns of the inner loop, less one and times 2^16.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Steps {
    /// Those of the first group, and the number of groups as long as it.
    first: u32,
    /// From the end of a group to the next: its turns once more, and a group less.
    next: u32,
    /// As `first`, of a shorter last group; 0: there is none.
    last: u32,
}

impl Steps {
    /// Of a channel of `k`, `group` to a group, `turn` to a turn.
    #[inline(always)]
    pub fn new(k: usize, group: usize, turn: usize) -> Self {
        let turns = |k: usize| (k + turn.saturating_sub(1)).checked_div(turn).unwrap_or(0);
        let (turns, group) = (turns(k), turns(group));
        let step = |turns: usize, groups: usize| ((turns as u32).wrapping_sub(1) << 16) | (groups as u32 & 0xffff);
        let (whole, rest) = (turns / group.max(1), turns % group.max(1));
        let last = if rest > 0 { step(rest, 1) } else { 0 };
        let (first, last) = if whole > 0 { (step(group, whole), last) } else { (last, 0) };
        Self { first, next: ((group as u32) << 16).wrapping_sub(1), last }
    }
}

/// What the sums of a k group are multiplied with.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Groups {
    /// One group, as it is.
    Whole = 0,
    Scaled = 1,
    /// A scale, and an offset times the sum of x.
    Offset = 2,
    /// As `Scaled`; the channel ends with a whole span.
    Spans = 3,
    /// As `Scaled`, one group; for [`tile_w4`] and [`tile_w2`] alone.
    Single = 4,
}

/// What a panel begins with: r2 the channel reached, r3 becomes its channels.
macro_rules! low_panel {
    () => {
        concat!(
            "ldr r3, [r12, #32]\n",
            "subs r3, r3, r2\n",
            "cmp r3, #8\n",
            "it hi\n",
            "movhi r3, #8\n",
            "adds r4, r2, r3\n",
            "str r4, [r12, #80]\n",
            "ldr r7, [r12, #136]\n",
            "cmp r7, #0\n",
            "beq 30f\n",
            "ldr r4, [r12, #116]\n",
            "mul r4, r4, r3\n",
            "str r3, [r12, #100]\n",
            "str r4, [r12, #104]\n",
            "ldrd r8, r9, [r12, #92]\n",
            "ldr r7, [r12, #140]\n",
            "subs r4, r4, r3\n",
            "str r4, [r12, #140]\n",
            "add r8, r8, r7\n",
            "add r9, r9, r7, lsl #1\n",
            "strd r8, r9, [r12, #92]\n",
            "30:\n",
        )
    };
}

/// r2: words of the k group that begins; the words left are counted down, past zero at the last.
macro_rules! low_group {
    () => {
        concat!(
            "ldrd r8, r9, [r12, #108]\n",
            "mov r2, r8\n",
            "subs r9, r9, r8\n",
            "it lt\n",
            "addlt r2, r8, r9\n",
            "str r9, [r12, #112]\n",
        )
    };
}

/// Takes scales and offsets back from behind the last group, and on to the channel `$step` later.
macro_rules! low_rewind {
    ($step:literal) => {
        concat!(
            "ldrd r2, r3, [r12, #92]\n",
            "ldr lr, [r12, #104]\n",
            "sub lr, lr, #",
            $step,
            "\n",
            "sub r2, r2, lr\n",
            "ldr r8, [r12, #136]\n",
            "cmp r8, #2\n",
            "it eq\n",
            "subeq r3, r3, lr, lsl #1\n",
            "strd r2, r3, [r12, #92]\n",
        )
    };
}

/// The codes of the word `$w` at bit `$s` times a pair of x of four rows.
macro_rules! pairs {
    (0) => { pairs!(@ "and lr, r3, r12\n") };
    ($s:literal) => { pairs!(@ concat!("and lr, r3, r12, lsr #", $s, "\n")) };
    (@ $codes:expr) => {
        concat!(
            $codes,
            "ldmia r1!, {{r8-r11}}\n",
            "smlad r4, r8, lr, r4\n",
            "smlad r5, r9, lr, r5\n",
            "smlad r6, r10, lr, r6\n",
            "smlad r7, r11, lr, r7\n",
        )
    };
}

macro_rules! tile {
    ($(#[$doc:meta])* $name:ident, $unroll:literal, [$($s:tt)*]) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// For every channel of the task, `w` holds `quads` > 0 words of codes, the arrays an
        /// element, shifts as the mode says, scales and offsets one for each group where there are
        /// any, and `out` an element in each of four rows, or four sums. `x` holds 4 numbers a
        /// group, and a group's words times 4 rows times a word for each pair. `channel` is below
        /// `channels`; `quads` is below 2^15.
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name(task: *mut Task) {
            dsp_asm!(
                // r0 weights, r1 x, r2 words left, r3 the mask, r4-r7 sums, r8-r11 x of four rows,
                // r12 codes; between the loops r12 the task, r2 the channel.
                ".macro selvedge_macs",
                $(pairs!($s),)*
                ".endm",
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
                // Above the stride: whether there are scales.
                "ldr r7, [r12, #136]",
                "orr r3, r3, r7, lsl #8",
                "str r3, [r12, #12]",
                // A channel.
                "3:",
                "ldr r8, [r12, #36]",
                "ldr r1, [r12, #4]",
                "ldr r8, [r8, r2, lsl #2]",
                "ldrd r2, r3, [r12, #8]",
                "ldmia r1!, {{r4-r7}}",
                "cmp r3, #32",
                "bne 20f",
                "add r4, r4, r8",
                "add r5, r5, r8",
                "add r6, r6, r8",
                "add r7, r7, r8",
                // A group: r2 its words.
                "21:",
                "ldr r3, [r12, #88]",
                concat!("subs r2, r2, #", $unroll),
                "blt 5f",
                "4:",
                concat!(".rept ", $unroll),
                "ldr r12, [r0], #32",
                "selvedge_macs",
                ".endr",
                concat!("subs r2, r2, #", $unroll),
                "bge 4b",
                "5:",
                concat!("adds r2, r2, #", $unroll),
                "beq 7f",
                "12:",
                "ldr r12, [r0], #32",
                "selvedge_macs",
                "subs r2, r2, #1",
                "bne 12b",
                "b 7f",
                // A narrow panel: words less one, and the stride r3, in one register.
                "6:",
                "sub r2, r2, #1",
                "orr r2, r3, r2, lsl #16",
                "ldr r3, [r12, #88]",
                "13:",
                "ldr r12, [r0]",
                "uxtah r0, r0, r2",
                "selvedge_macs",
                "subs r2, r2, #0x10000",
                "bhs 13b",
                "7:",
                "ldr r12, [sp]",
                "ldr r9, [r12, #136]",
                "cmp r9, #0",
                "bne 22f",
                "23:",
                "ldrd r2, r3, [r12, #24]",
                "sub r0, r0, r3",
                tile_epilogue!(),
                // Panels that are narrow, and those with scales: r2 words, r3 the stride, r8 bias.
                "20:",
                "cmp r3, #0x100",
                "bhs 28f",
                "add r4, r4, r8",
                "add r5, r5, r8",
                "add r6, r6, r8",
                "add r7, r7, r8",
                "b 6b",
                "28:",
                "cmp r3, #0x320",
                "beq 33f",
                "cmp r3, #0x400",
                "bhs 36f",
                "str r2, [r12, #112]",
                "mov r9, r8",
                "mov r10, r8",
                "mov r11, r8",
                "add r3, r12, #120",
                "stmia r3, {{r8-r11}}",
                "24:",
                "ldr r8, [r12, #136]",
                "cmp r8, #2",
                "beq 25f",
                "26:",
                low_group!(),
                "ldr r3, [r12, #12]",
                "uxtb r3, r3",
                "cmp r3, #32",
                "beq 21b",
                "b 6b",
                "25:",
                "ldr r8, [r12, #96]",
                "ldr r3, [r12, #100]",
                "ldrsh r2, [r8]",
                "add r8, r8, r3, lsl #1",
                "str r8, [r12, #96]",
                "add r3, r12, #120",
                "ldmia r3, {{r8-r11}}",
                "mla r8, r4, r2, r8",
                "mla r9, r5, r2, r9",
                "mla r10, r6, r2, r10",
                "mla r11, r7, r2, r11",
                "stmia r3, {{r8-r11}}",
                "mov r4, #0",
                "mov r5, #0",
                "mov r6, #0",
                "mov r7, #0",
                "b 26b",
                // Behind a group.
                "22:",
                "ldr r2, [r12, #92]",
                "cmp r9, #4",
                "beq 37f",
                "ldr r3, [r12, #100]",
                "ldrb lr, [r2]",
                "add r2, r2, r3",
                "str r2, [r12, #92]",
                "add r3, r12, #120",
                "ldmia r3, {{r8-r11}}",
                "mla r4, r4, lr, r8",
                "mla r5, r5, lr, r9",
                "mla r6, r6, lr, r10",
                "mla r7, r7, lr, r11",
                "ldr r2, [r12, #112]",
                "cmp r2, #0",
                "ble 27f",
                "stmia r3, {{r4-r7}}",
                "ldmia r1!, {{r4-r7}}",
                "b 24b",
                "27:",
                low_rewind!(1),
                "b 23b",
                // A full panel of spans: r2 turns and groups left; from sp on the sums of the
                // groups behind, then scales, and what r2 grows by behind a group and becomes
                // before the last.
                "33:",
                "mov r9, r8",
                "mov r10, r8",
                "mov r11, r8",
                "sub sp, sp, #32",
                "stmia sp, {{r8-r11}}",
                "ldr r8, [r12, #92]",
                "ldrd r10, r11, [r12, #172]",
                "add r9, r8, #1",
                "ldr r2, [r12, #168]",
                "str r9, [r12, #92]",
                "str r8, [sp, #16]",
                "strd r10, r11, [sp, #20]",
                "ldr r3, [r12, #88]",
                "b 35f",
                "34:",
                "ldmia r1!, {{r4-r7}}",
                "35:",
                concat!(".rept ", $unroll),
                "ldr r12, [r0], #32",
                "selvedge_macs",
                ".endr",
                "subs r2, r2, #0x10000",
                "bhs 35b",
                "ldr r12, [sp, #16]",
                "ldrb lr, [r12], #8",
                "str r12, [sp, #16]",
                "ldmia sp, {{r8-r11}}",
                "mla r4, r4, lr, r8",
                "ldr r8, [sp, #20]",
                "mla r5, r5, lr, r9",
                "mla r6, r6, lr, r10",
                "mla r7, r7, lr, r11",
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
                "b 23b",
                // One group: bias comes after the scale.
                "36:",
                "uxtb r3, r3",
                "cmp r3, #32",
                "beq 21b",
                "b 6b",
                "37:",
                "ldr r3, [r12, #24]",
                "ldr r8, [r12, #36]",
                "ldrb lr, [r2], #1",
                "ldr r8, [r8, r3, lsl #2]",
                "str r2, [r12, #92]",
                "mla r4, r4, lr, r8",
                "mla r5, r5, lr, r8",
                "mla r6, r6, lr, r8",
                "mla r7, r7, lr, r8",
                "b 23b",
                ".purgem selvedge_macs",
                tile_purge!(),
            )
        }
    };
}

tile! {
    /// Codes of 4 bits; one channel after the other. Exact.
    tile_w4, 4, [0 8 4 12]
}
tile! {
    /// Codes of 2 bits; one channel after the other. Exact.
    tile_w2, 2, [0 8 2 10 4 12 6 14]
}

pub(super) use {low_group, low_panel, low_rewind};
