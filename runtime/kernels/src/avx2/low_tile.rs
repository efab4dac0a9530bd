//! Sums of tiles of rows times panels of low-bit weights.

use core::arch::x86_64::*;

use super::dot::AHEAD;
use super::epilogue::eight;
use super::low_plan::{Plan, Tile};
use super::mem::*;
use crate::args::LowBit;
use crate::code::{Code, Width};
use crate::pack::{MR, NR, panel_channels};
use crate::pack_low::{SPAN, panel_bytes};

/// Bytes of a run of a whole panel.
const RUN: usize = 32;

/// Panels of 8 channels from one on, of a layer or of a group of a convolution.
#[derive(Clone, Copy)]
pub struct Panels<'a> {
    codes: &'a [u8],
    /// `[panel][group of k][channels of the panel]`, or empty.
    scales: &'a [u8],
    offsets: &'a [i16],
    /// Channels of the first one, and of the layer.
    pub live: usize,
    pub rows: usize,
}

impl<'a> Panels<'a> {
    pub fn new<C: Code>(plan: &Plan, w: &LowBit<'a>, panel: usize) -> Self {
        let first = panel * NR * plan.groups;
        Self {
            codes: &w.codes[panel * panel_bytes(C::WIDTH, NR, w.k)..],
            scales: if w.scales.is_empty() { &[] } else { &w.scales[first..] },
            offsets: if w.offsets.is_empty() { &[] } else { &w.offsets[first..] },
            live: panel_channels(w.n, panel),
            rows: w.n,
        }
    }

    /// Those from panel `p` on, `live` channels in it.
    #[inline]
    pub fn from<C: Code>(&self, plan: &Plan, p: usize, live: usize) -> Self {
        let first = p * NR * plan.groups;
        Self {
            codes: &self.codes[p * panel_bytes(C::WIDTH, NR, plan.k)..],
            scales: self.scales.get(first..).unwrap_or_default(),
            offsets: self.offsets.get(first..).unwrap_or_default(),
            live,
            rows: self.rows,
        }
    }

    /// The scales of group `g` of panel `p`, in both halves of the channels' lanes.
    #[inline(never)]
    #[target_feature(enable = "avx2")]
    fn scale(&self, plan: &Plan, p: usize, g: usize) -> __m256i {
        if self.scales.is_empty() {
            return _mm256_set1_epi16(1);
        }
        spread(i64::from_le_bytes(eight(self.scales, p * NR * plan.groups + g * self.live)))
    }

    /// offset − center·scale of group `g` of panel `p`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn rest(&self, plan: &Plan, p: usize, g: usize) -> __m256i {
        let offsets = load_i16(&eight(self.offsets, p * NR * plan.groups + g * self.live));
        let scale = _mm256_and_si256(self.scale(plan, p, g), _mm256_set1_epi32(0xffff));
        let center = _mm256_set1_epi32(i32::from(plan.center));
        _mm256_sub_epi32(_mm256_cvtepi16_epi32(offsets), _mm256_madd_epi16(scale, center))
    }

    /// What the sums of panel `p` start from: twice the scale of each fold whose lanes start one lower.
    #[target_feature(enable = "avx2")]
    pub fn raised(&self, plan: &Plan, p: usize) -> __m256i {
        let zero = _mm256_setzero_si256();
        if !plan.lower {
            return zero;
        }
        let (folds, last) = plan.folds_of_groups();
        let (folds, last) = (_mm256_set1_epi32(2 * folds as i32), _mm256_set1_epi32(2 * last as i32));
        if self.scales.is_empty() {
            return last;
        }
        let first = p * NR * plan.groups;
        let end = plan.groups - 1;
        let of = |at: usize| _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(eight(self.scales, at))));
        let mut sum = zero;
        if self.live == NR {
            for scales in self.scales[first..][..end * NR].as_chunks().0 {
                let scales = _mm_cvtsi64_si128(i64::from_le_bytes(*scales));
                sum = _mm256_add_epi32(sum, _mm256_cvtepu8_epi32(scales));
            }
        } else {
            for g in 0..end {
                sum = _mm256_add_epi32(sum, of(first + g * self.live));
            }
        }
        let last = _mm256_mullo_epi32(of(first + end * self.live), last);
        _mm256_add_epi32(_mm256_mullo_epi32(sum, folds), last)
    }
}

/// 8 unsigned bytes, each twice as i16.
#[inline]
#[target_feature(enable = "avx2")]
fn spread(bytes: i64) -> __m256i {
    let order = _mm256_setr_epi8(
        0, -1, 0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3, -1, //
        4, -1, 4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7, -1,
    );
    _mm256_shuffle_epi8(_mm256_set1_epi64x(bytes), order)
}

/// The codes of 4 consecutive k of each channel, field `F` of a block.
#[inline]
#[target_feature(enable = "avx2")]
fn four<C: Code, const F: usize>(words: &[__m256i; 3]) -> __m256i {
    let low = |word| {
        let shifted = match F % 4 {
            0 => word,
            1 => _mm256_srli_epi16::<2>(word),
            2 => _mm256_srli_epi16::<4>(word),
            _ => _mm256_srli_epi16::<6>(word),
        };
        _mm256_and_si256(shifted, _mm256_set1_epi8(3))
    };
    match C::WIDTH {
        Width::W4 => {
            let shifted = if F == 0 { words[0] } else { _mm256_srli_epi16::<4>(words[0]) };
            _mm256_and_si256(shifted, _mm256_set1_epi8(15))
        }
        Width::W2 | Width::T2 => low(words[0]),
        Width::W3 => {
            let high = match F {
                0 => _mm256_slli_epi16::<2>(words[2]),
                1 => _mm256_slli_epi16::<1>(words[2]),
                2 => words[2],
                3 => _mm256_srli_epi16::<1>(words[2]),
                4 => _mm256_srli_epi16::<2>(words[2]),
                5 => _mm256_srli_epi16::<3>(words[2]),
                6 => _mm256_srli_epi16::<4>(words[2]),
                _ => _mm256_srli_epi16::<5>(words[2]),
            };
            _mm256_or_si256(low(words[F / 4]), _mm256_and_si256(high, _mm256_set1_epi8(4)))
        }
    }
}

/// Sums of rows `first..first + R` of a tile times `P` panels, whole ones where they are more
/// than one, added to `raised`. Those past a panel's channels and past `R` are unspecified.
#[inline(never)]
#[target_feature(enable = "avx2")]
#[allow(clippy::needless_range_loop, clippy::manual_memcpy, reason = "loops over the lanes of a tile look alike")]
pub fn sums<C: Code, const R: usize, const P: usize>(
    plan: &Plan,
    panels: &Panels<'_>,
    tile: &Tile<'_>,
    first: usize,
    raised: &[__m256i],
    sums: &mut [[__m256i; MR]],
) {
    let zero = _mm256_setzero_si256();
    let (block, runs) = (C::WIDTH.block(), C::WIDTH.runs());
    let run = if P == 1 { panels.live * 4 } else { RUN };
    let column = plan.blocks * runs * run;
    assert!(panels.codes.len() + run >= P * column + RUN && (P == 1 || panels.live == NR));
    assert!(first + R <= tile.rows && plan.tail_blocks <= SPAN / block);
    let x: [&[u8]; R] = core::array::from_fn(|r| &tile.x[(first + r) * tile.step..][..plan.whole * SPAN]);
    let starts = &tile.starts()[..plan.folds * tile.rows];

    let mut total = [[zero; R]; P];
    for (total, &raised) in total.iter_mut().zip(raised) {
        *total = [raised; R];
    }
    let mut lanes = [[zero; P]; R];
    let mut words = [[zero; 3]; P];

    /// Adds block `$b` of the codes at `$codes`, and of the spans at `$x`.
    macro_rules! add_block {
        ($codes:expr, $x:expr, $b:expr; $($f:literal)*) => {{
            let codes = $codes;
            for p in 0..P {
                for i in 0..runs {
                    // SAFETY: see where the macro is used.
                    words[p][i] = unsafe { _mm256_loadu_si256(codes.add(p * column + ($b * runs + i) * run).cast()) };
                }
            }
            $(if $f * 4 < block {
                let codes: [__m256i; P] = core::array::from_fn(|p| four::<C, $f>(&words[p]));
                for r in 0..R {
                    // SAFETY: as above.
                    let x = unsafe { $x[r].add($b * block + $f * 4).cast::<i32>().read_unaligned() };
                    let x = _mm256_set1_epi32(x);
                    for p in 0..P {
                        lanes[r][p] = opaque(_mm256_add_epi16(lanes[r][p], _mm256_maddubs_epi16(codes[p], x)));
                    }
                }
            })*
        }};
    }

    // The scales of whole panels, 8 a group.
    let scales = panels.scales.as_ptr();
    let scaled = !panels.scales.is_empty();
    let direct = panels.live == NR;
    assert!(!scaled || !direct || panels.scales.len() >= P * NR * plan.groups);
    let mut codes = panels.codes.as_ptr();
    let mut at = x.map(|x| x.as_ptr());
    let mut start = starts.as_ptr();
    let mut left = plan.whole;
    let mut scale = [zero; P];
    for g in 0..plan.groups {
        if scaled || g == 0 {
            for (p, scale) in scale.iter_mut().enumerate() {
                *scale = if !direct {
                    panels.scale(plan, p, g)
                } else if scaled {
                    // SAFETY: a group of a whole panel has 8 scales, and `P` panels have theirs.
                    spread(unsafe { scales.add((p * plan.groups + g) * NR).cast::<i64>().read_unaligned() })
                } else {
                    _mm256_set1_epi16(1)
                };
            }
        }
        let mut of_group = plan.per_group.min(left);
        left -= of_group;
        while of_group > 0 {
            let count = plan.fold.min(of_group);
            of_group -= count;
            for r in 0..R {
                // SAFETY: a fold has `tile.rows` starts, `first + R` at most.
                let start = unsafe { start.add(first + r).read() };
                lanes[r] = [_mm256_set1_epi32(i32::from_le_bytes(start)); P];
            }
            start = start.wrapping_add(tile.rows);
            for _ in 0..count {
                if R == 1 {
                    for p in 0..P {
                        let ahead = codes.wrapping_add(p * column + AHEAD);
                        ask_for(ahead);
                        if C::WIDTH.bits() == 4 {
                            ask_for(ahead.wrapping_add(64));
                        }
                    }
                }
                // SAFETY: `count` whole spans are left in `x` and in each panel's `column`, whose
                // last run 32 bytes can be read at.
                add_block!(codes, at, 0; 0 1 2 3 4 5 6 7);
                if block < SPAN {
                    add_block!(codes, at, 1; 0 1 2 3);
                }
                if block < SPAN / 2 {
                    add_block!(codes, at, 2; 0 1);
                    add_block!(codes, at, 3; 0 1);
                }
                codes = codes.wrapping_add(SPAN / block * runs * run);
                for at in &mut at {
                    *at = at.wrapping_add(SPAN);
                }
            }
            for p in 0..P {
                for r in 0..R {
                    total[p][r] = _mm256_add_epi32(total[p][r], _mm256_madd_epi16(lanes[r][p], scale[p]));
                }
            }
        }
    }
    if plan.tail_blocks > 0 {
        let at: [*const u8; R] = core::array::from_fn(|r| tile.tail(plan, first + r).as_ptr());
        for r in 0..R {
            let start = starts[(plan.folds - 1) * tile.rows + first + r];
            lanes[r] = [_mm256_set1_epi32(i32::from_le_bytes(start)); P];
        }
        for b in 0..plan.tail_blocks {
            // SAFETY: `tail_blocks` blocks of at most a span are left.
            add_block!(codes, at, b; 0 1 2 3 4 5 6 7);
        }
        for p in 0..P {
            let scale = panels.scale(plan, p, plan.groups - 1);
            for r in 0..R {
                total[p][r] = _mm256_add_epi32(total[p][r], _mm256_madd_epi16(lanes[r][p], scale));
            }
        }
    }
    if plan.offsets {
        for g in 0..plan.groups {
            for p in 0..P {
                let rest = panels.rest(plan, p, g);
                for r in 0..R {
                    let x = _mm256_set1_epi32(i32::from_le_bytes(tile.sum(plan, g, first + r)));
                    total[p][r] = _mm256_sub_epi32(total[p][r], _mm256_mullo_epi32(rest, x));
                }
            }
        }
    }
    for (sums, total) in sums.iter_mut().zip(&total) {
        for r in 0..R {
            sums[r] = total[r];
        }
    }
}
