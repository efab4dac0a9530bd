//! The product of a few rows and a few panels with AVX2: one 8-lane accumulator a row and panel,
//! multiplication and addition apart.

use super::Avx2;
use crate::element::{Element, Stored};
use crate::f32_rules::K_BLOCK;
use crate::pack::NR;
use crate::portable::f32_tile::{Panels, Tile};
use core::arch::x86_64::*;

impl Tile for Avx2 {
    #[inline(always)]
    fn sums<E: Element, const M: usize, const P: usize>(
        self,
        x: &[&[f32]; M],
        w: Panels<'_, E>,
        k: usize,
    ) -> [[[f32; NR]; P]; M] {
        // SAFETY: a value of `Avx2` is the proof that the CPU has AVX2 and F16C.
        unsafe { sums(x, w, k) }
    }
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn sums<E: Element, const M: usize, const P: usize>(
    x: &[&[f32]; M],
    w: Panels<'_, E>,
    k: usize,
) -> [[[f32; NR]; P]; M] {
    let mut total = [[_mm256_setzero_ps(); P]; M];
    if k > 0 {
        let last = (P - 1).saturating_mul(w.panel_stride).saturating_add((k - 1).saturating_mul(w.k_stride));
        assert!(last.saturating_add(NR) <= w.data.len());
    }
    let x = x.map(|row| row[..k].as_ptr());
    let panels: [*const E; P] = core::array::from_fn(|p| w.data.as_ptr().wrapping_add(p * w.panel_stride));
    let mut start = 0;
    while start < k {
        let end = k.min(start + K_BLOCK);
        let mut block = [[_mm256_setzero_ps(); P]; M];
        for i in start..end {
            // SAFETY: the assertion above bounds the last panel's last 8 elements; i < k.
            let w = panels.map(|panel| unsafe { columns(panel.add(i * w.k_stride)) });
            for (sums, row) in block.iter_mut().zip(x) {
                // SAFETY: rows are k long, as the slicing above checked; i < k.
                let x = _mm256_set1_ps(unsafe { *row.add(i) });
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum = _mm256_add_ps(*sum, _mm256_mul_ps(x, w));
                }
            }
        }
        for (total, block) in total.iter_mut().zip(block) {
            for (total, block) in total.iter_mut().zip(block) {
                *total = _mm256_add_ps(*total, block);
            }
        }
        start = end;
    }
    total.map(|sums| sums.map(|sum| lanes(sum)))
}

#[target_feature(enable = "avx2")]
#[inline]
fn lanes(v: __m256) -> [f32; NR] {
    let mut out = [0.0; NR];
    // SAFETY: the array holds 8 numbers.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), v) };
    out
}

/// 8 weights, widened.
///
/// # Safety
/// They are readable.
#[target_feature(enable = "avx2,f16c")]
#[inline]
unsafe fn columns<E: Element>(at: *const E) -> __m256 {
    // SAFETY: the caller's claim; `STORED` says which type `E` is.
    unsafe {
        match E::STORED {
            Stored::F32 => _mm256_loadu_ps(at.cast()),
            Stored::F16 => _mm256_cvtph_ps(_mm_loadu_si128(at.cast())),
            Stored::I8 => _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(at.cast()))),
        }
    }
}
