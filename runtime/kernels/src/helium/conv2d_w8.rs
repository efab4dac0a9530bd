//! `conv2d_w8__helium_4x8`: implicit GEMM, tiles of 4 pixels times 8 channels.

use super::dot::{self, Matrix};
use super::epilogue::Epilogue;
use super::gather::Patches;
use super::product;
use super::tile_i8::Panels;
use crate::args::*;
use crate::pack::{KR, MR, NR, w8_bytes};

/// Scratch holds the patches of one tile as bytes, where they are not read from the input. Exact.
#[inline(never)]
pub fn conv2d(x: &[i8], w: &[i8], s: &ConvShape, pad_value: i8, output: Output<'_>, scratch: &mut [u8]) {
    let (in_c, out_c) = (s.in_c / s.groups.max(1), s.out_c / s.groups.max(1));
    let k = s.kernel_h * s.kernel_w * in_c;
    let pixels = product([s.batch, s.out_h, s.out_w]);
    if k == 0 || out_c == 0 || product([s.kernel_h, s.kernel_w, in_c + KR, s.out_c + NR]) == usize::MAX {
        return;
    }
    let Some(mut epilogue) = Epilogue::new(output, pixels, s.out_c) else { return };
    for (group, w) in w.chunks_exact(w8_bytes(out_c, k).max(1)).enumerate() {
        let Some(patches) = Patches::new(x, s, pad_value, group, scratch) else { return };
        let first = group * out_c;
        match epilogue.int8() {
            Some((int8, out)) if dot::is_aligned(w) => {
                let panels = Panels::new(&int8, w, first, out_c, k, s.out_c);
                let out = out.get_mut(first..pixels * s.out_c).unwrap_or_default();
                in_registers(patches, panels, pixels, out, s.out_c, scratch);
            }
            _ => {
                let matrix = Matrix { w, channels: out_c, k, first };
                in_memory(patches, &matrix, pixels, &mut epilogue, scratch);
            }
        }
    }
}

/// Tiles that are requantized in registers.
fn in_registers(
    mut patches: Patches<'_>,
    mut panels: Panels,
    pixels: usize,
    out: &mut [i8],
    step: usize,
    scratch: &mut [u8],
) {
    let mut left = pixels;
    for out in out.chunks_mut((MR * step).max(1)) {
        let tile = left.min(MR);
        let Some(rows) = patches.next(tile, scratch) else { return };
        // SAFETY: the rows are patches of the panels' k; from `out` on lie the outputs of
        // `tile` pixels.
        unsafe { panels.tile(rows, tile, out.as_mut_ptr()) };
        left -= tile;
    }
}

/// Tiles whose sums are stored and then taken by the epilogue.
fn in_memory(
    mut patches: Patches<'_>,
    matrix: &Matrix<'_>,
    pixels: usize,
    epilogue: &mut Epilogue<'_>,
    scratch: &mut [u8],
) {
    for pixel in (0..pixels).step_by(MR) {
        let tile = (pixels - pixel).min(MR);
        let Some(rows) = patches.next(tile, scratch) else { return };
        // SAFETY: the rows are patches of the matrix's k.
        unsafe { dot::store(matrix, 0, rows.get(..tile).unwrap_or_default(), pixel, epilogue) };
    }
}
