//! `softmax_i8__reference`.

use selvedge_core::arith;

use crate::args::*;

/// `arith::softmax_probability` of each element.
pub fn softmax(x: &[i8], row: usize, args: &SoftmaxI8<'_>, out: &mut [i8]) {
    for (x, out) in x.chunks(row.max(1)).zip(out.chunks_mut(row.max(1))) {
        let max = x.iter().copied().max().unwrap_or(0);
        let e = |q: i8| arith::softmax_exponential(args.table, (max as i32 - q as i32) as u8);
        let sum = x.iter().map(|&q| e(q) as u64).sum();
        for i in 0..out.len() {
            out[i] = arith::softmax_probability(e(x[i]), sum, args.inverse, args.shift, args.zero_point);
        }
    }
}
