//! What a certifier needs of a model.

use crate::InputMut;

/// A deterministic classifier of integer inputs.
///
/// The certifier writes noisy inputs straight to [`Classify::input`], runs, and reads classes: no second buffer. The
/// class has to be a function of the input alone, the same on every run and machine; saturation, quantization and a
/// denoiser may be part of it, dropout or an unordered float sum may not.
pub trait Classify {
    /// Why a run failed.
    type Error;

    /// Inputs that one run takes.
    fn batch(&self) -> usize {
        1
    }

    /// Room for [`Classify::batch`] inputs, one behind the other, in the element order of the clean input. All inputs
    /// of a run are written before it, so the run may reuse the memory.
    fn input(&mut self) -> InputMut<'_>;

    /// Classifies the first `samples` inputs.
    ///
    /// # Errors
    /// The model's own.
    fn run(&mut self, samples: usize) -> Result<(), Self::Error>;

    /// The class of one input of the last run: of equal scores the first.
    fn class(&self, sample: usize) -> usize;
}
