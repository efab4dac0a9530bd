//! What a certifier needs of a model.

/// A deterministic classifier of integer inputs.
///
/// The certifier writes noisy codes tile by tile to where the model keeps its input, runs it, and reads classes: there
/// is no second input. The class has to be a function of the codes alone, the same on every run and machine. What
/// the model makes of a code (another offset or order, a real number by one rounded division) is part of the
/// classifier, as are quantization, saturation and a denoiser; dropout or an unordered float sum may not be.
pub trait Classify {
    /// Why a run failed.
    type Error;

    /// Inputs that one run takes.
    fn batch(&self) -> usize {
        1
    }

    /// Puts codes in place: those of the elements `first..first + codes.len()`, in the order of the clean input, of the
    /// `sample`-th input of the next run. All elements of all inputs of a run are written before it, so the run may
    /// reuse their memory.
    ///
    /// # Errors
    /// The model's own, for an input of another length among others.
    fn write(&mut self, sample: usize, first: usize, codes: &[i16]) -> Result<(), Self::Error>;

    /// Classifies the first `samples` inputs.
    ///
    /// # Errors
    /// The model's own.
    fn run(&mut self, samples: usize) -> Result<(), Self::Error>;

    /// The class of one input of the last run: of equal scores the first.
    fn class(&self, sample: usize) -> usize;
}

/// A classifier that hands out what its class was decided by.
pub trait Scores: Classify {
    /// Writes the scores of one input of the last run, one for each class: integers, the larger the likelier. Like the
    /// class they have to be a function of the codes alone.
    ///
    /// # Errors
    /// The model's own, for another number of classes among others.
    fn scores(&self, sample: usize, scores: &mut [i32]) -> Result<(), Self::Error>;
}
