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

use crate::job::Hashes;
use crate::spec::{MOST, fewest};
use crate::{Account, Alpha, CertError, Evaluate, Noisy, StepError, closed_ball};
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
}

/// What Holm's rule lets pass: those with at least `least` votes, so many pixels. `least` is above `n` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Votes that are needed.
    pub least: u32,
    /// Pixels that have them.
    pub pixels: u32,
}

/// Holm's rule for the hypotheses "at most `threshold`", each with so many votes of `n`.
pub fn holm(votes: impl ExactSizeIterator<Item = u32> + Clone, n: u32, threshold: f64, alpha: &Alpha) -> Passed {
    let mut passed = Passed { least: u32::MAX, pixels: 0 };
    let all = votes.len() as u64;
    while u64::from(passed.pixels) < all {
        let share = alpha.units() / (all - u64::from(passed.pixels));
        let share = Alpha::from_units(share).map_or(0.0, |share| share.lower());
        let Some(least) = binomial::min_count(n, threshold, share) else { break };
        let pixels = votes.clone().filter(|&votes| votes >= least).count() as u32;
        if pixels == passed.pixels {
            break;
        }
        passed = Passed { least, pixels };
    }
    passed
}

/// A run: one label and one counter a pixel.
#[derive(Debug)]
pub struct SegmentationRun<'a, 'm> {
    segmentation: &'a Segmentation<'a>,
    key: NoiseKey,
    pixels: &'m mut [Pixel],
    selected: u32,
    drawn: u32,
    passed: Option<Passed>,
}

impl<'a, 'm> SegmentationRun<'a, 'm> {
    /// A run at its beginning, with a nonce chosen after [`Segmentation::commitment`]. Clears the memory.
    ///
    /// # Errors
    /// [`CertError::Buffer`] with the number of pixels, where the memory is for another.
    pub fn new(plan: &'a Segmentation<'a>, nonce: [u8; 32], memory: &'m mut [Pixel]) -> Result<Self, CertError> {
        memory.fill(Pixel::default());
        Self::resume(plan, nonce, memory, (0, 0))
    }

    /// Goes on with the pixels of the same plan and nonce after so many draws of selection and test
    /// ([`SegmentationRun::drawn`]).
    ///
    /// # Errors
    /// [`CertError::Buffer`]; [`CertError::Order`] for draws that there cannot be; [`CertError::Output`] with a pixel that
    /// has more votes than draws, or a label that there is not.
    pub fn resume(
        plan: &'a Segmentation<'a>,
        nonce: [u8; 32],
        memory: &'m mut [Pixel],
        (selected, drawn): (u32, u32),
    ) -> Result<Self, CertError> {
        let SegmentationRequest { pixels: needed, labels, selection, samples, .. } = plan.request;
        if memory.len() as u64 != u64::from(needed) {
            return Err(CertError::Buffer { needed });
        }
        if selected > selection || drawn > samples || (drawn > 0 && selected < selection) {
            return Err(CertError::Order);
        }
        let most = if selected < selection { selected } else { drawn };
        if let Some(found) = memory.iter().position(|p| p.votes > most || u32::from(p.label) >= labels) {
            return Err(CertError::Output { found: found as u32 });
        }
        let key = plan.hashes.key(&nonce);
        let mut this = SegmentationRun { segmentation: plan, key, pixels: memory, selected, drawn, passed: None };
        this.settle();
        Ok(this)
    }

    /// Draws at most `most` samples, at least one, and returns what passed after the last one.
    ///
    /// # Errors
    /// The model's; [`CertError::Output`] for a label that there is not. Samples before it are counted.
    pub fn step<M: Evaluate>(&mut self, model: &mut M, most: u32) -> Result<Option<Passed>, StepError<M::Error>> {
        let SegmentationRequest { labels, selection, samples, .. } = self.segmentation.request;
        let selecting = self.selected < selection;
        let (domain, counter, end) = match selecting {
            true => (Domain::Select, &mut self.selected, selection),
            false => (Domain::Estimate, &mut self.drawn, samples),
        };
        let range = (*counter, most.max(1).min(end.saturating_sub(*counter)));
        let pixels = &mut *self.pixels;
        self.segmentation.noisy.for_each(model, &self.key, domain, range, |model, index| {
            let label_of = |pixel| u16::try_from(model.output(index, pixel)).ok().filter(|&l| u32::from(l) < labels);
            // First all, then any: a sample counts for every pixel or for none.
            if let Some(found) = (0..pixels.len()).find(|&pixel| label_of(pixel).is_none()) {
                return Err(CertError::Output { found: found as u32 });
            }
            for (place, pixel) in pixels.iter_mut().enumerate() {
                let label = label_of(place).unwrap_or(0);
                match (selecting, label == pixel.label) {
                    (_, true) => pixel.votes += 1,
                    (true, false) if pixel.votes == 0 => *pixel = Pixel { label, votes: 1 },
                    (true, false) => pixel.votes -= 1,
                    (false, false) => {}
                }
            }
            *counter += 1;
            Ok(())
        })?;
        if selecting && self.selected == selection {
            self.pixels.iter_mut().for_each(|pixel| pixel.votes = 0);
        }
        self.settle();
        Ok(self.passed)
    }

    fn settle(&mut self) {
        let Segmentation { alpha, request, threshold, .. } = self.segmentation;
        if self.passed.is_none() && self.selected == request.selection && self.drawn == request.samples {
            self.passed = Some(holm(self.pixels.iter().map(|pixel| pixel.votes), request.samples, *threshold, alpha));
        }
    }

    /// Draws of selection and test so far.
    pub fn drawn(&self) -> (u32, u32) {
        (self.selected, self.drawn)
    }

    /// What passed, once all samples are drawn.
    pub fn passed(&self) -> Option<Passed> {
        self.passed
    }

    /// The label of a pixel that passed; `None` for one that abstains, and before the end.
    pub fn label(&self, pixel: usize) -> Option<u16> {
        let least = self.passed?.least;
        self.pixels.get(pixel).filter(|pixel| pixel.votes >= least).map(|pixel| pixel.label)
    }

    /// What all tests cost together.
    pub fn account(&self) -> Account {
        let mut account = Account::open(&self.segmentation.alpha);
        let _ = account.spend(self.segmentation.alpha.again());
        account
    }
}
