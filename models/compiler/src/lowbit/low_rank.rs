//! Low-rank branches: what quantization lost, as a product of two thin matrices, and its integer form.

use nalgebra::DMatrix;

use super::{Gram, LowBitError};
use crate::graph::LowRankBranch;

/// `up · down`: `[n, rank]` times `[rank, k]`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    pub rank: usize,
    pub n: usize,
    pub k: usize,
    pub down: Vec<f32>,
    pub up: Vec<f32>,
}

/// What the branch is fitted to.
#[derive(Debug)]
pub enum Correction<'a> {
    /// The matrix itself, in the least squares.
    Plain,
    /// The outputs for the inputs the second moments are of: the singular value decomposition of
    /// `E·R` with `R·Rᵀ = xᵀx/tokens` (as in SVDQuant's successors and LQER).
    Weighted(&'a mut Gram),
}

/// Oversampling and power iterations of the randomized decomposition (Halko, Martinsson and Tropp 2011).
const OVERSAMPLING: usize = 10;
const POWER_ITERATIONS: usize = 4;

/// Inputs from which on the largest value seen is taken for the largest there is, and the deviations
/// that are kept room for with fewer.
const ENOUGH_INPUTS: usize = 512;
const FEW_INPUTS_DEVIATIONS: f32 = 4.5;

/// The best branch of `rank` for the matrix `error`, `[n, k]`.
///
/// # Errors
/// [`LowBitError::Rank`], [`LowBitError::NotPositive`], and for sizes.
pub fn low_rank_branch(
    error: &[f32],
    (n, k): (usize, usize),
    rank: usize,
    correction: Correction<'_>,
) -> Result<Branch, LowBitError> {
    super::check(error, n, k, 0)?;
    if rank == 0 || rank > n.min(k) {
        return Err(LowBitError::Rank { rank, most: n.min(k) });
    }
    let matrix = DMatrix::from_row_iterator(n, k, error.iter().map(|&x| f64::from(x)));
    let root = match correction {
        Correction::Plain => None,
        Correction::Weighted(gram) => {
            if gram.k() != k {
                return Err(LowBitError::Columns { found: gram.k(), k });
            }
            let mut h = gram.sums().clone() / gram.tokens().max(1) as f64;
            let mean = h.diagonal().sum() / k as f64;
            for j in 0..k {
                h[(j, j)] += if mean > 0.0 { 0.01 * mean } else { 1.0 };
            }
            Some(h.cholesky().ok_or(LowBitError::NotPositive)?.unpack())
        }
    };
    let weighted = root.as_ref().map_or_else(|| matrix.clone(), |root| &matrix * root);
    let (u, sigma, vt) = truncated_svd(&weighted, rank);
    let mut down = DMatrix::from_fn(rank, k, |i, j| sigma[i].sqrt() * vt[(i, j)]);
    if let Some(root) = &root {
        // down·root = √Σ·Vᵀ: solve rootᵀ·downᵀ for it.
        let solved = root.tr_solve_lower_triangular(&down.transpose()).ok_or(LowBitError::NotPositive)?;
        down = solved.transpose();
    }
    Ok(Branch {
        rank,
        n,
        k,
        down: (0..rank * k).map(|i| down[(i / k, i % k)] as f32).collect(),
        up: (0..n * rank).map(|i| (u[(i / rank, i % rank)] * sigma[i % rank].sqrt()) as f32).collect(),
    })
}

/// The `rank` largest singular values with their vectors, of a randomized range with a fixed seed.
fn truncated_svd(matrix: &DMatrix<f64>, rank: usize) -> (DMatrix<f64>, Vec<f64>, DMatrix<f64>) {
    let width = (rank + OVERSAMPLING).min(matrix.nrows()).min(matrix.ncols());
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut normal = || {
        // The sum of twelve uniform numbers less six.
        let mut sum = -6.0;
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum += (state >> 11) as f64 / (1u64 << 53) as f64;
        }
        sum
    };
    let omega = DMatrix::from_fn(matrix.ncols(), width, |_, _| normal());
    let mut range = (matrix * omega).qr().q();
    for _ in 0..POWER_ITERATIONS {
        let back = matrix.tr_mul(&range).qr().q();
        range = (matrix * back).qr().q();
    }
    let small = range.tr_mul(matrix);
    let svd = small.transpose().svd(true, true);
    // smallᵀ = U·Σ·Vᵀ, so small = V·Σ·Uᵀ.
    let (Some(u), Some(vt)) = (svd.u, svd.v_t) else { unreachable!("both were asked for") };
    let mut order: Vec<usize> = (0..svd.singular_values.len()).collect();
    order.sort_by(|&a, &b| svd.singular_values[b].total_cmp(&svd.singular_values[a]));
    let v = vt.transpose();
    let left = range * DMatrix::from_fn(v.nrows(), rank, |i, j| v[(i, order[j])]);
    let sigma = (0..rank).map(|j| svd.singular_values[order[j]].max(0.0)).collect();
    let right = DMatrix::from_fn(rank, u.nrows(), |i, j| u[(j, order[i])]);
    (left, sigma, right)
}

/// The integer form of a branch, and how far it is from the real one.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchCodes {
    pub branch: LowRankBranch,
    /// What it adds to the weights, `[n, k]`.
    pub data: Vec<f32>,
    /// ‖integer − real‖ / ‖real‖ of the branch's outputs on the inputs given.
    pub relative_error: f64,
}

impl Branch {
    /// The matrix `up · down`, `[n, k]`.
    pub fn product(&self) -> Vec<f32> {
        let up = DMatrix::from_row_slice(self.n, self.rank, &self.up);
        let down = DMatrix::from_row_slice(self.rank, self.k, &self.down);
        let product = up * down;
        (0..self.n * self.k).map(|i| product[(i / self.k, i % self.k)]).collect()
    }

    /// Ties the branch to the sums of a layer with these scales of rows: `t` is int8 in steps that
    /// hold the largest value seen on `inputs` (`[_, k]`, each row in units of its int8 scale; larger
    /// ones saturate), `up` is int8 in steps of `row_scale·2^shift`.
    ///
    /// # Errors
    /// [`LowBitError`] for sizes that do not fit.
    pub fn quantize(&self, row_scale: &[f32], inputs: &[f32]) -> Result<BranchCodes, LowBitError> {
        let (n, k, rank) = (self.n, self.k, self.rank);
        if row_scale.len() != n || !inputs.len().is_multiple_of(k.max(1)) {
            return Err(LowBitError::Size { found: row_scale.len(), n, k });
        }
        let tokens = inputs.len() / k;
        let x = DMatrix::from_row_slice(tokens, k, inputs);
        let down = DMatrix::from_row_slice(rank, k, &self.down);
        let t = &x * down.transpose();
        let units = self.units(&t);
        let mut codes = LowRankBranch {
            rank,
            down: Vec::with_capacity(rank * k),
            down_scale: Vec::with_capacity(rank),
            up: Vec::with_capacity(n * rank),
            shift: 0,
        };
        for (row, unit) in self.down.chunks(k).zip(&units) {
            let max = row.iter().fold(0f32, |max, v| v.abs().max(max));
            let step = if max > 0.0 { max / 127.0 } else { 1.0 };
            codes.down.extend(row.iter().map(|v| (v / step).round_ties_even().clamp(-127.0, 127.0) as i8));
            codes.down_scale.push(f64::from(step) / f64::from(*unit));
        }
        // Steps of the layer's sums that a step of t is worth.
        let real: Vec<f64> = (0..n * rank)
            .map(|i| f64::from(self.up[i]) * f64::from(units[i % rank]) / f64::from(row_scale[i / rank]))
            .collect();
        let most = real.iter().fold(0f64, |max, u| u.abs().max(max));
        codes.shift = if most > 0.0 { ((most / 127.0).log2().ceil() as i32).clamp(-24, 20) } else { 0 };
        let unit = 2f64.powi(codes.shift);
        codes.up.extend(real.iter().map(|u| (u / unit).round_ties_even().clamp(-127.0, 127.0) as i8));
        let relative_error = self.relative_error(&codes, row_scale, &x, &t);
        let data = codes.data(row_scale, k);
        Ok(BranchCodes { branch: codes, data, relative_error })
    }

    /// Steps of each component of `t` `[tokens, rank]`, so that it fills int8.
    pub(super) fn units(&self, t: &DMatrix<f32>) -> Vec<f32> {
        let tokens = t.nrows();
        let largest = |j: usize| {
            let seen = t.column(j).iter().fold(0f32, |max, t| t.abs().max(max));
            if tokens >= ENOUGH_INPUTS {
                return seen * 1.05;
            }
            // Few inputs do not show the largest value; without any: three times the value of inputs
            // that are independent and large.
            let rms = (t.column(j).norm_squared() / tokens.max(1) as f32).sqrt();
            let norm = self.down[j * self.k..(j + 1) * self.k].iter().map(|v| v * v).sum::<f32>().sqrt();
            if tokens == 0 { norm * 127.0 } else { (seen * 1.05).max(FEW_INPUTS_DEVIATIONS * rms) }
        };
        (0..self.rank).map(|j| Some(largest(j) / 127.0).filter(|u| u.is_normal()).unwrap_or(1.0)).collect()
    }

    /// Of the integer branch's outputs, `t` rounded and saturated as on the device.
    fn relative_error(&self, codes: &LowRankBranch, row_scale: &[f32], x: &DMatrix<f32>, t: &DMatrix<f32>) -> f64 {
        let (n, rank) = (self.n, self.rank);
        let down = DMatrix::from_row_iterator(rank, self.k, codes.down.iter().map(|&v| f32::from(v)));
        let sums = x * down.transpose();
        let up = DMatrix::from_row_slice(n, rank, &self.up);
        let exact = t * up.transpose();
        let rounded = DMatrix::from_fn(t.nrows(), rank, |i, j| {
            (f64::from(sums[(i, j)]) * codes.down_scale[j]).round().clamp(-127.0, 127.0) as f32
        });
        let unit = 2f32.powi(codes.shift);
        let up = DMatrix::from_fn(n, rank, |i, j| f32::from(codes.up[i * rank + j]) * unit * row_scale[i]);
        let found = rounded * up.transpose();
        let signal: f64 = exact.iter().map(|&y| f64::from(y).powi(2)).sum();
        let noise: f64 = exact.iter().zip(found.iter()).map(|(&y, &z)| f64::from(y - z).powi(2)).sum();
        if signal > 0.0 { (noise / signal).sqrt() } else { 0.0 }
    }
}

impl LowRankBranch {
    /// The matrix the branch adds to weights whose rows have these scales, `[n, k]`.
    pub fn data(&self, row_scale: &[f32], k: usize) -> Vec<f32> {
        let (rank, n) = (self.rank, row_scale.len());
        let unit = 2f64.powi(self.shift);
        let up = DMatrix::from_fn(n, rank, |i, j| f64::from(self.up[i * rank + j]) * unit * f64::from(row_scale[i]));
        let down = DMatrix::from_fn(rank, k, |i, j| f64::from(self.down[i * k + j]) * self.down_scale[i]);
        let product = up * down;
        (0..n * k).map(|i| product[(i / k, i % k)] as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{correlated, gaussian, squared_error};
    use super::super::{Clip, Width, nearest, output_error};
    use super::*;

    #[test]
    fn a_matrix_of_the_rank_comes_back_and_the_truncation_is_the_best_one() {
        let (n, k, rank) = (30, 41, 4);
        let branch = Branch { rank, n, k, down: gaussian(rank * k, 1), up: gaussian(n * rank, 2) };
        let matrix = branch.product();
        let found = low_rank_branch(&matrix, (n, k), rank, Correction::Plain).expect("decomposes");
        assert!(squared_error(&matrix, &found.product()) < 1e-8 * squared_error(&matrix, &vec![0.0; n * k]));
        // Eckart and Young: the error of rank r is the sum of the squares of the other singular values.
        let noise = gaussian(n * k, 3);
        let svd = DMatrix::from_row_iterator(n, k, noise.iter().map(|&x| f64::from(x))).svd(false, false);
        let rest: f64 = svd.singular_values.iter().skip(8).map(|s| s * s).sum();
        let found = low_rank_branch(&noise, (n, k), 8, Correction::Plain).expect("decomposes");
        let error = squared_error(&noise, &found.product());
        assert!(error >= rest * 0.999 && error < rest * 1.01, "{error} {rest}");
        assert_eq!(
            low_rank_branch(&noise, (n, k), 31, Correction::Plain),
            Err(LowBitError::Rank { rank: 31, most: 30 })
        );
    }

    #[test]
    fn weighting_by_the_inputs_beats_the_plain_error_on_held_out_ones() {
        let (n, k, rank) = (40, 64, 8);
        let rows = gaussian(n * k, 5);
        let q = nearest(&rows, (n, k), Width::W4, 32, Clip::Search, &[]).expect("quantizes").dequantize();
        let error: Vec<f32> = rows.iter().zip(&q).map(|(w, q)| w - q).collect();
        let mut gram = Gram::new(k);
        gram.add(&correlated(8 * k, k, 1)).expect("fits");
        let held_out = correlated(256, k, 2);
        let loss = |branch: &Branch| {
            let with: Vec<f32> = q.iter().zip(branch.product()).map(|(q, b)| q + b).collect();
            output_error(&rows, &with, k, &held_out)
        };
        let plain = low_rank_branch(&error, (n, k), rank, Correction::Plain).expect("decomposes");
        let weighted = low_rank_branch(&error, (n, k), rank, Correction::Weighted(&mut gram)).expect("decomposes");
        assert!(loss(&weighted) < 0.8 * loss(&plain), "{} {}", loss(&weighted), loss(&plain));
        assert!(loss(&plain) < output_error(&rows, &q, k, &held_out));
    }

    #[test]
    fn the_integer_form_is_within_three_percent_and_its_matrix_is_what_it_says() {
        let (n, k, rank) = (33, 70, 16);
        let branch = Branch { rank, n, k, down: gaussian(rank * k, 1), up: gaussian(n * rank, 2) };
        let inputs: Vec<f32> = gaussian(600 * k, 3).iter().map(|x| (x * 30.0).round().clamp(-127.0, 127.0)).collect();
        let row_scale: Vec<f32> = (0..n).map(|i| 0.001 * (1.0 + i as f32 / 10.0)).collect();
        let codes = branch.quantize(&row_scale, &inputs).expect("quantizes");
        assert!(codes.relative_error < 0.03, "{}", codes.relative_error);
        let exact = branch.product();
        assert!(squared_error(&exact, &codes.data) < 9e-4 * squared_error(&exact, &vec![0.0; n * k]));
        assert!(codes.branch.up.iter().any(|u| u.unsigned_abs() > 60));
        // Tiny branches keep their precision by shifting to the right.
        let small = Branch { up: branch.up.iter().map(|u| u * 1e-4).collect(), ..branch };
        let codes = small.quantize(&row_scale, &inputs).expect("quantizes");
        assert!(codes.branch.shift < 0 && codes.relative_error < 0.03, "{:?}", codes.relative_error);
    }
}
