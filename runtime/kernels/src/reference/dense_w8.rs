//! `dense_w8__reference`: the definition of the int8 dense layer.

use super::epilogue;
use crate::args::*;
use crate::pack::w8_at;

/// Rows `[rows, k]` times packed `[n, k]`. Exact.
pub fn dense(x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, mut output: Output<'_>) {
    for row in 0..rows {
        for channel in 0..n {
            let mut sum = 0i64;
            for at in 0..k {
                sum += x[row * k + at] as i64 * w[w8_at(n, k, channel, at)] as i64;
            }
            epilogue::store(&mut output, row, channel, n, sum);
        }
    }
}
