//! Denoising and generation around a network that runs elsewhere, in fixed memory.
//!
//! A network is anything that is a [`ScoreModel`]: it maps a noisy signal and a level to a [`Prediction`] of noise, signal,
//! velocity, score or residual. Everything else is here, generic over `f32` and `f64`, without allocation, with the same
//! bits on every CPU. Buffers are the caller's; their sizes are stated and checked before anything is written; numbers that
//! are not finite are refused with their place.
//!
//! - [`Tweedie`]: one network run denoises Gaussian, Poisson or Gamma noise. [`blind`]: the noise level, if nobody knows it.
//! - [`Stabilizer`]: Poisson and Gamma noise made Gaussian, for networks that know no other.
//! - [`Tiling`], [`Tiled`]: images of any size by a network of one size, the same bytes for every tile size.
//! - [`Schedule`], [`sampler`]: ancestral, DDIM, PLMS, shallow starts, consistency and latent consistency, guidance.
//! - [`transport`]: restored images with the statistics of natural ones, folded into one convolution.
//! - [`state`]: Kalman filter and smoother, particle smoothing of additive functionals.
//! - [`stft`]: spectra of a stream and the way back. [`metrics`]: decibels.
//! - [`heads`]: small operators and heads that are fitted on the device. [`GaussianScore`]: the best linear denoiser.
//!
//! ```
//! use selvedge_denoise::blind::{Plane, Wavelet, noise_level};
//! use selvedge_denoise::{Family, FromFn, Prediction, Tweedie};
//! use std::convert::Infallible;
//!
//! // A denoiser in residual form; here a box filter over three neighbours.
//! let mut network = FromFn::new(Prediction::Residual, |y: &[f32], _sigma: f32, out: &mut [f32]| {
//!     for (i, out) in out.iter_mut().enumerate() {
//!         let (before, after) = (y[i.saturating_sub(1)], y[(i + 1).min(y.len() - 1)]);
//!         *out = (before + y[i] + after) / 3.0 - y[i];
//!     }
//!     Ok::<(), Infallible>(())
//! });
//! let noisy: Vec<f32> = (0..1024).map(|i| 0.5 + 0.1 * ((i * 7919 % 101) as f32 / 50.0 - 1.0)).collect();
//! let sigma = noise_level(&Plane::new(&noisy, 32, 32)?, Wavelet::default())?;
//! let tweedie = Tweedie::new(Family::Gaussian { sigma })?.clipped(0.0, 1.0)?;
//! let mut clean = [0.0; 1024];
//! tweedie.denoise(&mut network, sigma as f32, &noisy, &mut clean, &mut [])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod blind;
mod draws;
mod error;
pub mod heads;
mod linalg;
pub mod metrics;
mod model;
mod prediction;
mod real;
pub mod sampler;
mod schedule;
mod stabilize;
pub mod state;
pub mod stft;
mod tile;
pub mod transport;
mod tweedie;
mod wiener;

pub use draws::Noise;
pub use error::{DenoiseError, StepError};
pub use linalg::{check_symmetric, eigen_symmetric, solve_positive, sqrt_symmetric};
pub use model::{Convert, FromFn, ScoreModel};
pub use prediction::{AddedNoise, Level, Marginal, Prediction, Split};
pub use real::Real;
pub use schedule::{Betas, Posterior, Schedule, karras};
pub use stabilize::{Stabilizer, blind_shape, blind_zeta};
pub use tile::{Border, Layout, Shape, Tile, Tiled, Tiling};
pub use tweedie::{Family, Guards, PoissonRule, Tweedie, posterior_variance};
pub use wiener::GaussianScore;
