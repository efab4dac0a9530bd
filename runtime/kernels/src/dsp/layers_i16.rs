//! Layers with int16 activations: the portable loops around an inner product by `smlad`, a row times 4 channels.

use core::arch::asm;

use zerocopy::IntoBytes;

use super::Dsp;
use crate::args::*;
use crate::isa::IsaI16;
use crate::pack::{KR, NR};
use crate::portable::layers_i16::{self, DotI16};

impl DotI16 for Dsp {
    #[inline(always)]
    fn block<const R: usize>(self, panel: &[i8], channels: usize, rows: [&[i16]; R]) -> [[i32; NR]; R] {
        let mut all = [[0; NR]; R];
        for (all, row) in all.iter_mut().zip(rows) {
            for (i, four) in all.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                if i * 4 < channels {
                    *four = four_channels(panel.get(i * 4 * KR..).unwrap_or_default(), channels * KR, row);
                }
            }
        }
        all
    }
}

/// Sums of a row with the first 4 channels of `panel`, whose quads of k are `stride` bytes apart. A narrow panel has zeros
/// behind it: 4 channels can be read of its last quad.
#[inline(never)]
fn four_channels(panel: &[i8], stride: usize, row: &[i16]) -> [i32; 4] {
    let mut sums = [0; 4];
    let mut rest = panel.as_bytes();
    for x in row.as_chunks::<KR>().0 {
        let Some(w) = rest.first_chunk::<{ 4 * KR }>() else { break };
        // Elements 0 and 2, 1 and 3, as `sxtb16` leaves weights.
        let pair = |i: usize| u32::from(x[i] as u16) | u32::from(x[i + 2] as u16) << 16;
        let (even, odd) = (pair(0), pair(1));
        for (sum, w) in sums.iter_mut().zip(w.as_chunks::<KR>().0) {
            *sum = add(*sum, u32::from_le_bytes(*w), even, odd);
        }
        rest = rest.get(stride..).unwrap_or_default();
    }
    sums
}

/// Adds the products of 4 weights and 4 elements.
#[inline(always)]
fn add(mut sum: i32, w: u32, even: u32, odd: u32) -> i32 {
    // SAFETY: reads and writes registers; the build has the DSP extension.
    unsafe {
        asm!(
            "sxtb16 {part}, {w}",
            "smlad {sum}, {part}, {even}, {sum}",
            "sxtb16 {part}, {w}, ror #8",
            "smlad {sum}, {part}, {odd}, {sum}",
            part = out(reg) _,
            w = in(reg) w,
            even = in(reg) even,
            odd = in(reg) odd,
            sum = inout(reg) sum,
            options(pure, nomem, nostack),
        );
    }
    sum
}

#[rustfmt::skip]
impl IsaI16 for Dsp {
    fn conv2d_i16(self, x: &[i16], w: &[i8], s: &ConvShape, q: &RequantI16<'_>, out: &mut [i16], scratch: &mut [u8]) {
        layers_i16::conv2d_with(self, x, w, s, q, out, scratch);
    }

    fn dense_i16(self, x: &[i16], w: &[i8], k: usize, n: usize, q: &RequantI16<'_>, out: &mut [i16]) {
        layers_i16::dense_with(self, x, w, k, n, q, out);
    }
}
