//! A denoiser in front of a classifier (Salman et al. 2020, "Denoised smoothing"; Carlini et al. 2023).
//!
//! The composition of a denoiser and a classifier is a classifier of the noisy codes, deterministic if both are, and
//! nothing else is asked of what is certified: every rule and every radius holds as it stands, at the σ of the noise that
//! is drawn. Whatever the denoiser does (its time step, its scales, its own quantization) costs or gains accuracy, never
//! soundness. α: that of the rule; the composition spends none. The denoiser's result is handed on in tiles of 64
//! codes, so there is no third image: 128 bytes on the stack.

use crate::{Classify, Scores};
use core::fmt;
use sha2::{Digest, Sha256};

/// Codes that are handed on at a time.
const TILE: usize = 64;

/// A deterministic map from noisy codes to the codes that a classifier takes, which keeps its own input and result.
pub trait Denoise {
    /// Why a run failed.
    type Error;

    /// Inputs that one run takes.
    fn batch(&self) -> usize {
        1
    }

    /// Codes of a result; it may have another shape and another grid than the input.
    fn output_len(&self) -> usize;

    /// Puts noisy codes in place, as [`Classify::write`] does.
    ///
    /// # Errors
    /// The denoiser's own.
    fn write(&mut self, sample: usize, first: usize, codes: &[i16]) -> Result<(), Self::Error>;

    /// Denoises the first `samples` inputs.
    ///
    /// # Errors
    /// The denoiser's own.
    fn run(&mut self, samples: usize) -> Result<(), Self::Error>;

    /// Reads the elements `first..first + codes.len()` of a result of the last run.
    ///
    /// # Errors
    /// The denoiser's own.
    fn read(&self, sample: usize, first: usize, codes: &mut [i16]) -> Result<(), Self::Error>;
}

/// A classifier of what a denoiser makes of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denoised<D, C> {
    denoiser: D,
    classifier: C,
}

impl<D: Denoise, C: Classify> Denoised<D, C> {
    /// `classifier ∘ denoiser`.
    pub fn new(denoiser: D, classifier: C) -> Self {
        Denoised { denoiser, classifier }
    }

    /// Both parts.
    pub fn into_parts(self) -> (D, C) {
        (self.denoiser, self.classifier)
    }

    /// The classifier, whose scores are those of the composition.
    pub fn classifier(&self) -> &C {
        &self.classifier
    }
}

/// A name of the composition for [`crate::Subject::model`]: SHA-256 of the names of its parts.
pub fn denoised_name(denoiser: &[u8; 32], classifier: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"selvedge denoised model v1");
    hash.update(denoiser);
    hash.update(classifier);
    hash.finalize().into()
}

/// Which part failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenoisedError<D, C> {
    /// The denoiser.
    Denoiser(D),
    /// The classifier.
    Classifier(C),
}

impl<D: fmt::Display, C: fmt::Display> fmt::Display for DenoisedError<D, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DenoisedError::Denoiser(error) => write!(f, "denoiser: {error}"),
            DenoisedError::Classifier(error) => write!(f, "classifier: {error}"),
        }
    }
}

impl<D: fmt::Debug + fmt::Display, C: fmt::Debug + fmt::Display> core::error::Error for DenoisedError<D, C> {}

impl<D: Denoise, C: Classify> Classify for Denoised<D, C> {
    type Error = DenoisedError<D::Error, C::Error>;

    fn batch(&self) -> usize {
        self.denoiser.batch().min(self.classifier.batch())
    }

    fn write(&mut self, sample: usize, first: usize, codes: &[i16]) -> Result<(), Self::Error> {
        self.denoiser.write(sample, first, codes).map_err(DenoisedError::Denoiser)
    }

    fn run(&mut self, samples: usize) -> Result<(), Self::Error> {
        self.denoiser.run(samples).map_err(DenoisedError::Denoiser)?;
        let len = self.denoiser.output_len();
        let mut tile = [0i16; TILE];
        for sample in 0..samples {
            for first in (0..len).step_by(TILE) {
                let codes = &mut tile[..TILE.min(len - first)];
                self.denoiser.read(sample, first, codes).map_err(DenoisedError::Denoiser)?;
                self.classifier.write(sample, first, codes).map_err(DenoisedError::Classifier)?;
            }
        }
        self.classifier.run(samples).map_err(DenoisedError::Classifier)
    }

    fn class(&self, sample: usize) -> usize {
        self.classifier.class(sample)
    }
}

impl<D: Denoise, C: Scores> Scores for Denoised<D, C> {
    fn scores(&self, sample: usize, scores: &mut [i32]) -> Result<(), Self::Error> {
        self.classifier.scores(sample, scores).map_err(DenoisedError::Classifier)
    }
}
