//! Lipschitz-variance-margin randomized smoothing (LVM-RS; Delattre et al., ICLR 2024): means of weights, not counts.
//!
//! A simplex map turns the scores of a draw into weights of the classes ([`Simplex`]: softmax, sparsemax, argmax), and
//! the smoothed classifier of the map is the class with the largest expected weight `h_c(x) = E s_c(f(x + Z))`. A model
//! that is sure where it is right and unsure where it errs leads by weights where it ties by counts. Scores that only move
//! along a line, as many to one side as to the other, gain nothing, and near certainty counts are better known: argmax is
//! one of the maps. What is certified is the smoothed classifier *of the map that is reported*; different maps are
//! different classifiers. A device that is to predict by one of them names that map alone.
//!
//! **Radii.** Weights lie in 0 to 1, so `Φ⁻¹∘h_c` is Lipschitz with 1/σ (Salman et al. 2019; on the grid by data
//! processing) and the difference of two h is Lipschitz with √(2/π)/σ. With p_A ≤ h_A, p_B ≥ h_c for all c ≠ A, m ≤ h_A −
//! h_c for all c ≠ A the class A is kept at less than
//! - [`Bound::One`], [`Bound::Two`]: `R_q = σ/2·(Φ⁻¹(p_A) − Φ⁻¹(p_B))`, with p_B = 1 − p_A where only p_A is bounded;
//! - [`Bound::Margin`]: `R_L = σ·√(π/2)·m`.
//!
//! R_q from p_A and p_B is never below R_L from m = p_A − p_B, for the slope of Φ⁻¹ is at least √(2π). R_L can be the
//! larger one only where m is bounded by itself: weights that rise and fall together have a steady difference. With τ for
//! finite precision, p_A − τ and p_B + τ as in [`crate::Price`], and m − 4τ. (The refined constant L·erf(…) of the paper
//! asks for a network that is Lipschitz in real vectors; a function of codes is a step function there. See
//! [`crate::smoothed_lipschitz`].)
//!
//! **Estimates.** Weights are integers, Σ, Σ² and Σ of products are exact. Expectations are bounded by Maurer and Pontil
//! (2009), `√(2V·ln(2/δ)/n) + 7·ln(2/δ)/(3(n − 1))`, V the sample variance over all draws; those of argmax by Clopper
//! and Pearson, being counts.
//!
//! **α.** The first half of the selection draws chooses the class under each map, the second half chooses map and
//! bound: those of the largest radius, were the estimation to go on like it. Estimation draws are independent of the
//! choice, so all of α goes to the bounds chosen: one (`One`), α/C for each of C classes (`Two`), α/(C − 1) for each
//! difference (`Margin`). No union over maps, nor over the two radii. (Published code takes the best of 205 estimators of
//! the same draws without one.)
//!
//! **Memory.** 24 bytes for each class and map; while drawing twice that, so that a failed step changes nothing.

mod bound;
mod moments;
mod part;
mod run;
mod simplex;
mod state;

pub use bound::{Bound, Plan};
pub use moments::Moments;
pub use part::MarginPart;
pub use run::MarginRun;
pub use simplex::{Simplex, UNIT};
pub use state::margin_state_bytes;
