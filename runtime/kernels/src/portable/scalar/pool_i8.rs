//! The scalar form of `avg_pool_i8`: one output at a time.

use super::divide::quotient;
use crate::args::*;
use crate::portable::pool_i8::padded_count;
use crate::window;

/// Exact: sums in i32, one division an output.
pub fn avg_pool(x: &[i8], s: &ConvShape, args: &AverageI8, out: &mut [i8]) {
    let mut at = (0, 0, 0);
    for out in out.chunks_exact_mut(s.in_c.max(1)) {
        let [rows, cols] = window::inside(s, at);
        let cells = (rows.1 - rows.0) * (cols.1 - cols.0);
        let count = if args.count_pad { padded_count(s, args, at) } else { cells as i32 };
        let offset = (cells as i32).wrapping_mul(args.input_zero_point);
        let (step, line) = (s.dilation_w * s.in_c, s.dilation_h * s.in_w * s.in_c);
        let first = window::cell(s, at, rows.0, cols.0).wrapping_mul(s.in_c);
        for (c, out) in out.iter_mut().enumerate() {
            let mut sum = 0i32;
            for row in 0..rows.1 - rows.0 {
                let mut cell = first.wrapping_add(row * line + c);
                for _ in cols.0..cols.1 {
                    sum = sum.wrapping_add(x.get(cell).copied().unwrap_or_default() as i32);
                    cell = cell.wrapping_add(step);
                }
            }
            *out = average(sum.wrapping_sub(offset), count, args);
        }
        at = window::next_pixel(s, at);
    }
}

/// `arith::average`: a quotient past 2^12 is past every clamp with a zero point of int8.
fn average(sum: i32, n: i32, args: &AverageI8) -> i8 {
    let denominator = (n.max(1) as u64) << (args.shift & 63);
    let numerator = sum as i64 * args.multiplier as i64;
    let (quotient, rest) = quotient(numerator.unsigned_abs(), denominator);
    let (floor, above) = match (numerator < 0, rest) {
        (false, rest) => (quotient as i32, rest),
        (true, 0) => (-(quotient as i32), 0),
        (true, rest) => (-(quotient as i32) - 1, denominator.wrapping_sub(rest)),
    };
    let y = floor + args.zero_point;
    let below = denominator.wrapping_sub(above);
    let up = above > below || (above == below && y >= 0);
    (y + up as i32).max(args.lo as i32).min(args.hi as i32) as i8
}
