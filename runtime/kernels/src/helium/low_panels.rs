//! Full panels of codes whose outputs are int8: sums and epilogue in registers,
//! as those of W8 in [`super::tile_loops`] and [`super::row_i8`].

use core::arch::asm;

use super::dot::vectors;
use super::low_loops::{field, four, fours, two, twos};
use super::low_w3::{LANES, part, third_bits, three, threes};
use super::tile_i8::Int8;
use super::tile_loops::add_residual;
use crate::pack::{MR, NR};

/// What the loops are given; they know where each field lies.
#[repr(C, align(16))]
pub struct Args {
    /// A number for each row, then the rows.
    x: *const u8,
    /// Whole gathers of a channel, and words beyond them.
    blocks: usize,
    tail: usize,
    /// From the words behind a panel's first ones to the next panel.
    panel_step: usize,
    multiplier: *const i32,
    shift: *const i8,
    out: *mut i8,
    /// Where the first panel's outputs of the first row end, and where all of them do.
    panel_end: *const i8,
    zero_point: i32,
    end: *const i8,
    lo: i32,
    hi: i32,
    bias: *const i32,
    /// Words of a channel.
    words: usize,
    unused: [usize; 2],
    /// Where the words of the first channel lie that a gather fetches, less a step, 64.
    at: [*const u8; 4],
    /// Byte offsets of the four rows in the output, 80.
    rows: [usize; MR],
    /// m1, m2, c, −s, lo, hi of a fused residual, 96.
    residual: [i32; 6],
    pad: [i32; 2],
    /// Of codes of 3 bits: addresses of a panel's first words as the loop keeps them, 128; how far
    /// third bits lie behind them, 144; [`LANES`], 160.
    panel: [usize; 4],
    high: [usize; 4],
    lanes: [u32; 4],
    /// Sums of groups behind, of two channels (of one row four channels, then scales), 176.
    totals: [[i32; 4]; 2],
    /// The first group's scales of the next channel, 208.
    scales: *const u8,
    /// Of four rows: gathers of a group, those of the first and the whole groups there are, 216,
    /// gathers of a shorter last one, and words beyond them, 224.
    gathers: usize,
    first: usize,
    whole: usize,
    last: usize,
    last_tail: usize,
    /// From the scales behind a panel's first group to those of the next panel's, 232.
    scale_step: usize,
    /// Of one row: groups, words of one, words of the last.
    groups: usize,
    group_words: usize,
    last_words: usize,
}

const _: () = assert!(core::mem::offset_of!(Args, totals) == 176 && core::mem::offset_of!(Args, last_words) == 244);

/// Groups of a layer, each but the last of whole gathers; none where rows share a scale.
pub struct Scaled<'a> {
    pub scales: &'a [u8],
    pub groups: usize,
    /// Words of a group, and of the last one.
    pub words: usize,
    pub last: usize,
}

/// Full panels of a layer, whole rows of which share a scale.
pub struct Panels<'a> {
    pub codes: &'a [u8],
    /// Words of a channel, and those of them that gathers of low bits fetch.
    pub column: usize,
    pub words: usize,
    /// Runs from the first word of a channel that a gather fetches to the four of it, to those of
    /// the next, and ahead of them to their third bits.
    pub lanes: [usize; 4],
    pub step: usize,
    pub high: [usize; 4],
    /// The first channel of the output, their number, in panels of 8, and those of a row.
    pub first: usize,
    pub channels: usize,
    pub row: usize,
    pub scaled: Scaled<'a>,
}

impl Panels<'_> {
    /// What the loops are given, but for rows and outputs; `None` where codes or arrays are too
    /// short.
    #[inline(always)]
    pub fn args(&self, int8: &Int8<'_>) -> Option<Args> {
        let run = NR * 4;
        let end = self.first + self.channels;
        let Scaled { scales, groups, words: of_group, last } = self.scaled;
        let short = last < of_group || !last.is_multiple_of(4);
        let (whole, gathers) = (groups.wrapping_sub(usize::from(short)), of_group / 4);
        let (last_gathers, last_tail) = if short { (last / 4, last % 4) } else { (0, 0) };
        let sound = self.channels.is_multiple_of(NR)
            && self.channels > 0
            && self.words > 0
            && self.codes.len() >= self.channels * self.column * 4
            && scales.len() >= self.channels * groups
            && int8.bias.len().min(int8.q.multiplier.len()).min(int8.q.shift.len()) >= end;
        if !sound {
            return None;
        }
        Some(Args {
            x: core::ptr::null(),
            blocks: self.words / 4,
            tail: self.words % 4,
            panel_step: (self.column * run).wrapping_sub(run),
            multiplier: int8.q.multiplier.as_ptr().wrapping_add(self.first),
            shift: int8.q.shift.as_ptr().wrapping_add(self.first),
            out: core::ptr::null_mut(),
            panel_end: core::ptr::null(),
            zero_point: int8.q.zero_point,
            end: core::ptr::null(),
            lo: int8.q.lo as i32,
            hi: int8.q.hi as i32,
            bias: int8.bias.as_ptr().wrapping_add(self.first),
            words: self.words,
            unused: [0; 2],
            at: self.lanes.map(|i| self.codes.as_ptr().wrapping_add(i * run).wrapping_sub(self.step * run)),
            rows: [0, 1, 2, 3].map(|i| i * self.row),
            residual: int8
                .q
                .residual
                .as_ref()
                .map_or([0; 6], |r| [r.m1, r.m2, r.c, -((r.s & 31) as i32), r.lo as i32, r.hi as i32]),
            pad: [0; 2],
            panel: [0; 4],
            high: self.high.map(|i| i * run),
            lanes: LANES,
            totals: [[0; 4]; 2],
            scales: core::ptr::null(),
            gathers,
            first: if whole > 0 { gathers } else { last_gathers },
            whole,
            last: last_gathers,
            last_tail,
            scale_step: (groups * NR).wrapping_sub(NR),
            groups,
            group_words: of_group,
            last_words: last,
        })
    }
}

impl Args {
    /// For the numbers and rows at `x`, the scales of groups, and outputs, of `channels` channels, at `out`.
    pub fn set(&mut self, x: *const u8, scales: &[u8], out: &mut [i8], channels: usize) {
        (self.x, self.scales) = (x, scales.as_ptr());
        self.out = out.as_mut_ptr();
        self.panel_end = self.out.wrapping_add(NR);
        self.end = self.out.wrapping_add(channels);
    }
}

/// From the sums q2 and q3 of two channels to the next ones, label 2, or behind the last.
macro_rules! tile_end {
    ($take:expr, $keep:expr, $first:expr, $second:expr) => {
        concat!(
            "ldrd r1, r3, [sp, #16]
            ldr r12, [sp, #40]
            ldrd r0, r2, [r1], #8
            ldrsb r4, [r3], #1
            vqdmulh.s32 q2, q2, r0
            ldrsb r5, [r3], #1
            vqdmulh.s32 q3, q3, r2
            strd r1, r3, [sp, #16]
            rsb r4, r4, #0
            vrshl.s32 q2, r4
            rsb r5, r5, #0
            vrshl.s32 q3, r5
            ldr r9, [sp, #32]
            ldrd r4, r5, [r12, #40]
            vadd.i32 q2, q2, r9
            ldrd r7, r8, [sp, #24]
            vadd.i32 q3, q3, r9
            vdup.32 q6, r4
            vmax.s32 q2, q2, q6
            vmax.s32 q3, q3, q6
            vdup.32 q6, r5
            vmin.s32 q2, q2, q6
            vmin.s32 q3, q3, q6
            vldrw.u32 q5, [r12, #80]\n",
            $first,
            "\nvstrb.32 q2, [r7, q5]\nadd r7, r7, #1\n",
            $second,
            "\nvstrb.32 q3, [r7, q5]
            add r7, r7, #1
            str r7, [sp, #24]
            cmp r7, r8
            bne 2b
            ldr r1, [sp, #12]
            ldr r2, [sp, #36]
            add r8, r8, #8\n",
            $take,
            "\nvadd.i32 q0, q0, r1\n",
            $keep,
            "\nstr r8, [sp, #28]\ncmp r7, r2\nbne 2b",
        )
    };
}

/// Panels of four rows, two channels at a time.
macro_rules! tile {
    (
        $name:ident,
        $keep:expr,
        [$to:expr, $set:expr, $take:expr],
        [$load:expr, $tail:expr, $body:expr],
        [$push:expr, $pop:literal],
        $first:expr,
        $second:expr
    ) => {
        /// # Safety
        /// The arguments are those of [`Panels::args`], with four rows, arranged, and room for
        /// their outputs; the codes lie at a multiple of 4.
        #[inline(never)]
        pub unsafe fn $name(args: &mut Args) {
            // SAFETY: gathers read words of the panels, the last of them under a predicate; the
            // arrays have an entry a channel; a byte is stored for each row and channel. r6 and
            // r7 are given back as they were.
            unsafe {
                vectors!(
                    "push {{r6, r7}}",
                    $push,
                    // x, blocks, tail, step, multiplier, shift, out, end of panel, zero point,
                    // end; the arguments.
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
                    $keep,
                    "2:",
                    $to,
                    "ldr r1, [sp]",
                    "ldm r1, {{r8, r10, r12, lr}}",
                    "ldm r1!, {{r0, r2, r4, r6}}",
                    $set,
                    "ldrd r7, r9, [sp, #4]",
                    "cmp r7, #0",
                    "beq 4f",
                    "3:",
                    $load,
                    $body,
                    "subs r7, r7, #1",
                    "bne 3b",
                    "4:",
                    "cmp r9, #0",
                    "beq 5f",
                    "vctp.32 r9",
                    $tail,
                    $body,
                    "5:",
                    "vmov q2[2], q2[0], r0, r4",
                    "vmov q2[3], q2[1], r2, r6",
                    "vmov q3[2], q3[0], r8, r12",
                    "vmov q3[3], q3[1], r10, lr",
                    "ldrd r0, r2, [r11], #8",
                    "vadd.i32 q2, q2, r0",
                    "vadd.i32 q3, q3, r2",
                    tile_end!($take, $keep, $first, $second),
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

/// Puts the constants of a residual on the stack.
macro_rules! push {
    () => {
        "add r1, r0, #96\nldm r1, {{r2, r3, r4, r5, r6, r8}}\npush {{r2, r3, r4, r5, r6, r8}}"
    };
}

/// Words of two channels in one gather each.
macro_rules! load_plain {
    () => {
        "vldrw.u32 q2, [q1, #128]!\nvldrw.u32 q3, [q1, #4]"
    };
}

/// As [`load_plain`], of the lanes there are.
macro_rules! tail_plain {
    () => {
        "vpstt\nvldrwt.u32 q2, [q1, #128]!\nvldrwt.u32 q3, [q1, #4]"
    };
}

/// Words of two channels of codes of 3 bits; r3 the arguments.
macro_rules! load_three {
    () => {
        concat!("vldrw.u32 q2, [q1, #192]!\nvldrw.u32 q3, [q1, #4]\n", third_bits!("r3", "144", "160", "", ""))
    };
}

/// As [`load_three`], of the lanes there are.
macro_rules! tail_three {
    () => {
        concat!(
            "vpstt\nvldrwt.u32 q2, [q1, #192]!\nvldrwt.u32 q3, [q1, #4]\n",
            third_bits!("r3", "144", "160", "vpstt\n", "t")
        )
    };
}

/// As [`tile`], with codes that two gathers of words hold; q0 keeps the panel's addresses.
macro_rules! plain_tile {
    ($name:ident, $mask:literal, $body:expr, $($rest:tt)*) => {
        tile!(
            $name,
            "",
            [concat!("vadd.i32 q1, q0, r11\nvmov.i8 q5, #", $mask), "", ""],
            [load_plain!(), tail_plain!(), $body],
            $($rest)*
        );
    };
}

/// As [`tile`], with codes of 3 bits; memory keeps the panel's addresses.
macro_rules! tile_of_3 {
    ($name:ident, $($rest:tt)*) => {
        tile!(
            $name,
            "ldr r3, [sp, #40]\nvstrw.32 q0, [r3, #128]",
            [
                "ldr r3, [sp, #40]\nvldrw.u32 q1, [r3, #128]\nvadd.i32 q1, q1, r11",
                "ldr r3, [sp, #40]",
                "ldr r3, [sp, #40]\nvldrw.u32 q0, [r3, #128]"
            ],
            [load_three!(), tail_three!(), threes!()],
            $($rest)*
        );
    };
}

plain_tile!(panels_w4, "15", fours!(), ["", "44"], "", "");
plain_tile!(panels_w2, "3", twos!(), ["", "44"], "", "");
tile_of_3!(panels_w3, ["", "44"], "", "");
plain_tile!(
    panels_add_w4,
    "15",
    fours!(),
    [push!(), "68"],
    add_residual!("q2", "r7", "q5", ["44", "52", "60"], "q4", ["r0", "r2"]),
    add_residual!("q3", "r7", "q5", ["44", "52", "60"], "q4", ["r0", "r2"])
);
plain_tile!(
    panels_add_w2,
    "3",
    twos!(),
    [push!(), "68"],
    add_residual!("q2", "r7", "q5", ["44", "52", "60"], "q4", ["r0", "r2"]),
    add_residual!("q3", "r7", "q5", ["44", "52", "60"], "q4", ["r0", "r2"])
);
tile_of_3!(
    panels_add_w3,
    [push!(), "68"],
    add_residual!("q2", "r7", "q5", ["44", "52", "60"], "q4", ["r0", "r2"]),
    add_residual!("q3", "r7", "q5", ["44", "52", "60"], "q4", ["r0", "r2"])
);

/// Panels of one row, four channels at a time; the addresses move on in the residual's place.
macro_rules! row {
    ($name:ident, $mask:literal, $load:expr, [$a:expr, $b:expr, $c:expr, $d:expr]) => {
        /// # Safety
        /// As [`panels_w4`], with one row; no residual.
        #[inline(never)]
        pub unsafe fn $name(args: &mut Args) {
            // SAFETY: gathers read words of the panels, the loop is tail-predicated; arrays and
            // output have an entry a channel. r6 and r7 are given back as they were.
            unsafe {
                vectors!(
                    "push {{r6, r7}}",
                    "ldrd r12, r1, [r0]",
                    "ldrd r9, r5, [r0, #16]",
                    "ldr r3, [r0, #24]",
                    "ldr r7, [r0, #32]",
                    "ldrd r11, r10, [r0, #48]",
                    "mov r6, r0",
                    "vldrw.u32 q1, [r0, #64]",
                    "vstrw.32 q1, [r0, #96]",
                    concat!("vmov.i8 q5, #", $mask),
                    "2:",
                    "vldrw.u32 q1, [r6, #96]",
                    "mov r1, r12",
                    "ldrd r0, r2, [r11], #8",
                    "ldrd r4, r8, [r11], #8",
                    "ldr lr, [r1], #4",
                    "add r0, r0, lr",
                    "add r2, r2, lr",
                    "add r4, r4, lr",
                    "add r8, r8, lr",
                    "dlstp.32 lr, r10",
                    "3:",
                    $load,
                    $a,
                    $b,
                    $c,
                    $d,
                    "letp lr, 3b",
                    "vmov q2[2], q2[0], r0, r4",
                    "vldrw.u32 q3, [r9], #16",
                    "vmov q2[3], q2[1], r2, r8",
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
                    "sub r1, r3, r1",
                    "tst r1, #4",
                    "bne 4f",
                    "ldr r0, [r6, #12]",
                    "add r0, r0, #16",
                    "4:",
                    "vadd.i32 q1, q1, r0",
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
    rows_w4,
    "15",
    "vldrw.u32 q6, [r1], #16\nvldrw.u32 q7, [r1], #16",
    [four!(", #128]!", "r0"), four!(", #4]", "r2"), four!(", #8]", "r4"), four!(", #12]", "r8")]
);
row!(
    rows_w2,
    "3",
    "vldrw.u32 q0, [r1], #16\nvldrw.u32 q4, [r1], #16\nvldrw.u32 q6, [r1], #16\nvldrw.u32 q7, [r1], #16",
    [two!(", #128]!", "r0"), two!(", #4]", "r2"), two!(", #8]", "r4"), two!(", #12]", "r8")]
);
row!(
    rows_w3,
    "0",
    "vldrw.u32 q0, [r1], #16\nvldrw.u32 q4, [r1], #16\nvldrw.u32 q6, [r1], #16\nvldrw.u32 q7, [r1], #16",
    [
        three!(", #192]!", "0", "r0", "r6", "144", "160"),
        three!(", #4]", "4", "r2", "r6", "144", "160"),
        three!(", #8]", "8", "r4", "r6", "144", "160"),
        three!(", #12]", "12", "r8", "r6", "144", "160")
    ]
);

pub(super) use {load_plain, load_three, push, tail_plain, tail_three, tile_end};
