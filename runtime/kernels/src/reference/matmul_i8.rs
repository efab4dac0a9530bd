//! `matmul_i8`: one product at a time.

use super::epilogue::clamp;
use crate::args::RowsI8;

/// Rows `[m, k]` times rows `[n, k]`: `out[i][j] = (Σ a·b as f32)·(a_scale[i]·b_scale[j]) + 0`,
/// the epilogue of a dense layer without bias or clamp. The sum is i32, wrapping.
pub fn matmul(a: RowsI8<'_>, b: RowsI8<'_>, k: usize, out: &mut [f32]) {
    let n = b.scales.len();
    for (at, y) in out.iter_mut().enumerate() {
        let (i, j) = (at / n, at % n);
        let mut sum = 0i64;
        for l in 0..k {
            sum += a.codes[i * k + l] as i64 * b.codes[j * k + l] as i64;
        }
        let v = sum as i32 as f32 * (a.scales[i] * b.scales[j]) + 0.0;
        *y = clamp(v, f32::NEG_INFINITY, f32::INFINITY);
    }
}
