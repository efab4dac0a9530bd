//! Inner loop of W8 panels: four rows times the channels of a group, and the epilogue.
//!
//! Naked functions here and in [`super::row`], since LDM and LDRD need registers in order and the
//! loops need all of them. They assemble as Thumb and as Arm code.

/// What an inner loop works on. Rows are widened to pairs of i16, as `sxtb16` leaves them: the
/// even k of a quad in one word, the odd in another. Of four rows, a quad is
/// `[even, odd][4 rows]`, 8 words; of one row 2.
#[repr(C)]
pub struct Task {
    pub w: *const i8,
    pub x: *const u32,
    pub quads: usize,
    /// Bytes from a quad of a channel to the next; the loops keep it.
    pub stride: usize,
    pub multiplier: *const i32,
    pub shift: *const i8,
    /// The channel reached, and how far the weights of a channel's last quad are behind the next
    /// channel's first; the loops keep both.
    pub channel: usize,
    pub rewind: usize,
    /// Those of the group.
    pub channels: usize,
    pub bias: *const i32,
    /// With [`Mode::Full`] twice the zero point and one: what rounds and adds the zero point once
    /// it is shifted. With others zero; they add the zero point afterwards.
    pub rounding: i32,
    pub mode: Mode,
    /// Channel 0 of the first row: int8 elements, or, for sums, i32, those of a channel
    /// side by side.
    pub out: *mut i8,
    /// Elements from a row of `out` to the next.
    pub row: usize,
    pub lo: i32,
    pub hi: i32,
    /// The fused residual; it clamps to int8.
    pub m1: i32,
    pub m2: i32,
    pub c: i32,
    pub s: u32,
    /// The channel behind the panel; the loops keep it.
    pub end: usize,
    pub zero_point: i32,
}

/// Epilogues of the loops.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// int8 with the full range as clamp; shifts in 2..=24.
    Full = 0,
    /// int8 between `lo` and `hi`; shifts in 2..=31.
    Clamped = 1,
    /// As `Clamped`, then the fused residual; for four rows only.
    Residual = 2,
    /// Sums as they are.
    Sums = 3,
}

/// Macros of [`tile_epilogue`], which [`tile_purge`] takes back.
macro_rules! tile_macros {
    () => {
        concat!(
            // r8 rounding, r10 multiplier, r11 shift: rounds and shifts.
            ".macro selvedge_requantize\n",
            "smmla r4, r4, r10, r8\n",
            "smmla r5, r5, r10, r8\n",
            "smmla r6, r6, r10, r8\n",
            "smmla r7, r7, r10, r8\n",
            "asr r4, r4, r11\n",
            "asr r5, r5, r11\n",
            "asr r6, r6, r11\n",
            "asr r7, r7, r11\n",
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
            // r3 m1, r10 m2, r11 c, lr s, r8 the element, r9 to the next.
            ".macro selvedge_residual y\n",
            "ldrsb r2, [r8]\n",
            "mla \\y, \\y, r3, r11\n",
            "mla \\y, r2, r10, \\y\n",
            "asr \\y, \\y, lr\n",
            "ssat \\y, #8, \\y\n",
            "strb \\y, [r8]\n",
            "add r8, r8, r9\n",
            ".endm\n",
        )
    };
}

/// From the sums r4-r7 of channel r2 to the next channel, label 3, the next panel, label 2, or
/// the end; r12 the task, r0 the weights, already those of the next channel.
macro_rules! tile_epilogue {
    () => {
        concat!(
            "ldrd r10, r11, [r12, #16]\n",
            "ldr r8, [r12, #40]\n",
            "ldr r10, [r10, r2, lsl #2]\n",
            "ldrsb r11, [r11, r2]\n",
            "sub r11, r11, #2\n",
            "lsls r8, r8, r11\n",
            "beq 10f\n",
            "selvedge_requantize\n",
            // The last bit of the shift, and the clamp.
            "ssat r4, #8, r4, asr #1\n",
            "ssat r5, #8, r5, asr #1\n",
            "ssat r6, #8, r6, asr #1\n",
            "ssat r7, #8, r7, asr #1\n",
            "8:\n",
            "ldrd r8, r9, [r12, #48]\n",
            "add r8, r8, r2\n",
            "add r10, r8, r9\n",
            "strb r4, [r8]\n",
            "strb r5, [r8, r9]\n",
            "strb r6, [r8, r9, lsl #1]\n",
            "strb r7, [r10, r9, lsl #1]\n",
            "9:\n",
            "ldr r8, [r12, #80]\n",
            "adds r2, r2, #1\n",
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
            "10:\n",
            "ldr r9, [r12, #44]\n",
            "mov r8, #1\n",
            "cmp r9, #3\n",
            "beq 11f\n",
            "lsl r8, r8, r11\n",
            "add r11, r11, #1\n",
            "selvedge_requantize\n",
            "ldrd r8, r9, [r12, #56]\n",
            "ldr r3, [r12, #84]\n",
            "selvedge_clamp r4\n",
            "selvedge_clamp r5\n",
            "selvedge_clamp r6\n",
            "selvedge_clamp r7\n",
            "ldr r8, [r12, #44]\n",
            "cmp r8, #1\n",
            "beq 8b\n",
            "ldrd r8, r9, [r12, #48]\n",
            "add r8, r8, r2\n",
            "ldr r3, [r12, #64]\n",
            "ldrd r10, r11, [r12, #68]\n",
            "ldr lr, [r12, #76]\n",
            "selvedge_residual r4\n",
            "selvedge_residual r5\n",
            "selvedge_residual r6\n",
            "selvedge_residual r7\n",
            "ldr r2, [r12, #24]\n",
            "b 9b\n",
            "11:\n",
            "ldr r8, [r12, #48]\n",
            "add r8, r8, r2, lsl #4\n",
            "stmia r8, {{r4-r7}}\n",
            "b 9b\n",
        )
    };
}

macro_rules! tile_purge {
    () => {
        ".purgem selvedge_requantize\n.purgem selvedge_clamp\n.purgem selvedge_residual"
    };
}

pub(super) use {tile_epilogue, tile_macros, tile_purge};

/// Four rows; one channel after the other. Exact.
///
/// # Safety
/// For every channel of the task, `w` holds packed weights of `quads` > 0 quads, the arrays an
/// element, shifts as the mode says, and `out` an element in each
/// of four rows, or four sums. `x` holds `quads` times 8 words. `channel` is below `channels`.
#[unsafe(naked)]
pub unsafe extern "C" fn tile(task: *mut Task) {
    dsp_asm!(
        // r0 weights, r1 x, r2 quads left, r3 stride, r4-r7 sums, r8-r11 x of four rows;
        // between the loops r12 the task, r2 the channel.
        ".macro selvedge_macs",
        "ldmia r1!, {{r8-r11}}",
        "sxtb16 lr, r12",
        "smlad r4, r8, lr, r4",
        "smlad r5, r9, lr, r5",
        "smlad r6, r10, lr, r6",
        "smlad r7, r11, lr, r7",
        "ldmia r1!, {{r8-r11}}",
        "sxtb16 r12, r12, ror #8",
        "smlad r4, r8, r12, r4",
        "smlad r5, r9, r12, r5",
        "smlad r6, r10, r12, r6",
        "smlad r7, r11, r12, r7",
        ".endm",
        tile_macros!(),
        "push {{r0, r4-r12, lr}}",
        "mov r12, r0",
        "ldrd r0, r1, [r12]",
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
        "ldr r5, [r12, #8]",
        "lsls r3, r3, #2",
        "str r3, [r12, #12]",
        "mul r5, r5, r3",
        "subs r5, r5, #4",
        "str r5, [r12, #28]",
        // A channel.
        "3:",
        "ldr r8, [r12, #36]",
        "ldr r4, [r8, r2, lsl #2]",
        "ldrd r2, r3, [r12, #8]",
        "mov r5, r4",
        "mov r6, r4",
        "mov r7, r4",
        "cmp r3, #32",
        "bne 6f",
        "subs r2, r2, #4",
        "blt 5f",
        "4:",
        ".rept 4",
        "ldr r12, [r0], #32",
        "selvedge_macs",
        ".endr",
        "subs r2, r2, #4",
        "bge 4b",
        // Two quads, and one, are left where these bits are set; the sums leave the flags alone.
        "5:",
        "lsls r2, r2, #31",
        "bcc 12f",
        ".rept 2",
        "ldr r12, [r0], #32",
        "selvedge_macs",
        ".endr",
        "12:",
        "bpl 7f",
        "ldr r12, [r0], #32",
        "selvedge_macs",
        "b 7f",
        "6:",
        "ldr r12, [r0]",
        "add r0, r0, r3",
        "selvedge_macs",
        "subs r2, r2, #1",
        "bne 6b",
        "7:",
        "ldr r12, [sp]",
        "ldr r1, [r12, #4]",
        "ldrd r2, r3, [r12, #24]",
        "sub r0, r0, r3",
        tile_epilogue!(),
        ".purgem selvedge_macs",
        tile_purge!(),
    )
}
