//! The bootstrap particle filter (Gordon, Salmond and Smith 1993) with a smoother on top of it.

use super::smoother::{Additive, Backward, Dynamics, Smoother, systematic};
use crate::error::{DenoiseError, require};
use selvedge_noise::{Domain, NoiseKey};

/// N particles, their weights and the smoothed functional. All memory is in this value: N states and 5·N numbers;
/// a step takes N states more on the stack.
#[derive(Clone, Copy, Debug)]
pub struct Filter<S, const N: usize> {
    particles: [S; N],
    weights: [f64; N],
    spare: [f64; N],
    smoother: Smoother<N>,
    log_evidence: f64,
    time: u32,
}

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterStep {
    /// The functional's estimate given all observations so far.
    pub estimate: f64,
    /// 1/Σω² of the normalized weights: how many particles count.
    pub effective: f64,
    /// ln of the estimated density of all observations so far (but for the constants that the model leaves out).
    pub log_evidence: f64,
}

impl<S: Copy, const N: usize> Filter<S, N> {
    /// Particles of time 0, weighted by the first observation. All draws come from the key: time and particle have their
    /// own places, `run` keeps several filters of one key apart.
    ///
    /// # Errors
    /// [`DenoiseError::Samples`] for no particles, [`DenoiseError::Weights`] where no particle explains the observation.
    pub fn new<D: Dynamics<State = S>>(
        model: &D,
        functional: &impl Additive<S>,
        observation: &D::Observation,
        (key, run): (&NoiseKey, u32),
    ) -> Result<Self, DenoiseError> {
        if N == 0 {
            return Err(DenoiseError::Samples { needed: 1 });
        }
        let mut draws = key.reals(Domain::Extension, sample(run, 0, 0), 0);
        let particles = core::array::from_fn(|_| model.initial(&mut draws));
        let smoother = Smoother::new(functional, &particles);
        let mut filter = Filter { particles, weights: [0.0; N], spare: [0.0; N], smoother, log_evidence: 0.0, time: 0 };
        filter.log_evidence = weigh(model, &filter.particles, observation, &mut filter.weights)?;
        Ok(filter)
    }

    /// One time step: resampling, propagation, weights, smoother.
    ///
    /// # Errors
    /// [`DenoiseError::Weights`] where no particle explains the observation; [`DenoiseError::Parameter`]; see
    /// [`Smoother::advance`]. Nothing has moved then: the observation can be left out, or another one tried.
    pub fn step<D: Dynamics<State = S>>(
        &mut self,
        model: &D,
        functional: &impl Additive<S>,
        observation: &D::Observation,
        backward: Backward,
        (key, run): (&NoiseKey, u32),
    ) -> Result<FilterStep, DenoiseError> {
        require(self.time < u32::MAX)?;
        let time = self.time + 1;
        let mut draws = key.reals(Domain::Extension, sample(run, time, 0), 0);
        let mut moved = self.particles;
        let u = draws.uniform();
        systematic(&self.weights, u, |i, j| moved[i] = model.propagate(&self.particles[j], &mut draws))?;
        let evidence = weigh(model, &moved, observation, &mut self.spare)?;
        let mut back = key.reals(Domain::Extension, sample(run, time, 1), 0);
        let old = (&self.particles, &self.weights);
        self.smoother.advance(model, functional, old, &moved, backward, || back.uniform())?;
        self.particles = moved;
        self.weights = self.spare;
        self.log_evidence += evidence;
        self.time = time;
        self.report()
    }

    /// What is known after the last step.
    ///
    /// # Errors
    /// [`DenoiseError::Weights`], which a filter that was made does not give.
    pub fn report(&self) -> Result<FilterStep, DenoiseError> {
        let squares = self.weights.iter().fold(0.0, |sum, w| sum + w * w);
        Ok(FilterStep {
            estimate: self.smoother.estimate(&self.weights)?,
            effective: 1.0 / squares,
            log_evidence: self.log_evidence,
        })
    }

    /// The particles of now.
    pub fn particles(&self) -> &[S; N] {
        &self.particles
    }

    /// Their weights, of sum 1.
    pub fn weights(&self) -> &[f64; N] {
        &self.weights
    }
}

/// The sample of the counter for a time and a purpose.
fn sample(run: u32, time: u32, purpose: u64) -> u64 {
    (u64::from(run) & 0x1fff_ffff) << 33 | u64::from(time) << 1 | purpose
}

/// Normalized weights of particles; ln of the mean likelihood.
fn weigh<D: Dynamics, const N: usize>(
    model: &D,
    particles: &[D::State; N],
    observation: &D::Observation,
    weights: &mut [f64; N],
) -> Result<f64, DenoiseError> {
    let mut largest = f64::NEG_INFINITY;
    for (weight, particle) in weights.iter_mut().zip(particles) {
        *weight = model.log_likelihood(observation, particle);
        if weight.is_nan() {
            return Err(DenoiseError::Weights);
        }
        if *weight > largest {
            largest = *weight;
        }
    }
    if !largest.is_finite() {
        return Err(DenoiseError::Weights);
    }
    let mut total = 0.0;
    for weight in weights.iter_mut() {
        *weight = libm::exp(*weight - largest);
        total += *weight;
    }
    weights.iter_mut().for_each(|weight| *weight /= total);
    Ok(largest + libm::log(total / N as f64))
}
