//! The inner product of W8 panels with rows of int8: what a level provides, and plain NEON's.

use core::arch::aarch64::*;

use super::Neon;
use super::tile::Panels;
use crate::args::Output;
use crate::pack::{KR, NR};

/// Sums of 8 channels, in order.
pub type Sums = [int32x4_t; 2];

/// The most rows a level has in a tile.
pub const MAX_ROWS: usize = 8;

/// A level of NEON.
pub trait Dot: Copy {
    /// Rows of a tile: 4 or [`MAX_ROWS`].
    const ROWS: usize;

    /// The same level, for a block of weights that is multiplied with `rows` rows.
    #[inline(always)]
    fn for_weights(self, w: &[i8], rows: usize) -> Self {
        let _ = (w, rows);
        self
    }

    /// The first `tile` of `R` rows times each panel, stored as output rows `row` and following. `R` is
    /// 1, 2, 4 or 8. Sums are exact for every int8, and wrap.
    fn store<const R: usize>(self, x: &Rows<R>, panels: &Panels<'_>, output: &mut Output<'_>, row: usize, tile: usize);
}

/// Rows of one length, not padded.
pub struct Rows<const R: usize> {
    rows: [*const i8; R],
    k: usize,
}

impl<const R: usize> Rows<R> {
    /// # Panics
    /// If rows differ in length.
    #[inline(always)]
    pub fn new(rows: [&[i8]; R]) -> Self {
        let k = rows[0].len();
        assert!(rows.iter().all(|row| row.len() == k));
        Self { rows: rows.map(<[i8]>::as_ptr), k }
    }
}

/// A panel and rows whose lengths fit each other: what the loops below read lies inside.
pub struct Operands<const R: usize> {
    w: *const i8,
    /// Bytes from a quad of the panel to the next.
    stride: usize,
    rows: [*const i8; R],
    pub k: usize,
}

impl<const R: usize> Operands<R> {
    /// # Panics
    /// If the panel of `channels` does not hold 32 bytes at each quad of a row.
    #[inline(always)]
    pub fn new(panel: &[i8], channels: usize, x: &Rows<R>) -> Self {
        let (k, stride) = (x.k, channels * KR);
        let last = (k.div_ceil(KR).max(1) - 1) * stride;
        assert!(k == 0 || panel.len() >= last + NR * KR);
        Self { w: panel.as_ptr(), stride, rows: x.rows, k }
    }

    /// The next quad of the panel: channels 0..4, 4..8.
    ///
    /// # Safety
    /// Called at most once for each quad of a row, also where the last one is not whole.
    #[inline(always)]
    pub unsafe fn next_quad(&mut self) -> [int8x16_t; 2] {
        let w = self.w;
        self.w = w.wrapping_add(self.stride);
        // SAFETY: `new` saw 32 bytes at each quad of a row.
        unsafe { [vld1q_s8(w), vld1q_s8(w.add(16))] }
    }

    /// 16 consecutive k of each row.
    ///
    /// # Safety
    /// `at + 16 ≤ k`.
    #[inline(always)]
    pub unsafe fn sixteen(&self, at: usize) -> [int8x16_t; R] {
        // SAFETY: rows are `k` long.
        self.rows.map(|row| unsafe { vld1q_s8(row.add(at)) })
    }

    /// 8 consecutive k of row `row`.
    ///
    /// # Safety
    /// `at + 8 ≤ k`.
    #[inline(always)]
    pub unsafe fn eight(&self, row: usize, at: usize) -> int8x8_t {
        // SAFETY: rows are `k` long.
        unsafe { vld1_s8(self.rows[row].add(at)) }
    }

    /// 4 consecutive k of row `row`, in each lane.
    ///
    /// # Safety
    /// `at + 4 ≤ k`.
    #[inline(always)]
    pub unsafe fn quad(&self, row: usize, at: usize) -> int32x4_t {
        // SAFETY: rows are `k` long.
        unsafe { vld1q_dup_s32(self.rows[row].add(at).cast()) }
    }

    /// The last k of row `row`, fewer than 4 from `at` on, and zeros behind them, in each lane.
    #[inline(always)]
    pub fn last_quad(&self, row: usize, at: usize) -> int32x4_t {
        let mut quad = [0i8; KR];
        for (i, to) in quad.iter_mut().enumerate().take(self.k.saturating_sub(at)) {
            // SAFETY: `at + i` is below `k`, the length of a row.
            *to = unsafe { *self.rows[row].add(at + i) };
        }
        // SAFETY: `quad` is 4 readable bytes.
        unsafe { vld1q_dup_s32(quad.as_ptr().cast()) }
    }
}

/// Plain NEON: products of 8 bits widen to 16 and are added in pairs to sums of 32 bits.
#[derive(Clone, Copy)]
pub struct Products {
    _neon: Neon,
    /// No weight is −128: 16 bits hold two products, above 2^15 in no case.
    two_fit: bool,
}

impl From<Neon> for Products {
    fn from(neon: Neon) -> Self {
        Self { _neon: neon, two_fit: false }
    }
}

impl Dot for Products {
    const ROWS: usize = 4;

    /// Looks at the weights where that costs less than it saves.
    #[inline(always)]
    fn for_weights(self, w: &[i8], rows: usize) -> Self {
        let two_fit = rows >= 2 * Self::ROWS && w.iter().fold(0, |min: i8, &w| min.min(w)) > i8::MIN;
        Self { two_fit, ..self }
    }

    #[inline(always)]
    fn store<const R: usize>(self, x: &Rows<R>, panels: &Panels<'_>, output: &mut Output<'_>, row: usize, tile: usize) {
        // SAFETY: `self` holds the proof that the CPU has NEON.
        unsafe { store(x, panels, output, row, tile, self.two_fit) }
    }
}

/// Sums of two channels a vector, the two pairs of k of each apart.
pub type PairSums = [int32x4_t; 4];

#[inline(never)]
#[target_feature(enable = "neon")]
fn store<const R: usize>(
    x: &Rows<R>,
    panels: &Panels<'_>,
    output: &mut Output<'_>,
    row: usize,
    tile: usize,
    two_fit: bool,
) {
    panels.store(output, row, tile, |panel, channels| dot(panel, channels, x, two_fit));
}

/// Sums of each row times the `channels` of `panel`, those past them unspecified; `two_fit` as in
/// [`Products`].
#[inline]
#[target_feature(enable = "neon")]
fn dot<const R: usize>(panel: &[i8], channels: usize, x: &Rows<R>, two_fit: bool) -> [Sums; R] {
    let mut from = Operands::new(panel, channels, x);
    let mut acc = [[vdupq_n_s32(0); 4]; R];
    let mut at = 0;
    while two_fit && at < from.k / 8 * 8 {
        // SAFETY: these are the two quads of the same k.
        let w = unsafe { [from.next_quad(), from.next_quad()] };
        for (r, acc) in acc.iter_mut().enumerate() {
            // SAFETY: 8 k are left.
            let x = vreinterpret_s32_s8(unsafe { from.eight(r, at) });
            add_two(acc, w, [vdupq_lane_s32::<0>(x), vdupq_lane_s32::<1>(x)]);
        }
        at += 8;
    }
    while at < from.k / KR * KR {
        // SAFETY: the quad of the same k.
        let w = unsafe { from.next_quad() };
        for (r, acc) in acc.iter_mut().enumerate() {
            // SAFETY: 4 k are left.
            add(acc, w, unsafe { from.quad(r, at) });
        }
        at += KR;
    }
    if at < from.k {
        // SAFETY: the last quad of k.
        let w = unsafe { from.next_quad() };
        for (r, acc) in acc.iter_mut().enumerate() {
            add(acc, w, from.last_quad(r, at));
        }
    }
    acc.map(|acc| [vpaddq_s32(acc[0], acc[1]), vpaddq_s32(acc[2], acc[3])])
}

/// Adds a quad of 8 channels times the quad of k that `x` repeats.
#[inline]
#[target_feature(enable = "neon")]
fn add(acc: &mut PairSums, w: [int8x16_t; 2], x: int32x4_t) {
    let x = vreinterpretq_s8_s32(x);
    for (acc, w) in acc.as_chunks_mut::<2>().0.iter_mut().zip(w) {
        acc[0] = vpadalq_s16(acc[0], vmull_s8(vget_low_s8(w), vget_low_s8(x)));
        acc[1] = vpadalq_s16(acc[1], vmull_high_s8(w, x));
    }
}

/// As [`add`], of two quads, whose products are added in 16 bits first.
#[inline]
#[target_feature(enable = "neon")]
fn add_two(acc: &mut PairSums, w: [[int8x16_t; 2]; 2], x: [int32x4_t; 2]) {
    let [x, y] = x.map(|x| vreinterpretq_s8_s32(x));
    for (i, acc) in acc.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let (w, v) = (w[0][i], w[1][i]);
        let low = vmull_s8(vget_low_s8(w), vget_low_s8(x));
        acc[0] = vpadalq_s16(acc[0], vmlal_s8(low, vget_low_s8(v), vget_low_s8(y)));
        acc[1] = vpadalq_s16(acc[1], vmlal_high_s8(vmull_high_s8(w, x), v, y));
    }
}
