//! Inner products of W8 panels whose sums go to memory, for every epilogue.
//!
//! 16 consecutive k of a channel lie in four words of its panel, which one gather load fetches;
//! VMLADAVA multiplies them with 16 bytes of a row and adds all products to a core register.
//! Loops over k are tail-predicated: nothing is read past the `k` of a row or a channel.

use core::arch::asm;

use super::epilogue::Epilogue;
use crate::pack::{KR, MR, NR, panel_channels};

/// Byte offsets of the four words a gather load fetches.
#[repr(C, align(16))]
struct Offsets([usize; 4]);

/// Whether gather loads can read the words of packed weights: MVE loads words from addresses
/// that are multiples of 4 only. Artifacts have them so; others take [`plain`].
#[inline]
pub fn is_aligned(w: &[i8]) -> bool {
    w.as_ptr().addr().is_multiple_of(KR)
}

/// A packed matrix: `channels` channels of `k` ≥ 1, the first of them channel `first` of a layer.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    /// `w8_bytes(channels, k)` long.
    pub w: &'a [i8],
    pub channels: usize,
    pub k: usize,
    pub first: usize,
}

/// Sums of the panels from `skip` on and up to four rows, stored as output rows from `at` on.
/// Exact.
///
/// # Safety
/// Each row has `k` readable bytes.
#[inline(never)]
pub unsafe fn store(matrix: &Matrix<'_>, skip: usize, rows: &[*const i8], at: usize, epilogue: &mut Epilogue<'_>) {
    let Matrix { w, channels, k, first } = *matrix;
    let aligned = is_aligned(w);
    let mut sums = [[0; NR]; MR];
    for (i, panel) in w.chunks((NR * k.next_multiple_of(KR)).max(1)).enumerate().skip(skip) {
        let (channel, live) = (first + i * NR, panel_channels(channels, i));
        let start = epilogue.start(channel, live);
        for (sums, &x) in sums.iter_mut().zip(rows) {
            *sums = start;
            // SAFETY: the panel lies in `w`, with the zeros behind it; the row has `k` bytes.
            unsafe {
                if aligned {
                    row(panel.as_ptr(), live, k, x, sums);
                } else {
                    plain(panel, live, core::slice::from_raw_parts(x, k), sums);
                }
            }
        }
        epilogue.store(at, rows.len(), channel, live, &sums);
    }
}

/// Adds the sums of a panel with `channels` channels and one row to `sums`, at any alignment.
/// Exact; sums wrap.
fn plain(panel: &[i8], channels: usize, row: &[i8], sums: &mut [i32; NR]) {
    for (quad, x) in panel.chunks(channels.max(1) * KR).zip(row.chunks(KR)) {
        for (sum, w) in sums.iter_mut().zip(quad.chunks(KR)) {
            for (&x, &w) in x.iter().zip(w) {
                *sum = sum.wrapping_add(x as i32 * w as i32);
            }
        }
    }
}

/// The registers that loops over k use beside those they are given.
macro_rules! vectors {
    ($($asm:tt)*) => {
        asm!(
            $($asm)*
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            out("d8") _, out("d9") _, out("d10") _, out("d11") _, out("d12") _, out("d13") _, out("d14") _,
            out("d15") _,
        )
    };
}

pub(super) use vectors;

/// Four channels at a time of one row.
macro_rules! row_body {
    ($name:ident, $back:literal, [$($first:literal),+], [$($last:literal),*]) => {
        /// # Safety
        /// As [`row`]; `panel` points to the first of the four channels.
        #[inline(never)]
        unsafe fn $name(panel: *const i8, channels: usize, k: usize, row: *const i8, sums: &mut [i32; 4]) {
            let word = channels * KR;
            let offsets = Offsets([0, word, 2 * word, 3 * word]);
            let [a, b, c, d] = sums;
            // SAFETY: gather loads read words of the panel or of the zeros behind it, the loads
            // of the row its first `k` bytes, both by tail predication.
            unsafe {
                vectors!(
                    "vldrw.u32 q0, [r1]",
                    "vadd.i32 q0, q0, r3",
                    "vdup.32 q6, r5",
                    "dlstp.8 lr, r10",
                    "3:",
                    "vldrb.u8 q1, [r9], #16",
                    $($first,)+
                    "vmladava.s8 r0, q1, q2",
                    "vldrw.u32 q3, [q0, #4]",
                    "vmladava.s8 r2, q1, q3",
                    "vldrw.u32 q2, [q0, #8]",
                    "vmladava.s8 r4, q1, q2",
                    "vldrw.u32 q3, [q0, #12]",
                    "vmladava.s8 r8, q1, q3",
                    $($last,)*
                    "letp lr, 3b",
                    inout("r0") *a,
                    in("r1") &offsets,
                    inout("r2") *b,
                    in("r3") panel.wrapping_sub($back),
                    inout("r4") *c,
                    in("r5") 4 * KR * channels,
                    inout("r8") *d,
                    inout("r9") row => _,
                    in("r10") k,
                    out("lr") _,
                );
            }
        }
    };
}

row_body!(full_row, 128, ["vldrw.u32 q2, [q0, #128]!"], []);
row_body!(narrow_row, 0, ["vldrw.u32 q2, [q0]"], ["vadd.i32 q0, q0, q6"]);

/// Adds the sums of a panel with `channels` channels and one row to `sums`. Exact; sums wrap.
///
/// # Safety
/// At `panel`, a multiple of 4, lie `channels` ≤ 8 channels of `k` ≥ 1, packed, followed by
/// zeros so that 32 bytes can be read at the last k; the row has `k` readable bytes.
#[inline]
unsafe fn row(panel: *const i8, channels: usize, k: usize, row: *const i8, sums: &mut [i32; NR]) {
    for (half, sums) in sums.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        if half * 4 >= channels {
            break;
        }
        let panel = panel.wrapping_add(half * 4 * KR);
        // SAFETY: the caller's claims; a panel of 8 channels has steps of 128 bytes for 16 k.
        unsafe {
            if channels == NR {
                full_row(panel, channels, k, row, sums)
            } else {
                narrow_row(panel, channels, k, row, sums)
            }
        }
    }
}
