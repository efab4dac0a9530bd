//! Randomized smoothing (Cohen, Rosenfeld and Kolter 2019) of integer programs: a radius within which the
//! prediction of the smoothed classifier cannot change, for the program as it runs.
//!
//! # What a certificate says
//!
//! f is a deterministic classifier on the integer codes of its input; saturation and everything behind it are a part
//! of f. The smoothed classifier is `g(x) = argmax_c P(f(x + Z) = c)` with independent `Z = round(N(0, σ²))`. For
//! codes x, x + Z has the law of `round(x + N(0, σ²))`, so g equals the smoothing of `f∘round` with continuous noise
//! at every point of the grid (data processing, as Voráček and Hein 2023 use it), and Cohen et al.'s theorem
//! holds: if class A has probability above `p > ½`, then `g(x') = A` for every x' on the grid with
//! `‖x' − x‖₂ < σ·Φ⁻¹(p)`. No float takes part in what is counted.
//!
//! The statement is wrong with probability at most α (plus the advantage of an attack on ChaCha8): the draws may
//! mislead. Where α is spent is a matter of types: see [`Alpha`]. What 64-bit thresholds differ from the real law is
//! subtracted from the radius ([`radius_squared`]).
//!
//! # How
//!
//! A [`Plan`] says how many draws and by which rule; a [`Certifier`] makes them, in steps of any size, and can be saved
//! and resumed; a [`Record`] holds all that another party needs to check the result, or to repeat it.
//!
//! ```
//! use selvedge_certify::{Alpha, Certifier, Classifier, Decision, Identity, Input, Plan, Rule};
//! use selvedge_noise::{NoiseTable, Sigma, build_table};
//!
//! /// Bright or dark.
//! struct Mean(Vec<i16>);
//! impl Classifier for Mean {
//!     type Error = core::convert::Infallible;
//!     fn write(&mut self, first: usize, codes: &[i16]) -> Result<(), Self::Error> {
//!         self.0[first..first + codes.len()].copy_from_slice(codes);
//!         Ok(())
//!     }
//!     fn classify(&mut self) -> Result<usize, Self::Error> {
//!         Ok(usize::from(self.0.iter().map(|&x| i32::from(x)).sum::<i32>() > 0))
//!     }
//! }
//!
//! let bytes = build_table(Sigma::new(10, 1).expect("not zero"))?;
//! let table = NoiseTable::parse(&bytes)?;
//! let alpha = Alpha::new(0.001).expect("between 0 and 1");
//! let plan = Plan::new(&table, 16, 2, 100, Rule::Fixed { n: 1000 }, alpha)?;
//! let input = [20i8; 16];
//! let identity = Identity { model: [1; 32], nonce: [7; 32] }; // the nonce comes after the input
//! let mut certifier = Certifier::<2>::new(&plan, Input::I8(&input), &identity)?;
//! let mut model = Mean(vec![0; 16]);
//! while certifier.decision().is_none() {
//!     certifier.step(&mut model, Input::I8(&input), 100)?;
//! }
//! assert!(matches!(certifier.decision(), Some(Decision::Certified { class: 1, .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(test)]
extern crate alloc;

mod alpha;
mod certifier;
mod decision;
mod draw;
mod error;
mod looks;
mod plan;
mod predict;
mod radius;
mod record;
mod state;
mod verify;

pub use alpha::Alpha;
pub use certifier::{Certifier, Draws, Identity, Progress};
pub use decision::{Decision, Reason};
pub use draw::{Classifier, Input, count};
pub use error::{Error, PlanError};
pub use looks::{LOOK_COUNTS, Look, Looks, MOST_LOOKS, e_value, look_at, probability_for};
pub use plan::{Plan, Rule};
pub use predict::{Prediction, predict};
pub use radius::{covers, radius, radius_squared};
pub use record::{MOST_CLASSES, Record};
pub use state::state_bytes;
pub use verify::{VerifyError, check, rerun};
