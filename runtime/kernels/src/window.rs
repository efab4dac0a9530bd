//! Which cells of the input a window covers, as contiguous runs.

use crate::args::ConvShape;

/// The output pixel (batch, row, column) behind `at` in the order of memory.
#[inline(always)]
pub fn next_pixel(s: &ConvShape, (b, oy, ox): (usize, usize, usize)) -> (usize, usize, usize) {
    if ox + 1 < s.out_w {
        (b, oy, ox + 1)
    } else if oy + 1 < s.out_h {
        (b, oy + 1, 0)
    } else {
        (b + 1, 0, 0)
    }
}

/// Taps of one axis that fall inside an input of `size`, for a window that begins at
/// `start − pad`: a half-open range of tap indices.
#[inline(always)]
pub fn taps_inside(start: usize, pad: usize, size: usize, kernel: usize, dilation: usize) -> (usize, usize) {
    // Most windows are not dilated; a division costs more than the rest of the function.
    let steps = |n: usize| if dilation <= 1 { n } else { n.div_ceil(dilation) };
    let end = steps((size + pad).saturating_sub(start)).min(kernel);
    let begin = steps(pad.saturating_sub(start)).min(end);
    (begin, end)
}

/// Rows and columns of the window of output pixel `at` that lie inside the input.
#[inline(always)]
pub fn inside(s: &ConvShape, at: (usize, usize, usize)) -> [(usize, usize); 2] {
    [
        taps_inside(at.1 * s.stride_h, s.pad_top, s.in_h, s.kernel_h, s.dilation_h),
        taps_inside(at.2 * s.stride_w, s.pad_left, s.in_w, s.kernel_w, s.dilation_w),
    ]
}

/// Whether the patch of a pixel is the pixel: a 1x1 window, no stride, padding or groups.
#[inline(always)]
pub fn is_pointwise(s: &ConvShape) -> bool {
    [s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.groups] == [1; 5]
        && [s.pad_top, s.pad_left] == [0; 2]
        && (s.out_h, s.out_w) == (s.in_h, s.in_w)
}

/// Output columns whose windows lie inside of the input's columns.
#[cfg(selvedge_helium)]
pub fn inner_columns(s: &ConvShape) -> (usize, usize) {
    let reach = s.kernel_w.saturating_sub(1) * s.dilation_w + 1;
    let end = match (s.in_w + s.pad_left).checked_sub(reach) {
        Some(last) => (last / s.stride_w.max(1) + 1).min(s.out_w),
        None => 0,
    };
    (s.pad_left.div_ceil(s.stride_w.max(1)).min(end), end)
}

/// Index of the cell under tap (`ky`, `kx`), wrapping where it lies outside of the input.
#[inline(always)]
pub fn cell(s: &ConvShape, (b, oy, ox): (usize, usize, usize), ky: usize, kx: usize) -> usize {
    let y = (oy * s.stride_h + ky * s.dilation_h).wrapping_sub(s.pad_top);
    let x = (ox * s.stride_w + kx * s.dilation_w).wrapping_sub(s.pad_left);
    (b * s.in_h).wrapping_add(y).wrapping_mul(s.in_w).wrapping_add(x)
}

/// The patch of output pixel `at` and `group` in the order (row, column, input channel):
/// calls `run(Some(start), len)` for `len` contiguous elements of the input and
/// `run(None, len)` for `len` elements of padding.
#[inline(always)]
pub fn patch_runs(s: &ConvShape, at: (usize, usize, usize), group: usize, mut run: impl FnMut(Option<usize>, usize)) {
    let in_c = s.in_c / s.groups.max(1);
    let [rows, cols] = inside(s, at);
    let whole = s.dilation_w == 1 && in_c == s.in_c;
    let line = s.kernel_w * in_c;
    if rows.0 > 0 {
        run(None, rows.0 * line);
    }
    for ky in rows.0..rows.1 {
        if cols.0 > 0 {
            run(None, cols.0 * in_c);
        }
        if whole && cols.1 > cols.0 {
            run(Some(cell(s, at, ky, cols.0) * s.in_c), (cols.1 - cols.0) * in_c);
        } else {
            for kx in cols.0..cols.1 {
                run(Some(cell(s, at, ky, kx) * s.in_c + group * in_c), in_c);
            }
        }
        if cols.1 < s.kernel_w {
            run(None, (s.kernel_w - cols.1) * in_c);
        }
    }
    if rows.1 < s.kernel_h {
        run(None, (s.kernel_h - rows.1) * line);
    }
}
