//! `softmax_i8__portable`.

use selvedge_core::arith;

use crate::args::*;

/// Distances an int8 row can have.
const DISTANCES: usize = 256;

/// Rows longer than [`DISTANCES`] divide once a distance and look the rest up. Exact.
#[inline(always)]
pub fn softmax(x: &[i8], row: usize, args: &SoftmaxI8<'_>, out: &mut [i8]) {
    let row = row.max(1);
    for (x, out) in x.chunks(row).zip(out.chunks_mut(row)) {
        let max = x.iter().fold(i8::MIN, |max, &q| max.max(q));
        let e = |d: u8| arith::softmax_exponential(args.table, d);
        let distance = |q: i8| max.wrapping_sub(q) as u8;
        let sum = x.iter().map(|&q| e(distance(q)) as u64).sum();
        let p = |d: u8| arith::softmax_probability(e(d), sum, args.inverse, args.shift, args.zero_point);
        if x.len() > DISTANCES {
            let mut by_distance = [0i8; DISTANCES];
            by_distance.iter_mut().enumerate().for_each(|(d, y)| *y = p(d as u8));
            out.iter_mut().zip(x).for_each(|(out, &q)| *out = by_distance[distance(q) as usize]);
        } else {
            out.iter_mut().zip(x).for_each(|(out, &q)| *out = p(distance(q)));
        }
    }
}
