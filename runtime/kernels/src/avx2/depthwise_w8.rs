//! `depthwise_w8__avx2_4x8`: tiles of 4 pixels times 8 channels, taps in pairs, on a plane.

use core::arch::x86_64::*;

use super::epilogue::Block;
use super::mem::*;
use crate::args::*;
use crate::pack::{MR, NR, panel_channels};
use crate::plane::{Bands, CELLS, Cells, Input};
use crate::portable;

/// Pairs of taps of the largest window that takes this path.
const PAIRS: usize = 13;

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
            1..=2 => run::<2>(&bands, &input, w, &mut cells, &block, &mut output),
            3..=5 => run::<5>(&bands, &input, w, &mut cells, &block, &mut output),
            6..=8 => run::<8>(&bands, &input, w, &mut cells, &block, &mut output),
            _ => run::<PAIRS>(&bands, &input, w, &mut cells, &block, &mut output),
        }
    }
}

/// Packed weights of 8 channels, or fewer: pairs of taps are `stride` bytes apart.
#[derive(Clone, Copy)]
struct Weights<'a> {
    bytes: &'a [i8],
    stride: usize,
}

#[inline]
#[target_feature(enable = "avx2")]
fn run<const P: usize>(
    bands: &Bands,
    input: &Input<'_>,
    w: Weights<'_>,
    cells: &mut Cells,
    block: &Block,
    output: &mut Output<'_>,
) {
    let (s, taps) = (input.s, Taps::<P>::new(bands, input.s, w));
    let widen = |x: &[i8; NR], cell: &mut [i16; NR]| store_i16(cell, _mm_cvtepi8_epi16(load8(x)));
    bands.each_tile(input, cells, widen, |cells, pixel, tile, at| {
        let sums = if s.stride_w == 1 && at[1] == at[0] + 1 && at[3] == at[2] + 1 {
            taps.sums::<true>(cells, at)
        } else {
            taps.sums::<false>(cells, at)
        };
        block.store(output, pixel, tile, sums);
    });
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
    fn new(bands: &Bands, s: &ConvShape, w: Weights<'_>) -> Self {
        let mut weights = [[_mm256_setzero_si256(); 2]; P];
        let pairs = (s.kernel_h * s.kernel_w).div_ceil(2);
        for (pair, to) in weights.iter_mut().enumerate().take(pairs) {
            let Some(w) = w.bytes[pair * w.stride..].first_chunk() else { break };
            let w = _mm256_cvtepi8_epi16(load16(w));
            *to = [_mm256_permute4x64_epi64::<0b01_00_01_00>(w), _mm256_permute4x64_epi64::<0b11_10_11_10>(w)];
        }
        let (mut distance, mut farthest) = ([[0; 2]; P], 0);
        for (i, distance) in distance.as_flattened_mut().iter_mut().enumerate() {
            *distance = bands.distance(s, i.min(s.kernel_h * s.kernel_w - 1));
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
