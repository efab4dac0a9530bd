//! The scalar form of `softmax_i8`.

use selvedge_core::arith;

use super::divide::quotient;
use crate::args::*;

/// Distances an int8 row can have.
const DISTANCES: usize = 256;

/// Rows longer than [`DISTANCES`] divide once a distance and look the rest up. Exact.
pub fn softmax(x: &[i8], row: usize, args: &SoftmaxI8<'_>, out: &mut [i8]) {
    let row = row.max(1);
    for (x, out) in x.chunks(row).zip(out.chunks_mut(row)) {
        let max = x.iter().fold(i8::MIN, |max, &q| max.max(q));
        let e = |q: i8| arith::softmax_exponential(args.table, max.wrapping_sub(q) as u8);
        let sum = x.iter().fold(0, |sum: u64, &q| sum.wrapping_add(e(q) as u64));
        let p = |q: i8| probability(e(q), sum, args);
        if x.len() <= DISTANCES {
            out.iter_mut().zip(x).for_each(|(out, &q)| *out = p(q));
            continue;
        }
        let mut by_distance = [0i8; DISTANCES];
        for (d, y) in by_distance.iter_mut().enumerate() {
            *y = p(max.wrapping_sub(d as u8 as i8));
        }
        for (out, &q) in out.iter_mut().zip(x) {
            *out = by_distance[max.wrapping_sub(q) as u8 as usize];
        }
    }
}

/// `arith::softmax_probability`: a quotient past 2^12 is past 127 with a zero point of int8.
#[inline(never)]
fn probability(e: u32, sum: u64, args: &SoftmaxI8<'_>) -> i8 {
    let half = sum.max(1) << (args.shift & 63);
    let numerator = (e as u64).wrapping_mul(args.inverse as u64 * 2).wrapping_add(half);
    let (p, _) = quotient(numerator, half << 1);
    (p as i32 + args.zero_point).clamp(-128, 127) as i8
}
