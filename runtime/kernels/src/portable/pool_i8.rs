//! `max_pool_i8__portable`, `avg_pool_i8__portable`: blocks of channels of one pixel.

use selvedge_core::arith;

use crate::args::*;
use crate::window;

/// Channels of a block.
const BLOCK: usize = 32;

/// Calls `cells` with the channels of each cell of the window inside the input.
#[inline(always)]
fn inside(x: &[i8], s: &ConvShape, at: (usize, usize, usize), mut cells: impl FnMut(&[i8])) {
    let [rows, cols] = window::inside(s, at);
    for ky in rows.0..rows.1 {
        for kx in cols.0..cols.1 {
            let start = window::cell(s, at, ky, kx) * s.in_c;
            cells(x.get(start..start + s.in_c).unwrap_or_default());
        }
    }
}

/// −128 where no cell lies inside. Exact.
#[inline(always)]
pub fn max_pool(x: &[i8], s: &ConvShape, out: &mut [i8]) {
    let mut at = (0, 0, 0);
    for out in out.chunks_exact_mut(s.in_c.max(1)) {
        out.fill(i8::MIN);
        inside(x, s, at, |cells| {
            out.iter_mut().zip(cells).for_each(|(out, &x)| *out = (*out).max(x));
        });
        at = window::next_pixel(s, at);
    }
}

/// Exact: sums in i32, one division or shift an output.
#[inline(always)]
pub fn avg_pool(x: &[i8], s: &ConvShape, args: &AverageI8, out: &mut [i8]) {
    let (lo, hi) = (args.lo as i32, args.hi as i32);
    let mut at = (0, 0, 0);
    for out in out.chunks_exact_mut(s.in_c.max(1)) {
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            let (mut sums, mut n) = ([0i32; BLOCK], 0i32);
            inside(x, s, at, |cells| {
                n += 1;
                let cells = cells.get(block * BLOCK..).unwrap_or_default();
                match cells.first_chunk::<BLOCK>() {
                    Some(cells) => sums.iter_mut().zip(cells).for_each(|(sum, &x)| *sum += x as i32),
                    None => sums.iter_mut().zip(cells).for_each(|(sum, &x)| *sum += x as i32),
                }
            });
            let offset = n.wrapping_mul(args.input_zero_point);
            let count = if args.count_pad { padded_count(s, args, at) } else { n };
            // A number of cells that is a power of two divides by a shift.
            let shift = (args.shift + (count as u32).trailing_zeros()) & 63;
            if count > 0 && (count as u32).is_power_of_two() {
                let denominator = 1i64 << shift;
                for (out, &sum) in out.iter_mut().zip(&sums) {
                    let numerator = sum.wrapping_sub(offset) as i64 * args.multiplier as i64;
                    let floor = numerator >> shift;
                    let y = floor + args.zero_point as i64;
                    // A tie goes away from zero.
                    let twice = (numerator & (denominator - 1)) * 2 + (y >= 0) as i64;
                    let y = y + (twice > denominator) as i64;
                    *out = y.max(lo as i64).min(hi as i64) as i8;
                }
            } else {
                for (out, &sum) in out.iter_mut().zip(&sums) {
                    let sum = sum.wrapping_sub(offset);
                    *out = arith::average(sum, count, args.multiplier, args.shift, args.zero_point, lo, hi) as i8;
                }
            }
        }
        at = window::next_pixel(s, at);
    }
}

/// Cells of the window inside the padded input.
#[inline(always)]
pub fn padded_count(s: &ConvShape, args: &AverageI8, at: (usize, usize, usize)) -> i32 {
    let rows = s.in_h + s.pad_top + args.pad_end[0];
    let cols = s.in_w + s.pad_left + args.pad_end[1];
    let (_, rows) = window::taps_inside(at.1 * s.stride_h, 0, rows, s.kernel_h, s.dilation_h);
    let (_, cols) = window::taps_inside(at.2 * s.stride_w, 0, cols, s.kernel_w, s.dilation_w);
    (rows * cols) as i32
}
