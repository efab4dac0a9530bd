//! Epilogues of int8 layers: 8 channels of up to 4 rows at a time.

use core::arch::x86_64::*;

use selvedge_core::arith;

use super::mem::*;
use crate::args::*;
use crate::pack::NR;

/// 8 elements of a per-channel array from `channel` on; zeros past its end.
pub fn eight<T: Copy + Default>(values: &[T], channel: usize) -> [T; NR] {
    let rest = values.get(channel..).unwrap_or_default();
    match rest.first_chunk::<NR>() {
        Some(values) => *values,
        None => core::array::from_fn(|i| rest.get(i).copied().unwrap_or_default()),
    }
}

/// Requantization of 8 channels by vectors: `(acc·m + 2^(30+k)) >> (31+k)` in 64 bits, even
/// and odd lanes apart. AVX2 shifts 64 bits logically only: 2^62 makes the sum nonnegative and
/// is taken off again as 2^(31−k). Exact for k in 1..=31 and |acc·m| < 2^62.
#[derive(Clone, Copy)]
pub struct Rounding {
    m: [__m256i; 2],
    /// 2^62 + 2^(30+k)
    half: [__m256i; 2],
    shift: [__m256i; 2],
    /// zero point − 2^(31−k)
    offset: __m256i,
}

impl Rounding {
    /// `m` and `k` of 8 channels.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn new(m: __m256i, k: __m256i, zero_point: i32) -> Self {
        let one = _mm256_set1_epi64x(1);
        let part = |k: __m256i| {
            let half = _mm256_sllv_epi64(one, _mm256_add_epi64(k, _mm256_set1_epi64x(30)));
            let half = _mm256_add_epi64(half, _mm256_set1_epi64x(1 << 62));
            (half, _mm256_add_epi64(k, _mm256_set1_epi64x(31)))
        };
        let (half0, shift0) = part(_mm256_and_si256(k, _mm256_set1_epi64x(0xffff_ffff)));
        let (half1, shift1) = part(_mm256_srli_epi64::<32>(k));
        let bias = _mm256_sllv_epi32(_mm256_set1_epi32(1), _mm256_sub_epi32(_mm256_set1_epi32(31), k));
        Self {
            m: [m, _mm256_srli_epi64::<32>(m)],
            half: [half0, half1],
            shift: [shift0, shift1],
            offset: _mm256_sub_epi32(_mm256_set1_epi32(zero_point), bias),
        }
    }

    /// zero point + rounded `acc`, not clamped, of 8 accumulators of 32 bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn apply(&self, acc: __m256i) -> __m256i {
        let even = _mm256_mul_epi32(acc, self.m[0]);
        let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(acc), self.m[1]);
        self.finish(even, odd)
    }

    /// As [`Rounding::apply`], with a bias of 64 bits, even and odd channels apart.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn apply_wide(&self, acc: __m256i, bias: &[__m256i; 2]) -> __m256i {
        let product = |low: __m256i, bias: __m256i, m: __m256i| {
            // Sign-extends the low half of each 64-bit lane.
            let high = _mm256_slli_epi64::<32>(_mm256_srai_epi32::<31>(low));
            let acc = _mm256_add_epi64(_mm256_blend_epi32::<0b1010_1010>(low, high), bias);
            let high = _mm256_mul_epi32(_mm256_srli_epi64::<32>(acc), m);
            _mm256_add_epi64(_mm256_mul_epu32(acc, m), _mm256_slli_epi64::<32>(high))
        };
        let odd = _mm256_srli_epi64::<32>(acc);
        self.finish(product(acc, bias[0], self.m[0]), product(odd, bias[1], self.m[1]))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn finish(&self, even: __m256i, odd: __m256i) -> __m256i {
        let even = _mm256_srlv_epi64(_mm256_add_epi64(even, self.half[0]), self.shift[0]);
        let odd = _mm256_srlv_epi64(_mm256_add_epi64(odd, self.half[1]), self.shift[1]);
        let both = _mm256_blend_epi32::<0b1010_1010>(even, _mm256_slli_epi64::<32>(odd));
        _mm256_add_epi32(both, self.offset)
    }
}

/// Constants of 8 channels.
#[derive(Clone, Copy)]
enum Constants {
    /// Bias of 32 bits.
    Requant(Rounding, __m256i),
    /// Bias of 64 bits, even and odd channels.
    Wide(Rounding, [__m256i; 2]),
    /// A shift outside of 1..=31.
    Scalar,
    F32 {
        scale: __m256,
        bias: __m256,
    },
    I32 {
        correction: __m256i,
    },
}

/// The epilogue of 8 channels of a layer, `live` of which exist.
#[derive(Clone, Copy)]
pub struct Block {
    constants: Constants,
    channel: usize,
    live: usize,
    channels: usize,
}

/// Panels whose epilogues are prepared together.
pub const PANELS: usize = 16;

/// The epilogues of up to [`PANELS`] panels.
pub struct Blocks([Block; PANELS]);

impl Blocks {
    /// Panels of 8 channels from `channel` on, of `channels`, `end` the first that is not theirs.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn new(output: &Output<'_>, channel: usize, end: usize, channels: usize) -> Self {
        let none = Block { constants: Constants::Scalar, channel, live: 0, channels };
        let mut blocks = [none; PANELS];
        for (block, channel) in blocks.iter_mut().zip((channel..end).step_by(NR)) {
            *block = Block::new(output, channel, (end - channel).min(NR), channels);
        }
        Self(blocks)
    }

    /// The epilogue of panel `i` of them.
    #[inline]
    pub fn get(&self, i: usize) -> &Block {
        &self.0[i % PANELS]
    }
}

impl Block {
    /// `live` ≤ 8 channels from `channel` on, of `channels`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn new(output: &Output<'_>, channel: usize, live: usize, channels: usize) -> Self {
        let constants = match output {
            Output::I8(q, _) => {
                let shift = eight(q.shift, channel);
                if shift.iter().take(live).any(|k| !(1..=31).contains(k)) {
                    Constants::Scalar
                } else {
                    let k = _mm256_cvtepi8_epi32(load8(&shift));
                    let rounding = Rounding::new(load_i32(&eight(q.multiplier, channel)), k, q.zero_point);
                    match q.bias {
                        Bias::I32(bias) => Constants::Requant(rounding, load_i32(&eight(bias, channel))),
                        Bias::I64(bias) => {
                            let bias = eight(bias, channel);
                            let every_other = |first: usize| core::array::from_fn(|i| bias[first + 2 * i]);
                            Constants::Wide(rounding, [load_i64(&every_other(0)), load_i64(&every_other(1))])
                        }
                    }
                }
            }
            Output::F32(scale, _) => Constants::F32 {
                scale: load_f32(&eight(scale.w_scale, channel)),
                bias: load_f32(&eight(scale.bias, channel)),
            },
            Output::I32(raw, _) => {
                let sums = load_i32(&eight(raw.column_sum, channel));
                Constants::I32 { correction: _mm256_mullo_epi32(sums, _mm256_set1_epi32(raw.zero_point)) }
            }
        };
        Self { constants, channel, live, channels }
    }

    /// Stores the sums of `rows` ≤ 4 output rows from `row` on. Exact.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn store(&self, output: &mut Output<'_>, row: usize, rows: usize, acc: [__m256i; 4]) {
        match output {
            Output::I8(q, out) => self.store_i8(q, out, row, rows, acc),
            Output::F32(scale, out) => self.store_f32(scale, out, row, rows, acc),
            Output::I32(_, out) => {
                let Constants::I32 { correction } = self.constants else { return };
                for (i, acc) in acc.into_iter().enumerate().take(rows) {
                    let mut y = [0; NR];
                    store_i32(&mut y, _mm256_sub_epi32(acc, correction));
                    self.copy(&y, out, row + i);
                }
            }
        }
    }

    /// The live elements of output row `row`.
    #[inline]
    fn copy<T: Copy>(&self, y: &[T; NR], out: &mut [T], row: usize) {
        let at = row * self.channels + self.channel;
        if self.live == NR {
            out[at..at + NR].copy_from_slice(y);
        } else {
            out[at..at + self.live].copy_from_slice(&y[..self.live]);
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store_f32(&self, p: &Scale<'_>, out: &mut [f32], row: usize, rows: usize, acc: [__m256i; 4]) {
        let Constants::F32 { scale, bias } = self.constants else { return };
        for (i, acc) in acc.into_iter().enumerate().take(rows) {
            let x_scale = if p.x_scale.len() == 1 { p.x_scale[0] } else { p.x_scale[row + i] };
            let scale = _mm256_mul_ps(_mm256_set1_ps(x_scale), scale);
            let y = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), scale), bias);
            let y = _mm256_min_ps(_mm256_max_ps(y, _mm256_set1_ps(p.lo)), _mm256_set1_ps(p.hi));
            let mut lanes = [0.0; NR];
            store_f32(&mut lanes, y);
            self.copy(&lanes, out, row + i);
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store_i8(&self, q: &Requant<'_>, out: &mut [i8], row: usize, rows: usize, acc: [__m256i; 4]) {
        let (lo, hi) = (_mm256_set1_epi32(q.lo as i32), _mm256_set1_epi32(q.hi as i32));
        let mut y = acc;
        match &self.constants {
            Constants::Requant(rounding, bias) => {
                for y in &mut y {
                    *y = rounding.apply(_mm256_add_epi32(*y, *bias));
                }
            }
            Constants::Wide(rounding, bias) => {
                for y in &mut y {
                    *y = rounding.apply_wide(*y, bias);
                }
            }
            _ => {
                for y in &mut y {
                    *y = self.requantize_scalar(q, *y);
                }
            }
        }
        for y in &mut y {
            *y = _mm256_min_epi32(_mm256_max_epi32(*y, lo), hi);
        }
        if let Some(r) = &q.residual {
            y = self.add_skip(r, y, out, row, rows);
        }
        let bytes = to_bytes(y);
        let mut lanes = [0u8; 32];
        store_bytes32(&mut lanes, bytes);
        for (i, lanes) in lanes.as_chunks::<NR>().0.iter().enumerate().take(rows) {
            self.copy(&lanes.map(|lane| lane as i8), out, row + i);
        }
    }

    #[cold]
    #[target_feature(enable = "avx2")]
    fn requantize_scalar(&self, q: &Requant<'_>, acc: __m256i) -> __m256i {
        let (mut lanes, m, k) = ([0; NR], eight(q.multiplier, self.channel), eight(q.shift, self.channel));
        store_i32(&mut lanes, acc);
        for (i, lane) in lanes.iter_mut().enumerate() {
            let acc = match q.bias {
                Bias::I32(bias) => lane.wrapping_add(eight(bias, self.channel)[i]) as i64,
                Bias::I64(bias) => (*lane as i64).wrapping_add(eight(bias, self.channel)[i]),
            };
            *lane = arith::requantize(acc, m[i], k[i], q.zero_point, q.lo as i32, q.hi as i32);
        }
        load_i32(&lanes)
    }

    /// Fused residual: `y` is requantized and clamped, `out` holds the other summand.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add_skip(&self, r: &Residual, y: [__m256i; 4], out: &[i8], row: usize, rows: usize) -> [__m256i; 4] {
        let (m1, m2) = (_mm256_set1_epi32(r.m1), _mm256_set1_epi32(r.m2));
        let (c, s) = (_mm256_set1_epi32(r.c), _mm_cvtsi32_si128((r.s & 31) as i32));
        let (lo, hi) = (_mm256_set1_epi32(r.lo as i32), _mm256_set1_epi32(r.hi as i32));
        let mut sums = y;
        for (i, y) in sums.iter_mut().enumerate().take(rows) {
            let at = (row + i) * self.channels + self.channel;
            let skip = _mm256_cvtepi8_epi32(load8(&eight(&out[at..at + self.live], 0)));
            let sum = _mm256_add_epi32(_mm256_mullo_epi32(*y, m1), _mm256_mullo_epi32(skip, m2));
            let sum = _mm256_sra_epi32(_mm256_add_epi32(sum, c), s);
            *y = _mm256_min_epi32(_mm256_max_epi32(sum, lo), hi);
        }
        sums
    }
}

/// The lanes of four vectors, which are int8 values, as 32 bytes in order.
#[inline]
#[target_feature(enable = "avx2")]
pub fn to_bytes(y: [__m256i; 4]) -> __m256i {
    let bytes = _mm256_packs_epi16(_mm256_packs_epi32(y[0], y[1]), _mm256_packs_epi32(y[2], y[3]));
    _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
}
