//! `dense_w8__helium_4x8`: tiles of 4 rows times 8 channels.

use super::dot::{self, Matrix};
use super::epilogue::Epilogue;
use super::product;
use super::row_i8;
use super::tile_i8::Panels;
use crate::args::*;
use crate::pack::{KR, MR, NR, w8_bytes};

/// Exact.
#[inline(never)]
pub fn dense(x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, output: Output<'_>) {
    let Some(mut epilogue) = Epilogue::new(output, rows, n) else { return };
    if k == 0 || n == 0 || product([n + NR, k + KR]) == usize::MAX || w.len() < w8_bytes(n, k) {
        return;
    }
    let (mut row, mut rest) = (0, x);
    while row < rows {
        let tile = if rows - row >= MR { MR } else { 1 };
        let Some((x, others)) = rest.split_at_checked(tile * k) else { return };
        rest = others;
        let rows = [0, 1, 2, 3].map(|i: usize| x.as_ptr().wrapping_add(i.min(tile - 1) * k));
        let done = in_registers(x, w, rows, tile, n, row, &mut epilogue);
        if done < n {
            let matrix = Matrix { w, channels: n, k, first: 0 };
            // SAFETY: the rows are `tile` rows of `x`, which has as many of `k` bytes.
            unsafe { dot::store(&matrix, done / NR, rows.get(..tile).unwrap_or_default(), row, &mut epilogue) };
        }
        row += tile;
    }
}

/// Panels of `tile` rows `x` whose outputs are requantized in registers; their channels.
fn in_registers(
    x: &[i8],
    w: &[i8],
    rows: [*const i8; MR],
    tile: usize,
    n: usize,
    row: usize,
    epilogue: &mut Epilogue<'_>,
) -> usize {
    let Some((int8, out)) = epilogue.int8() else { return 0 };
    let Some(out) = out.get_mut(row * n..(row + tile) * n) else { return 0 };
    if !dot::is_aligned(w) || tile < MR && int8.q.residual.is_some() {
        return 0;
    }
    // SAFETY: `w` is as long as `w8_bytes` says and aligned; the arrays have `n` entries; `x` are
    // `tile` rows, `out` as many of `n`.
    unsafe {
        if tile == MR {
            let k = x.len() / MR;
            Panels::new(&int8, w, 0, n, k, n).tile(rows, MR, out.as_mut_ptr());
            n
        } else {
            row_i8::full_panels(&int8, w.as_ptr(), x, out);
            n / NR * NR
        }
    }
}
