//! Group normalization: one form for every instruction set, the definition and the kernel.
//!
//! `x` and `out` are `[batch, pixels, channels]`; a group is `channels / groups` neighbouring
//! channels of one image. `gamma` and `beta` have one entry a channel.

use crate::f32_rules::{LANES, clamp, combine};
use crate::math::{round_ties_even, sqrt};

/// Constants of [`group_norm_i8`].
#[derive(Clone, Copy, Debug)]
pub struct GroupNormI8<'a> {
    pub groups: usize,
    /// In squared steps of the input.
    pub epsilon: f32,
    /// In steps of the output.
    pub gamma: &'a [f32],
    /// In steps of the output, its zero point added.
    pub beta: &'a [f32],
    pub lo: i8,
    pub hi: i8,
}

/// Constants of [`group_norm_f32`].
#[derive(Clone, Copy, Debug)]
pub struct GroupNormF32<'a> {
    pub groups: usize,
    pub epsilon: f32,
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
    pub lo: f32,
    pub hi: f32,
}

/// Elements that a group of the int8 form may have: its sums stay below 2^62.
pub const LARGEST_GROUP_I8: usize = 1 << 24;

/// Multiplier, summand and shift of a channel: y = (x·m + c) >> s.
pub type Constants = [i32; 3];

/// `constants` is scratch, one entry a channel.
///
/// With the exact sums S = Σx and Q = Σx² of a group of n, p = ⌊S/n⌋ and D = nQ − S², in f32, each
/// operation rounded: f = (S − np)/n, r = 1/√(D/n² + ε), 0 where D is 0; for a channel a = γ·r and
/// b = β − a·f. y = clamp((x·m + c) >> s) with m = round(a·2^s), c = round(b·2^s) + 2^(s−1) − p·m,
/// s the largest up to 22 with |a|·2^s < 2^21 and |b|·2^s < 2^29.
pub fn group_norm_i8(x: &[i8], pixels: usize, args: &GroupNormI8<'_>, constants: &mut [Constants], out: &mut [i8]) {
    let channels = args.gamma.len().max(1);
    let size = (channels.checked_div(args.groups)).unwrap_or(1).max(1);
    let image = channels.saturating_mul(pixels).max(1);
    let n = (pixels as i64).wrapping_mul(size as i64);
    for (x, out) in x.chunks_exact(image).zip(out.chunks_exact_mut(image)) {
        let parameters = args.gamma.chunks(size).zip(args.beta.chunks(size));
        for (group, (constants, (gamma, beta))) in constants.chunks_mut(size).zip(parameters).enumerate() {
            let (sum, squares) = sums(x, channels, group.wrapping_mul(size), size);
            let statistics = Statistics::new(n, sum, squares, args.epsilon);
            for (constants, (&gamma, &beta)) in constants.iter_mut().zip(gamma.iter().zip(beta)) {
                *constants = statistics.constants(gamma, beta);
            }
        }
        let (lo, hi) = (args.lo as i32, args.hi as i32);
        for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            for ((y, &x), &[m, c, s]) in out.iter_mut().zip(x).zip(&*constants) {
                let v = (x as i32).wrapping_mul(m).wrapping_add(c) >> (s & 31);
                *y = v.max(lo).min(hi) as i8;
            }
        }
    }
}

/// Σx and Σx² over `size` channels from `first` on.
fn sums(x: &[i8], channels: usize, first: usize, size: usize) -> (i64, i64) {
    let (mut sum, mut squares) = (0i64, 0i64);
    for pixel in x.chunks_exact(channels.max(1)) {
        let part = pixel.get(first..).and_then(|part| part.get(..size)).unwrap_or_default();
        // 2^16 squares of 2^14 stay in 31 bits.
        for part in part.chunks(1 << 16) {
            let (mut s, mut q) = (0i32, 0i32);
            for &v in part {
                s = s.wrapping_add(v as i32);
                q = q.wrapping_add(v as i32 * v as i32);
            }
            sum += s as i64;
            squares += q as i64;
        }
    }
    (sum, squares)
}

/// What a group's channels share.
struct Statistics {
    /// ⌊mean⌋.
    floor: i32,
    /// mean − ⌊mean⌋.
    fraction: f32,
    /// 1/√(variance + ε).
    inverse: f32,
}

impl Statistics {
    fn new(n: i64, sum: i64, squares: i64, epsilon: f32) -> Self {
        let floor = sum.checked_div_euclid(n).unwrap_or(0);
        let fraction = sum.wrapping_sub(floor.wrapping_mul(n)) as f32 / n as f32;
        let deviation = n.wrapping_mul(squares).wrapping_sub(sum.wrapping_mul(sum));
        let inverse = match deviation {
            0 => 0.0,
            d => 1.0 / sqrt(d as f32 / n.wrapping_mul(n) as f32 + epsilon),
        };
        Statistics { floor: floor as i32, fraction, inverse }
    }

    fn constants(&self, gamma: f32, beta: f32) -> Constants {
        let a = gamma * self.inverse;
        let b = beta - a * self.fraction;
        let mut shift = 22;
        let mut scale = 4_194_304.0f32;
        while shift > 0 && !(a.abs() * scale < 2_097_152.0 && b.abs() * scale < 536_870_912.0) {
            shift -= 1;
            scale *= 0.5;
        }
        // Conversions saturate; what the compiler proves small enough is not cut here.
        let m = (round_ties_even(a * scale) as i32).clamp(-2_097_152, 2_097_152);
        let c = (round_ties_even(b * scale) as i32).clamp(-536_870_912, 536_870_912);
        let half = if shift == 0 { 0 } else { 1i32 << ((shift - 1) & 31) };
        [m, c.wrapping_add(half).wrapping_sub(self.floor.wrapping_mul(m)), shift]
    }
}

/// `(x − mean)·(1/√(variance + ε))·γ + β`, clamped. Mean and variance are sums in eight lanes over
/// the elements of a group in the order of memory; the variance is that of the differences from the
/// mean; each operation is rounded.
pub fn group_norm_f32(x: &[f32], pixels: usize, args: &GroupNormF32<'_>, out: &mut [f32]) {
    let channels = args.gamma.len().max(1);
    let size = (channels.checked_div(args.groups)).unwrap_or(1).max(1);
    let image = channels.saturating_mul(pixels).max(1);
    let n = pixels.wrapping_mul(size) as f32;
    for (x, out) in x.chunks_exact(image).zip(out.chunks_exact_mut(image)) {
        for (group, (gamma, beta)) in args.gamma.chunks(size).zip(args.beta.chunks(size)).enumerate() {
            let first = group.wrapping_mul(size);
            let part = |pixel: &'_ [f32]| -> core::ops::Range<usize> {
                let end = first.saturating_add(size).min(pixel.len());
                first.min(end)..end
            };
            let pixel_parts = || x.chunks_exact(channels).filter_map(|pixel| pixel.get(part(pixel)));
            let mean = lanes(pixel_parts().flatten().copied()) / n;
            let variance = lanes(pixel_parts().flatten().map(|v| (v - mean) * (v - mean))) / n;
            let inverse = 1.0 / sqrt(variance + args.epsilon);
            for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
                let (range, x) = (part(x), x.get(part(x)).unwrap_or_default());
                let out = out.get_mut(range).unwrap_or_default();
                for ((y, x), (gamma, beta)) in out.iter_mut().zip(x).zip(gamma.iter().zip(beta)) {
                    *y = clamp((x - mean) * inverse * gamma + beta, args.lo, args.hi);
                }
            }
        }
    }
}

fn lanes(values: impl Iterator<Item = f32>) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let mut at = 0usize;
    for v in values {
        if let Some(lane) = lanes.get_mut(at % LANES) {
            *lane += v;
        }
        at = at.wrapping_add(1);
    }
    combine(&lanes, |a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u32 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) as u32
        }

        fn real(&mut self, reach: f32) -> f32 {
            (self.next() % 20001) as f32 / 10000.0 * reach - reach
        }
    }

    /// The real-valued result in f64, in steps of the output.
    fn exact(
        x: &[f64],
        [batch, pixels, channels]: [usize; 3],
        groups: usize,
        e: f64,
        g: &[f32],
        b: &[f32],
    ) -> Vec<f64> {
        let (size, mut out) = (channels / groups, vec![0.0; x.len()]);
        for (image, group) in (0..batch).flat_map(|i| (0..groups).map(move |g| (i, g))) {
            let at: Vec<usize> = (0..pixels)
                .flat_map(|p| (group * size..(group + 1) * size).map(move |c| (image * pixels + p) * channels + c))
                .collect();
            let mean = at.iter().map(|&i| x[i]).sum::<f64>() / at.len() as f64;
            let variance = at.iter().map(|&i| (x[i] - mean).powi(2)).sum::<f64>() / at.len() as f64;
            for i in at {
                let c = i % channels;
                let unit = if variance + e > 0.0 { (x[i] - mean) / (variance + e).sqrt() } else { 0.0 };
                out[i] = unit * g[c] as f64 + b[c] as f64;
            }
        }
        out
    }

    const SHAPES: [([usize; 3], usize); 9] = [
        ([1, 1, 1], 1),
        ([1, 1, 8], 2),
        ([2, 9, 6], 3),
        ([3, 35, 12], 4),
        ([1, 64, 16], 1),
        ([1, 5, 7], 7),
        ([2, 1, 10], 1),
        ([1, 400, 3], 1),
        ([1, 2, 200], 2),
    ];

    #[test]
    fn int8_is_the_rounded_real_result_within_a_fiftieth_of_a_step() {
        let mut rng = Random(1);
        for (shape, groups) in SHAPES {
            for spread in [0, 1, 3, 40, 255] {
                for (reach, zero_point, epsilon) in
                    [(30.0, -128.0, 1e-3), (80.0, 5.0, 0.0), (0.5, 127.0, 4.0), (200.0, 0.0, 1e-9)]
                {
                    let channels = shape[2];
                    let n: usize = shape.iter().product();
                    let base = (rng.next() % (256 - spread as u32)) as i32 - 128;
                    let x: Vec<i8> = (0..n).map(|_| (base + (rng.next() % (spread as u32 + 1)) as i32) as i8).collect();
                    let gamma: Vec<f32> = (0..channels).map(|_| rng.real(reach)).collect();
                    let beta: Vec<f32> = (0..channels).map(|_| rng.real(reach) + zero_point).collect();
                    let args = GroupNormI8 { groups, epsilon, gamma: &gamma, beta: &beta, lo: -128, hi: 120 };
                    let (mut y, mut scratch) = (vec![0; n], vec![[0; 3]; channels]);
                    group_norm_i8(&x, shape[1], &args, &mut scratch, &mut y);
                    let reals: Vec<f64> = x.iter().map(|&v| v as f64).collect();
                    for (i, want) in exact(&reals, shape, groups, epsilon as f64, &gamma, &beta).into_iter().enumerate()
                    {
                        let want = want.clamp(-128.0, 120.0);
                        assert!((y[i] as f64 - want).abs() <= 0.52, "{shape:?} {groups}: {} for {want}", y[i]);
                    }
                }
            }
        }
    }

    #[test]
    fn extreme_int8_groups_do_not_leave_their_types() {
        // All at an end, halves at both ends, one cell apart from 2^20 others.
        let n = 1 << 20;
        let apart: Vec<i8> = (0..n).map(|i| if i == 77 { 127 } else { -128 }).collect();
        let halves: Vec<i8> = (0..n).map(|i| if i % 2 == 0 { 127 } else { -128 }).collect();
        for (x, want) in [(vec![-128i8; n], [3.0, 3.0]), (halves, [13.0, -7.0]), (apart, [3.0 - 10.0 / 1024.0, 127.0])]
        {
            let (gamma, beta) = ([10.0f32], [3.0f32]);
            let args = GroupNormI8 { groups: 1, epsilon: 0.0, gamma: &gamma, beta: &beta, lo: -128, hi: 127 };
            let (mut y, mut scratch) = (vec![0; n], [[0; 3]]);
            group_norm_i8(&x, n, &args, &mut scratch, &mut y);
            assert!((y[0] as f64 - want[0]).abs() <= 0.52, "{} for {}", y[0], want[0]);
            assert!((y[77] as f64 - want[1]).abs() <= 0.52, "{} for {}", y[77], want[1]);
        }
        // Whatever the constants are, it ends.
        for bad in [f32::NAN, f32::INFINITY, -1e30, 1e-40] {
            let args = GroupNormI8 { groups: 3, epsilon: bad, gamma: &[bad; 5], beta: &[bad; 5], lo: -1, hi: 1 };
            let (mut y, mut scratch) = ([0; 10], [[0; 3]; 5]);
            group_norm_i8(&[7; 10], 2, &args, &mut scratch, &mut y);
            assert!(y.iter().all(|y| (-1..=1).contains(y)));
        }
    }

    #[test]
    fn f32_is_close_to_the_real_result() {
        let mut rng = Random(2);
        for (shape, groups) in SHAPES {
            let (channels, n) = (shape[2], shape.iter().product::<usize>());
            let x: Vec<f32> = (0..n).map(|_| rng.real(3.0) + 1.0).collect();
            let gamma: Vec<f32> = (0..channels).map(|_| rng.real(2.0)).collect();
            let beta: Vec<f32> = (0..channels).map(|_| rng.real(2.0)).collect();
            let args = GroupNormF32 { groups, epsilon: 1e-5, gamma: &gamma, beta: &beta, lo: -1.5, hi: f32::INFINITY };
            let mut y = vec![0.0; n];
            group_norm_f32(&x, shape[1], &args, &mut y);
            let reals: Vec<f64> = x.iter().map(|&v| v as f64).collect();
            for (i, want) in exact(&reals, shape, groups, 1e-5, &gamma, &beta).into_iter().enumerate() {
                let want = want.max(-1.5);
                assert!((y[i] as f64 - want).abs() <= 1e-5 * (1.0 + want.abs()), "{shape:?}: {} for {want}", y[i]);
            }
        }
        let args = GroupNormF32 { groups: 1, epsilon: 1e-5, gamma: &[1.0], beta: &[0.0], lo: 0.0, hi: 1.0 };
        let mut y = [0.0; 2];
        group_norm_f32(&[f32::NAN, 1.0], 2, &args, &mut y);
        assert!(y.iter().all(|y| y.to_bits() == 0x7fc0_0000));
    }
}
