//! `depthwise_w8__neon_4x8`: tiles of 4 pixels times 8 channels, tap by tap, on a plane.

use core::arch::aarch64::*;
use core::arch::asm;

use super::dot::Sums;
use super::epilogue::Block;
use super::mem::{load8, load16, store_i16};
use crate::args::*;
use crate::pack::{MR, NR, panel_channels};
use crate::plane::{Bands, CELLS, Cells, Input};
use crate::portable;

/// Taps of the largest window that takes this path.
const TAPS: usize = 25;

/// Channels outermost: weights and epilogue of 8 channels are prepared once. Needs no scratch.
/// Windows of more than 25 taps, or too large for a plane, take the portable form.
/// Exact for every int8; sums wrap.
#[inline]
#[target_feature(enable = "neon")]
pub fn depthwise(x: &[i8], w: &[i8], s: &ConvShape, pad_value: i8, mut output: Output<'_>, scratch: &mut [u8]) {
    let taps = s.kernel_h * s.kernel_w;
    if taps == 0 || s.out_c == 0 {
        return;
    }
    let Some(bands) = Bands::new(s).filter(|_| taps <= TAPS) else {
        return portable::depthwise_w8::depthwise(x, w, s, pad_value, output, scratch);
    };
    let mut cells: Cells = [[0; NR]; CELLS + 1];
    for (i, w) in w.chunks(NR * taps.next_multiple_of(2)).enumerate().take(s.out_c.div_ceil(NR)) {
        let (channel, channels) = (i * NR, panel_channels(s.out_c, i));
        let block = Block::new(&output, channel, channels, s.out_c);
        let w = Weights { bytes: w, stride: channels * 2 };
        let input = Input { x, s, channel, pad: pad_value as i16 };
        // The next number of taps there is code for.
        match taps {
            1..=4 => run::<4>(&bands, &input, w, &mut cells, &block, &mut output),
            5..=9 => run::<9>(&bands, &input, w, &mut cells, &block, &mut output),
            10..=16 => run::<16>(&bands, &input, w, &mut cells, &block, &mut output),
            _ => run::<TAPS>(&bands, &input, w, &mut cells, &block, &mut output),
        }
    }
}

/// Packed weights of 8 channels, or fewer: pairs of taps are `stride` bytes apart.
#[derive(Clone, Copy)]
struct Weights<'a> {
    bytes: &'a [i8],
    stride: usize,
}

#[inline(never)]
#[target_feature(enable = "neon")]
fn run<const N: usize>(
    bands: &Bands,
    input: &Input<'_>,
    w: Weights<'_>,
    cells: &mut Cells,
    block: &Block,
    output: &mut Output<'_>,
) {
    let taps = Taps::<N>::new(bands, input.s, w);
    let widen = |x: &[i8; NR], cell: &mut [i16; NR]| store_i16(cell, vmovl_s8(load8(x)));
    bands.each_tile(input, cells, widen, |cells, pixel, tile, at| {
        block.store(output, pixel, tile, &taps.sums(cells, at));
    });
}

/// Weights of `N` taps, and the taps' distances in the plane. Taps past the window have weight
/// zero and lie on the last one.
struct Taps<const N: usize> {
    weights: [int16x8_t; N],
    distance: [usize; N],
    farthest: usize,
}

impl<const N: usize> Taps<N> {
    #[inline]
    #[target_feature(enable = "neon")]
    fn new(bands: &Bands, s: &ConvShape, w: Weights<'_>) -> Self {
        let taps = s.kernel_h * s.kernel_w;
        let mut weights = [vdupq_n_s16(0); N];
        for (pair, to) in weights.chunks_mut(2).enumerate().take(taps.div_ceil(2)) {
            let Some(w) = w.bytes[pair * w.stride..].first_chunk() else { break };
            let w = load16(w);
            let both = [vuzp1q_s8(w, w), vuzp2q_s8(w, w)];
            for (to, w) in to.iter_mut().zip(both) {
                *to = vmovl_s8(vget_low_s8(w));
            }
        }
        let distance = core::array::from_fn(|tap| bands.distance(s, tap.min(taps - 1)));
        Self { weights, distance, farthest: distance.into_iter().max().unwrap_or(0) }
    }

    /// Sums of the pixels whose first taps lie on cells `at`.
    #[inline]
    #[target_feature(enable = "neon")]
    fn sums(&self, cells: &Cells, at: [usize; MR]) -> [Sums; MR] {
        assert!(at[0].max(at[1]).max(at[2]).max(at[3]) + self.farthest < CELLS);
        let first = at.map(|at| cells[at..].as_ptr());
        let mut sums = [[vdupq_n_s32(0); 2]; MR];
        for (&w, &distance) in self.weights.iter().zip(&self.distance) {
            for (sum, first) in sums.iter_mut().zip(first) {
                // SAFETY: `at` + `distance` is below CELLS.
                let x = unsafe { vld1q_s16(first.add(distance).cast()) };
                sum[0] = vmlal_s16(sum[0], vget_low_s16(x), vget_low_s16(w));
                sum[1] = smlal2(sum[1], x, w);
            }
        }
        sums
    }
}

/// Adds the products of the upper halves. The intrinsic is an extraction and a product to the
/// compiler, which moves that of the weights out of the loop and is left with that of `x`.
#[inline]
#[target_feature(enable = "neon")]
fn smlal2(mut acc: int32x4_t, x: int16x8_t, w: int16x8_t) -> int32x4_t {
    // SAFETY: the function has the instruction's feature; registers are all it touches.
    unsafe {
        asm!(
            "smlal2 {acc:v}.4s, {x:v}.8h, {w:v}.8h",
            acc = inout(vreg) acc,
            x = in(vreg) x,
            w = in(vreg) w,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    acc
}
