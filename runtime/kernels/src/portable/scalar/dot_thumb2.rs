//! The inner products in Thumb-2 assembly: 8 sums, the pointers and the operands of a product
//! take all 14 registers, which compilers do not manage without spilling. Whole functions, since
//! the operands of inline assembly cannot be all registers.

use core::arch::naked_asm;

use crate::pack::{KR, NR};

/// # Safety
/// `x` holds `quads` ≥ 1 quads; `w` holds as many of 8 channels, `stride` bytes apart.
#[inline(always)]
pub unsafe fn one_row(w: *const i8, stride: usize, x: *const i8, quads: usize) -> [[i32; 1]; NR] {
    let mut sums = [[0]; NR];
    let row = [x, x.wrapping_add(quads * KR)];
    // SAFETY: the caller's promise; the function writes all of `sums`.
    unsafe { one_row_of_8(&mut sums, w, stride, &row) };
    sums
}

/// # Safety
/// Both of `x` hold `quads` ≥ 1 quads; `w` holds as many of 4 channels, `stride` bytes apart.
#[inline(always)]
pub unsafe fn two_rows(w: *const i8, stride: usize, [a, b]: [*const i8; 2], quads: usize) -> [[i32; 2]; 4] {
    let mut sums = [[0; 2]; 4];
    let rows = [a, b, a.wrapping_add(quads * KR)];
    // SAFETY: the caller's promise; the function writes all of `sums`.
    unsafe { two_rows_of_4(&mut sums, w, stride, &rows) };
    sums
}

/// `row` is the begin and the end of a row.
///
/// # Safety
/// The row holds at least one quad and whole quads; `w` holds as many of 8 channels, `stride`
/// bytes apart.
#[unsafe(naked)]
unsafe extern "C" fn one_row_of_8(sums: &mut [[i32; 1]; NR], w: *const i8, stride: usize, row: &[*const i8; 2]) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "push {{r0}}",
        "ldrd r3, r12, [r3]",
        ".irp sum, r4, r5, r6, r7, r8, r9, r10, r11",
        "mov \\sum, #0",
        ".endr",
        "2:",
        ".irp k, 0, 1, 2, 3",
        "ldrsb lr, [r3, #\\k]",
        "ldrsb r0, [r1, #\\k]",
        "mla r4, lr, r0, r4",
        "ldrsb r0, [r1, #\\k + 4]",
        "mla r5, lr, r0, r5",
        "ldrsb r0, [r1, #\\k + 8]",
        "mla r6, lr, r0, r6",
        "ldrsb r0, [r1, #\\k + 12]",
        "mla r7, lr, r0, r7",
        "ldrsb r0, [r1, #\\k + 16]",
        "mla r8, lr, r0, r8",
        "ldrsb r0, [r1, #\\k + 20]",
        "mla r9, lr, r0, r9",
        "ldrsb r0, [r1, #\\k + 24]",
        "mla r10, lr, r0, r10",
        "ldrsb r0, [r1, #\\k + 28]",
        "mla r11, lr, r0, r11",
        ".endr",
        "add r3, #4",
        "add r1, r2",
        "cmp r3, r12",
        "bne 2b",
        "pop {{r0}}",
        "stm r0, {{r4-r11}}",
        "pop {{r4-r11, pc}}",
    )
}

/// `rows` are the begins of two rows and the end of the first.
///
/// # Safety
/// Both rows hold at least one quad and whole quads; `w` holds as many of 4 channels, `stride`
/// bytes apart.
#[unsafe(naked)]
unsafe extern "C" fn two_rows_of_4(sums: &mut [[i32; 2]; 4], w: *const i8, stride: usize, rows: &[*const i8; 3]) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldr r5, [r3, #8]",
        "ldrd r3, r4, [r3]",
        "push {{r0, r2, r5}}",
        ".irp sum, r5, r6, r7, r8, r9, r10, r11, r12",
        "mov \\sum, #0",
        ".endr",
        "2:",
        ".irp k, 0, 1, 2, 3",
        "ldrsb r0, [r3, #\\k]",
        "ldrsb r2, [r4, #\\k]",
        "ldrsb lr, [r1, #\\k]",
        "mla r5, r0, lr, r5",
        "mla r6, r2, lr, r6",
        "ldrsb lr, [r1, #\\k + 4]",
        "mla r7, r0, lr, r7",
        "mla r8, r2, lr, r8",
        "ldrsb lr, [r1, #\\k + 8]",
        "mla r9, r0, lr, r9",
        "mla r10, r2, lr, r10",
        "ldrsb lr, [r1, #\\k + 12]",
        "mla r11, r0, lr, r11",
        "mla r12, r2, lr, r12",
        ".endr",
        "ldrd r0, r2, [sp, #4]",
        "add r3, #4",
        "add r4, #4",
        "add r1, r0",
        "cmp r3, r2",
        "bne 2b",
        "pop {{r0, r2, r3}}",
        "stm r0, {{r5-r12}}",
        "pop {{r4-r11, pc}}",
    )
}
