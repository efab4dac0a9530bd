//! Forests as adaptive smoothers (Curth, Jeffares and van der Schaar 2024): a prediction is Σ s_i·y_i over the training set.

use crate::error::{DenoiseError, check_len};

/// A tree's leaves of the training set and how often each example was drawn for it.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'a> {
    /// Leaf of each training example.
    pub leaves: &'a [u16],
    /// Times it was drawn.
    pub counts: &'a [u16],
}

/// The weights s of an input that falls into `query[b]` of tree b: the mean over the trees of count/Σcount in that leaf.
/// Σs² is what the input takes of the effective parameters: large where few examples support it.
///
/// # Errors
/// [`DenoiseError::Length`]; [`DenoiseError::Samples`] for no trees or a leaf without training examples.
pub fn forest_weights(trees: &[Tree<'_>], query: &[u16], out: &mut [f64]) -> Result<f64, DenoiseError> {
    check_len(query, trees.len())?;
    if trees.is_empty() {
        return Err(DenoiseError::Samples { needed: 1 });
    }
    out.fill(0.0);
    for (tree, leaf) in trees.iter().zip(query) {
        check_len(tree.leaves, out.len())?;
        check_len(tree.counts, out.len())?;
        let own = || tree.leaves.iter().zip(tree.counts).filter(|&(at, _)| at == leaf);
        let total = own().map(|(_, &count)| u64::from(count)).sum::<u64>();
        if total == 0 {
            return Err(DenoiseError::Samples { needed: 1 });
        }
        for ((out, at), &count) in out.iter_mut().zip(tree.leaves).zip(tree.counts) {
            if at == leaf {
                *out += f64::from(count) / total as f64;
            }
        }
    }
    out.iter_mut().for_each(|s| *s /= trees.len() as f64);
    Ok(out.iter().fold(0.0, |sum, s| sum + s * s))
}

/// Σs² of an input without the training set: from the sums Σ_i c_a·c_b over examples that two leaves share, for every pair
/// of the trees' leaves (both orders and each with itself), and the leaves' totals. `overlaps` is B × B.
///
/// # Errors
/// [`DenoiseError::Length`]; [`DenoiseError::Samples`] for no trees or an empty leaf.
pub fn support_overlap(overlaps: &[f64], totals: &[f64]) -> Result<f64, DenoiseError> {
    let trees = totals.len();
    check_len(overlaps, trees * trees)?;
    if trees == 0 || !totals.iter().all(|&total| total > 0.0) {
        return Err(DenoiseError::Samples { needed: 1 });
    }
    let mut sum = 0.0;
    for (row, a) in overlaps.chunks_exact(trees).zip(totals) {
        for (overlap, b) in row.iter().zip(totals) {
            sum += overlap / (a * b);
        }
    }
    Ok(sum / (trees * trees) as f64)
}
