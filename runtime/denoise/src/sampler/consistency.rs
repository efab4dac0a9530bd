//! Consistency models (Song et al. 2023; Song and Dhariwal 2024): a network that leads to the clean signal in one run.

use crate::draws::Noise;
use crate::error::{DenoiseError, StepError, check_finite, index, part, positive, require};
use crate::model::{ScoreModel, run};
use crate::real::Real;

/// The boundary condition f = c_skip·x + c_out·F(c_in·x, c_noise), by which f(x, σ_min) = x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Consistency {
    sigma_data: f64,
    sigma_min: f64,
}

/// Coefficients of a noise level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Boundary {
    /// Of x: σ_d²/((σ − σ_min)² + σ_d²).
    pub skip: f64,
    /// Of the network's output: σ_d·(σ − σ_min)/√(σ² + σ_d²).
    pub out: f64,
    /// Of the network's input: 1/√(σ² + σ_d²).
    pub input: f64,
    /// The network's level: ln(σ)/4.
    pub noise: f64,
}

impl Consistency {
    /// Of a network trained with these; 0.5 and 0.002 in the papers.
    ///
    /// # Errors
    /// [`DenoiseError::Level`] unless both are finite and above 0.
    pub fn new(sigma_data: f64, sigma_min: f64) -> Result<Self, DenoiseError> {
        Ok(Consistency { sigma_data: positive(sigma_data)?, sigma_min: positive(sigma_min)? })
    }

    /// The coefficients at a noise level.
    ///
    /// # Errors
    /// [`DenoiseError::Level`] for a σ below σ_min or not finite.
    pub fn boundary(&self, sigma: f64) -> Result<Boundary, DenoiseError> {
        let (d, above) = (self.sigma_data, positive(sigma)? - self.sigma_min);
        if above < 0.0 {
            return Err(DenoiseError::Level);
        }
        let root = libm::sqrt(sigma * sigma + d * d);
        Ok(Boundary {
            skip: d * d / (above * above + d * d),
            out: d * above / root,
            input: 1.0 / root,
            noise: 0.25 * libm::log(sigma),
        })
    }

    /// x ← f(x, σ), in place. `scratch` has at least twice as many elements as `x`.
    ///
    /// # Errors
    /// The model's; [`DenoiseError::Level`], [`DenoiseError::NotFinite`], [`DenoiseError::Buffer`].
    pub fn denoise<T: Real, M: ScoreModel<T>>(
        &self,
        model: &mut M,
        sigma: f64,
        x: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), StepError<M::Error>> {
        let boundary = self.boundary(sigma)?;
        let (input, output) = part(scratch, 2 * x.len())?.split_at_mut(x.len());
        let scale = T::of(boundary.input);
        input.iter_mut().zip(&*x).for_each(|(to, &x)| *to = scale * x);
        run(model, input, T::of(boundary.noise), output)?;
        let (skip, out) = (T::of(boundary.skip), T::of(boundary.out));
        x.iter_mut().zip(&*output).for_each(|(x, &f)| *x = skip * *x + out * f);
        Ok(())
    }

    /// Puts noise on a clean signal before the next level: x + √(σ² − σ_min²)·z.
    ///
    /// # Errors
    /// [`DenoiseError::Level`], [`DenoiseError::NotFinite`], [`DenoiseError::Length`].
    pub fn renoise<T: Real>(
        &self,
        sigma: f64,
        x: &mut [T],
        noise: Noise<'_, T>,
        step: usize,
    ) -> Result<(), DenoiseError> {
        self.boundary(sigma)?;
        check_finite(x)?;
        let deviation = T::of(libm::sqrt(sigma * sigma - self.sigma_min * self.sigma_min));
        let draws = noise.draws(x.len(), step)?;
        x.iter_mut().zip(draws).for_each(|(x, z)| *x += deviation * z);
        Ok(())
    }
}

/// Multistep consistency sampling (Song et al. 2023, algorithm 1): one network run a level.
#[derive(Clone, Copy, Debug)]
pub struct Multistep<'a> {
    model: Consistency,
    sigmas: &'a [f64],
    next: usize,
}

impl<'a> Multistep<'a> {
    /// Over falling noise levels; `x` starts as σ·z at the first of them.
    ///
    /// # Errors
    /// [`DenoiseError::Level`] for a level below σ_min, [`DenoiseError::Parameter`] for none or levels that do not fall.
    pub fn new(model: Consistency, sigmas: &'a [f64]) -> Result<Self, DenoiseError> {
        sigmas.iter().try_for_each(|&sigma| model.boundary(sigma).map(|_| ()))?;
        require(!sigmas.is_empty() && sigmas.windows(2).all(|pair| pair[1] < pair[0]))?;
        Ok(Multistep { model, sigmas, next: 0 })
    }

    /// The level that comes next; `None` when `x` is clean.
    pub fn next_sigma(&self) -> Option<f64> {
        self.sigmas.get(self.next).copied()
    }

    /// One level: noise on x but at the first, then f. `scratch` has at least twice as many elements as `x`. Where the
    /// model fails, `x` has its noise already.
    ///
    /// # Errors
    /// The model's; [`DenoiseError::NotFinite`], [`DenoiseError::Buffer`], [`DenoiseError::Length`];
    /// [`DenoiseError::Step`] after the last level.
    pub fn step<T: Real, M: ScoreModel<T>>(
        &mut self,
        model: &mut M,
        x: &mut [T],
        scratch: &mut [T],
        noise: Noise<'_, T>,
    ) -> Result<(), StepError<M::Error>> {
        let sigma = self.next_sigma().ok_or(DenoiseError::Step { step: index(self.next) })?;
        part(scratch, 2 * x.len())?;
        if self.next > 0 {
            self.model.renoise(sigma, x, noise, self.next)?;
        }
        self.model.denoise(model, sigma, x, scratch)?;
        self.next += 1;
        Ok(())
    }
}
