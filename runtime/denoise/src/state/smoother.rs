//! Additive functionals of a hidden path, smoothed while the data come in: PaRIS (Olsson and Westerborn 2017).
//!
//! For h = h₀(x₀) + Σ h(x_{t−1}, x_t) each particle keeps τ, an estimate of E[h | y_{0:t}, x_t = particle]. A step draws
//! M ≥ 2 ancestors a particle from the backward kernel, in proportion to ω_{t−1}·q(x_{t−1}, x_t); with M = 1 the
//! estimate degenerates. Nothing grows with the length of the path.

use crate::error::{DenoiseError, index, require};
use selvedge_noise::Reals;

/// A hidden Markov model.
pub trait Dynamics {
    /// A hidden state.
    type State: Copy;
    /// What is observed of it.
    type Observation: ?Sized;

    /// A state at time 0.
    fn initial(&self, draws: &mut Reals<'_>) -> Self::State;

    /// A state one step on.
    fn propagate(&self, from: &Self::State, draws: &mut Reals<'_>) -> Self::State;

    /// ln of the observation's density given the state, up to a constant of the time.
    fn log_likelihood(&self, observation: &Self::Observation, state: &Self::State) -> f64;

    /// ln of the transition's density, up to a constant.
    fn log_transition(&self, from: &Self::State, to: &Self::State) -> f64;

    /// What [`Dynamics::log_transition`] never exceeds, where known: ancestors can be drawn by rejection then.
    fn log_transition_bound(&self) -> Option<f64> {
        None
    }
}

/// An additive functional of the path.
pub trait Additive<S> {
    /// h₀.
    fn first(&self, state: &S) -> f64;

    /// h of two neighbours.
    fn then(&self, from: &S, to: &S) -> f64;
}

/// How ancestors are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backward {
    /// All of them, weighted: forward filtering backward smoothing, the limit of many draws. N² transitions.
    Exact,
    /// So many draws a particle from the kernel. N² transitions.
    Draws(u32),
    /// So many draws a particle by rejection from the weights; after `tries` refusals one draw from the kernel. About N
    /// transitions where few draws are refused.
    Rejection {
        /// Draws a particle.
        draws: u32,
        /// Refusals before the kernel is computed.
        tries: u32,
    },
}

/// τ of N particles.
#[derive(Clone, Copy, Debug)]
pub struct Smoother<const N: usize> {
    tau: [f64; N],
    next: [f64; N],
    work: [f64; N],
}

impl<const N: usize> Smoother<N> {
    /// At time 0.
    pub fn new<S>(functional: &impl Additive<S>, particles: &[S; N]) -> Self {
        Smoother { tau: core::array::from_fn(|i| functional.first(&particles[i])), next: [0.0; N], work: [0.0; N] }
    }

    /// τ, particle by particle.
    pub fn tau(&self) -> &[f64; N] {
        &self.tau
    }

    /// The functional's estimate, with the particles' weights (of any sum).
    ///
    /// # Errors
    /// [`DenoiseError::Weights`] where they are all zero.
    pub fn estimate(&self, weights: &[f64; N]) -> Result<f64, DenoiseError> {
        let (sum, total) =
            self.tau.iter().zip(weights).fold((0.0, 0.0), |(sum, total), (tau, w)| (sum + w * tau, total + w));
        if total > 0.0 { Ok(sum / total) } else { Err(DenoiseError::Weights) }
    }

    /// One step, from particles with weights (of any sum) to the ones that come after. `uniform` gives numbers in
    /// (0, 1): one a draw from a kernel, which takes the first ancestor whose cumulated weight reaches it.
    ///
    /// # Errors
    /// [`DenoiseError::Parameter`] for no draws or a rejection without bound, [`DenoiseError::Weights`] where no particle
    /// can be an ancestor; τ is what it was before.
    pub fn advance<D: Dynamics>(
        &mut self,
        model: &D,
        functional: &impl Additive<D::State>,
        (old, weights): (&[D::State; N], &[f64; N]),
        new: &[D::State; N],
        backward: Backward,
        mut uniform: impl FnMut() -> f64,
    ) -> Result<(), DenoiseError> {
        match backward {
            Backward::Exact => {}
            Backward::Draws(draws) => require(draws > 0)?,
            Backward::Rejection { draws, .. } => {
                require(draws > 0 && model.log_transition_bound().is_some())?;
                // Weights, cumulated.
                let mut sum = 0.0;
                for (to, w) in self.work.iter_mut().zip(weights) {
                    sum += w;
                    *to = sum;
                }
                require(sum.is_finite())?;
                if sum <= 0.0 {
                    return Err(DenoiseError::Weights);
                }
            }
        }
        for (i, to) in new.iter().enumerate() {
            let along = |j: usize| self.tau[j] + functional.then(&old[j], to);
            self.next[i] = match backward {
                Backward::Exact => {
                    let total = kernel(model, old, weights, to, &mut self.work)?;
                    (0..N).fold(0.0, |sum, j| sum + self.work[j] / total * along(j))
                }
                Backward::Draws(draws) => {
                    let total = kernel(model, old, weights, to, &mut self.work)?;
                    let sum = (0..draws).fold(0.0, |sum, _| sum + along(walk(&self.work, uniform() * total)));
                    sum / f64::from(draws)
                }
                Backward::Rejection { draws, tries } => {
                    let bound = model.log_transition_bound().unwrap_or(0.0);
                    let mut sum = 0.0;
                    for _ in 0..draws {
                        let total = self.work[N - 1];
                        let accepted = (0..tries).find_map(|_| {
                            let u = uniform() * total;
                            let j = self.work.partition_point(|&cumulated| cumulated < u).min(N - 1);
                            (libm::log(uniform()) <= model.log_transition(&old[j], to) - bound).then_some(j)
                        });
                        sum += along(match accepted {
                            Some(j) => j,
                            None => draw(model, old, weights, to, uniform())?,
                        });
                    }
                    sum / f64::from(draws)
                }
            };
        }
        core::mem::swap(&mut self.tau, &mut self.next);
        Ok(())
    }
}

/// Weights of the backward kernel, scaled to a largest transition of 1, and their sum.
fn kernel<D: Dynamics, const N: usize>(
    model: &D,
    old: &[D::State; N],
    weights: &[f64; N],
    to: &D::State,
    out: &mut [f64; N],
) -> Result<f64, DenoiseError> {
    let mut largest = f64::NEG_INFINITY;
    for ((out, from), &weight) in out.iter_mut().zip(old).zip(weights) {
        *out = model.log_transition(from, to);
        if weight > 0.0 && *out > largest {
            largest = *out;
        }
    }
    let mut total = 0.0;
    for (out, &weight) in out.iter_mut().zip(weights) {
        *out = if weight > 0.0 { weight * libm::exp(*out - largest) } else { 0.0 };
        total += *out;
    }
    if total > 0.0 && total.is_finite() { Ok(total) } else { Err(DenoiseError::Weights) }
}

/// The first place whose cumulated weight reaches `target`; the last one with a weight where rounding leaves none.
fn walk(weights: &[f64], target: f64) -> usize {
    let (mut sum, mut last) = (0.0, 0);
    for (j, &weight) in weights.iter().enumerate() {
        sum += weight;
        if weight > 0.0 {
            last = j;
        }
        if sum >= target && weight > 0.0 {
            return j;
        }
    }
    last
}

/// A draw from the kernel that needs no memory.
fn draw<D: Dynamics, const N: usize>(
    model: &D,
    old: &[D::State; N],
    weights: &[f64; N],
    to: &D::State,
    u: f64,
) -> Result<usize, DenoiseError> {
    let log = |j: usize| model.log_transition(&old[j], to);
    let largest = (0..N)
        .filter(|&j| weights[j] > 0.0)
        .fold(f64::NEG_INFINITY, |most, j| if log(j) > most { log(j) } else { most });
    let weight = |j: usize| if weights[j] > 0.0 { weights[j] * libm::exp(log(j) - largest) } else { 0.0 };
    let total = (0..N).fold(0.0, |sum, j| sum + weight(j));
    let usable = total > 0.0 && total.is_finite();
    if !usable {
        return Err(DenoiseError::Weights);
    }
    let (mut sum, mut last) = (0.0, 0);
    for j in 0..N {
        let here = weight(j);
        sum += here;
        if here > 0.0 {
            last = j;
            if sum >= u * total {
                return Ok(j);
            }
        }
    }
    Ok(last)
}

/// Ancestors by systematic resampling: one uniform number, N equally spaced places (Kitagawa 1996).
pub(crate) fn systematic<const N: usize>(
    weights: &[f64; N],
    u: f64,
    mut place: impl FnMut(usize, usize),
) -> Result<(), DenoiseError> {
    let total = weights.iter().fold(0.0, |sum, w| sum + w);
    let usable = total > 0.0 && total.is_finite();
    if !usable {
        return Err(DenoiseError::Weights);
    }
    let (mut j, mut sum) = (0, weights.first().copied().ok_or(DenoiseError::Samples { needed: index(1) })?);
    for i in 0..N {
        let target = (i as f64 + u) / N as f64 * total;
        while sum < target && j + 1 < N {
            j += 1;
            sum += weights[j];
        }
        place(i, j);
    }
    Ok(())
}
