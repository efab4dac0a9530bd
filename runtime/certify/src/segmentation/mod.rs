//! Certificates for every pixel of a segmentation at once.
//!
//! After Fischer, Baader and Vechev, "Scalable certified segmentation via randomized smoothing" (ICML 2021). n₀ draws
//! propose a label for each pixel, n others test whether it has more than a common probability t ≥ ½; pixels that pass
//! get their label and a common radius, the others abstain.
//!
//! **Statement.** With probability 1 − α, for every pixel i with a label and every δ of the grid with `Σδ² ≤ r2`:
//! "label" has more than one half at pixel i of `f(x + δ + Z)`. `r2` belongs to the probability t:
//! `R = σ·(Φ⁻¹(t − τ) − Φ⁻¹(½ + τ))`, rounded down, τ being the price of finite precision.
//!
//! **Tests.** The hypothesis "the label has at most t" has the p-value `P(Bin(n, t) ≥ k)` for k votes, rounded up.
//! Holm (1979): of N pixels, as long as the smallest p-value left is at most α over the number of pixels left, that pixel
//! passes. The probability that any pixel passes wrongly is at most α, however pixels depend on each other. All pixels with
//! at least `k_min(α/(N − R))` votes pass when R have passed; so this is repeated from R = 0 until no more do: no sorting, no
//! p-values kept.
//!
//! **Proposals** are majorities by the method of Boyer and Moore (1991): one label and one counter a pixel find the mode
//! wherever it has more than half of the draws. Where it has not, the label is some other one, which cannot pass
//! except rightly: the test does not depend on where it came from.
//!
//! **α**: all of it, once, divided by Holm's rule. Memory: 8 bytes a pixel, from the caller.

mod holm;
mod run;

use crate::job::Hashes;
use crate::spec::{MOST, fewest};
use crate::{Alpha, CertError, Evaluate, Noisy, StepError, closed_ball};
pub use holm::{Passed, holm};
pub use run::SegmentationRun;
use selvedge_noise::{Domain, NoiseKey, binomial};
use sha2::{Digest, Sha256};

/// A pixel while samples are drawn: the label that is proposed and its votes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pixel {
    label: u16,
    votes: u32,
}

/// What every pixel is tested for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Level {
    /// More than this probability; 0.75 in the paper.
    Probability(f64),
    /// So much that this squared radius is covered, in grid steps.
    R2(u64),
}

/// What is asked for besides the failure probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SegmentationRequest {
    /// Pixels: outputs of the model.
    pub pixels: u32,
    /// Labels: outputs are in 0..labels.
    pub labels: u32,
    /// What each pixel is tested for.
    pub level: Level,
    /// Draws that propose labels.
    pub selection: u32,
    /// Draws that test them.
    pub samples: u32,
}

/// A request that can be answered, before the nonce is known.
#[derive(Debug)]
pub struct Segmentation<'a> {
    alpha: Alpha,
    request: SegmentationRequest,
    noisy: Noisy<'a>,
    threshold: f64,
    r2: u64,
    hashes: Hashes,
}

impl<'a> Segmentation<'a> {
    /// Takes the failure probability; refuses what could never be answered.
    ///
    /// # Errors
    /// [`CertError::Threshold`] for a probability outside ½ to 1, or one that is too small for any radius;
    /// [`CertError::Output`] for no pixels, [`CertError::Classes`], [`CertError::Selection`], [`CertError::Alpha`] where
    /// no share is left for each pixel, [`CertError::TooFewSamples`], [`CertError::Target`];
    /// [`CertError::Range`], [`CertError::OutOfRange`], [`CertError::Length`].
    pub fn new(alpha: Alpha, request: SegmentationRequest, noisy: Noisy<'a>) -> Result<Self, CertError> {
        let SegmentationRequest { pixels, labels, level, selection, samples } = request;
        if pixels == 0 {
            return Err(CertError::Output { found: 0 });
        }
        if labels == 0 || labels > 1 << 16 {
            return Err(CertError::Classes { found: labels });
        }
        if selection == 0 || selection > MOST || samples > MOST {
            return Err(CertError::Selection);
        }
        let price = noisy.price()?;
        let (threshold, r2) = match level {
            Level::R2(r2) => (price.null_probability(r2), Some(r2)),
            // More than the threshold: the whole closed ball.
            Level::Probability(p) if (0.5..1.0).contains(&p) => (p, closed_ball(price.radius(p))),
            Level::Probability(_) => return Err(CertError::Threshold),
        };
        let r2 = r2.ok_or(CertError::Threshold)?;
        let share = Alpha::from_units(alpha.units() / u64::from(pixels))?.lower();
        let answers = |n| binomial::upper_tail(n, n, threshold) <= share;
        if !answers(samples) {
            return Err(fewest(samples, answers));
        }
        let mut hash = Sha256::new();
        hash.update(b"selvedge segmentation v1");
        hash.update(alpha.units().to_le_bytes());
        for number in [pixels, labels, selection, samples] {
            hash.update(number.to_le_bytes());
        }
        hash.update(threshold.to_bits().to_le_bytes());
        hash.update(r2.to_le_bytes());
        let hashes = noisy.hashes(hash);
        Ok(Segmentation { alpha, request, noisy, threshold, r2, hashes })
    }

    /// What the prover hands over before the verifier chooses the nonce: see [`crate::Terms::commitment`].
    pub fn commitment(&self) -> [u8; 32] {
        self.hashes.commitment()
    }

    /// The squared radius of every pixel that passes, in grid steps.
    pub fn r2(&self) -> u64 {
        self.r2
    }

    /// Adds the votes of the test draws `first..first + len` to pixels with the labels of a run
    /// ([`SegmentationRun::ballot`]): for callers that count with several threads, and merge.
    ///
    /// # Errors
    /// The model's; [`CertError::Output`] for a label that there is not; [`CertError::Order`] for draws that there are
    /// not.
    pub fn count_range<M: Evaluate>(
        &self,
        model: &mut M,
        nonce: &[u8; 32],
        (first, len): (u32, u32),
        pixels: &mut [Pixel],
    ) -> Result<(), StepError<M::Error>> {
        if first.checked_add(len).is_none_or(|end| end > self.request.samples) {
            return Err(CertError::Order.into());
        }
        self.count(model, &self.hashes.key(nonce), Domain::Estimate, (first, len), pixels, || ())
    }

    /// Votes for the labels of the pixels; in the selection, labels that have no votes left are replaced.
    fn count<M: Evaluate>(
        &self,
        model: &mut M,
        key: &NoiseKey,
        domain: Domain,
        range: (u32, u32),
        pixels: &mut [Pixel],
        mut counted: impl FnMut(),
    ) -> Result<(), StepError<M::Error>> {
        let (labels, selecting) = (self.request.labels, domain == Domain::Select);
        self.noisy.for_each(model, key, domain, range, |model, index| {
            let label_of = |pixel| u16::try_from(model.output(index, pixel)).ok().filter(|&l| u32::from(l) < labels);
            // First all, then any: a sample counts for every pixel or for none.
            if let Some(found) = (0..pixels.len()).find(|&pixel| label_of(pixel).is_none()) {
                return Err(CertError::Output { found: found as u32 });
            }
            for (place, pixel) in pixels.iter_mut().enumerate() {
                let label = label_of(place).unwrap_or(0);
                match (selecting, label == pixel.label) {
                    (_, true) => pixel.votes = pixel.votes.saturating_add(1),
                    (true, false) if pixel.votes == 0 => *pixel = Pixel { label, votes: 1 },
                    (true, false) => pixel.votes -= 1,
                    (false, false) => {}
                }
            }
            counted();
            Ok(())
        })
    }
}
