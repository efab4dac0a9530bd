//! The inner product of W8 panels in single registers: 8 sums at a time, all of k.

use crate::pack::{KR, NR};

#[cfg(not(selvedge_thumb2))]
use self::plain as form;
#[cfg(selvedge_thumb2)]
use super::dot_thumb2 as form;

/// Sums of a row with the 8 channels of `panel`, whose quads of k are `stride` bytes apart. Rows
/// count in whole quads; where `panel` ends before they do the sums are zero. Exact; sums wrap.
#[inline(never)]
pub fn one_row(panel: &[i8], stride: usize, x: &[i8]) -> [[i32; 1]; NR] {
    let quads = quads(panel, stride, NR, x.len());
    if quads == 0 {
        return [[0]; NR];
    }
    // SAFETY: `quads` says that these quads lie inside of both.
    unsafe { form::one_row(panel.as_ptr(), stride, x.as_ptr(), quads) }
}

/// As [`one_row`], of 4 channels with two rows of one length.
#[inline(never)]
pub fn two_rows(panel: &[i8], stride: usize, [a, b]: [&[i8]; 2]) -> [[i32; 2]; 4] {
    let quads = quads(panel, stride, 4, a.len().min(b.len()));
    if quads == 0 {
        return [[0; 2]; 4];
    }
    // SAFETY: `quads` says that these quads lie inside of all three.
    unsafe { form::two_rows(panel.as_ptr(), stride, [a.as_ptr(), b.as_ptr()], quads) }
}

/// Whole quads in `len` elements; 0 where those of `channels` channels reach out of `panel`.
#[inline(always)]
fn quads(panel: &[i8], stride: usize, channels: usize, len: usize) -> usize {
    let quads = len / KR;
    let end = quads.saturating_sub(1).saturating_mul(stride).saturating_add(channels * KR);
    if end <= panel.len() { quads } else { 0 }
}

/// For any target. Written out, so that it does not depend on how much a compiler unrolls.
#[cfg(not(selvedge_thumb2))]
mod plain {
    use crate::pack::{KR, NR};

    /// # Safety
    /// `x` holds `quads` quads; `w` holds as many of 8 channels, `stride` bytes apart.
    #[inline(always)]
    pub unsafe fn one_row(w: *const i8, stride: usize, x: *const i8, quads: usize) -> [[i32; 1]; NR] {
        let mut sums = [[0]; NR];
        for quad in 0..quads {
            // SAFETY: as the caller promises.
            let (x, w) = unsafe { (quad_at::<KR>(x, quad * KR), quad_at::<{ NR * KR }>(w, quad * stride)) };
            let mut w = w.as_chunks::<KR>().0.iter();
            sums = sums.map(|sum| w.next().map_or(sum, |w| sum.map(|sum| add(sum, x, w))));
        }
        sums
    }

    /// # Safety
    /// Both of `x` hold `quads` quads; `w` holds as many of 4 channels, `stride` bytes apart.
    #[inline(always)]
    pub unsafe fn two_rows(w: *const i8, stride: usize, x: [*const i8; 2], quads: usize) -> [[i32; 2]; 4] {
        let mut sums = [[0; 2]; 4];
        for quad in 0..quads {
            // SAFETY: as the caller promises.
            let (x, w) = unsafe { (x.map(|x| quad_at::<KR>(x, quad * KR)), quad_at::<{ 4 * KR }>(w, quad * stride)) };
            let mut w = w.as_chunks::<KR>().0.iter();
            sums = sums.map(|[a, b]| w.next().map_or([a, b], |w| [add(a, x[0], w), add(b, x[1], w)]));
        }
        sums
    }

    #[inline(always)]
    fn add(sum: i32, x: &[i8; KR], w: &[i8; KR]) -> i32 {
        let low = (x[0] as i32 * w[0] as i32).wrapping_add(x[1] as i32 * w[1] as i32);
        let high = (x[2] as i32 * w[2] as i32).wrapping_add(x[3] as i32 * w[3] as i32);
        sum.wrapping_add(low).wrapping_add(high)
    }

    /// # Safety
    /// `N` elements lie at `at`.
    #[inline(always)]
    unsafe fn quad_at<'a, const N: usize>(p: *const i8, at: usize) -> &'a [i8; N] {
        // SAFETY: as the caller promises; the elements outlive the call they are given to.
        unsafe { &*p.add(at).cast::<[i8; N]>() }
    }
}
