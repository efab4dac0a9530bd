//! Rows and a branch that share steps: one shift of the branch serves every row.

use nalgebra::DMatrix;

use super::low_rank::{Branch, BranchCodes};
use super::{LowBitError, LowBitRows};

/// Halvings of the branch's steps that are tried.
const HALVINGS: i32 = 20;

/// The integer form of `branch` behind `rows`, for `inputs` `[_, k]` in units of their int8 scales.
///
/// The codes of the branch's `up` are in steps of `row_scale·2^shift`. A row with a much finer scale
/// than the others (its weights went into the branch almost whole) would take the shift, and with it
/// the precision of all other rows: such rows get coarser scales, as far as the noise of both parts
/// together falls by it.
///
/// # Errors
/// [`LowBitError`] for sizes that do not fit.
pub fn fit_branch(branch: &Branch, rows: &mut LowBitRows, inputs: &[f32]) -> Result<BranchCodes, LowBitError> {
    let (n, k, rank) = (branch.n, branch.k, branch.rank);
    if rows.n != n || rows.k != k || !inputs.len().is_multiple_of(k.max(1)) {
        return Err(LowBitError::Size { found: rows.n * rows.k, n, k });
    }
    let x = DMatrix::from_row_slice(inputs.len() / k.max(1), k, inputs);
    let t = &x * DMatrix::from_row_slice(rank, k, &branch.down).transpose();
    let units = branch.units(&t);
    // Without inputs: as if every code were as likely as another.
    let power = |sum: f32, fallback: f64| if t.nrows() > 0 { f64::from(sum) / t.nrows() as f64 } else { fallback };
    let of_t: f64 = (0..rank).map(|j| power(t.column(j).norm_squared() / units[j].powi(2), 5000.0)).sum();
    let of_x = power(x.norm_squared(), 5000.0 * k as f64) / k.max(1) as f64;
    // What a step of t is worth in a row, at most.
    let worth = |row: &[f32]| row.iter().zip(&units).fold(0f32, |max, (u, unit)| max.max((u * unit).abs()));
    let worth: Vec<f32> = branch.up.chunks(rank.max(1)).map(worth).collect();
    let most = worth.iter().zip(&rows.row_scale).fold(0f32, |most, (w, s)| most.max(w / s));
    let before = rows.dequantize();
    let mut best: Option<(f64, LowBitRows)> = None;
    for halving in 0..=HALVINGS {
        let top = most / 2f32.powi(halving);
        let mut coarser = rows.clone();
        if top > 0.0 && halving > 0 {
            (0..n).for_each(|row| coarser.coarsen(row, worth[row] / top));
        }
        let steps: f64 = coarser.row_scale.iter().map(|s| f64::from(s * top / 127.0).powi(2)).sum();
        let lost: f64 = before.iter().zip(coarser.dequantize()).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let noise = steps / 12.0 * of_t + lost * of_x;
        if best.as_ref().is_none_or(|(least, _)| noise < *least) {
            best = Some((noise, coarser));
        }
    }
    if let Some((_, chosen)) = best {
        *rows = chosen;
    }
    branch.quantize(&rows.row_scale, inputs)
}

#[cfg(test)]
mod tests {
    use super::super::testing::gaussian;
    use super::super::{Clip, Correction, Width, low_rank_branch, nearest};
    use super::*;

    #[test]
    fn a_row_that_went_into_the_branch_does_not_cost_the_others_their_precision() {
        let (n, k, rank) = (48, 128, 16);
        let mut weights = gaussian(n * k, 1);
        // One row lies in the branch almost whole: what is left of it has tiny steps.
        let mut branch = low_rank_branch(&weights, (n, k), rank, Correction::Plain).expect("decomposes");
        branch.up[7 * rank..8 * rank].iter_mut().for_each(|u| *u += 5.0);
        let row = branch.product()[7 * k..8 * k].to_vec();
        weights[7 * k..8 * k].iter_mut().zip(row).for_each(|(w, b)| *w = b + *w * 1e-4);
        let product = branch.product();
        let rest: Vec<f32> = weights.iter().zip(&product).map(|(w, b)| w - b).collect();
        let rows = nearest(&rest, (n, k), Width::W4, 64, Clip::Search, &[]).expect("quantizes");
        let inputs: Vec<f32> = gaussian(600 * k, 3).iter().map(|x| (x * 30.0).round().clamp(-127.0, 127.0)).collect();
        let error = |rows: &LowBitRows, codes: &BranchCodes, of: std::ops::Range<usize>| -> f64 {
            let held = rows.dequantize();
            let of = of.start * k..of.end * k;
            of.map(|i| f64::from(weights[i] - held[i] - codes.data[i]).powi(2)).sum()
        };
        let plain = branch.quantize(&rows.row_scale, &inputs).expect("quantizes");
        let mut fitted = rows.clone();
        let codes = fit_branch(&branch, &mut fitted, &inputs).expect("quantizes");
        assert!(fitted.row_scale[7] > 4.0 * rows.row_scale[7]);
        assert!(fitted.bound() < 1 << 30);
        let others = |rows: &LowBitRows, codes: &BranchCodes| error(rows, codes, 8..n);
        assert!(
            others(&fitted, &codes) < 0.2 * others(&rows, &plain),
            "{} {}",
            others(&fitted, &codes),
            others(&rows, &plain)
        );
        assert!(codes.relative_error < 0.03, "{}", codes.relative_error);
    }

    #[test]
    fn rows_alike_keep_their_scales() {
        let (n, k, rank) = (16, 64, 16);
        let weights = gaussian(n * k, 5);
        let branch = Branch { rank, n, k, down: gaussian(rank * k, 6), up: vec![0.05; n * rank] };
        let rows = nearest(&weights, (n, k), Width::W4, 32, Clip::Search, &[]).expect("quantizes");
        let mut fitted = rows.clone();
        fit_branch(&branch, &mut fitted, &gaussian(600 * k, 7)).expect("quantizes");
        let moved = fitted.row_scale.iter().zip(&rows.row_scale).fold(1f32, |most, (a, b)| most.max(a / b));
        assert!(moved < 4.0, "{moved}");
        assert!(fit_branch(&branch, &mut fitted, &[0.0; 3]).is_err());
    }
}
