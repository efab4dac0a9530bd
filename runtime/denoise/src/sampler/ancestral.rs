//! Ancestral sampling (Ho et al. 2020, "Denoising diffusion probabilistic models", algorithm 2).

use super::Strided;
use crate::draws::Noise;
use crate::error::{DenoiseError, StepError, check_pair, part, require};
use crate::model::{ScoreModel, run};
use crate::prediction::Prediction;
use crate::real::Real;
use crate::schedule::Schedule;

/// x_{t−1} from x_t and a prediction made at it, in place: the posterior's mean at the predicted x₀, which is clipped
/// to `clip` where given, and noise of the posterior's variance; none at step 0.
///
/// # Errors
/// [`DenoiseError::Step`], [`DenoiseError::Length`], [`DenoiseError::NotFinite`].
pub fn ancestral_update<T: Real>(
    schedule: &Schedule<'_>,
    step: usize,
    kind: Prediction,
    clip: Option<(f64, f64)>,
    x: &mut [T],
    prediction: &[T],
    noise: Noise<'_, T>,
) -> Result<(), DenoiseError> {
    check_pair(x, prediction)?;
    let split = schedule.level(step)?.split::<T>(kind);
    let posterior = schedule.posterior(step)?;
    let (clean, noisy) = (T::of(posterior.clean), T::of(posterior.noisy));
    let deviation = if step == 0 { T::ZERO } else { T::of(libm::sqrt(posterior.variance.at_least(1e-20))) };
    let clip = clip.map(|(low, high)| (T::of(low), T::of(high)));
    let noise = if step == 0 { Noise::Off } else { noise };
    for ((x, &p), z) in x.iter_mut().zip(prediction).zip(noise.draws(prediction.len(), step)?) {
        let mut x0 = split.clean(*x, p);
        if let Some((low, high)) = clip {
            x0 = x0.at_least(low).at_most(high);
        }
        *x = clean * x0 + noisy * *x + deviation * z;
    }
    Ok(())
}

/// A run of ancestral sampling over every step of a schedule below a start.
#[derive(Clone, Copy, Debug)]
pub struct Ancestral<'s> {
    schedule: Schedule<'s>,
    steps: Strided,
    clip: Option<(f64, f64)>,
}

impl<'s> Ancestral<'s> {
    /// From x_{start−1} on; `start` is the schedule's length for a run from pure noise.
    ///
    /// # Errors
    /// [`DenoiseError::Step`] for a start of 0 or above the schedule's length.
    pub fn new(schedule: Schedule<'s>, start: usize) -> Result<Self, DenoiseError> {
        Ok(Ancestral { schedule, steps: Strided::below(start, 1, schedule.len())?, clip: None })
    }

    /// Clips every predicted x₀.
    ///
    /// # Errors
    /// [`DenoiseError::Parameter`] for an empty range.
    pub fn clipped(self, low: f64, high: f64) -> Result<Self, DenoiseError> {
        require(low < high)?;
        Ok(Ancestral { clip: Some((low, high)), ..self })
    }

    /// The step that comes next; `None` when `x` is clean.
    pub fn next_step(&self) -> Option<usize> {
        self.steps.now()
    }

    /// One network run, one step. `scratch` has at least as many elements as `x`.
    ///
    /// # Errors
    /// The model's; those of [`ancestral_update`]; [`DenoiseError::Buffer`]; [`DenoiseError::Step`] after the last step.
    pub fn step<T: Real, M: ScoreModel<T>>(
        &mut self,
        model: &mut M,
        x: &mut [T],
        scratch: &mut [T],
        noise: Noise<'_, T>,
    ) -> Result<(), StepError<M::Error>> {
        let step = self.steps.need()?;
        let prediction = part(scratch, x.len())?;
        run(model, x, T::of(step as f64), prediction)?;
        ancestral_update(&self.schedule, step, model.prediction(), self.clip, x, prediction, noise)?;
        self.steps.advance();
        Ok(())
    }
}
