//! What quantizing a layer costs its output.

use super::a4::fake_quant_a4;

/// How a layer's inputs are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activations {
    F32,
    /// int8, one scale a row.
    A8,
    /// 4 bits with a step for each group (see [`fake_quant_a4`]).
    A4,
}

impl Activations {
    /// Rows `[_, k]` as the layer sees them.
    pub fn round(self, rows: &[f32], k: usize) -> Vec<f32> {
        match self {
            Activations::F32 => rows.to_vec(),
            Activations::A8 => rows.chunks(k.max(1)).flat_map(round_a8).collect(),
            Activations::A4 => rows.chunks(k.max(1)).flat_map(fake_quant_a4).collect(),
        }
    }
}

impl Activations {
    /// Outputs of a layer with weights `own` and a branch `[n, k]`, empty without, on inputs `[_, k]`. Branches
    /// read their inputs in at least 8 bits.
    pub fn outputs(self, inputs: &[f32], own: &[f32], branch: &[f32], k: usize) -> Vec<f32> {
        let mut out = product(&self.round(inputs, k), own, k);
        if !branch.is_empty() {
            let finer = if self == Activations::A4 { Activations::A8 } else { self };
            let more = product(&finer.round(inputs, k), branch, k);
            out.iter_mut().zip(more).for_each(|(y, more)| *y += more);
        }
        out
    }
}

fn round_a8(row: &[f32]) -> Vec<f32> {
    let max = row.iter().fold(0f32, |max, x| x.abs().max(max));
    if max == 0.0 {
        return row.to_vec();
    }
    let inverse = 127.0 / max;
    row.iter().map(|x| (x * inverse).round_ties_even().clamp(-127.0, 127.0) * (max / 127.0)).collect()
}

/// Product `x·wᵀ` of rows `[t, k]` with `[n, k]`: `[t, n]`.
pub(super) fn product(x: &[f32], w: &[f32], k: usize) -> Vec<f32> {
    let (tokens, n) = (x.len() / k.max(1), w.len() / k.max(1));
    let mut out = vec![0f32; tokens * n];
    for (x, out) in x.chunks(k.max(1)).zip(out.chunks_mut(n.max(1))) {
        for (w, out) in w.chunks(k.max(1)).zip(out) {
            let mut lanes = [0f32; 16];
            let (xs, ws) = (x.as_chunks::<16>(), w.as_chunks::<16>());
            for (x, w) in xs.0.iter().zip(ws.0) {
                lanes.iter_mut().zip(x.iter().zip(w)).for_each(|(sum, (x, w))| *sum += x * w);
            }
            *out = lanes.iter().sum::<f32>() + xs.1.iter().zip(ws.1).map(|(x, w)| x * w).sum::<f32>();
        }
    }
    out
}

/// Mean squared error of a layer's outputs with weights `quantized` for `weights`, both `[n, k]`, on
/// inputs `[_, k]`.
pub fn output_error(weights: &[f32], quantized: &[f32], k: usize, inputs: &[f32]) -> f64 {
    let difference: Vec<f32> = weights.iter().zip(quantized).map(|(w, q)| w - q).collect();
    let lost = product(inputs, &difference, k);
    lost.iter().map(|&e| f64::from(e).powi(2)).sum::<f64>() / lost.len().max(1) as f64
}

/// Signal-to-noise ratio in dB of a layer's outputs, weights and inputs rounded.
pub fn output_snr_db(weights: &[f32], quantized: &[f32], k: usize, inputs: &[f32], activations: Activations) -> f64 {
    let exact = product(inputs, weights, k);
    let found = product(&activations.round(inputs, k), quantized, k);
    let signal: f64 = exact.iter().map(|&y| f64::from(y).powi(2)).sum();
    let noise: f64 = exact.iter().zip(&found).map(|(&y, &z)| f64::from(y - z).powi(2)).sum();
    if noise == 0.0 { f64::INFINITY } else { 10.0 * (signal / noise).log10() }
}

#[cfg(test)]
mod tests {
    use super::super::testing::gaussian;
    use super::super::{Clip, Width, nearest};
    use super::*;

    #[test]
    fn wider_codes_lose_less_and_the_product_is_right() {
        let (n, k, t) = (6, 50, 9);
        let (w, x) = (gaussian(n * k, 1), gaussian(t * k, 2));
        let y = product(&x, &w, k);
        for (i, y) in y.iter().enumerate() {
            let want: f64 = (0..k).map(|j| f64::from(x[i / n * k + j]) * f64::from(w[i % n * k + j])).sum();
            assert!((f64::from(*y) - want).abs() < 1e-4);
        }
        let snr = |width| {
            let q = nearest(&w, (n, k), width, 32, Clip::Search, &[]).expect("quantizes").dequantize();
            output_snr_db(&w, &q, k, &x, Activations::A8)
        };
        let (w4, w3, w2) = (snr(Width::W4), snr(Width::W3), snr(Width::W2));
        assert!(w4 > w3 + 3.0 && w3 > w2 + 3.0, "{w4} {w3} {w2}");
        assert_eq!(output_error(&w, &w, k, &x), 0.0);
        assert_eq!(output_snr_db(&w, &w, k, &x, Activations::F32), f64::INFINITY);
    }
}
