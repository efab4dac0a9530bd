//! `depthwise_w8__avx2_4x8`: tiles of 4 pixels times 8 channels, taps in pairs.
//!
//! The input of a band of output pixels is copied, 8 channels of it widened to i16 and
//! surrounded by padding, to a plane on the stack: one cell a pixel. What follows knows no border.

use core::arch::x86_64::*;

use super::epilogue::Block;
use super::mem::*;
use crate::args::*;
use crate::pack::{MR, NR, panel_channels};
use crate::portable;

/// Cells of a plane: 12 KiB.
const CELLS: usize = 768;
/// Pairs of taps of the largest window that takes this path.
const PAIRS: usize = 13;

/// One more cell than can be asked for: pairs of pixels are loaded together.
type Cells = [[i16; NR]; CELLS + 1];

/// Channels outermost: weights and epilogue of 8 channels are prepared once. Needs no scratch.
/// Windows of more than 26 taps, or too large for a plane, take the portable form.
/// Exact for every int8: pairs of products are at most 2^15; sums wrap.
#[inline]
#[target_feature(enable = "avx2")]
pub fn depthwise(x: &[i8], w: &[i8], s: &ConvShape, pad_value: i8, mut output: Output<'_>, scratch: &mut [u8]) {
    let pairs = (s.kernel_h * s.kernel_w).div_ceil(2);
    if pairs == 0 || s.out_c == 0 {
        return;
    }
    let Some(bands) = Bands::new(s).filter(|_| pairs <= PAIRS) else {
        return portable::depthwise_w8::depthwise(x, w, s, pad_value, output, scratch);
    };
    let mut cells: Cells = [[0; NR]; CELLS + 1];
    for (i, w) in w.chunks(NR * 2 * pairs).enumerate().take(s.out_c.div_ceil(NR)) {
        let (channel, channels) = (i * NR, panel_channels(s.out_c, i));
        let block = Block::new(&output, channel, channels, s.out_c);
        let w = Weights { bytes: w, stride: channels * 2 };
        let input = Input { x, s, channel, pad: pad_value as i16 };
        // The next number of pairs there is code for.
        match pairs {
            1..=2 => bands.run::<2>(&input, w, &mut cells, &block, &mut output),
            3..=5 => bands.run::<5>(&input, w, &mut cells, &block, &mut output),
            6..=8 => bands.run::<8>(&input, w, &mut cells, &block, &mut output),
            _ => bands.run::<PAIRS>(&input, w, &mut cells, &block, &mut output),
        }
    }
}

/// Packed weights of 8 channels, or fewer: pairs of taps are `stride` bytes apart.
#[derive(Clone, Copy)]
struct Weights<'a> {
    bytes: &'a [i8],
    stride: usize,
}

/// How many output rows and columns a plane serves.
#[derive(Clone, Copy)]
struct Bands {
    rows: usize,
    cols: usize,
    /// Cells of a line of the plane.
    width: usize,
    /// Input rows under a window.
    span: usize,
}

impl Bands {
    /// `None` where a plane cannot hold the windows of four pixels.
    fn new(s: &ConvShape) -> Option<Self> {
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

    #[inline]
    #[target_feature(enable = "avx2")]
    fn run<const P: usize>(
        &self,
        input: &Input<'_>,
        w: Weights<'_>,
        cells: &mut Cells,
        block: &Block,
        output: &mut Output<'_>,
    ) {
        let (s, taps) = (input.s, Taps::<P>::new(input.s, w, self.width));
        for b in 0..s.batch {
            for oy in (0..s.out_h).step_by(self.rows) {
                let rows = self.rows.min(s.out_h - oy);
                for ox in (0..s.out_w).step_by(self.cols) {
                    let cols = self.cols.min(s.out_w - ox);
                    let height = (rows - 1) * s.stride_h + self.span;
                    for (y, line) in cells.chunks_exact_mut(self.width).enumerate().take(height) {
                        input.line(b, oy * s.stride_h + y, ox * s.stride_w, line);
                    }
                    // Pixels of full lines follow each other in the output.
                    let lines = if cols == s.out_w { rows } else { 1 };
                    for y in (0..rows).step_by(lines) {
                        let pixel = (b * s.out_h + oy + y) * s.out_w + ox;
                        let mut walk = Walk { line: y * s.stride_h * self.width, x: 0 };
                        for i in (0..lines * cols).step_by(MR) {
                            let at = walk.tile(s, self.width, cols, (lines * cols - i).min(MR));
                            let sums = if s.stride_w == 1 && at[1] == at[0] + 1 && at[3] == at[2] + 1 {
                                taps.sums::<true>(cells, at)
                            } else {
                                taps.sums::<false>(cells, at)
                            };
                            block.store(output, pixel + i, (lines * cols - i).min(MR), sums);
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
    #[inline]
    fn tile(&mut self, s: &ConvShape, width: usize, cols: usize, tile: usize) -> [usize; MR] {
        let mut at = [self.line + self.x * s.stride_w; MR];
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

/// 8 channels of the input from `channel` on.
struct Input<'a> {
    x: &'a [i8],
    s: &'a ConvShape,
    channel: usize,
    pad: i16,
}

impl Input<'_> {
    /// Writes the cells of row `y` of the padded input of image `b`, from its column `x` on.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn line(&self, b: usize, y: usize, x: usize, line: &mut [[i16; NR]]) {
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
                Some(channels) => store_i16(cell, _mm_cvtepi8_epi16(load8(channels))),
                None => cell.iter_mut().zip(channels).for_each(|(to, &from)| *to = from as i16),
            }
        }
    }
}

/// Weights of `P` pairs of taps, and the taps' distances in the plane. Pairs past the window,
/// and the partner of an odd last tap, have weight zero and lie on the last tap.
struct Taps<const P: usize> {
    /// Channels 0..4 and 4..8, both twice: for the two pixels of a vector.
    weights: [[__m256i; 2]; P],
    distance: [[usize; 2]; P],
    farthest: usize,
}

impl<const P: usize> Taps<P> {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(s: &ConvShape, w: Weights<'_>, width: usize) -> Self {
        let mut weights = [[_mm256_setzero_si256(); 2]; P];
        let pairs = (s.kernel_h * s.kernel_w).div_ceil(2);
        for (pair, to) in weights.iter_mut().enumerate().take(pairs) {
            let Some(w) = w.bytes[pair * w.stride..].first_chunk() else { break };
            let w = _mm256_cvtepi8_epi16(load16(w));
            *to = [_mm256_permute4x64_epi64::<0b01_00_01_00>(w), _mm256_permute4x64_epi64::<0b11_10_11_10>(w)];
        }
        let (mut distance, mut farthest) = ([[0; 2]; P], 0);
        for (i, distance) in distance.as_flattened_mut().iter_mut().enumerate() {
            let tap = i.min(s.kernel_h * s.kernel_w - 1);
            *distance = tap / s.kernel_w * s.dilation_h * width + tap % s.kernel_w * s.dilation_w;
            farthest = farthest.max(*distance);
        }
        Self { weights, distance, farthest }
    }

    /// Sums of the pixels whose first taps lie on cells `at`; where `ADJACENT`, the second and
    /// fourth are behind the first and third.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn sums<const ADJACENT: bool>(&self, cells: &Cells, at: [usize; MR]) -> [__m256i; MR] {
        assert!(at[0].max(at[1]).max(at[2]).max(at[3]) + self.farthest < CELLS);
        let mut low = [_mm256_setzero_si256(); 2];
        let mut high = [_mm256_setzero_si256(); 2];
        for (w, &[a, b]) in self.weights.iter().zip(&self.distance) {
            for i in 0..2 {
                // SAFETY: `at + a` and `at + b` are below CELLS, and a cell follows the last.
                let (a, b) = unsafe {
                    let (first, second) = (cells.as_ptr().add(at[2 * i]), cells.as_ptr().add(at[2 * i + 1]));
                    (two::<ADJACENT>(first.add(a), second.add(a)), two::<ADJACENT>(first.add(b), second.add(b)))
                };
                low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), w[0]));
                high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), w[1]));
            }
        }
        [
            _mm256_permute2x128_si256::<0x20>(low[0], high[0]),
            _mm256_permute2x128_si256::<0x31>(low[0], high[0]),
            _mm256_permute2x128_si256::<0x20>(low[1], high[1]),
            _mm256_permute2x128_si256::<0x31>(low[1], high[1]),
        ]
    }
}

/// Two cells as one vector; where `ADJACENT`, the second is the one behind the first.
///
/// # Safety
/// Both cells are readable, and the one behind the first.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn two<const ADJACENT: bool>(first: *const [i16; NR], second: *const [i16; NR]) -> __m256i {
    if ADJACENT {
        // SAFETY: the caller's claim, for the first cell and the one behind it.
        unsafe { _mm256_loadu_si256(first.cast()) }
    } else {
        // SAFETY: the caller's claim, for both cells.
        unsafe { _mm256_loadu2_m128i(second.cast(), first.cast()) }
    }
}
