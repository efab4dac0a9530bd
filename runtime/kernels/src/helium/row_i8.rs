//! Dense rows whose outputs are int8: four channels at a time, sums and epilogue in registers.

use core::arch::asm;

use super::dot::vectors;
use super::tile_i8::Int8;
use crate::pack::{KR, NR};

/// What the loop is given, in the order it loads it.
#[repr(C, align(16))]
struct Args {
    /// From the second half of a panel to the next panel.
    panel_step: usize,
    out: *mut i8,
    lo: i32,
    shift: *const i8,
    /// Where the outputs end.
    end: *const i8,
    zero_point: i32,
    hi: i32,
    multiplier: *const i32,
    k: usize,
    bias: *const i32,
    x: *const i8,
    panel: *const i8,
    /// Byte offsets of the four words of a channel that hold 16 k.
    words: [usize; 4],
}

/// Computes the channels of all panels of 8 of one row. Exact.
///
/// # Safety
/// At `w`, a multiple of 4, lie the packed channels of `k` ≥ 1, as many as `out` has; the arrays
/// of `int8` have as many entries.
pub unsafe fn full_panels(int8: &Int8<'_>, w: *const i8, x: &[i8], out: &mut [i8]) {
    let k = x.len();
    let full = out.len() / NR * NR;
    if full == 0 {
        return;
    }
    let word = NR * KR;
    let args = Args {
        panel_step: k.next_multiple_of(KR) * NR - NR * KR / 2,
        out: out.as_mut_ptr(),
        lo: int8.q.lo as i32,
        shift: int8.q.shift.as_ptr(),
        end: out.as_ptr().wrapping_add(full),
        zero_point: int8.q.zero_point,
        hi: int8.q.hi as i32,
        multiplier: int8.q.multiplier.as_ptr(),
        k,
        bias: int8.bias.as_ptr(),
        x: x.as_ptr(),
        // Loads that move on begin 16 k before the first.
        panel: w.wrapping_sub(4 * word),
        words: [0, word, 2 * word, 3 * word],
    };
    // SAFETY: the caller's claims.
    unsafe { halves(&args) }
}

/// The four channels whose first words, less 16 k, are at the addresses in q0.
macro_rules! half {
    () => {
        "ldrd r0, r2, [r11], #8
        ldrd r4, r8, [r11], #8
        vmov q1, q0
        mov r1, r12
        dlstp.8 lr, r10
        3:
        vldrb.u8 q4, [r1], #16
        vldrw.u32 q2, [q1, #128]!
        vmladava.s8 r0, q2, q4
        vldrw.u32 q3, [q1, #4]
        vmladava.s8 r2, q3, q4
        vldrw.u32 q2, [q1, #8]
        vmladava.s8 r4, q2, q4
        vldrw.u32 q3, [q1, #12]
        vmladava.s8 r8, q3, q4
        letp lr, 3b
        vmov q2[2], q2[0], r0, r4
        vldrw.u32 q3, [r9], #16
        vmov q2[3], q2[1], r2, r8
        vldrb.s32 q4, [r5], #4
        vqdmulh.s32 q2, q2, q3
        vneg.s32 q4, q4
        vrshl.s32 q2, q2, q4
        vadd.i32 q2, q2, r7
        vmax.s32 q2, q2, q6
        vmin.s32 q2, q2, q7
        vstrb.32 q2, [r3], #4"
    };
}

/// # Safety
/// As [`full_panels`], for what `args` holds.
#[inline(never)]
unsafe fn halves(args: &Args) {
    // SAFETY: gather loads read words of a panel that hold k below `k`, the loads of the row its
    // first `k` bytes, both by tail predication; the arrays and the output have 8 entries a
    // panel. r6 and r7 are given back as they were.
    unsafe {
        vectors!(
            "push {{r6, r7}}",
            "ldm r0!, {{r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12}}",
            "vdup.32 q6, r4",
            "vdup.32 q7, r8",
            "push {{r2, r6}}",
            "ldr r1, [r0], #4",
            "vldrw.u32 q0, [r0]",
            "vadd.i32 q0, q0, r1",
            "2:",
            half!(),
            "mov r0, #16",
            "vadd.i32 q0, q0, r0",
            half!(),
            "ldrd r0, r1, [sp]",
            "vadd.i32 q0, q0, r0",
            "cmp r3, r1",
            "bne 2b",
            "add sp, sp, #8",
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
