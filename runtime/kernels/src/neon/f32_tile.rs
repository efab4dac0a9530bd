//! The product of a few rows and a few panels with NEON: two 4-lane accumulators a row and panel,
//! multiplication and addition apart.

use core::arch::aarch64::*;
use core::arch::asm;

use super::Neon;
use super::mem::store_f32;
use crate::element::{Element, Stored};
use crate::f32_rules::K_BLOCK;
use crate::pack::NR;
use crate::portable::f32_tile::{Panels, Tile};

type Sums<const M: usize, const P: usize> = [[[float32x4_t; 2]; P]; M];

impl Tile for Neon {
    #[inline(always)]
    fn sums<E: Element, const M: usize, const P: usize>(
        self,
        x: &[&[f32]; M],
        w: Panels<'_, E>,
        k: usize,
    ) -> [[[f32; NR]; P]; M] {
        // SAFETY: `self` is the proof that the CPU has NEON.
        unsafe { sums(x, w, k) }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn sums<E: Element, const M: usize, const P: usize>(
    x: &[&[f32]; M],
    w: Panels<'_, E>,
    k: usize,
) -> [[[f32; NR]; P]; M] {
    let zero = [[[vdupq_n_f32(0.0); 2]; P]; M];
    let mut total = zero;
    if k > 0 {
        let last = (P - 1).saturating_mul(w.panel_stride).saturating_add((k - 1).saturating_mul(w.k_stride));
        assert!(last.saturating_add(NR) <= w.data.len());
    }
    let x = x.map(|row| row[..k].as_ptr());
    let panels: [*const E; P] = core::array::from_fn(|p| w.data.as_ptr().wrapping_add(p * w.panel_stride));
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

/// 8 elements of each panel, `at` behind its first, widened.
///
/// # Safety
/// They are readable.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn columns<E: Element, const P: usize>(panels: &[*const E; P], at: usize) -> [[float32x4_t; 2]; P] {
    // SAFETY: the caller's claim; `STORED` says which type `E` is.
    panels.map(|panel| unsafe {
        let panel = panel.add(at);
        match E::STORED {
            Stored::F32 => [vld1q_f32(panel.cast()), vld1q_f32(panel.cast::<f32>().add(4))],
            Stored::F16 => halves(vld1q_u16(panel.cast())),
            Stored::I8 => {
                let wide = vmovl_s8(vld1_s8(panel.cast()));
                [vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))), vcvtq_f32_s32(vmovl_high_s16(wide))]
            }
        }
    })
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

/// 8 halves, widened. Compilers have no stable intrinsic for it.
#[inline]
#[target_feature(enable = "neon")]
fn halves(bits: uint16x8_t) -> [float32x4_t; 2] {
    let (low, high): (float32x4_t, float32x4_t);
    // SAFETY: every CPU with NEON converts halves; nothing but these registers is touched.
    unsafe {
        asm!("fcvtl {low:v}.4s, {x:v}.4h", "fcvtl2 {high:v}.4s, {x:v}.8h", low = out(vreg) low, high = lateout(vreg) high,
            x = in(vreg) bits, options(pure, nomem, nostack, preserves_flags));
    }
    [low, high]
}
