//! Noise schedules: ᾱ of every step of a diffusion model, and the grid of Karras et al.

use crate::draws::Noise;
use crate::error::{DenoiseError, check_finite, index, positive, require};
use crate::prediction::Level;
use crate::real::Real;
use core::f64::consts::FRAC_PI_2;

/// How β rises over the steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Betas {
    /// From `start` to `end` in equal steps (Ho et al. 2020).
    Linear {
        /// β of the first step.
        start: f64,
        /// β of the last step.
        end: f64,
    },
    /// √β in equal steps (latent diffusion, Rombach et al. 2022).
    ScaledLinear {
        /// β of the first step.
        start: f64,
        /// β of the last step.
        end: f64,
    },
    /// ᾱ a squared cosine, β at most `cap` (Nichol and Dhariwal 2021); 0.999 is usual.
    Cosine {
        /// The largest β.
        cap: f64,
    },
}

impl Betas {
    /// β of a step out of `steps`.
    pub fn beta(self, step: usize, steps: usize) -> f64 {
        let at = |from: f64, to: f64| {
            if step + 1 >= steps { to } else { from + (to - from) / (steps - 1) as f64 * step as f64 }
        };
        match self {
            Betas::Linear { start, end } => {
                if steps == 1 {
                    start
                } else {
                    at(start, end)
                }
            }
            Betas::ScaledLinear { start, end } => {
                let root = at(libm::sqrt(start), libm::sqrt(end));
                root * root
            }
            Betas::Cosine { cap } => {
                let f = |step: usize| {
                    let c = libm::cos((step as f64 / steps as f64 + 0.008) / 1.008 * FRAC_PI_2);
                    c * c
                };
                let beta = 1.0 - f(step + 1) / f(step);
                if beta > cap { cap } else { beta }
            }
        }
    }
}

/// ᾱ of every step, in memory of the caller (8 bytes a step) or in flash.
#[derive(Clone, Copy, Debug)]
pub struct Schedule<'a> {
    alpha_bar: &'a [f64],
}

/// The law of x_{t−1} given x_t and x₀ (Ho et al. 2020, eq. 7).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posterior {
    /// Of x₀ in the mean.
    pub clean: f64,
    /// Of x_t in the mean.
    pub noisy: f64,
    /// Variance; 0 at step 0.
    pub variance: f64,
}

/// Variances below it count as it where their logarithm is asked for.
const LEAST_VARIANCE: f64 = 1e-20;

impl Posterior {
    /// ln of the variance, which counts as at least 1e-20.
    pub fn log_variance(&self) -> f64 {
        libm::log(self.variance.at_least(LEAST_VARIANCE))
    }
}

impl<'a> Schedule<'a> {
    /// Fills the buffer, one entry a step.
    ///
    /// # Errors
    /// [`DenoiseError::Schedule`] where ᾱ does not fall strictly within (0, 1), [`DenoiseError::Shape`] for no steps.
    pub fn build(betas: Betas, buffer: &'a mut [f64]) -> Result<Self, DenoiseError> {
        let steps = buffer.len();
        let mut product = 1.0;
        for (step, entry) in buffer.iter_mut().enumerate() {
            product *= 1.0 - betas.beta(step, steps);
            *entry = product;
        }
        Self::from_alpha_bar(buffer)
    }

    /// Of a table of ᾱ.
    ///
    /// # Errors
    /// Those of [`Schedule::build`].
    pub fn from_alpha_bar(alpha_bar: &'a [f64]) -> Result<Self, DenoiseError> {
        if alpha_bar.is_empty() {
            return Err(DenoiseError::Shape);
        }
        let mut before = 1.0;
        for (step, &value) in alpha_bar.iter().enumerate() {
            let falls = value < before && value > 0.0;
            if !falls {
                return Err(DenoiseError::Schedule { step: index(step) });
            }
            before = value;
        }
        Ok(Schedule { alpha_bar })
    }

    /// Steps.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.alpha_bar.len()
    }

    /// ᾱ of a step.
    ///
    /// # Errors
    /// [`DenoiseError::Step`] for one that does not exist.
    pub fn alpha_bar(&self, step: usize) -> Result<f64, DenoiseError> {
        self.alpha_bar.get(step).copied().ok_or(DenoiseError::Step { step: index(step) })
    }

    /// ᾱ of a step, or 1 before the first.
    pub(crate) fn alpha_bar_or_one(&self, step: Option<usize>) -> Result<f64, DenoiseError> {
        step.map_or(Ok(1.0), |step| self.alpha_bar(step))
    }

    /// Signal and noise level of a step.
    ///
    /// # Errors
    /// [`DenoiseError::Step`] for one that does not exist.
    pub fn level(&self, step: usize) -> Result<Level, DenoiseError> {
        Level::variance_preserving(self.alpha_bar(step)?)
    }

    /// β of a step: 1 − ᾱ_t/ᾱ_{t−1}.
    ///
    /// # Errors
    /// [`DenoiseError::Step`] for one that does not exist.
    pub fn beta(&self, step: usize) -> Result<f64, DenoiseError> {
        let before = self.alpha_bar_or_one(step.checked_sub(1))?;
        Ok((before - self.alpha_bar(step)?) / before)
    }

    /// The law of the step's result given x_t and x₀.
    ///
    /// # Errors
    /// [`DenoiseError::Step`] for a step that does not exist.
    pub fn posterior(&self, step: usize) -> Result<Posterior, DenoiseError> {
        let (now, before) = (self.alpha_bar(step)?, self.alpha_bar_or_one(step.checked_sub(1))?);
        let beta = self.beta(step)?;
        Ok(Posterior {
            clean: beta * libm::sqrt(before) / (1.0 - now),
            noisy: (1.0 - before) * libm::sqrt(1.0 - beta) / (1.0 - now),
            variance: beta * (1.0 - before) / (1.0 - now),
        })
    }

    /// Puts noise on a clean signal, in place: x_t = √ᾱ_t·x₀ + √(1 − ᾱ_t)·z.
    ///
    /// # Errors
    /// [`DenoiseError::Step`], [`DenoiseError::NotFinite`], [`DenoiseError::Length`] for given noise of another length.
    pub fn add_noise<T: Real>(&self, step: usize, x: &mut [T], noise: Noise<'_, T>) -> Result<(), DenoiseError> {
        let level = self.level(step)?;
        check_finite(x)?;
        let (s, n) = (T::of(level.signal()), T::of(level.noise()));
        let draws = noise.draws(x.len(), step)?;
        for (x, z) in x.iter_mut().zip(draws) {
            *x = s * *x + n * z;
        }
        Ok(())
    }
}

/// Noise level `index` of `count`, falling from `sigma_max` to `sigma_min` (Karras et al. 2022, eq. 5; ρ = 7 is theirs).
///
/// # Errors
/// [`DenoiseError::Level`] for levels that are not above 0, [`DenoiseError::Parameter`] for `index ≥ count`, ρ ≤ 0 or a
/// `sigma_min` above `sigma_max`.
pub fn karras(index: usize, count: usize, sigma_min: f64, sigma_max: f64, rho: f64) -> Result<f64, DenoiseError> {
    let (low, high) = (positive(sigma_min)?, positive(sigma_max)?);
    require(index < count && rho > 0.0 && rho.is_finite() && low <= high)?;
    if count == 1 {
        return Ok(high);
    }
    let (low, high) = (libm::pow(low, 1.0 / rho), libm::pow(high, 1.0 / rho));
    Ok(libm::pow(high + index as f64 / (count - 1) as f64 * (low - high), rho))
}
