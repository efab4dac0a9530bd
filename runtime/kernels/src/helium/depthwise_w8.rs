//! `depthwise_w8__helium_2x8`: two pixels, 8 channels, one tap after the other.

use super::epilogue::Epilogue;
use super::product;
use super::taps::{self, Blocks, TAPS, Taps};
use crate::args::*;
use crate::pack::{NR, depthwise_w8_bytes, panel_channels};
use crate::window;

/// Taps in the padding read `pad_value`. Needs no scratch. Exact.
#[inline(never)]
pub fn depthwise(x: &[i8], w: &[i8], s: &ConvShape, pad_value: i8, output: Output<'_>, _scratch: &mut [u8]) {
    let count = s.kernel_h * s.kernel_w;
    let pixels = product([s.batch, s.out_h, s.out_w]);
    let Some(mut epilogue) = Epilogue::new(output, pixels, s.out_c) else { return };
    if count == 0
        || s.out_c == 0
        || s.in_c != s.out_c
        || product([s.kernel_h, s.kernel_w + 1, s.out_c + NR]) == usize::MAX
        || w.len() < depthwise_w8_bytes(s.out_c, count)
        || x.len() < product([s.batch, s.in_h, s.in_w, s.in_c])
    {
        return;
    }
    let pads = [pad_value; NR];
    let layer = Layer { x, s, pads: &pads, columns: window::inner_columns(s), count };
    match epilogue.int8() {
        Some((int8, out)) if count <= TAPS && int8.q.residual.is_none() => {
            let out = out.get_mut(..pixels * s.out_c).unwrap_or_default();
            layer.int8(Blocks::new(&int8, w, s.out_c, count, &pads), out);
        }
        _ => layer.any(w, &mut epilogue),
    }
}

struct Layer<'a> {
    x: &'a [i8],
    s: &'a ConvShape,
    /// A block of cells in the padding.
    pads: &'a [i8; NR],
    /// Output columns whose windows lie inside of the input's columns.
    columns: (usize, usize),
    /// Taps.
    count: usize,
}

type Pixel = (usize, usize, usize);

impl Layer<'_> {
    /// Outputs are int8 and requantized in registers.
    fn int8(&self, mut blocks: Blocks, out: &mut [i8]) {
        let s = self.s;
        let (mut taps, mut offsets) = (Taps::new(), Taps::new());
        let kernel_w = s.kernel_w.max(1);
        for tap in 0..self.count {
            let offset = (tap / kernel_w * s.dilation_h * s.in_w + tap % kernel_w * s.dilation_w) * s.in_c;
            offsets.set(0, tap, core::ptr::without_provenance(offset));
            offsets.set(1, tap, core::ptr::without_provenance(offset));
        }
        let pixel_step = s.stride_w * s.in_c;
        let mut at = (0, 0, 0);
        let (mut middle, mut line) = self.enter(at);
        for out in out.chunks_mut((2 * s.out_c).max(1)) {
            let first = line.wrapping_add(at.2 * pixel_step);
            if middle.0 <= at.2 && at.2 + 1 < middle.1 {
                taps.place(self.count, &offsets, [first, first.wrapping_add(pixel_step)]);
            } else {
                let second = if out.len() == s.out_c { at } else { window::next_pixel(s, at) };
                let (second_middle, second_line) = if second.2 > at.2 { (middle, line) } else { self.enter(second) };
                let bases = [first, second_line.wrapping_add(second.2 * pixel_step)];
                taps.place(self.count, &offsets, bases);
                if at.2 < middle.0 || at.2 >= middle.1 {
                    self.pad(&mut taps, 0, at);
                }
                if second.2 < second_middle.0 || second.2 >= second_middle.1 {
                    self.pad(&mut taps, 1, second);
                }
            }
            // SAFETY: the table's cells lie in `x` or in `pads`; `out` are the outputs of two
            // pixels, or of one.
            unsafe { blocks.pair(&mut taps, out.as_mut_ptr(), out.len() == s.out_c) };
            at.2 += 2;
            if at.2 >= s.out_w {
                at.2 -= 2;
                at = window::next_pixel(s, window::next_pixel(s, at));
                (middle, line) = self.enter(at);
            }
        }
    }

    /// Of the output row of `at`: the columns whose windows lie inside of the input, and where
    /// the window of column 0 begins (outside of the input, in the padding).
    fn enter(&self, at: Pixel) -> ((usize, usize), *const i8) {
        let s = self.s;
        let rows = window::taps_inside(at.1 * s.stride_h, s.pad_top, s.in_h, s.kernel_h, s.dilation_h);
        let cell = window::cell(s, (at.0, at.1, 0), 0, 0).wrapping_mul(s.in_c);
        let columns = if rows == (0, s.kernel_h) { self.columns } else { (0, 0) };
        (columns, self.x.as_ptr().wrapping_add(cell))
    }

    /// Points those taps of pixel `i` of the pair at the padding that lie there.
    fn pad(&self, taps: &mut Taps, i: usize, at: Pixel) {
        let s = self.s;
        let [rows, cols] = window::inside(s, at);
        for ky in 0..s.kernel_h {
            let first = ky * s.kernel_w;
            let cols = if rows.0 <= ky && ky < rows.1 { cols } else { (0, 0) };
            for kx in (0..cols.0).chain(cols.1..s.kernel_w) {
                taps.set(i, first + kx, self.pads.as_ptr());
            }
        }
    }

    /// Any output, any number of taps: sums of a pair and a block, then its epilogue.
    fn any(&self, w: &[i8], epilogue: &mut Epilogue<'_>) {
        let s = self.s;
        let pixels = s.batch * s.out_h * s.out_w;
        let mut taps = Taps::new();
        let (mut pixel, mut at) = (0, (0, 0, 0));
        while pixel < pixels {
            let n = (pixels - pixel).min(2);
            let second = if n == 2 { window::next_pixel(s, at) } else { at };
            for (i, w) in w.chunks((NR * self.count.next_multiple_of(2)).max(1)).enumerate() {
                let (channel, live) = (i * NR, panel_channels(s.out_c, i));
                if live == 0 {
                    break;
                }
                let mut sums = [epilogue.start(channel, live); 2];
                for first in (0..self.count).step_by(TAPS) {
                    let range = first..(first + TAPS).min(self.count);
                    self.point(&mut taps, 0, at, channel, range.clone());
                    self.point(&mut taps, 1, second, channel, range.clone());
                    // SAFETY: the table's cells lie in `x` or in `pads`.
                    unsafe { taps::sums(&taps, range.len(), w, first * live, live, &mut sums) };
                }
                epilogue.store(pixel, n, channel, live, &sums);
            }
            pixel += n;
            at = window::next_pixel(s, second);
        }
    }

    /// Points the taps of a range of pixel `i` of the pair at the cells of output pixel `at`
    /// from `channel` on.
    fn point(&self, taps: &mut Taps, i: usize, at: Pixel, channel: usize, range: core::ops::Range<usize>) {
        let s = self.s;
        let [rows, cols] = window::inside(s, at);
        let (mut ky, mut kx) = (range.start / s.kernel_w.max(1), range.start % s.kernel_w.max(1));
        for tap in 0..range.len() {
            let inside = rows.0 <= ky && ky < rows.1 && cols.0 <= kx && kx < cols.1;
            if inside {
                let cell = window::cell(s, at, ky, kx) * s.in_c + channel;
                taps.set(i, tap, self.x.as_ptr().wrapping_add(cell));
            } else {
                taps.set(i, tap, self.pads.as_ptr());
            }
            kx += 1;
            if kx == s.kernel_w {
                (ky, kx) = (ky + 1, 0);
            }
        }
    }
}
