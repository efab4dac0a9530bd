//! Codes of weights, biases and constant operands.

use super::grid::symmetric_scale;
use crate::graph::{ActQuant, QuantCodes};

/// A constant on an integer grid.
pub(super) struct Quantized {
    pub codes: QuantCodes,
    /// What the codes stand for, `code · scale`.
    pub data: Vec<f32>,
}

fn signed_codes(bits: u8, scales: Vec<f32>, codes: Vec<i32>, dynamic: bool) -> QuantCodes {
    let zeros = vec![0; scales.len()];
    QuantCodes { bits, signed: true, axis: 0, block: 0, scales, zeros, codes, dynamic }
}

fn abs_max(row: &[f32]) -> f32 {
    row.iter().fold(0.0, |max, w| w.abs().max(max))
}

/// Bias codes a layer may have next to its sums: with weights of up to 2^14
/// terms everything stays below 2^30, so no such bias makes a layer `wide`.
const BIAS_LIMIT: f64 = (1u64 << 29) as f64;

/// Bias code of a channel whose weights are all zero: fine enough for any output grid.
const ZERO_CHANNEL_BIAS: f64 = (1u64 << 20) as f64;

/// The least scale of the weights of a channel for which its bias, next to inputs of scale `s_x`, does not
/// pass 2^29 steps.
pub(super) fn least_scale(bias: f32, s_x: f32) -> f32 {
    (f64::from(bias.abs()) / f64::from(s_x) / BIAS_LIMIT) as f32
}

/// Symmetric int8 weights, one scale per index of axis 0: codes −127..=127, scale max|w|/127.
///
/// `bias` is the layer's bias and the scale of its input where that is known
/// before the run. A channel whose bias would pass 2^29 steps gets a larger
/// scale: next to such a bias the coarser weights change no output code, while
/// the layer keeps its 32-bit sums. Channels without weights take the scale
/// their bias needs.
pub(super) fn quantize_weights(data: &[f32], channels: usize, bias: Option<(&[f32], f32)>) -> Quantized {
    let per = data.len() / channels.max(1);
    let row = |c: usize| &data[c * per..(c + 1) * per];
    let bias_of = |c: usize| bias.map_or(0.0, |(b, s_x)| f64::from(b[c.min(b.len() - 1)].abs()) / f64::from(s_x));
    let fallback = symmetric_scale(abs_max(data));
    let mut scales = Vec::with_capacity(channels);
    for c in 0..channels {
        let max = abs_max(row(c));
        let scale = if max > 0.0 {
            f64::from(max / 127.0).max(bias_of(c) / BIAS_LIMIT)
        } else if bias_of(c) > 0.0 {
            bias_of(c) / ZERO_CHANNEL_BIAS
        } else {
            f64::from(fallback)
        };
        let scale = scale as f32;
        scales.push(if scale.is_normal() { scale } else { fallback });
    }
    let mut codes = Vec::with_capacity(data.len());
    let mut back = Vec::with_capacity(data.len());
    for (c, &scale) in scales.iter().enumerate() {
        for &w in row(c) {
            let code = (w / scale).round_ties_even().clamp(-127.0, 127.0);
            codes.push(code as i32);
            back.push(code * scale);
        }
    }
    Quantized { codes: signed_codes(8, scales, codes, bias.is_none()), data: back }
}

/// Bias on the grid of the accumulator, `s_x · s_w` per channel, codes within i32.
pub(super) fn quantize_bias(data: &[f32], s_x: f32, weights: &[f32]) -> Quantized {
    let scales: Vec<f32> = weights.iter().map(|s_w| s_x * s_w).collect();
    let bias = |c: usize| data[c.min(data.len() - 1)];
    let code = |c: usize| {
        let exact = f64::from(bias(c)) / (f64::from(s_x) * f64::from(weights[c]));
        if bias(c) == 0.0 { 0 } else { exact.round_ties_even().clamp(-f64::from(i32::MAX), f64::from(i32::MAX)) as i32 }
    };
    let codes: Vec<i32> = (0..weights.len()).map(code).collect();
    let step = |c: usize| f64::from(s_x) * f64::from(weights[c]);
    let data = codes.iter().enumerate().map(|(c, &q)| (f64::from(q) * step(c)) as f32).collect();
    Quantized { codes: signed_codes(32, scales, codes, false), data }
}

/// A constant operand of an integer Add, Mul or Concat: symmetric, one scale.
pub(super) fn quantize_constant(data: &[f32]) -> (Quantized, ActQuant) {
    let scale = symmetric_scale(abs_max(data));
    let codes: Vec<i32> = data.iter().map(|&x| (x / scale).round_ties_even().clamp(-127.0, 127.0) as i32).collect();
    let back = codes.iter().map(|&q| q as f32 * scale).collect();
    let grid = ActQuant { scale, zero_point: 0, bits: 8, unsigned: false };
    (Quantized { codes: signed_codes(8, vec![scale], codes, false), data: back }, grid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect()
    }

    #[test]
    fn weights_come_back_within_half_a_step_of_their_channel() {
        let mut data = random(7 * 33, 3);
        for (c, row) in data.chunks_mut(33).enumerate() {
            row.iter_mut().for_each(|w| *w *= 10f32.powi(c as i32 - 3));
        }
        let q = quantize_weights(&data, 7, None);
        assert!(q.codes.dynamic && q.codes.scales.len() == 7);
        assert!(q.codes.codes.iter().all(|c| (-127..=127).contains(c)));
        for (c, row) in data.chunks(33).enumerate() {
            let max = row.iter().fold(0f32, |m, w| m.max(w.abs()));
            assert_eq!(q.codes.scales[c], max / 127.0);
            assert!(q.codes.codes[c * 33..][..33].iter().any(|c| c.abs() == 127));
            for (w, back) in row.iter().zip(&q.data[c * 33..]) {
                assert!((w - back).abs() <= 0.50001 * q.codes.scales[c]);
            }
        }
    }

    #[test]
    fn channels_without_weights_keep_their_bias() {
        let data = [0.0, 0.0, 1.0, -0.5, 0.0, 0.0];
        let bias = [3.7f32, -0.2, 0.0];
        let q = quantize_weights(&data, 3, Some((&bias, 0.05)));
        assert!(!q.codes.dynamic && q.codes.scales.iter().all(|s| s.is_normal() && *s > 0.0));
        let b = quantize_bias(&bias, 0.05, &q.codes.scales);
        for (exact, back) in bias.iter().zip(&b.data) {
            assert!((exact - back).abs() <= 1e-3 * exact.abs().max(0.05), "{exact} {back}");
        }
        let zeros = quantize_weights(&[0.0; 4], 2, None);
        assert_eq!((zeros.codes.scales, zeros.codes.codes), (vec![1.0; 2], vec![0; 4]));
    }

    #[test]
    fn large_biases_stay_below_the_narrow_bound() {
        let mut data = random(3 * 64, 9);
        data[..64].iter_mut().for_each(|w| *w *= 1e-9);
        data[64..128].iter_mut().for_each(|w| *w *= 1e-30);
        let bias = [5.0f32, -2.0, 0.1];
        let s_x = 0.02;
        let q = quantize_weights(&data, 3, Some((&bias, s_x)));
        let b = quantize_bias(&bias, s_x, &q.codes.scales);
        assert!(b.codes.codes.iter().all(|c| c.abs() <= (1 << 29) + 64), "{:?}", b.codes.codes);
        for (exact, back) in bias.iter().zip(&b.data) {
            assert!((exact - back).abs() <= 1e-3 * exact.abs());
        }
        // What coarser weights can change is far below a step of a grid that holds the bias.
        for c in 0..2 {
            let error: f32 = (0..64).map(|i| (data[c * 64 + i] - q.data[c * 64 + i]).abs() * 128.0 * s_x).sum();
            assert!(error < 0.01 * bias[c].abs() / 255.0, "{error}");
        }
    }

    #[test]
    fn bias_codes_never_leave_i32() {
        let b = quantize_bias(&[1e30, -1e30, f32::MIN_POSITIVE], 1e-10, &[1e-10, 1e-10, 1.0]);
        assert_eq!(b.codes.codes, [i32::MAX, -i32::MAX, 0]);
        let b = quantize_bias(&[0.5], 0.1, &[0.01, 0.02]);
        assert_eq!(b.codes.codes, [500, 250]);
    }

    #[test]
    fn constants_use_the_whole_grid() {
        let (q, grid) = quantize_constant(&[0.5, -0.25, 0.1]);
        assert_eq!((q.codes.codes[0], grid.zero_point, grid.scale), (127, 0, 0.5 / 127.0));
        assert!(q.data.iter().zip([0.5, -0.25, 0.1]).all(|(a, b): (&f32, f32)| (a - b).abs() <= grid.scale * 0.50001));
        assert_eq!(quantize_constant(&[0.0]).0.codes.codes, [0]);
    }
}
