//! Certificates by randomized smoothing for classifiers of integer inputs.
//!
//! Let f be a classifier of a grid of integers, as executed: quantization, saturation and all. Its *smoothed classifier*
//! g returns the class that `f(x + Z)` takes most often, Z being `round(N(0, σ²))` in every coordinate. Since x + Z is
//! the rounding of x plus a continuous Gaussian, g equals the Gaussian smoothed classifier of `f ∘ round` at every grid
//! point (data processing, an idea of Voráček and Hein 2023), and the theorem of Cohen, Rosenfeld and Kolter (2019)
//! holds as it stands: if `P(f(x + Z) = A) ≥ p > ½` then `g(x + δ) = A` for every δ of the grid with
//! `‖δ‖₂ < σ·Φ⁻¹(p)`. No float is added to an input, so nothing leaks through rounding, and every machine draws the
//! same noise and counts the same.
//!
//! What is certified is g, not f: a single run of f may differ. A perturbation before the sensor's converter is
//! covered by the codes that it leads to. The failure probability α is over the noise, given model and input; it assumes
//! that ChaCha8 under a fresh key cannot be told from chance. Draw again with another nonce until an answer pleases, and
//! α grows by that number of tries.
//!
//! - [`CertSpec`]: rule, α, σ and sample sizes; refuses what could never be answered. [`Alpha`] cannot be spent twice.
//! - [`Terms`], [`Job`]: request, model, input, noise table; then the verifier's nonce.
//! - [`Certifier`]: draws in any batches, saves and resumes in 56 + 8·classes bytes; [`Decision`].
//! - [`Record`], [`Tree`], [`verify`]: what a second party gets and checks.
//! - [`MarginRun`]: means of softmax or sparsemax in place of counts, for models that hand out [`Scores`].
//! - [`PolicyRun`]: returns of an agent that sees noisy observations, under attacks spread over an episode.
//! - [`Dual`]: two halves of an input, each with a classifier of its own. [`Denoised`]: a denoiser before a classifier.
//!   [`Mixing`]: a mixture with an accurate model that nothing is known about.
//! - Other threats and models: [`splitting`] (ℓ1, deterministic), [`ablation`] (ℓ0), [`median`] (numbers),
//!   [`segmentation`] (all pixels at once), [`ensembles`] (stumps and trees, no samples), [`update`] (a new version
//!   of a certified model).
//!
//! ```
//! use selvedge_certify::*;
//! use selvedge_noise::{NoiseTable, Sigma, build_table};
//!
//! /// Bright or dark.
//! struct Mean([i16; 16], usize);
//! impl Classify for Mean {
//!     type Error = core::convert::Infallible;
//!     fn write(&mut self, _: usize, first: usize, codes: &[i16]) -> Result<(), Self::Error> {
//!         self.0[first..][..codes.len()].copy_from_slice(codes);
//!         Ok(())
//!     }
//!     fn run(&mut self, _: usize) -> Result<(), Self::Error> {
//!         self.1 = usize::from(self.0.iter().map(|&v| i32::from(v)).sum::<i32>() > 0);
//!         Ok(())
//!     }
//!     fn class(&self, _: usize) -> usize {
//!         self.1
//!     }
//! }
//!
//! let sigma = Sigma::new(8, 1).expect("not zero");
//! let bytes = build_table(sigma)?; // on the host; a device has the bytes in flash
//! let table = NoiseTable::parse(&bytes)?;
//! let looks = shipped(4).expect("r = σ"); // at α = 1/1000
//! let rule = Rule::Sequential(looks);
//! let request = Request { rule, sigma, selection: 32, samples: 10_000, target_r2: Some(64) };
//! let spec = CertSpec::new(Alpha::ratio(1, 1000)?, request)?;
//! let (input, grid) = (Clean::I8(&[6; 16]), Grid::int8(1.0, 0));
//! let terms = Terms::new(&spec, Subject { model: [1; 32], classes: 2, input, grid }, &table)?;
//! let job = Job::new(&terms, [7; 32]); // the nonce: from the verifier, who has terms.commitment()
//! let mut model = Mean([0; 16], 0);
//! let mut run = Certifier::<2>::new(&job)?;
//! let decision = loop {
//!     if let Step::Done(decision) = run.step(&mut model, 16)? {
//!         break decision;
//!     }
//! };
//! assert_eq!(decision, Decision::Certified { class: 1, r2: 64 });
//! assert_eq!(run.drawn(), 48); // 48 of 48 prove it
//! let claim = verify::Claim { nonce: [7; 32], own_nonce: false, commitment: terms.commitment() };
//! verify::full(&run.record(None)?, &claim, &terms, &mut model)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod ablation;
mod alpha;
mod bytes;
mod certifier;
mod classify;
mod counts;
mod denoised;
mod dual;
pub mod ensembles;
pub mod eprocess;
mod error;
mod evaluate;
mod grid;
mod job;
mod judge;
mod largest;
mod looks;
mod margin;
pub mod median;
mod merkle;
mod mixing;
mod partition;
mod policy;
mod radius;
mod record;
pub mod segmentation;
mod spec;
pub mod splitting;
mod state;
pub mod update;
pub mod verify;

pub use alpha::{Account, Alpha};
pub use certifier::{Certifier, Progress, Range, Sink, Step};
pub use classify::{Classify, Scores};
pub use counts::Counts;
pub use denoised::{Denoise, Denoised, DenoisedError, denoised_name};
pub use dual::{Checkerboard, Dual, Half, Side, dual_radius};
pub use error::{CertError, StepError};
pub use evaluate::{Evaluate, Noisy};
pub use grid::{Clean, Grid};
pub use job::{Job, Subject, Terms};
pub use judge::{Decision, Reason};
pub use looks::{GRID, LookTable, NEVER, SHIPPED, shipped};
pub use margin::{Bound, MarginPart, MarginRun, Moments, Plan, Simplex, UNIT, margin_state_bytes};
pub use merkle::{Node, Proof, Tree};
pub use mixing::Mixing;
pub use policy::{PolicyJob, PolicyRequest, PolicyRun, PolicyTerms, ReturnBound, policy_state_bytes};
pub use radius::{Price, closed_ball, covers, covers_l0, covers_l1, open_ball, smoothed_lipschitz};
pub use record::{Record, record_bytes};
pub use spec::{CertSpec, Request, Rule};
pub use state::state_bytes;
