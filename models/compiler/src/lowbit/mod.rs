//! Weights of fewer than 8 bits: codes, scales, the numbers they stand for, and how to find them.
//!
//! Matrices are row-major `[n, k]`: rows are output channels, k is the order of the kernels. Every
//! function is deterministic.

mod a4;
mod asymmetric;
mod fit_branch;
mod gptq;
mod gram;
mod low_rank;
mod nearest;
mod sensitivity;
mod smooth;
mod ternary;
#[cfg(test)]
mod testing;

pub use a4::{A4_GROUP, fake_quant_a4};
pub use asymmetric::fit_asymmetric;
pub use fit_branch::fit_branch;
pub use gptq::{Gptq, gptq};
pub use gram::Gram;
pub use low_rank::{Branch, BranchCodes, Correction, low_rank_branch};
pub use nearest::{Clip, nearest};
pub use selvedge_kernels::Width;
pub use sensitivity::{Activations, output_error, output_snr_db};
pub use smooth::{Quantizer, Smoothing, smoothing};
pub use ternary::{TernaryScale, ternary};

/// Why weights could not be quantized.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LowBitError {
    #[error("the matrix has {found} values, {n} rows of {k} have {expected}", expected = n * k)]
    Size { found: usize, n: usize, k: usize },
    #[error("value {index} is NaN or infinite; repair the model")]
    NotFinite { index: usize },
    #[error("groups of {0}: give 0 (the whole row) or a multiple of 32")]
    Group(usize),
    #[error(
        "{tokens} calibration rows for {k} columns: with fewer rows than columns GPTQ fits the samples and not the \
         model; give at least {k}, better {enough}", enough = 4 * k
    )]
    TooFewTokens { tokens: usize, k: usize },
    #[error("calibration rows have {found} values, the layer reads {k}")]
    Columns { found: usize, k: usize },
    #[error("the calibration data's matrix is not positive definite, also with damping; give other samples")]
    NotPositive,
    #[error("rank {rank} is not between 1 and {most}")]
    Rank { rank: usize, most: usize },
}

/// Checks a matrix and its groups.
pub(crate) fn check(data: &[f32], n: usize, k: usize, group: usize) -> Result<(), LowBitError> {
    if data.len() != n * k {
        return Err(LowBitError::Size { found: data.len(), n, k });
    }
    if !group.is_multiple_of(32) {
        return Err(LowBitError::Group(group));
    }
    match data.iter().position(|w| !w.is_finite()) {
        Some(index) => Err(LowBitError::NotFinite { index }),
        None => Ok(()),
    }
}

/// The largest u8 scale for which sums of k products with int8 stay below 2^30, however large the
/// codes: |s·(code − zero)| ≤ s·`most`.
pub(crate) fn scale_limit(k: usize, most: u8) -> f32 {
    ((1u64 << 30) as f64 / (k.max(1) as f64 * 128.0 * f64::from(most))).clamp(1.0, 255.0).floor() as f32
}

/// A quantized matrix `[n, k]`:
/// `w[row][k] = row_scale[row]·(s·code − o)`, where `s` is the scale of k's group (1 without
/// groups) and `o` its minimum where there are minimums, else `zero·s`.
#[derive(Clone, Debug, PartialEq)]
pub struct LowBitRows {
    pub n: usize,
    pub k: usize,
    pub width: Width,
    /// k that share a scale, a multiple of 32; 0: all of a row.
    pub group: usize,
    /// The code that stands for 0.
    pub zero: u8,
    /// `[n, k]`, row-major.
    pub codes: Vec<u8>,
    /// `[n, groups]`; empty without groups.
    pub scales: Vec<u8>,
    /// `[n, groups]`, in units of the row's scale; empty where `zero` is the offset.
    pub mins: Vec<i16>,
    pub row_scale: Vec<f32>,
}

impl LowBitRows {
    /// No codes yet: symmetric, `zero` in the middle of the width's range.
    pub(crate) fn empty(n: usize, k: usize, width: Width, group: usize) -> Self {
        LowBitRows {
            n,
            k,
            width,
            group,
            zero: if width == Width::T2 { 1 } else { width.max() / 2 + 1 },
            codes: Vec::with_capacity(n * k),
            scales: Vec::new(),
            mins: Vec::new(),
            row_scale: Vec::with_capacity(n),
        }
    }

    /// The largest |Σ w·x| in steps of the sums of any row, for |x| ≤ 128.
    pub fn bound(&self) -> u64 {
        let of = |row| self.integers(row).map(|w| u64::from(w.unsigned_abs())).sum::<u64>() * 128;
        (0..self.n).map(of).max().unwrap_or(0)
    }

    /// Groups of a row.
    pub fn groups(&self) -> usize {
        selvedge_kernels::pack_low::groups_of(self.k, self.group)
    }

    /// The integers `s·code − o` of a row.
    pub fn integers(&self, row: usize) -> impl Iterator<Item = i32> + '_ {
        let groups = self.groups();
        self.codes[row * self.k..][..self.k].iter().enumerate().map(move |(k, &code)| {
            let g = row * groups + k.checked_div(self.group).unwrap_or(0);
            let scale = self.scales.get(g).map_or(1, |&s| i32::from(s));
            let offset = self.mins.get(g).map_or(i32::from(self.zero) * scale, |&o| i32::from(o));
            scale * i32::from(code) - offset
        })
    }

    /// The numbers the codes stand for, `[n, k]`.
    pub fn dequantize(&self) -> Vec<f32> {
        (0..self.n).flat_map(|row| self.integers(row).map(move |w| w as f32 * self.row_scale[row])).collect()
    }

    /// The rows `kept`, in that order.
    pub fn keep(&self, kept: &[usize]) -> Self {
        let groups = self.groups();
        let rows = |len: usize| kept.iter().flat_map(move |&row| row * len..(row + 1) * len);
        LowBitRows {
            n: kept.len(),
            codes: rows(self.k).map(|i| self.codes[i]).collect(),
            scales: if self.scales.is_empty() { vec![] } else { rows(groups).map(|i| self.scales[i]).collect() },
            mins: if self.mins.is_empty() { vec![] } else { rows(groups).map(|i| self.mins[i]).collect() },
            row_scale: kept.iter().map(|&row| self.row_scale[row]).collect(),
            ..*self
        }
    }

    /// Gives a row a scale of at least `least`, its weights rounded to the coarser steps.
    pub(crate) fn coarsen(&mut self, row: usize, least: f32) {
        let factor = least / self.row_scale[row];
        if factor.is_nan() || factor <= 1.0 || !least.is_normal() {
            return;
        }
        self.row_scale[row] = least;
        let (groups, zero) = (self.groups(), f32::from(self.zero));
        if self.scales.is_empty() {
            for code in &mut self.codes[row * self.k..][..self.k] {
                *code = ((f32::from(*code) - zero) / factor + zero).round_ties_even() as u8;
            }
            return;
        }
        for scale in &mut self.scales[row * groups..][..groups] {
            *scale = (f32::from(*scale) / factor).round_ties_even() as u8;
        }
        if let Some(mins) = self.mins.get_mut(row * groups..(row + 1) * groups) {
            mins.iter_mut().for_each(|min| *min = (f32::from(*min) / factor).round_ties_even() as i16);
        }
    }

    /// Bytes of codes, scales and minimums in an artifact.
    pub fn bytes(&self) -> usize {
        selvedge_kernels::pack_low::low_bytes(self.width, self.n, self.k) + self.scales.len() + self.mins.len() * 2
    }
}
