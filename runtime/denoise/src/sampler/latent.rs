//! Latent consistency models (Luo et al. 2023): consistency steps on the schedule of a diffusion model.

use crate::draws::Noise;
use crate::error::{DenoiseError, StepError, check_pair, index, part, positive, require};
use crate::model::{ScoreModel, run};
use crate::prediction::Prediction;
use crate::real::Real;
use crate::schedule::Schedule;

/// The boundary condition: σ_data and the factor that steps are multiplied with; 0.5 and 10 are usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentBoundary {
    sigma_data: f64,
    scaling: f64,
}

impl LatentBoundary {
    /// Of a network trained with these.
    ///
    /// # Errors
    /// [`DenoiseError::Level`] unless both are finite and above 0.
    pub fn new(sigma_data: f64, scaling: f64) -> Result<Self, DenoiseError> {
        Ok(LatentBoundary { sigma_data: positive(sigma_data)?, scaling: positive(scaling)? })
    }

    /// c_skip = σ_d²/(s² + σ_d²) and c_out = s/√(s² + σ_d²), s = scaling·step.
    pub fn coefficients(&self, step: usize) -> (f64, f64) {
        let (s, power) = (self.scaling * step as f64, self.sigma_data * self.sigma_data);
        (power / (s * s + power), s / libm::sqrt(s * s + power))
    }
}

/// Step `number` of a run of `runs`, out of the `grid` equal steps that the model was distilled with on a schedule of
/// `steps`: 999, 759, 499, 259 for 4 runs, a grid of 50 and 1000 steps.
///
/// # Errors
/// [`DenoiseError::Parameter`] unless `number < runs ≤ grid` and the grid divides the steps.
pub fn scaled_step(number: usize, runs: usize, grid: usize, steps: usize) -> Result<usize, DenoiseError> {
    require(number < runs && runs <= grid && grid > 0 && steps.is_multiple_of(grid) && steps > 0)?;
    let back = number * grid / runs;
    Ok((grid - back) * (steps / grid) - 1)
}

/// x at step `to` from x at step `from` and a prediction made there, in place: the clean signal by the boundary
/// condition, with noise for `to`; `None` stays clean.
///
/// # Errors
/// [`DenoiseError::Step`], [`DenoiseError::Length`], [`DenoiseError::NotFinite`].
pub fn latent_update<T: Real>(
    schedule: &Schedule<'_>,
    boundary: &LatentBoundary,
    (from, to): (usize, Option<usize>),
    kind: Prediction,
    x: &mut [T],
    prediction: &[T],
    noise: Noise<'_, T>,
) -> Result<(), DenoiseError> {
    check_pair(x, prediction)?;
    let split = schedule.level(from)?.split::<T>(kind);
    let (skip, out) = boundary.coefficients(from);
    let (skip, out) = (T::of(skip), T::of(out));
    let before = schedule.alpha_bar_or_one(to)?;
    let (s, n) = (T::of(libm::sqrt(before)), T::of(libm::sqrt(1.0 - before)));
    let noise = if to.is_some() { noise } else { Noise::Off };
    for ((x, &p), z) in x.iter_mut().zip(prediction).zip(noise.draws(prediction.len(), from)?) {
        let clean = out * split.clean(*x, p) + skip * *x;
        *x = if to.is_some() { s * clean + n * z } else { clean };
    }
    Ok(())
}

/// A run of a latent consistency model.
#[derive(Clone, Copy, Debug)]
pub struct Latent<'s> {
    schedule: Schedule<'s>,
    boundary: LatentBoundary,
    grid: usize,
    runs: usize,
    next: usize,
}

impl<'s> Latent<'s> {
    /// Of `runs` network runs on a grid of the schedule's steps; see [`scaled_step`].
    ///
    /// # Errors
    /// [`DenoiseError::Parameter`] unless `0 < runs ≤ grid` and the grid divides the schedule.
    pub fn new(
        schedule: Schedule<'s>,
        boundary: LatentBoundary,
        grid: usize,
        runs: usize,
    ) -> Result<Self, DenoiseError> {
        scaled_step(0, runs, grid, schedule.len())?;
        Ok(Latent { schedule, boundary, grid, runs, next: 0 })
    }

    /// The step that comes next; `None` when `x` is clean.
    pub fn next_step(&self) -> Option<usize> {
        scaled_step(self.next, self.runs, self.grid, self.schedule.len()).ok()
    }

    /// One network run, one step. `scratch` has at least as many elements as `x`.
    ///
    /// # Errors
    /// The model's; those of [`latent_update`]; [`DenoiseError::Buffer`]; [`DenoiseError::Step`] after the last step.
    pub fn step<T: Real, M: ScoreModel<T>>(
        &mut self,
        model: &mut M,
        x: &mut [T],
        scratch: &mut [T],
        noise: Noise<'_, T>,
    ) -> Result<(), StepError<M::Error>> {
        let step = self.next_step().ok_or(DenoiseError::Step { step: index(self.next) })?;
        let to = scaled_step(self.next + 1, self.runs, self.grid, self.schedule.len()).ok();
        let prediction = part(scratch, x.len())?;
        run(model, x, T::of(step as f64), prediction)?;
        let kind = model.prediction();
        latent_update(&self.schedule, &self.boundary, (step, to), kind, x, prediction, noise)?;
        self.next += 1;
        Ok(())
    }
}
