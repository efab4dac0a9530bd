//! The product of a few rows and a few panels with NEON: two 4-lane accumulators a row and panel,
//! multiplication and addition apart.

use core::arch::aarch64::*;

use super::Neon;
use super::mem::store_f32;
use crate::f32_rules::K_BLOCK;
use crate::pack::NR;
use crate::portable::f32_tile::{Panels, Tile};

type Sums<const M: usize, const P: usize> = [[[float32x4_t; 2]; P]; M];

impl Tile for Neon {
    #[inline(always)]
    fn sums<const M: usize, const P: usize>(self, x: &[&[f32]; M], w: Panels<'_>, k: usize) -> [[[f32; NR]; P]; M] {
        // SAFETY: `self` is the proof that the CPU has NEON.
        unsafe { sums(x, w, k) }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn sums<const M: usize, const P: usize>(x: &[&[f32]; M], w: Panels<'_>, k: usize) -> [[[f32; NR]; P]; M] {
    let zero = [[[vdupq_n_f32(0.0); 2]; P]; M];
    let mut total = zero;
    if k > 0 {
        let last = (P - 1).saturating_mul(w.panel_stride).saturating_add((k - 1).saturating_mul(w.k_stride));
        assert!(last.saturating_add(NR) <= w.data.len());
    }
    let x = x.map(|row| row[..k].as_ptr());
    let panels: [*const f32; P] = core::array::from_fn(|p| w.data.as_ptr().wrapping_add(p * w.panel_stride));
    let mut start = 0;
    while start < k {
        let end = k.min(start + K_BLOCK);
        let mut block = zero;
        let mut i = start;
        while i + 4 <= end {
            // SAFETY: rows are k long, as the slicing above checked; i + 4 ≤ k.
            let x = x.map(|row| unsafe { vld1q_f32(row.add(i)) });
            // SAFETY: the assertion above bounds the last panel's last 8 elements; i + 4 ≤ k.
            let w = |j: usize| unsafe { columns(&panels, (i + j) * w.k_stride) };
            add::<0, M, P>(&mut block, x, w(0));
            add::<1, M, P>(&mut block, x, w(1));
            add::<2, M, P>(&mut block, x, w(2));
            add::<3, M, P>(&mut block, x, w(3));
            i += 4;
        }
        while i < end {
            // SAFETY: rows are k long; i < k.
            let x = x.map(|row| unsafe { vdupq_n_f32(*row.add(i)) });
            // SAFETY: the assertion above; i < k.
            let w = unsafe { columns(&panels, i * w.k_stride) };
            add::<0, M, P>(&mut block, x, w);
            i += 1;
        }
        for (total, block) in total.as_flattened_mut().iter_mut().zip(block.as_flattened()) {
            *total = [vaddq_f32(total[0], block[0]), vaddq_f32(total[1], block[1])];
        }
        start = end;
    }
    total.map(|sums| {
        sums.map(|sums| {
            let mut lanes = [0.0; NR];
            store_f32(&mut lanes, sums);
            lanes
        })
    })
}

/// 8 elements of each panel, `at` behind its first.
///
/// # Safety
/// They are readable.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn columns<const P: usize>(panels: &[*const f32; P], at: usize) -> [[float32x4_t; 2]; P] {
    // SAFETY: the caller's claim.
    panels.map(|panel| unsafe { [vld1q_f32(panel.add(at)), vld1q_f32(panel.add(at + 4))] })
}

/// Adds lane `LANE` of each row times 8 columns of each panel.
#[inline]
#[target_feature(enable = "neon")]
fn add<const LANE: i32, const M: usize, const P: usize>(
    sums: &mut Sums<M, P>,
    x: [float32x4_t; M],
    w: [[float32x4_t; 2]; P],
) {
    for (sums, x) in sums.iter_mut().zip(x) {
        for (sum, w) in sums.iter_mut().zip(w) {
            sum[0] = vaddq_f32(sum[0], vmulq_laneq_f32::<LANE>(w[0], x));
            sum[1] = vaddq_f32(sum[1], vmulq_laneq_f32::<LANE>(w[1], x));
        }
    }
}
