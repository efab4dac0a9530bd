//! Copies of runs of bytes: as they are, and widened.

use core::arch::asm;
use core::ptr::{null, null_mut};

use super::panels::{ROW, TILE};
use crate::pack::KR;

/// A patch: lines of padding, lines of the input with padding left and right, lines of padding.
/// Bytes.
#[derive(Clone, Copy)]
pub struct Runs {
    pub above: usize,
    pub rows: usize,
    pub below: usize,
    pub left: usize,
    pub middle: usize,
    pub right: usize,
    pub pad_value: i8,
    /// From a line of the input to the next.
    pub line: usize,
}

/// [`Runs`] as the loops load them, from the lowest register to the highest; counts are bytes for
/// [`Task::copy`] and quads for [`Task::widen`].
#[repr(C)]
pub struct Task {
    to: *mut u8,
    above: usize,
    /// The padding: four bytes, or a pair.
    pad: u32,
    x: *const i8,
    rows: usize,
    line: usize,
    left: usize,
    middle: usize,
    right: usize,
    below: usize,
    /// Bytes of `x` that are read, and bytes of the patch.
    reads: usize,
    len: usize,
}

impl Runs {
    /// To copy the patch, or, its runs being whole quads, to widen it.
    pub fn task(&self, widen: bool) -> Task {
        let (unit, value) = if widen { (KR, self.pad_value as u16 as u32) } else { (1, self.pad_value as u8 as u32) };
        let lines = if self.rows == 0 { 0 } else { (self.rows - 1) * self.line + self.middle };
        Task {
            to: null_mut(),
            above: self.above / unit,
            pad: value * if widen { 0x1_0001 } else { 0x0101_0101 },
            x: null(),
            rows: self.rows,
            line: self.line,
            left: self.left / unit,
            middle: self.middle / unit,
            right: self.right / unit,
            below: self.below / unit,
            reads: lines + if widen { 0 } else { KR },
            len: self.above + self.rows * (self.left + self.middle + self.right) + self.below,
        }
    }
}

impl Task {
    /// Copies the patch to the front of `to`, which is [`KR`] bytes longer; `false`, and nothing,
    /// where less than as many bytes follow the last line in `x`.
    #[inline]
    pub fn copy(&mut self, x: &[i8], to: &mut [i8]) -> bool {
        if to.len() < self.len + KR || x.len() < self.reads {
            return false;
        }
        (self.x, self.to) = (x.as_ptr(), to.as_mut_ptr().cast());
        // SAFETY: runs are read and written in words: up to three bytes behind a run, which were
        // seen to be there.
        unsafe { copy(self) };
        true
    }

    /// Widens the patch, as [`widen`] does.
    #[inline]
    pub fn widen(&mut self, x: &[i8], to: &mut [u32], step: usize) {
        let quads = self.len / KR;
        if x.len() < self.reads || quads == 0 || to.len() <= (quads - 1) * step + step / 2 {
            return;
        }
        (self.x, self.to) = (x.as_ptr(), to.as_mut_ptr().cast());
        // SAFETY: `x` holds the lines, `to` the quads at this step.
        unsafe {
            match step {
                TILE => widen_tile(self),
                ROW => widen_row(self),
                _ => {}
            }
        }
    }
}

/// Writes the whole quads of `x` to `to`: quads `step` words apart, their odd half `step / 2`
/// behind the even one. Nothing where they do not fit.
#[inline]
pub fn widen(x: &[i8], to: &mut [u32], step: usize) {
    let quads = x.len() / KR;
    if quads == 0 || to.len() <= (quads - 1) * step + step / 2 {
        return;
    }
    // SAFETY: reads `quads` words of `x` at any alignment; the last word written is
    // (quads − 1)·step + step / 2, which lies in `to`.
    unsafe {
        asm!(
            "2:",
            "ldr {w}, [{x}], #4",
            "sxtb16 {even}, {w}",
            "sxtb16 {w}, {w}, ror #8",
            "str {w}, [{to}, {odd}]",
            "str {even}, [{to}]",
            "add {to}, {to}, {odd}, lsl #1",
            "subs {quads}, {quads}, #1",
            "bne 2b",
            w = out(reg) _,
            even = out(reg) _,
            odd = in(reg) step / 2 * 4,
            x = inout(reg) x.as_ptr() => _,
            to = inout(reg) to.as_mut_ptr() => _,
            quads = inout(reg) quads => _,
            options(nostack),
        );
    }
}

/// # Safety
/// `x` and `to` hold the task's runs and up to three bytes behind each.
#[unsafe(naked)]
unsafe extern "C" fn copy(task: *const Task) {
    dsp_asm!(
        ".macro selvedge_fill n",
        "movs r12, \\n",
        "beq 7f",
        "6:",
        "str r3, [r1], #4",
        "subs r12, r12, #4",
        "bgt 6b",
        "add r1, r1, r12",
        "7:",
        ".endm",
        "push {{r4-r10, lr}}",
        "ldmia r0, {{r1-r10}}",
        "selvedge_fill r2",
        "movs r2, r5",
        "beq 4f",
        "2:",
        "selvedge_fill r7",
        "mov r0, r4",
        "mov r12, r8",
        "3:",
        "ldr lr, [r0], #4",
        "str lr, [r1], #4",
        "subs r12, r12, #4",
        "bgt 3b",
        "add r1, r1, r12",
        "selvedge_fill r9",
        "add r4, r4, r6",
        "subs r2, r2, #1",
        "bne 2b",
        "4:",
        "selvedge_fill r10",
        "pop {{r4-r10, pc}}",
        ".purgem selvedge_fill",
    )
}

/// One of the widening loops: quads `$step` bytes apart.
macro_rules! widen_runs {
    ($name:ident, $step:literal, $odd:literal) => {
        /// # Safety
        /// `x` holds the task's runs, counted in quads, `to` all of them at this step.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(task: *const Task) {
            dsp_asm!(
                ".macro selvedge_fill n",
                "movs r12, \\n",
                "beq 7f",
                "6:",
                "str r3, [r1, #{odd}]",
                "str r3, [r1], #{step}",
                "subs r12, r12, #1",
                "bne 6b",
                "7:",
                ".endm",
                ".macro selvedge_quad",
                "ldr lr, [r0], #4",
                "sxtb16 r11, lr",
                "sxtb16 lr, lr, ror #8",
                "str lr, [r1, #{odd}]",
                "str r11, [r1], #{step}",
                ".endm",
                "push {{r4-r11, lr}}",
                "ldmia r0, {{r1-r10}}",
                "selvedge_fill r2",
                "movs r2, r5",
                "beq 5f",
                "2:",
                "selvedge_fill r7",
                "mov r0, r4",
                "lsrs r12, r8, #1",
                "bcc 3f",
                "selvedge_quad",
                "cmp r12, #0",
                "3:",
                "beq 8f",
                "4:",
                "selvedge_quad",
                "selvedge_quad",
                "subs r12, r12, #1",
                "bne 4b",
                "8:",
                "selvedge_fill r9",
                "add r4, r4, r6",
                "subs r2, r2, #1",
                "bne 2b",
                "5:",
                "selvedge_fill r10",
                "pop {{r4-r11, pc}}",
                ".purgem selvedge_fill",
                ".purgem selvedge_quad",
                odd = const $odd,
                step = const $step,
            )
        }
    };
}

widen_runs!(widen_tile, 32, 16);
widen_runs!(widen_row, 8, 4);
