//! Inner products of codes of 4 and 2 bits with rows arranged as [`super::low_lines`] says.
//!
//! A gather load fetches four words of a channel; each field of their bytes is a vector of codes
//! that VMLADAVA multiplies with 16 values of a row.

use core::arch::asm;

use super::dot::vectors;

/// What the loops are given, in the order they load it.
#[repr(C, align(16))]
pub struct Args {
    /// Arranged rows; a number for each row, which its sums begin with, lies before them.
    pub x: *const u8,
    /// Whole gathers of a channel, and words beyond them.
    pub blocks: usize,
    pub tail: usize,
    /// Added to the sums of a channel.
    pub bias: *const i32,
    /// Sums: `[rows][8]`.
    pub out: *mut i32,
    /// Pairs (four rows) or fours (one row) of channels.
    pub count: usize,
    /// Bytes from one gather of a channel to the next.
    pub step: usize,
    /// Words of a channel.
    pub words: usize,
    /// Where the first channel's first four words lie.
    pub at: [*const u8; 4],
    /// How far third bits lie behind those words, and [`super::low_w3::LANES`].
    pub high: [usize; 4],
    pub lanes: [u32; 4],
}

/// The codes of both channels, q4 and q6, times 16 values of four rows, the first at `$x`.
macro_rules! field {
    ($first:literal, $a:literal, $b:literal, [$x1:literal, $x2:literal, $x3:literal]) => {
        concat!(
            "vldrw.u32 q7, [r1",
            $first,
            "\n",
            "vmladava.s8 r0, ",
            $a,
            ", q7\n",
            "vmladava.s8 r8, ",
            $b,
            ", q7\n",
            "vldrw.u32 q7, [r1, #",
            $x1,
            "]\n",
            "vmladava.s8 r2, ",
            $a,
            ", q7\n",
            "vmladava.s8 r10, ",
            $b,
            ", q7\n",
            "vldrw.u32 q7, [r1, #",
            $x2,
            "]\n",
            "vmladava.s8 r4, ",
            $a,
            ", q7\n",
            "vmladava.s8 r12, ",
            $b,
            ", q7\n",
            "vldrw.u32 q7, [r1, #",
            $x3,
            "]\n",
            "vmladava.s8 r6, ",
            $a,
            ", q7\n",
            "vmladava.s8 lr, ",
            $b,
            ", q7\n",
        )
    };
}

/// The words of both channels, q2 and q3, of 4 bits; r1 goes on by 128.
macro_rules! fours {
    () => {
        concat!(
            "vand q4, q2, q5\n",
            "vshr.u8 q2, q2, #4\n",
            "vand q6, q3, q5\n",
            "vshr.u8 q3, q3, #4\n",
            field!("], #128", "q4", "q6", ["-96", "-64", "-32"]),
            field!(", #-112]", "q2", "q3", ["-80", "-48", "-16"]),
        )
    };
}

/// As [`fours`], of 2 bits; r1 goes on by 256.
macro_rules! twos {
    () => {
        concat!(
            "vand q4, q2, q5\n",
            "vand q6, q3, q5\n",
            field!("], #256", "q4", "q6", ["-192", "-128", "-64"]),
            "vshr.u8 q2, q2, #2\n",
            "vshr.u8 q3, q3, #2\n",
            "vand q4, q2, q5\n",
            "vand q6, q3, q5\n",
            field!(", #-240]", "q4", "q6", ["-176", "-112", "-48"]),
            "vshr.u8 q2, q2, #2\n",
            "vshr.u8 q3, q3, #2\n",
            "vand q4, q2, q5\n",
            "vand q6, q3, q5\n",
            field!(", #-224]", "q4", "q6", ["-160", "-96", "-32"]),
            "vshr.u8 q2, q2, #2\n",
            "vshr.u8 q3, q3, #2\n",
            field!(", #-208]", "q2", "q3", ["-144", "-80", "-16"]),
        )
    };
}

/// Pairs of channels of four rows.
macro_rules! tile {
    ($name:ident, $mask:literal, $body:expr) => {
        /// # Safety
        /// At each of `at`, a multiple of 4, lie `words` words of a channel, a quarter of `step`
        /// apart, followed by what 32 bytes from the last one's panel need; `x` holds four rows of
        /// them and four numbers before; `bias` has an entry a channel of the pairs, `out` 4 rows
        /// of 8.
        #[inline(never)]
        pub unsafe fn $name(args: &Args) {
            // SAFETY: the caller's claims; the last words are gathered under a predicate. r6 and
            // r7 are given back as they were.
            unsafe {
                vectors!(
                    "push {{r6, r7}}",
                    "ldm r0!, {{r1, r3, r5, r7, r9, r11, r12}}",
                    "vldrw.u32 q0, [r0, #4]",
                    concat!("vmov.i8 q5, #", $mask),
                    "push {{r1, r3, r5, r11, r12}}",
                    "2:",
                    "ldr r1, [sp]",
                    "ldrd r0, r8, [r7], #8",
                    "ldrd r3, r5, [r1, #-16]",
                    "add r2, r0, r5",
                    "add r10, r8, r5",
                    "ldrd r5, r11, [r1, #-8]",
                    "add r4, r0, r5",
                    "add r12, r8, r5",
                    "add r6, r0, r11",
                    "add lr, r8, r11",
                    "add r0, r0, r3",
                    "add r8, r8, r3",
                    "vmov q1, q0",
                    "ldrd r3, r5, [sp, #4]",
                    "ldr r11, [sp, #16]",
                    "cmp r3, #0",
                    "beq 4f",
                    "3:",
                    "vldrw.u32 q2, [q1]",
                    "vldrw.u32 q3, [q1, #4]",
                    "vadd.i32 q1, q1, r11",
                    $body,
                    "subs r3, r3, #1",
                    "bne 3b",
                    "4:",
                    "cmp r5, #0",
                    "beq 5f",
                    "vctp.32 r5",
                    "vpstt",
                    "vldrwt.u32 q2, [q1]",
                    "vldrwt.u32 q3, [q1, #4]",
                    $body,
                    "5:",
                    "strd r0, r8, [r9], #8",
                    "mov r3, #8",
                    "strd r2, r10, [r9, #24]",
                    "vadd.i32 q0, q0, r3",
                    "strd r4, r12, [r9, #56]",
                    "ldr r3, [sp, #12]",
                    "strd r6, lr, [r9, #88]",
                    "subs r3, r3, #1",
                    "str r3, [sp, #12]",
                    "bne 2b",
                    "add sp, sp, #20",
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

tile!(tile_w4, "15", fours!());
tile!(tile_w2, "3", twos!());

/// A channel's words at `$at` of 4 bits times q6 and q7, the values of one row.
macro_rules! four {
    ($at:literal, $sum:literal) => {
        concat!(
            "vldrw.u32 q2, [q1",
            $at,
            "\n",
            "vand q3, q2, q5\n",
            "vmladava.s8 ",
            $sum,
            ", q3, q6\n",
            "vshr.u8 q2, q2, #4\n",
            "vmladava.s8 ",
            $sum,
            ", q2, q7\n",
        )
    };
}

/// As [`four`], of 2 bits, times q0, q4, q6 and q7.
macro_rules! two {
    ($at:literal, $sum:literal) => {
        concat!(
            "vldrw.u32 q2, [q1",
            $at,
            "\n",
            "vand q3, q2, q5\n",
            "vmladava.s8 ",
            $sum,
            ", q3, q0\n",
            "vshr.u8 q3, q2, #2\n",
            "vand q3, q3, q5\n",
            "vmladava.s8 ",
            $sum,
            ", q3, q4\n",
            "vshr.u8 q3, q2, #4\n",
            "vand q3, q3, q5\n",
            "vmladava.s8 ",
            $sum,
            ", q3, q6\n",
            "vshr.u8 q2, q2, #6\n",
            "vmladava.s8 ",
            $sum,
            ", q2, q7\n",
        )
    };
}

/// Four channels at a time of one row.
macro_rules! row {
    ($name:ident, $mask:literal, $load:expr, $four:ident) => {
        /// # Safety
        /// As [`tile_w4`], of one row, and fours of channels.
        #[inline(never)]
        pub unsafe fn $name(args: &Args) {
            // SAFETY: the caller's claims; the loop is tail-predicated. r6 and r7 are given back
            // as they were.
            unsafe {
                vectors!(
                    "push {{r6, r7}}",
                    "ldm r0!, {{r1, r2, r3, r7, r9, r11, r12}}",
                    "ldr r10, [r0], #4",
                    "mov r5, #0",
                    concat!("vmov.i8 q5, #", $mask),
                    "mov r8, r1",
                    "2:",
                    "vldrw.u32 q1, [r0]",
                    "mov r1, r8",
                    "vadd.i32 q1, q1, r5",
                    "mov r3, r0",
                    "ldrd r0, r2, [r7], #8",
                    "ldrd r4, r6, [r7], #8",
                    "ldr lr, [r1, #-4]",
                    "add r0, r0, lr",
                    "add r2, r2, lr",
                    "add r4, r4, lr",
                    "add r6, r6, lr",
                    "dlstp.32 lr, r10",
                    "3:",
                    $load,
                    $four!("]", "r0"),
                    $four!(", #4]", "r2"),
                    $four!(", #8]", "r4"),
                    $four!(", #12]", "r6"),
                    "vadd.i32 q1, q1, r12",
                    "letp lr, 3b",
                    "strd r0, r2, [r9], #8",
                    "strd r4, r6, [r9], #8",
                    "mov r0, r3",
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
    };
}

row!(row_w4, "15", "vldrw.u32 q6, [r1], #16\nvldrw.u32 q7, [r1], #16", four);
row!(
    row_w2,
    "3",
    "vldrw.u32 q0, [r1], #16\nvldrw.u32 q4, [r1], #16\nvldrw.u32 q6, [r1], #16\nvldrw.u32 q7, [r1], #16",
    two
);

/// Adds to `sums` of rows `more` times the scales, and where `shifted` the rows' numbers times what
/// offsets exceed scales by: the numbers, less the sums of x, are in `more` once.
///
/// # Safety
/// `live` ≤ 8 scales and offsets, 1 to 4 `rows`, as many `numbers`.
#[inline(never)]
#[allow(clippy::too_many_arguments, reason = "what the loop reads")]
pub unsafe fn add_scaled(
    scales: &[u8],
    offsets: &[i16],
    live: usize,
    rows: usize,
    numbers: *const i32,
    shifted: bool,
    more: &[[i32; 8]; 4],
    sums: &mut [[i32; 8]; 4],
) {
    // SAFETY: loads of scales and offsets are predicated to the live channels.
    unsafe {
        asm!(
            "vctp.32 {live}",
            "vpstt",
            "vldrbt.u32 q0, [r0]",
            "vldrht.s32 q2, [r1]",
            "subs {live}, {live}, #4",
            "it lt",
            "movlt {live}, #0",
            "vctp.32 {live}",
            "vpstt",
            "vldrbt.u32 q1, [r0, #4]",
            "vldrht.s32 q3, [r1, #8]",
            "vsub.i32 q2, q2, q0",
            "vsub.i32 q3, q3, q1",
            "dls lr, lr",
            "2:",
            "ldr r0, [{numbers}], #4",
            "vldrw.u32 q4, [r2], #16",
            "vldrw.u32 q5, [r3]",
            "vmul.i32 q4, q4, q0",
            "and r0, r0, {mask}",
            "vldrw.u32 q6, [r2], #16",
            "vadd.i32 q5, q5, q4",
            "vldrw.u32 q7, [r3, #16]",
            "vmul.i32 q6, q6, q1",
            "vmla.i32 q5, q2, r0",
            "vadd.i32 q7, q7, q6",
            "vstrw.32 q5, [r3], #16",
            "vmla.i32 q7, q3, r0",
            "vstrw.32 q7, [r3], #16",
            "le lr, 2b",
            live = inout(reg) live => _,
            numbers = inout(reg) numbers => _,
            mask = in(reg) -i32::from(shifted),
            inout("r0") scales.as_ptr() => _,
            in("r1") offsets.as_ptr(),
            inout("r2") more => _,
            inout("r3") sums => _,
            inout("lr") rows => _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            out("d8") _, out("d9") _, out("d10") _, out("d11") _, out("d12") _, out("d13") _, out("d14") _,
            out("d15") _,
            options(nostack),
        );
    }
}

pub(super) use {field, four, fours, two, twos};
