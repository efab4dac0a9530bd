//! `add_i8__helium`, `rescale_i8__helium`, `table_i8__helium`: tail-predicated loops.

use core::arch::asm;

use crate::args::*;

/// Exact.
pub fn add(a: &[i8], b: &[i8], p: &AddI8, out: &mut [i8]) {
    let n = out.len().min(a.len()).min(b.len());
    // SAFETY: all three have `n` elements.
    unsafe { add_n(a.as_ptr(), b.as_ptr(), p, n, out.as_mut_ptr()) };
}

/// Exact; the second summand is what `out` held.
pub fn add_in_place(a: &[i8], p: &AddI8, out: &mut [i8]) {
    let n = out.len().min(a.len());
    // SAFETY: both have `n` elements; four are read before they are written.
    unsafe { add_n(a.as_ptr(), out.as_ptr(), p, n, out.as_mut_ptr()) };
}

/// `(a·m1 + b·m2 + c) >> s`, clamped.
///
/// # Safety
/// `n` elements can be read at `a` and `b` and written at `out`, which is `b` or apart from it.
#[inline(never)]
unsafe fn add_n(a: *const i8, b: *const i8, p: &AddI8, n: usize, out: *mut i8) {
    // SAFETY: the caller's claims; loads and stores are predicated to `n` elements.
    unsafe {
        asm!(
            "vdup.32 q2, {lo}",
            "vdup.32 q3, {hi}",
            "wlstp.32 lr, {n}, 3f",
            "2:",
            "vldrb.s32 q0, [r0], #4",
            "vldrb.s32 q1, [r1], #4",
            "vmul.i32 q0, q0, {m1}",
            "vmla.i32 q0, q1, {m2}",
            "vadd.i32 q0, q0, {c}",
            "vshl.s32 q0, {s}",
            "vmax.s32 q0, q0, q2",
            "vmin.s32 q0, q0, q3",
            "vstrb.32 q0, [r2], #4",
            "letp lr, 2b",
            "3:",
            lo = in(reg) p.lo as i32,
            hi = in(reg) p.hi as i32,
            m1 = in(reg) p.m1,
            m2 = in(reg) p.m2,
            c = in(reg) p.c,
            s = in(reg) -((p.s & 31) as i32),
            n = in(reg) n,
            inout("r0") a => _,
            inout("r1") b => _,
            inout("r2") out => _,
            out("lr") _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            options(nostack),
        );
    }
}

/// Exact.
#[inline(never)]
pub fn rescale(x: &[i8], m: i32, c: i32, s: u32, out: &mut [i8]) {
    let n = out.len().min(x.len());
    // SAFETY: loads and stores are predicated to `n` elements, which both have.
    unsafe {
        asm!(
            "vdup.32 q2, {lo}",
            "vdup.32 q3, {hi}",
            "wlstp.32 lr, {n}, 3f",
            "2:",
            "vldrb.s32 q0, [r0], #4",
            "vmul.i32 q0, q0, {m}",
            "vadd.i32 q0, q0, {c}",
            "vshl.s32 q0, {s}",
            "vmax.s32 q0, q0, q2",
            "vmin.s32 q0, q0, q3",
            "vstrb.32 q0, [r1], #4",
            "letp lr, 2b",
            "3:",
            lo = in(reg) -128,
            hi = in(reg) 127,
            m = in(reg) m,
            c = in(reg) c,
            s = in(reg) -((s & 31) as i32),
            n = in(reg) n,
            inout("r0") x.as_ptr() => _,
            inout("r1") out.as_mut_ptr() => _,
            out("lr") _,
            out("d0") _, out("d1") _, out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            options(nostack),
        );
    }
}

/// Entry `x + 128` of 256.
pub fn table(x: &[i8], table: &[i8], out: &mut [i8]) {
    let n = out.len().min(x.len());
    // SAFETY: both have `n` elements.
    unsafe { table_n(x.as_ptr(), table, n, out.as_mut_ptr()) };
}

/// As [`table`], on what `out` held.
pub fn table_in_place(table: &[i8], out: &mut [i8]) {
    // SAFETY: 16 elements are read before they are written.
    unsafe { table_n(out.as_ptr(), table, out.len(), out.as_mut_ptr()) };
}

/// # Safety
/// `n` elements can be read at `x` and written at `out`, which is `x` or apart from it.
#[inline(never)]
unsafe fn table_n(x: *const i8, table: &[i8], n: usize, out: *mut i8) {
    let Some(table) = table.first_chunk::<256>() else { return };
    // SAFETY: the caller's claims; loads and stores are predicated to `n` elements, entries have
    // indices of 8 bits.
    unsafe {
        asm!(
            "vdup.8 q1, {flip}",
            "wlstp.8 lr, {n}, 3f",
            "2:",
            "vldrb.u8 q0, [{x}], #16",
            "veor q0, q0, q1",
            "vldrb.u8 q2, [{table}, q0]",
            "vstrb.8 q2, [{out}], #16",
            "letp lr, 2b",
            "3:",
            flip = in(reg) 0x80,
            n = in(reg) n,
            x = inout(reg) x => _,
            table = in(reg) table,
            out = inout(reg) out => _,
            out("lr") _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _,
            options(nostack),
        );
    }
}
