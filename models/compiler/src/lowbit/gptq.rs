//! GPTQ (Frantar et al. 2022): columns are rounded in order, and what a column lost is made up for
//! by those behind it.

use nalgebra::DMatrix;

use super::nearest::{code, step};
use super::{Clip, Gram, LowBitError, LowBitRows, Width, check, scale_limit};

/// Codes, and how the calibration data was weighed.
#[derive(Clone, Debug)]
pub struct Gptq {
    pub rows: LowBitRows,
    /// What was added to the diagonal, as a part of its mean.
    pub damping: f64,
}

/// Damping with at least four rows of calibration a column.
const DAMPING: f64 = 0.01;

/// Rows of weights updated together, so that a row of the factor is read once for all.
const TOGETHER: usize = 16;

/// Quantizes `rows` `[n, k]` for the inputs that `gram` has seen.
///
/// With fewer than `4·k` calibration rows the damping grows with the square of what is missing:
/// `0.01·(4k/tokens)²`.
///
/// # Errors
/// [`LowBitError::TooFewTokens`] with fewer than `k` rows; others for sizes and values.
pub fn gptq(
    rows: &[f32],
    (n, k): (usize, usize),
    width: Width,
    group: usize,
    gram: &mut Gram,
) -> Result<Gptq, LowBitError> {
    check(rows, n, k, group)?;
    if gram.k() != k {
        return Err(LowBitError::Columns { found: gram.k(), k });
    }
    let tokens = gram.tokens();
    if tokens < k {
        return Err(LowBitError::TooFewTokens { tokens, k });
    }
    let missing = (4.0 * k as f64 / tokens as f64).max(1.0);
    let damping = DAMPING * missing * missing;
    let weight = gram.mean_squares();
    let factor = inverse_factor(gram, damping)?;
    let mut out = LowBitRows::empty(n, k, width, group);
    let span = if group == 0 { k } else { group }.max(1);
    let limit = scale_limit(k, out.zero);
    let zero = out.zero;
    for block in rows.chunks(TOGETHER * k.max(1)) {
        let mut left = block.to_vec();
        let count = block.len() / k.max(1);
        // Scales come from the weights as they are; the corrections move them little.
        let mut steps = Vec::with_capacity(count);
        for row in block.chunks(k.max(1)) {
            let weights = |i: usize| weight.get(i * span..).map_or(&[][..], |w| &w[..w.len().min(span)]);
            let of_row: Vec<f32> =
                row.chunks(span).enumerate().map(|(i, values)| step(values, weights(i), width, Clip::Search)).collect();
            steps.push(out.push_scales(&of_row, limit, 0.0));
        }
        let mut codes = vec![0u8; left.len()];
        for j in 0..k {
            let tail = factor.row(j);
            let pivot = tail[j];
            for row in 0..count {
                let step = steps[row][j / span];
                let at = row * k + j;
                codes[at] = code(left[at], step, zero, width.max());
                let back = (f32::from(codes[at]) - f32::from(zero)) * step;
                let error = (left[at] - back) / pivot;
                if error != 0.0 {
                    let behind = &mut left[at + 1..(row + 1) * k];
                    behind.iter_mut().zip(&tail[j + 1..]).for_each(|(w, u)| *w -= error * u);
                }
            }
        }
        out.codes.extend(codes);
    }
    Ok(Gptq { rows: out, damping })
}

/// Rows of the upper triangular factor, `[k, k]` row-major.
struct Factor {
    data: Vec<f32>,
    k: usize,
}

impl Factor {
    fn row(&self, j: usize) -> &[f32] {
        &self.data[j * self.k..(j + 1) * self.k]
    }
}

/// The upper triangular U with UᵀU = (H + damping)⁻¹.
fn inverse_factor(gram: &mut Gram, damping: f64) -> Result<Factor, LowBitError> {
    let k = gram.k();
    let mut h: DMatrix<f64> = gram.sums().clone();
    let mean = h.diagonal().sum() / k.max(1) as f64;
    let more = if mean > 0.0 { damping * mean } else { 1.0 };
    for j in 0..k {
        h[(j, j)] += more;
    }
    let inverse = h.cholesky().ok_or(LowBitError::NotPositive)?.inverse();
    // Rounding leaves the inverse a little unsymmetric.
    let symmetric = (&inverse + inverse.transpose()) * 0.5;
    let lower = symmetric.cholesky().ok_or(LowBitError::NotPositive)?.unpack();
    // U is the transpose of the lower factor.
    let data = (0..k * k).map(|i| lower[(i % k, i / k)] as f32).collect();
    Ok(Factor { data, k })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{correlated, gaussian};
    use super::super::{nearest, output_error};
    use super::*;

    #[test]
    fn it_beats_nearest_rounding_on_held_out_correlated_inputs() {
        for (k, group, width) in [(64, 32, Width::W4), (100, 32, Width::W3), (48, 0, Width::W4)] {
            let n = 24;
            let rows = gaussian(n * k, 3);
            let mut gram = Gram::new(k);
            gram.add(&correlated(8 * k, k, 1)).expect("fits");
            let held_out = correlated(256, k, 2);
            let found = gptq(&rows, (n, k), width, group, &mut gram).expect("quantizes");
            assert!((found.damping - 0.01).abs() < 1e-12 && found.rows.bound() < 1 << 30);
            let plain = nearest(&rows, (n, k), width, group, Clip::Search, &[]).expect("quantizes");
            let error = |q: &LowBitRows| output_error(&rows, &q.dequantize(), k, &held_out);
            assert!(error(&found.rows) < 0.8 * error(&plain), "{k} {group}: {} {}", error(&found.rows), error(&plain));
        }
    }

    #[test]
    fn few_tokens_raise_the_damping_and_too_few_are_refused() {
        let k = 40;
        let rows = gaussian(4 * k, 5);
        let mut gram = Gram::new(k);
        gram.add(&correlated(k - 1, k, 7)).expect("fits");
        let error = gptq(&rows, (4, k), Width::W4, 0, &mut gram).expect_err("too few");
        assert_eq!(error, LowBitError::TooFewTokens { tokens: 39, k });
        assert!(error.to_string().contains("at least 40, better 160"));
        gram.add(&correlated(41, k, 8)).expect("fits");
        assert!((gptq(&rows, (4, k), Width::W4, 0, &mut gram).expect("quantizes").damping - 0.04).abs() < 1e-9);
    }

    #[test]
    fn uncorrelated_inputs_give_the_codes_of_nearest_rounding() {
        // With a diagonal Gram matrix nothing is made up for.
        let k = 32;
        let rows = gaussian(3 * k, 9);
        let mut gram = Gram::new(k);
        let unit: Vec<f32> = (0..4 * k * k).map(|i| if i / k % k == i % k { 1.0 } else { 0.0 }).collect();
        gram.add(&unit).expect("fits");
        let found = gptq(&rows, (3, k), Width::W4, 32, &mut gram).expect("quantizes");
        let plain = nearest(&rows, (3, k), Width::W4, 32, Clip::Search, &[]).expect("quantizes");
        assert_eq!(found.rows, plain);
    }
}
