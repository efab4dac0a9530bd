//! Policy smoothing (Kumar, Levine and Feizi, ICLR 2022): what an agent still earns when its observations are changed.
//!
//! Every raw observation of an agent gets noise of its own, once, before anything is made of it (stacking frames, scaling,
//! a denoiser, the network). An attacker adds η_t to the observation of step t, before the noise; it may know the
//! environment's state, the policy and all noise so far, and spend a budget `Σ_t ‖η_t‖² ≤ ε²` over the episode as it
//! likes. For every event E of an episode, with probability p without an attack,
//!
//! `P(E under attack) ≥ Φ(Φ⁻¹(p) − ε/σ)`:
//!
//! adapting to what happens gains the attacker nothing over one fixed shift of length ε. On the grid, observation plus
//! noise is the rounding of a continuous Gaussian about it, and an attacker of integers is one of reals. The right side is
//! convex in p, so it holds for the mean over the environment's own chance too.
//!
//! **Returns.** Integers, counted by levels v_0 < v_1 < … fixed in advance: a return counts for the highest level that it
//! reaches, v_0 is the least possible. With `S̲(v) ≤ P(return ≥ v)` at all levels at once,
//!
//! `E[return] ≥ v_0 + Σ_i (v_i − v_(i−1))·Φ(Φ⁻¹(S̲(v_i)) − ε/σ)`.
//!
//! [`ReturnBound::Dkw`]: S̲ is the counted part less `√(ln(1/α)/(2n))` at every level (Massart 1990; one side is enough).
//! [`ReturnBound::Levels`]: Clopper and Pearson at a few levels chosen in advance, α/k each; a level between takes the bound
//! of the next one chosen above. With few levels it is the tighter one: 149.5 for 141.8 in the example of the tests at
//! ε = σ. With one level chosen it is the certified probability of success.
//!
//! **Finite precision.** All noise of an episode of T steps of d codes is at most τ = T·τ_d off: Φ(Φ⁻¹(p − τ) − ε/σ) − τ.
//!
//! **α** is spent on the one event that all S̲ hold: [`PolicyRun::mean`], [`PolicyRun::success`] and [`PolicyRun::radius`]
//! may be asked for any level and budget. **Memory**: 4 bytes for each level; a saved state is 52 bytes more.
//!
//! Budgets are squared grid steps, as radii are. The chance of the environment has to be independent of the agent's noise
//! and not chosen by whom the result pleases: [`PolicyJob::seed`] has a seed for every episode.

mod job;
mod run;
mod state;

pub use job::{PolicyJob, PolicyRequest, PolicyTerms, ReturnBound};
pub use run::PolicyRun;
pub use state::policy_state_bytes;
