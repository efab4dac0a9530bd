//! Denoising diffusion implicit models (Song, Meng and Ermon 2021), deterministic at η = 0, ancestral at η = 1.

use super::Strided;
use crate::draws::Noise;
use crate::error::{DenoiseError, StepError, check_pair, part, require};
use crate::model::{ScoreModel, run};
use crate::prediction::Prediction;
use crate::real::Real;
use crate::schedule::Schedule;

/// x at step `to` (`None`: clean) from x at step `from` and a prediction made there, in place:
/// `√ᾱ_p·x₀ + √(1 − ᾱ_p − s²)·ε + s·z` with `s = η·√((1 − ᾱ_p)/(1 − ᾱ_t))·√(1 − ᾱ_t/ᾱ_p)`.
///
/// # Errors
/// [`DenoiseError::Step`] also where `to` is not below `from`; [`DenoiseError::Parameter`] for an η outside 0 to 1;
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`].
#[allow(clippy::too_many_arguments)]
pub fn ddim_update<T: Real>(
    schedule: &Schedule<'_>,
    (from, to): (usize, Option<usize>),
    kind: Prediction,
    eta: f64,
    x: &mut [T],
    prediction: &[T],
    noise: Noise<'_, T>,
) -> Result<(), DenoiseError> {
    check_pair(x, prediction)?;
    require((0.0..=1.0).contains(&eta))?;
    if to.is_some_and(|to| to >= from) {
        return Err(DenoiseError::Step { step: crate::error::index(from) });
    }
    let (now, before) = (schedule.alpha_bar(from)?, schedule.alpha_bar_or_one(to)?);
    let split = schedule.level(from)?.split::<T>(kind);
    let s = eta * libm::sqrt((1.0 - before) / (1.0 - now)) * libm::sqrt(1.0 - now / before);
    let clean = T::of(libm::sqrt(before));
    let noisy = T::of(libm::sqrt((1.0 - before - s * s).at_least(0.0)));
    let noise = if s > 0.0 { noise } else { Noise::Off };
    let s = T::of(s);
    for ((x, &p), z) in x.iter_mut().zip(prediction).zip(noise.draws(prediction.len(), from)?) {
        let (x0, epsilon) = (split.clean(*x, p), split.noise(*x, p));
        *x = clean * x0 + noisy * epsilon + s * z;
    }
    Ok(())
}

/// A run of DDIM over the multiples of a stride.
#[derive(Clone, Copy, Debug)]
pub struct Ddim<'s> {
    schedule: Schedule<'s>,
    steps: Strided,
    eta: f64,
}

impl<'s> Ddim<'s> {
    /// Over the multiples of `stride` below `start`, down to 0 and the clean signal. `x` lies at [`Ddim::next_step`] then.
    ///
    /// # Errors
    /// [`DenoiseError::Step`] for a start of 0 or above the schedule's length, or a stride of 0;
    /// [`DenoiseError::Parameter`] for an η outside 0 to 1.
    pub fn new(schedule: Schedule<'s>, start: usize, stride: usize, eta: f64) -> Result<Self, DenoiseError> {
        require((0.0..=1.0).contains(&eta))?;
        Ok(Ddim { schedule, steps: Strided::below(start, stride, schedule.len())?, eta })
    }

    /// The step that comes next; `None` when `x` is clean.
    pub fn next_step(&self) -> Option<usize> {
        self.steps.now()
    }

    /// Network runs that are left.
    pub fn runs_left(&self) -> usize {
        self.steps.left()
    }

    /// One network run, one step. `scratch` has at least as many elements as `x`.
    ///
    /// # Errors
    /// The model's; those of [`ddim_update`]; [`DenoiseError::Buffer`]; [`DenoiseError::Step`] after the last step.
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
        let kind = model.prediction();
        ddim_update(&self.schedule, (step, self.steps.after()), kind, self.eta, x, prediction, noise)?;
        self.steps.advance();
        Ok(())
    }
}
