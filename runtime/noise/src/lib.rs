//! Noise for randomized smoothing that is the same on every machine, and the bounds that go with it.
//!
//! - [`NoiseKey`] and [`Domain`]: a counter-based generator (ChaCha8). Every coordinate of every sample has
//!   its own place in the stream, so that any order, batch or tile gives the same noise.
//! - [`NoiseTable`]: the rounded Gaussian `round(N(0, σ²))` on the grid of an integer input, by 64-bit
//!   thresholds; integers only.
//! - [`Integers`] and [`Subset`]: uniform integers and random subsets of positions, without bias.
//! - [`Reals`]: uniform and standard normal real numbers, for samplers.
//! - [`tables`]: such tables, ready made.
//! - [`normal`], [`binomial`], [`bounds`]: distribution functions and confidence bounds, each rounded to the
//!   side on which a certificate stays true. Nothing here panics, whatever the arguments.
//!
//! `no_std`, no allocation. With the feature `build`, [`build_table`] makes tables on a host.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(any(test, feature = "build"))]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod binomial;
pub mod bounds;
#[cfg(feature = "build")]
mod build;
mod error;
mod gaussian;
pub mod normal;
mod real;
mod rng;
pub mod tables;
mod uniform;

#[cfg(feature = "build")]
pub use build::build_table;
pub use error::NoiseError;
pub use gaussian::{NoiseTable, Sigma};
pub use real::Reals;
pub use rng::{Domain, NoiseKey};
pub use uniform::{Integers, Subset};
