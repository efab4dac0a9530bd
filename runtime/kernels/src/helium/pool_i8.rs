//! `max_pool_i8__helium_1x16`, `avg_pool_i8__helium_1x16`: blocks of channels of one pixel.

use core::arch::asm;

use selvedge_core::arith;

use super::product;
use crate::args::*;
use crate::window;

/// Channels of a block of an average pool.
const BLOCK: usize = 16;

/// The cells of a window that lie inside the input.
struct Cells {
    first: *const i8,
    rows: usize,
    cols: usize,
    /// Bytes from a row, and from a cell, to the next.
    row_step: usize,
    step: usize,
}

impl Cells {
    /// Those of output pixel `at`, none where `x` is shorter than its shape.
    #[inline]
    fn new(x: &[i8], s: &ConvShape, at: (usize, usize, usize)) -> Self {
        let [rows, cols] = window::inside(s, at);
        let fits = x.len() >= product([s.batch, s.in_h, s.in_w, s.in_c]) && at.0 < s.batch;
        let some = fits && rows.0 < rows.1 && cols.0 < cols.1;
        let first = if some { window::cell(s, at, rows.0, cols.0) * s.in_c } else { 0 };
        Self {
            first: x.as_ptr().wrapping_add(first),
            rows: if some { rows.1 - rows.0 } else { 0 },
            cols: if some { cols.1 - cols.0 } else { 0 },
            row_step: s.dilation_h * s.in_w * s.in_c,
            step: s.dilation_w * s.in_c,
        }
    }
}

/// −128 where no cell lies inside. Exact.
pub fn max_pool(x: &[i8], s: &ConvShape, out: &mut [i8]) {
    let mut at = (0, 0, 0);
    for out in out.chunks_exact_mut(s.in_c.max(1)) {
        let cells = Cells::new(x, s, at);
        if cells.rows == 0 {
            out.fill(i8::MIN);
        } else {
            // SAFETY: every cell has as many channels as `out`.
            unsafe { max(&cells, out) };
        }
        at = window::next_pixel(s, at);
    }
}

/// The largest value of each channel.
///
/// # Safety
/// There are cells, and at each as many channels as `out` has, at least one.
#[inline(never)]
unsafe fn max(cells: &Cells, out: &mut [i8]) {
    // SAFETY: loads and stores are predicated to the channels that are left.
    unsafe {
        asm!(
            "mov {a}, #128",
            "vdup.8 q2, {a}",
            "2:",
            "vctp.8 {n}",
            "vmov q0, q2",
            "mov {a}, {first}",
            "mov {lines}, {rows}",
            "3:",
            "mov {b}, {a}",
            "dls lr, {cols}",
            "4:",
            "vpst",
            "vldrbt.u8 q1, [{b}]",
            "add {b}, {b}, {step}",
            "vmax.s8 q0, q0, q1",
            "le lr, 4b",
            "add {a}, {a}, {row_step}",
            "subs {lines}, {lines}, #1",
            "bne 3b",
            "vpst",
            "vstrbt.8 q0, [{out}], #16",
            "add {first}, {first}, #16",
            "subs {n}, {n}, #16",
            "bhi 2b",
            a = out(reg) _,
            b = out(reg) _,
            lines = out(reg) _,
            first = inout(reg) cells.first => _,
            rows = in(reg) cells.rows,
            cols = in(reg) cells.cols,
            step = in(reg) cells.step,
            row_step = in(reg) cells.row_step,
            n = inout(reg) out.len() => _,
            out = inout(reg) out.as_mut_ptr() => _,
            out("lr") _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _,
            options(nostack),
        );
    }
}

/// Exact: sums in i32, one division an output.
pub fn avg_pool(x: &[i8], s: &ConvShape, args: &AverageI8, out: &mut [i8]) {
    let mut at = (0, 0, 0);
    for out in out.chunks_exact_mut(s.in_c.max(1)) {
        let mut cells = Cells::new(x, s, at);
        let n = (cells.rows * cells.cols) as i32;
        let count = if args.count_pad { padded_count(s, args, at) } else { n };
        let offset = n.wrapping_mul(args.input_zero_point);
        for out in out.chunks_mut(BLOCK) {
            let mut sums = [0i32; BLOCK];
            if n > 0 {
                // SAFETY: every cell has as many channels from here on as `out`.
                unsafe { sum(&cells, out.len(), &mut sums) };
            }
            for (out, &sum) in out.iter_mut().zip(&sums) {
                *out = average(sum.wrapping_sub(offset), count, args);
            }
            cells.first = cells.first.wrapping_add(BLOCK);
        }
        at = window::next_pixel(s, at);
    }
}

/// Sums of the first `n` channels.
///
/// # Safety
/// There are cells, and at each `n` ≥ 1 channels; `n` ≤ 16.
#[inline(never)]
unsafe fn sum(cells: &Cells, n: usize, sums: &mut [i32; BLOCK]) {
    // SAFETY: loads and stores are predicated to the channels that are left.
    unsafe {
        asm!(
            "2:",
            "vctp.32 {n}",
            "vmov.i32 q0, #0",
            "mov {a}, {first}",
            "mov {lines}, {rows}",
            "3:",
            "mov r1, {a}",
            "dls lr, {cols}",
            "4:",
            "vpst",
            "vldrbt.s32 q1, [r1]",
            "add r1, r1, {step}",
            "vadd.i32 q0, q0, q1",
            "le lr, 4b",
            "add {a}, {a}, {row_step}",
            "subs {lines}, {lines}, #1",
            "bne 3b",
            "vpst",
            "vstrwt.32 q0, [{sums}], #16",
            "add {first}, {first}, #4",
            "subs {n}, {n}, #4",
            "bhi 2b",
            a = out(reg) _,
            lines = out(reg) _,
            first = inout(reg) cells.first => _,
            rows = in(reg) cells.rows,
            cols = in(reg) cells.cols,
            step = in(reg) cells.step,
            row_step = in(reg) cells.row_step,
            n = inout(reg) n => _,
            sums = inout(reg) sums.as_mut_ptr() => _,
            out("r1") _,
            out("lr") _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _,
            options(nostack),
        );
    }
}

/// `arith::average`; between equal grids, whose ratio is 2^23/2^23, in 32 bits.
#[inline]
fn average(sum: i32, n: i32, args: &AverageI8) -> i8 {
    let (lo, hi) = (args.lo as i32, args.hi as i32);
    if (args.multiplier, args.shift) != (1 << 23, 23) || n <= 0 || n > 1 << 16 {
        return arith::average(sum, n, args.multiplier, args.shift, args.zero_point, lo, hi) as i8;
    }
    let floor = sum.div_euclid(n);
    let twice = (sum - floor * n) * 2;
    let up = twice > n || (twice == n && floor + args.zero_point >= 0);
    (floor + up as i32 + args.zero_point).max(lo).min(hi) as i8
}

/// Cells of the window inside the padded input.
#[inline]
fn padded_count(s: &ConvShape, args: &AverageI8, at: (usize, usize, usize)) -> i32 {
    let rows = s.in_h + s.pad_top + args.pad_end[0];
    let cols = s.in_w + s.pad_left + args.pad_end[1];
    let (_, rows) = window::taps_inside(at.1 * s.stride_h, 0, rows, s.kernel_h, s.dilation_h);
    let (_, cols) = window::taps_inside(at.2 * s.stride_w, 0, cols, s.kernel_w, s.dilation_w);
    (rows * cols) as i32
}
