//! The scalar form of `depthwise_w8`: one pixel, 4 channels.

use core::hint::black_box;

use super::epilogue::store;
use crate::args::*;
use crate::pack::{NR, panel_channels};
use crate::window::taps_inside;

/// A part of a window: where its cells lie in the input, and its weights in their block.
#[derive(Clone, Copy)]
struct Part {
    rows: (usize, usize),
    cols: (usize, usize),
    /// Taps of a row of the whole window.
    kernel_w: usize,
    /// Elements from a cell to the next of its row.
    step: usize,
    /// Elements from a row of cells to the next.
    line: usize,
    /// Elements from two taps of a channel to its next two.
    stride: usize,
}

impl Part {
    /// Where the weights of a channel lie in its block.
    #[inline(always)]
    fn tap(&self, tap: usize) -> usize {
        tap / 2 * self.stride + tap % 2
    }

    /// Whether `channels` channels of the part lie in `x`, from its first cell on, and in `w`.
    #[inline(always)]
    fn fits(&self, x: &[i8], w: &[i8], channels: usize) -> bool {
        let Part { rows, cols, .. } = self;
        if rows.0 >= rows.1 || cols.0 >= cols.1 {
            return false;
        }
        let last = (rows.1 - rows.0 - 1) * self.line + (cols.1 - cols.0 - 1) * self.step;
        let last_tap = (rows.1 - 1) * self.kernel_w + cols.1 - 1;
        last + channels <= x.len() && self.tap(last_tap) + channels * 2 - 1 <= w.len()
    }
}

/// Where part of a window lies in the padding it counts as zero: pad·Σw over all taps, and
/// (x − pad)·w over those inside. Exact.
pub fn depthwise(x: &[i8], w: &[i8], s: &ConvShape, pad_value: i8, mut output: Output<'_>) {
    let taps = s.kernel_h * s.kernel_w;
    if taps == 0 {
        return;
    }
    for (i, block) in w.chunks((NR * taps.next_multiple_of(2)).max(1)).enumerate() {
        let live = panel_channels(s.out_c, i);
        let whole = Part {
            rows: (0, s.kernel_h),
            cols: (0, s.kernel_w),
            kernel_w: s.kernel_w,
            step: s.dilation_w * s.in_c,
            line: s.dilation_h * s.in_w * s.in_c,
            stride: live * 2,
        };
        let padded = window(&[0; NR], live, &[pad_value; NR], block, &Part { step: 0, line: 0, ..whole }, Some(0));
        for (b, oy) in (0..s.batch).flat_map(|b| (0..s.out_h).map(move |oy| (b, oy))) {
            let rows = taps_inside(oy * s.stride_h, s.pad_top, s.in_h, s.kernel_h, s.dilation_h);
            let y = (oy * s.stride_h + rows.0 * s.dilation_h).wrapping_sub(s.pad_top);
            let line = (b * s.in_h).wrapping_add(y).wrapping_mul(s.in_w);
            let mut part = Part { rows, ..whole };
            let mut pair = [[0; 2]; NR];
            for ox in 0..s.out_w {
                part.cols = taps_inside(ox * s.stride_w, s.pad_left, s.in_w, s.kernel_w, s.dilation_w);
                let cell = (ox * s.stride_w + part.cols.0 * s.dilation_w).wrapping_sub(s.pad_left);
                let x = x.get(line.wrapping_add(cell).wrapping_mul(s.in_c).wrapping_add(i * NR)..).unwrap_or_default();
                let clipped = rows != whole.rows || part.cols != whole.cols;
                let (first, zero) = if clipped { (&padded, Some(pad_value as i32)) } else { (&[0; NR], None) };
                let acc = window(first, live, x, block, &part, zero);
                let pixel = (b * s.out_h + oy) * s.out_w + ox;
                if ox % 2 == 1 {
                    pair.iter_mut().zip(acc).for_each(|(pair, acc)| pair[1] = acc);
                    store(&mut output, pixel - 1, i * NR, s.out_c, pair.get(..live).unwrap_or_default());
                } else if ox + 1 == s.out_w {
                    store(&mut output, pixel, i * NR, s.out_c, acc.as_chunks::<1>().0.get(..live).unwrap_or_default());
                } else {
                    pair.iter_mut().zip(acc).for_each(|(pair, acc)| pair[0] = acc);
                }
            }
        }
    }
}

/// `first` and the products of 8 channels with a part of a window, with `zero` taken off each
/// cell; those past `live` are unspecified. `x` begins at the first cell of the part.
#[inline(always)]
fn window(first: &[i32; NR], live: usize, x: &[i8], w: &[i8], part: &Part, zero: Option<i32>) -> [i32; NR] {
    if part.fits(x, w, NR) {
        // SAFETY: the part fits, with 8 channels.
        return unsafe {
            match zero {
                None => sums::<NR, false>(first, x.as_ptr(), w.as_ptr(), part, 0),
                Some(zero) => sums::<NR, true>(first, x.as_ptr(), w.as_ptr(), part, zero),
            }
        };
    }
    let mut acc = *first;
    // Near the end of the input a narrow block has cells for its own channels only.
    if part.fits(x, w, live) {
        for (c, acc) in acc.iter_mut().take(live).enumerate() {
            // SAFETY: the part fits, with `live` channels.
            [*acc] =
                unsafe { sums::<1, true>(&[*acc], x.as_ptr().add(c), w.as_ptr().add(c * 2), part, zero.unwrap_or(0)) };
        }
    }
    acc
}

/// `first` and the products of `C` channels with a part of a window; if it is `CLIPPED`, with
/// `zero` taken off each cell. `x` points to the first cell of the part, `w` to the first tap of
/// the window. Exact; sums wrap.
///
/// # Safety
/// The part fits `x` and `w` with `C` channels.
#[inline(never)]
unsafe fn sums<const C: usize, const CLIPPED: bool>(
    first: &[i32; C],
    mut x: *const i8,
    w: *const i8,
    part: &Part,
    zero: i32,
) -> [i32; C] {
    let mut sums = *first;
    for row in part.rows.0..part.rows.1 {
        let tap = row * part.kernel_w + part.cols.0;
        let (mut w, mut to_next) =
            (w.wrapping_add(part.tap(tap)), if tap.is_multiple_of(2) { 1 } else { part.stride - 1 });
        let mut cell = x;
        for _ in part.cols.0..part.cols.1 {
            let mut c = 0;
            sums = sums.map(|sum| {
                // SAFETY: a cell and a tap of the part, which fits, as the caller promises.
                let (x, w) = unsafe { (*cell.add(c) as i32, *w.add(c * 2) as i32) };
                c += 1;
                let x = if CLIPPED { x.wrapping_sub(zero) } else { x };
                sum.wrapping_add(x.wrapping_mul(w))
            });
            (w, to_next) = (w.wrapping_add(to_next), part.stride - to_next);
            cell = cell.wrapping_add(part.step);
            // Unrolled, the loop would not fit the registers.
            black_box(());
        }
        x = x.wrapping_add(part.line);
    }
    sums
}
