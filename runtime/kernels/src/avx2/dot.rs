//! The inner product of W8 panels with rows widened to i16.

use core::arch::x86_64::*;

use super::mem::{ask_for, load16};
use crate::pack::{KR, NR};

/// Bytes of a panel that hold [`KR`] consecutive k of each of its channels.
pub const QUAD: usize = NR * KR;
/// Bytes ahead of those a single row reads that are brought to the second cache.
pub const AHEAD: usize = 16384;
/// Bytes of a row that hold [`KR`] consecutive k as i16.
pub const ROW_QUAD: usize = KR * 2;

/// Sums of `R` rows times the `channels` of `panel`, in the order of channels. A row is i16
/// little-endian, one [`ROW_QUAD`] for each quad of the panel. Exact for every int8: pairs of
/// products are at most 2^15; sums wrap; those past `channels` are unspecified.
#[inline]
#[target_feature(enable = "avx2")]
pub fn dot<const R: usize>(panel: &[i8], channels: usize, rows: [&[u8]; R]) -> [__m256i; R] {
    let quads = rows[0].len() / ROW_QUAD;
    // Rows of one length: the loop has no other bound to check.
    let mut x: [&[[u8; ROW_QUAD]]; R] = [&[]; R];
    for (x, row) in x.iter_mut().zip(rows) {
        *x = &row.as_chunks::<ROW_QUAD>().0[..quads];
    }
    let mut sums = Sums { low: [_mm256_setzero_si256(); R], high: [_mm256_setzero_si256(); R] };
    if channels == NR {
        for (i, w) in panel.as_chunks::<QUAD>().0[..quads].iter().enumerate() {
            if R == 1 && i % 2 == 0 {
                ask_for(w.as_ptr().wrapping_add(AHEAD));
            }
            sums.add(w, &x, i);
        }
    } else {
        // Quads lie closer; the zeros behind the panel keep the last load inside.
        let stride = channels * KR;
        for i in 0..quads {
            let Some(w) = panel[i * stride..].first_chunk::<QUAD>() else { break };
            sums.add(w, &x, i);
        }
    }
    for (low, &high) in sums.low.iter_mut().zip(&sums.high) {
        *low = channel_sums(*low, high);
    }
    sums.low
}

/// Channels 0..4 in `low`, 4..8 in `high`, the two k pairs of each apart.
struct Sums<const R: usize> {
    low: [__m256i; R],
    high: [__m256i; R],
}

impl<const R: usize> Sums<R> {
    /// Adds quad `i` of k.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(&mut self, w: &[i8; QUAD], x: &[&[[u8; ROW_QUAD]]; R], i: usize) {
        let (halves, _) = w.as_chunks::<16>();
        let (w0, w1) = (_mm256_cvtepi8_epi16(load16(&halves[0])), _mm256_cvtepi8_epi16(load16(&halves[1])));
        for r in 0..R {
            let x = _mm256_set1_epi64x(i64::from_le_bytes(x[r][i]));
            self.low[r] = _mm256_add_epi32(self.low[r], _mm256_madd_epi16(w0, x));
            self.high[r] = _mm256_add_epi32(self.high[r], _mm256_madd_epi16(w1, x));
        }
    }
}

/// Adds the two k pairs of each channel: channels 0..4 lie in `low`, 4..8 in `high`.
#[inline]
#[target_feature(enable = "avx2")]
fn channel_sums(low: __m256i, high: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(low, high))
}
