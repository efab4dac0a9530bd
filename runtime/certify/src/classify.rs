//! What a certifier needs of a model.

use crate::{CertError, Counts, StepError};

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

/// Goes through `first..first + len` in batches: `write` each sample, `run` so many, `read` each.
pub(crate) fn in_batches<M, E>(
    model: &mut M,
    batch: usize,
    (first, len): (u32, u32),
    mut write: impl FnMut(&mut M, usize, u32) -> Result<(), E>,
    mut run: impl FnMut(&mut M, usize) -> Result<(), E>,
    mut read: impl FnMut(&M, usize, u32) -> Result<(), E>,
) -> Result<(), E> {
    let batch = u32::try_from(batch.max(1)).unwrap_or(u32::MAX);
    let mut done = 0;
    while done < len {
        let now = batch.min(len - done);
        for index in 0..now {
            write(model, index as usize, first.wrapping_add(done + index))?;
        }
        run(model, now as usize)?;
        for index in 0..now {
            read(model, index as usize, first.wrapping_add(done + index))?;
        }
        done += now;
    }
    Ok(())
}

/// [`in_batches`] for a classifier, whose classes are checked.
pub(crate) fn classes_of<M: Classify>(
    model: &mut M,
    range: (u32, u32),
    classes: u32,
    mut write: impl FnMut(&mut M, usize, u32) -> Result<(), M::Error>,
    mut each: impl FnMut(u32, usize) -> Result<(), CertError>,
) -> Result<(), StepError<M::Error>> {
    let batch = model.batch();
    in_batches(
        model,
        batch,
        range,
        |model, index, sample| write(model, index, sample).map_err(StepError::Model),
        |model, now| model.run(now).map_err(StepError::Model),
        |model, index, sample| {
            let class = model.class(index);
            if class >= classes as usize {
                return Err(CertError::Class { found: u32::try_from(class).unwrap_or(u32::MAX) }.into());
            }
            Ok(each(sample, class)?)
        },
    )
}

/// [`classes_of`] that counts.
pub(crate) fn count_classes<const CLASSES: usize, M: Classify>(
    model: &mut M,
    range: (u32, u32),
    classes: u32,
    write: impl FnMut(&mut M, usize, u32) -> Result<(), M::Error>,
) -> Result<Counts<CLASSES>, StepError<M::Error>> {
    let mut counts = Counts::default();
    classes_of(model, range, classes, write, |_, class| match counts.add(class) {
        true => Ok(()),
        false => Err(CertError::Classes { found: classes }),
    })?;
    Ok(counts)
}
