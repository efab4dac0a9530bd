//! Two sessions, a denoiser and a classifier, as the one classifier that is smoothed.

use crate::SessionClassifier;
use selvedge_certify::Classify;
use selvedge_core::{Error, ErrorKind};
use selvedge_exec::Session;

/// A classifier of what a denoiser makes of the noisy input (Salman et al. 2020, "Denoised smoothing"): the bytes of the
/// denoiser's first output are the classifier's input.
///
/// Name the pair to a certificate by [`selvedge_certify::denoised_name`] of both digests.
pub struct DenoisedClassifier<'s, 'a, 'c, 'b> {
    denoiser: SessionClassifier<'s, 'a>,
    classifier: &'c mut Session<'b>,
}

impl<'s, 'a, 'c, 'b> DenoisedClassifier<'s, 'a, 'c, 'b> {
    /// The denoiser takes the codes; both run as many inputs at once.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] where output and input differ in type or grid, [`ErrorKind::WrongLength`] in size.
    pub fn new(denoiser: SessionClassifier<'s, 'a>, classifier: &'c mut Session<'b>) -> Result<Self, Error> {
        let output = denoiser.session().output(0)?;
        let scores = classifier.output(0)?.elements();
        let input = classifier.input(0)?;
        if (output.dtype(), output.quantization()) != (input.dtype(), input.quantization()) {
            return Err(ErrorKind::WrongType.into());
        }
        if output.elements() != input.elements() || !scores.is_multiple_of(Classify::batch(&denoiser)) {
            return Err(Error::new(ErrorKind::WrongLength).with(input.elements()));
        }
        Ok(DenoisedClassifier { denoiser, classifier })
    }
}

impl Classify for DenoisedClassifier<'_, '_, '_, '_> {
    type Error = Error;

    fn batch(&self) -> usize {
        Classify::batch(&self.denoiser)
    }

    fn write(&mut self, sample: usize, first: usize, codes: &[i16]) -> Result<(), Error> {
        Classify::write(&mut self.denoiser, sample, first, codes)
    }

    fn run(&mut self, samples: usize) -> Result<(), Error> {
        Classify::run(&mut self.denoiser, samples)?;
        let clean = self.denoiser.session().output(0)?;
        self.classifier.input(0)?.copy_from_bytes(clean.bytes())?;
        self.classifier.run()
    }

    fn class(&self, sample: usize) -> usize {
        let Ok(scores) = self.classifier.output(0) else { return usize::MAX };
        let each = scores.elements() / Classify::batch(self);
        scores.argmax_of(sample * each, each)
    }
}
