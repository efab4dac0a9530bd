//! Depthwise convolutions of 8 channels on a plane: the input of a band of output pixels, widened
//! to i16 and surrounded by padding, one cell a pixel. What reads it knows no border.

use crate::args::ConvShape;
use crate::pack::{MR, NR};

/// Cells of a plane: 12 KiB.
pub const CELLS: usize = 768;

/// One more cell than can be asked for: pairs of pixels may be loaded together.
pub type Cells = [[i16; NR]; CELLS + 1];

/// 8 channels of the input from `channel` on.
pub struct Input<'a> {
    pub x: &'a [i8],
    pub s: &'a ConvShape,
    pub channel: usize,
    pub pad: i16,
}

impl Input<'_> {
    /// Writes the cells of row `y` of the padded input of image `b`, from its column `x` on.
    #[inline(always)]
    fn line(&self, b: usize, y: usize, x: usize, line: &mut [[i16; NR]], widen: impl Fn(&[i8; NR], &mut [i16; NR])) {
        let s = self.s;
        let y = y.wrapping_sub(s.pad_top);
        if y >= s.in_h {
            return line.fill([self.pad; NR]);
        }
        let left = s.pad_left.saturating_sub(x).min(line.len());
        let inside = (s.in_w + s.pad_left).saturating_sub(x).min(line.len()).saturating_sub(left);
        let (pad, line) = line.split_at_mut(left);
        pad.fill([self.pad; NR]);
        let (line, pad) = line.split_at_mut(inside);
        pad.fill([self.pad; NR]);
        let first = ((b * s.in_h + y) * s.in_w + (x + left).wrapping_sub(s.pad_left)) * s.in_c;
        let x = &self.x[if inside > 0 { first..first + inside * s.in_c } else { 0..0 }];
        for (pixel, cell) in x.chunks_exact(s.in_c).zip(line) {
            let channels = &pixel[self.channel..];
            match channels.first_chunk::<NR>() {
                Some(channels) => widen(channels, cell),
                None => cell.iter_mut().zip(channels).for_each(|(to, &from)| *to = i16::from(from)),
            }
        }
    }
}

/// How many output rows and columns a plane serves.
#[derive(Clone, Copy)]
pub struct Bands {
    rows: usize,
    cols: usize,
    /// Cells of a line of the plane.
    width: usize,
    /// Input rows under a window.
    span: usize,
}

impl Bands {
    /// `None` where a plane cannot hold the windows of four pixels.
    pub fn new(s: &ConvShape) -> Option<Self> {
        let span = (s.kernel_h - 1) * s.dilation_h + 1;
        let reach = (s.kernel_w - 1) * s.dilation_w + 1;
        let mut cols = s.out_w;
        if span * ((cols - 1) * s.stride_w + reach) > CELLS {
            cols = (CELLS / span).checked_sub(reach)? / s.stride_w + 1;
            cols = (cols / MR * MR).min(s.out_w);
        }
        let width = (cols.checked_sub(1)?) * s.stride_w + reach;
        let rows = (CELLS / width).checked_sub(span)? / s.stride_h + 1;
        Some(Self { rows: rows.min(s.out_h), cols, width, span })
    }

    /// Cells from the window's first to the one under tap `tap` (row by row).
    #[inline]
    pub fn distance(&self, s: &ConvShape, tap: usize) -> usize {
        tap / s.kernel_w * s.dilation_h * self.width + tap % s.kernel_w * s.dilation_w
    }

    /// Calls `tile` for up to 4 output pixels that follow each other in the output: the plane,
    /// the first pixel, the number of pixels, the cells where their windows begin. `widen` fills
    /// a cell.
    #[inline(always)]
    pub fn each_tile(
        &self,
        input: &Input<'_>,
        cells: &mut Cells,
        widen: impl Fn(&[i8; NR], &mut [i16; NR]),
        mut tile: impl FnMut(&Cells, usize, usize, [usize; MR]),
    ) {
        let s = input.s;
        for b in 0..s.batch {
            for oy in (0..s.out_h).step_by(self.rows) {
                let rows = self.rows.min(s.out_h - oy);
                for ox in (0..s.out_w).step_by(self.cols) {
                    let cols = self.cols.min(s.out_w - ox);
                    let height = (rows - 1) * s.stride_h + self.span;
                    for (y, line) in cells.chunks_exact_mut(self.width).enumerate().take(height) {
                        input.line(b, oy * s.stride_h + y, ox * s.stride_w, line, &widen);
                    }
                    // Pixels of full lines follow each other in the output.
                    let lines = if cols == s.out_w { rows } else { 1 };
                    for y in (0..rows).step_by(lines) {
                        let pixel = (b * s.out_h + oy + y) * s.out_w + ox;
                        let mut walk = Walk { line: y * s.stride_h * self.width, x: 0 };
                        for i in (0..lines * cols).step_by(MR) {
                            let live = (lines * cols - i).min(MR);
                            let at = walk.tile(s, self.width, cols, live);
                            tile(cells, pixel + i, live, at);
                        }
                    }
                }
            }
        }
    }
}

/// Where the window of the next pixel begins in the plane.
struct Walk {
    line: usize,
    x: usize,
}

impl Walk {
    /// The cells of `tile` pixels, the last one repeated, lines having `cols` pixels.
    #[inline(always)]
    fn tile(&mut self, s: &ConvShape, width: usize, cols: usize, tile: usize) -> [usize; MR] {
        let first = self.line + self.x * s.stride_w;
        let mut at: [usize; MR] = core::array::from_fn(|j| first + j * s.stride_w);
        if self.x + tile < cols && tile == MR {
            self.x += MR;
            return at;
        }
        for j in 0..MR {
            if j < tile {
                at[j] = self.line + self.x * s.stride_w;
                self.x += 1;
                if self.x == cols {
                    *self = Self { line: self.line + s.stride_h * width, x: 0 };
                }
            } else {
                at[j] = at[j - 1];
            }
        }
        at
    }
}
