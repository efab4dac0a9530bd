//! Activation smoothing (SmoothQuant; searched as SVDQuant does): columns of the inputs are divided,
//! columns of the weights multiplied by the same factor.

use super::sensitivity::product;
use super::{Activations, Gram, LowBitError};

/// A factor for each column, and the mean squared error of the outputs with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Smoothing {
    pub factors: Vec<f32>,
    pub error: f64,
    /// Exponents of the inputs' and the weights' largest values.
    pub exponents: (f32, f32),
}

/// What a layer will hold of smoothed weights `[n, k]`, given them and the factors: its own weights, and those
/// of its branch, empty without.
pub type Quantizer<'a> = dyn FnMut(&[f32], &[f32]) -> Result<(Vec<f32>, Vec<f32>), LowBitError> + 'a;

/// A column's largest value counts as at least this part of the columns' mean.
const QUIET: f32 = 0.25;

/// Steps of the exponents.
const GRID: usize = 20;

/// Searches factors `max|x|^α / max|w|^β` with (α, β) of (0, 0), (α, 0) and (α, 1 − α) for those whose
/// output error is the least, `quantize` making of smoothed weights `[n, k]` what the layer will hold
/// and its branch, inputs rounded as `activations` says.
///
/// # Errors
/// Those of `quantize`, and [`LowBitError`] for sizes.
pub fn smoothing(
    weights: &[f32],
    (n, k): (usize, usize),
    gram: &Gram,
    activations: Activations,
    quantize: &mut Quantizer<'_>,
) -> Result<Smoothing, LowBitError> {
    super::check(weights, n, k, 0)?;
    if gram.k() != k {
        return Err(LowBitError::Columns { found: gram.k(), k });
    }
    // A quarter of the rows kept is enough to compare candidates.
    let inputs: Vec<f32> = gram.kept().chunks(k.max(1)).step_by(4).flatten().copied().collect();
    let column_max = |rows: &[f32]| {
        let mut max = vec![0f32; k];
        for row in rows.chunks(k.max(1)) {
            max.iter_mut().zip(row).for_each(|(max, x)| *max = max.max(x.abs()));
        }
        max
    };
    let (mut of_inputs, of_weights) = (column_max(gram.kept()), column_max(weights));
    // What the layers before are going to lose is alike in all columns: a quiet column divided by its
    // own largest value would be all noise, and take the grid from the others.
    let floor = QUIET * of_inputs.iter().sum::<f32>() / k.max(1) as f32;
    of_inputs.iter_mut().for_each(|max| *max = max.max(floor));
    let exact = product(&inputs, weights, k);
    let mut best: Option<Smoothing> = None;
    for exponents in candidates() {
        let factors: Vec<f32> = of_inputs
            .iter()
            .zip(&of_weights)
            .map(|(x, w)| {
                let factor = x.max(1e-5).powf(exponents.0) / w.max(1e-5).powf(exponents.1);
                Some(factor).filter(|f| f.is_normal()).unwrap_or(1.0)
            })
            .collect();
        let smoothed: Vec<f32> = inputs.iter().enumerate().map(|(i, x)| x / factors[i % k]).collect();
        let scaled: Vec<f32> = weights.iter().enumerate().map(|(i, w)| w * factors[i % k]).collect();
        let (own, branch) = quantize(&scaled, &factors)?;
        let found = activations.outputs(&smoothed, &own, &branch, k);
        let error: f64 = exact.iter().zip(&found).map(|(&y, &z)| f64::from(y - z).powi(2)).sum();
        let error = error / exact.len().max(1) as f64;
        if best.as_ref().is_none_or(|best| error < best.error) {
            best = Some(Smoothing { factors, error, exponents });
        }
    }
    Ok(best.unwrap_or(Smoothing { factors: vec![1.0; k], error: 0.0, exponents: (0.0, 0.0) }))
}

/// Every pair of exponents that is tried.
fn candidates() -> impl Iterator<Item = (f32, f32)> {
    let alphas = (1..=GRID / 2).map(|i| i as f32 / (GRID / 2) as f32);
    let both = alphas.flat_map(|alpha| [(alpha, 0.0), (alpha, 1.0 - alpha)]);
    std::iter::once((0.0, 0.0)).chain(both)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{correlated, gaussian};
    use super::super::{Clip, Width, nearest};
    use super::*;

    #[test]
    fn columns_with_outliers_are_smoothed_and_the_error_falls() {
        let (n, k) = (16, 64);
        let weights = gaussian(n * k, 1);
        let mut inputs = correlated(200, k, 3);
        inputs.chunks_mut(k).for_each(|row| row[5] *= 40.0);
        let mut gram = Gram::new(k);
        gram.add(&inputs).expect("fits");
        let mut quantize =
            |w: &[f32], _: &[f32]| Ok((nearest(w, (n, k), Width::W4, 64, Clip::MinMax, &[])?.dequantize(), vec![]));
        let found = smoothing(&weights, (n, k), &gram, Activations::A4, &mut quantize).expect("searches");
        let plain: Vec<f32> = gram.kept().chunks(k).step_by(4).flatten().copied().collect();
        let rounded = product(&Activations::A4.round(&plain, k), &quantize(&weights, &[]).expect("quantizes").0, k);
        let exact = product(&plain, &weights, k);
        let error: f64 =
            exact.iter().zip(&rounded).map(|(&y, &z)| f64::from(y - z).powi(2)).sum::<f64>() / exact.len() as f64;
        assert!(found.error < 0.7 * error, "{} {error}", found.error);
        assert!(found.factors[5] > 3.0 * found.factors[6] && found.exponents.0 > 0.0);
    }
}
