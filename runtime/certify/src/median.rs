//! Certified intervals for numbers: the median of each int8 output under noise, and how far a perturbation moves it.
//!
//! After Chiang et al., "Detection as regression: certified object detection with median smoothing" (NeurIPS 2020). The
//! smoothed output g_o(x) is the median of `f_o(x + Z)`, Z being the rounded Gaussian.
//!
//! **Statement.** For any border v, "f_o ≤ v" is an event; if it has more than `p̄ = Φ(Φ⁻¹(½ + τ) + r/σ) + τ` at x it has
//! more than ½ at all x + δ with ‖δ‖₂ ≤ r, τ being the price of finite precision; the same for "f_o ≥ v". So every
//! median at x + δ lies between the (1 − p̄)- and the p̄-quantile at x. Of n draws the u-th smallest is below the
//! p̄-quantile only if u draws are, which has probability at most `P(Bin(n, p̄) ≥ u)`; u is the smallest number for
//! which that is proved to be at most α/(2·outputs), and the other end is the (n + 1 − u)-th smallest, by symmetry.
//!
//! With probability 1 − α all intervals hold at once: `low ≤ g_o(x + δ) ≤ high` for every output o and every δ of the
//! grid with `Σδ² ≤ r2`.
//!
//! **α**: Bonferroni, two bounds an output. Memory: 1024 bytes an output, from the caller: counts of all 256 codes, so
//! that order statistics are exact and draws are not kept.

use crate::job::Hashes;
use crate::spec::{MOST, fewest};
use crate::{Account, Alpha, CertError, Evaluate, Noisy, StepError};
use selvedge_noise::{Domain, NoiseKey, binomial};
use sha2::{Digest, Sha256};

/// How often each code was drawn, −128 first.
pub type Histogram = [u32; 256];

/// What is asked for besides the failure probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MedianRequest {
    /// Outputs of the model.
    pub outputs: u32,
    /// Squared radius of the perturbations, in grid steps.
    pub r2: u64,
    /// Draws.
    pub samples: u32,
}

/// A request that can be answered, before the nonce is known.
#[derive(Debug)]
pub struct Median<'a> {
    alpha: Alpha,
    request: MedianRequest,
    noisy: Noisy<'a>,
    ranks: (u32, u32),
    hashes: Hashes,
}

/// Codes between which a median lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The smallest.
    pub low: i8,
    /// The median of the draws: an estimate, of even numbers the lower one.
    pub median: i8,
    /// The largest.
    pub high: i8,
}

/// The ranks, counted from 1, of the draws between which the median of a perturbed input lies, each with failure
/// probability `alpha`, where `p_high` is not below p̄ (above). `None` where n draws are too few.
///
/// ```
/// use selvedge_certify::{Price, median::ranks};
/// use selvedge_noise::Sigma;
/// // A quarter of σ, 1000 draws, 1/1000 each side.
/// let price = Price::new(Sigma::new(20, 1).expect("not zero"), 1e-13);
/// assert_eq!(ranks(1000, price.null_probability(25), 0.001), Some((354, 647)));
/// ```
pub fn ranks(n: u32, p_high: f64, alpha: f64) -> Option<(u32, u32)> {
    let upper = binomial::min_count(n, p_high, alpha)?;
    Some((n - upper + 1, upper))
}

impl<'a> Median<'a> {
    /// Takes the failure probability; refuses what could never be answered.
    ///
    /// # Errors
    /// [`CertError::Output`] for no outputs, [`CertError::Alpha`] where no share is left for each,
    /// [`CertError::Selection`] for more than 2^31 draws, [`CertError::TooFewSamples`], [`CertError::Target`] for a radius that no number of draws reaches;
    /// [`CertError::Range`], [`CertError::OutOfRange`], [`CertError::Length`].
    pub fn new(alpha: Alpha, request: MedianRequest, noisy: Noisy<'a>) -> Result<Self, CertError> {
        if request.outputs == 0 {
            return Err(CertError::Output { found: 0 });
        }
        let p_high = noisy.price()?.null_probability(request.r2);
        let share = Self::share(&alpha, request.outputs)?.lower();
        if request.samples > MOST {
            return Err(CertError::Selection);
        }
        let Some(ranks) = ranks(request.samples, p_high, share) else {
            return Err(fewest(request.samples, |n| binomial::upper_tail(n, n, p_high) <= share));
        };
        let mut hash = Sha256::new();
        hash.update(b"selvedge median v1");
        hash.update(alpha.units().to_le_bytes());
        hash.update(request.outputs.to_le_bytes());
        hash.update(request.r2.to_le_bytes());
        hash.update(request.samples.to_le_bytes());
        let hashes = noisy.hashes(hash);
        Ok(Median { alpha, request, noisy, ranks, hashes })
    }

    /// The share of each of two bounds an output.
    fn share(alpha: &Alpha, outputs: u32) -> Result<Alpha, CertError> {
        Alpha::from_units(alpha.units() / (2 * u64::from(outputs)))
    }

    /// What the prover hands over before the verifier chooses the nonce: see [`crate::Terms::commitment`].
    pub fn commitment(&self) -> [u8; 32] {
        self.hashes.commitment()
    }

    /// Adds the samples `first..first + len` to histograms: for callers that count with several threads, and merge.
    ///
    /// # Errors
    /// The model's; [`CertError::Output`] for a number that is no int8 code; [`CertError::Order`] for samples that there
    /// are not.
    pub fn count_range<M: Evaluate>(
        &self,
        model: &mut M,
        nonce: &[u8; 32],
        (first, len): (u32, u32),
        histograms: &mut [Histogram],
    ) -> Result<(), StepError<M::Error>> {
        if first.checked_add(len).is_none_or(|end| end > self.request.samples) {
            return Err(CertError::Order.into());
        }
        self.count(model, &self.hashes.key(nonce), (first, len), histograms, || ())
    }

    fn count<M: Evaluate>(
        &self,
        model: &mut M,
        key: &NoiseKey,
        range: (u32, u32),
        histograms: &mut [Histogram],
        mut counted: impl FnMut(),
    ) -> Result<(), StepError<M::Error>> {
        self.noisy.for_each(model, key, Domain::Estimate, range, |model, index| {
            // First all, then any: a sample counts for every output or for none.
            for output in 0..histograms.len() {
                i8::try_from(model.output(index, output)).map_err(|_| CertError::Output { found: output as u32 })?;
            }
            for (output, histogram) in histograms.iter_mut().enumerate() {
                let code = model.output(index, output).clamp(-128, 127);
                if let Some(count) = histogram.get_mut((code + 128) as usize) {
                    *count = count.saturating_add(1);
                }
            }
            counted();
            Ok(())
        })
    }

    /// Ranks of the draws that are the ends of every interval, counted from 1.
    pub fn ranks(&self) -> (u32, u32) {
        self.ranks
    }
}

/// A run: one histogram an output.
#[derive(Debug)]
pub struct MedianRun<'a, 'm> {
    median: &'a Median<'a>,
    key: NoiseKey,
    histograms: &'m mut [Histogram],
    drawn: u32,
}

impl<'a, 'm> MedianRun<'a, 'm> {
    /// A run at its beginning, with a nonce chosen after [`Median::commitment`]. Clears the memory.
    ///
    /// # Errors
    /// [`CertError::Buffer`] with the number of histograms needed, where there are not as many.
    pub fn new(median: &'a Median<'a>, nonce: [u8; 32], memory: &'m mut [Histogram]) -> Result<Self, CertError> {
        memory.iter_mut().for_each(|histogram| histogram.fill(0));
        Self::resume(median, nonce, memory)
    }

    /// Goes on with histograms of the same plan and nonce.
    ///
    /// # Errors
    /// [`CertError::Buffer`]; [`CertError::Output`] with the first histogram that does not hold as many draws as the
    /// others, or holds too many.
    pub fn resume(median: &'a Median<'a>, nonce: [u8; 32], memory: &'m mut [Histogram]) -> Result<Self, CertError> {
        let needed = median.request.outputs;
        if memory.len() as u64 != u64::from(needed) {
            return Err(CertError::Buffer { needed });
        }
        let drawn = memory.first().map_or(0, total).min(u64::from(median.request.samples));
        match memory.iter().position(|histogram| total(histogram) != drawn) {
            Some(found) => Err(CertError::Output { found: found as u32 }),
            None => {
                let key = median.hashes.key(&nonce);
                Ok(MedianRun { median, key, histograms: memory, drawn: drawn as u32 })
            }
        }
    }

    /// Draws at most `most` samples, at least one; `true` when all are drawn.
    ///
    /// # Errors
    /// Those of [`Median::count_range`]. Samples before it are counted.
    pub fn step<M: Evaluate>(&mut self, model: &mut M, most: u32) -> Result<bool, StepError<M::Error>> {
        let len = most.max(1).min(self.median.request.samples.saturating_sub(self.drawn));
        let range = (self.drawn, len);
        let (median, drawn) = (self.median, &mut self.drawn);
        median.count(model, &self.key, range, self.histograms, || *drawn += 1)?;
        Ok(self.drawn == self.median.request.samples)
    }

    /// Adds the histograms of the samples `first..first + len`, which have to be the next ones.
    ///
    /// # Errors
    /// [`CertError::Order`] for other samples, or more than there are; [`CertError::Buffer`]; [`CertError::Output`] with
    /// the first histogram that does not hold as many.
    pub fn merge(&mut self, (first, len): (u32, u32), counts: &[Histogram]) -> Result<(), CertError> {
        if first != self.drawn || len > self.median.request.samples - self.drawn {
            return Err(CertError::Order);
        }
        if counts.len() != self.histograms.len() {
            return Err(CertError::Buffer { needed: self.median.request.outputs });
        }
        if let Some(found) = counts.iter().position(|histogram| total(histogram) != u64::from(len)) {
            return Err(CertError::Output { found: found as u32 });
        }
        let pairs = self.histograms.iter_mut().zip(counts).flat_map(|(to, from)| to.iter_mut().zip(from));
        pairs.for_each(|(to, from)| *to += from);
        self.drawn += len;
        Ok(())
    }

    /// Draws so far.
    pub fn drawn(&self) -> u32 {
        self.drawn
    }

    /// The interval of an output, once all samples are drawn. `None` before, and for an output that there is not.
    pub fn interval(&self, output: usize) -> Option<Interval> {
        if self.drawn != self.median.request.samples {
            return None;
        }
        let histogram = self.histograms.get(output)?;
        let (low, high) = self.median.ranks;
        let median = rank(histogram, self.drawn.div_ceil(2))?;
        Some(Interval { low: rank(histogram, low)?, median, high: rank(histogram, high)? })
    }

    /// What the intervals cost together.
    pub fn account(&self) -> Account {
        let mut account = Account::open(&self.median.alpha);
        for _ in 0..2 * u64::from(self.median.request.outputs) {
            if let Ok(share) = Median::share(&self.median.alpha, self.median.request.outputs) {
                let _ = account.spend(share);
            }
        }
        account
    }
}

/// Draws of a histogram.
fn total(histogram: &Histogram) -> u64 {
    histogram.iter().map(|&count| u64::from(count)).sum()
}

/// The code of a rank, counted from 1.
fn rank(histogram: &Histogram, rank: u32) -> Option<i8> {
    let mut below = 0u64;
    let at = histogram.iter().position(|&count| {
        below += u64::from(count);
        below >= u64::from(rank)
    })?;
    i8::try_from(at as i32 - 128).ok()
}
