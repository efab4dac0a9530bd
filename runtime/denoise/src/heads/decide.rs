//! Decisions under uncertainty: which action, which model, which share.

use crate::error::{DenoiseError, check_finite, check_len, require};

/// Inverse-gap weighting (Abe and Long 1999; Foster and Rakhlin 2020, "SquareCB"): 1/(K + γ·Δ) for an action whose loss is
/// predicted Δ above the least; the rest for the best action, the first of equals.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`], [`DenoiseError::Shape`] for no actions,
/// [`DenoiseError::Parameter`] for a γ that is not above 0.
pub fn inverse_gap(losses: &[f64], gamma: f64, out: &mut [f64]) -> Result<(), DenoiseError> {
    gaps(losses, gamma, out, |actions, gap, _| 1.0 / (actions + gamma * gap))
}

/// The weighting of FastCB (Foster and Krishnamurthy 2021), for losses in [0, 1]: ŷ/(K·ŷ + γ·Δ), ŷ being the least loss.
///
/// # Errors
/// Those of [`inverse_gap`]; [`DenoiseError::Parameter`] for a negative loss, or where the least one is 0 and γ·Δ too.
pub fn fast_inverse_gap(losses: &[f64], gamma: f64, out: &mut [f64]) -> Result<(), DenoiseError> {
    require(losses.iter().all(|&loss| loss >= 0.0))?;
    gaps(
        losses,
        gamma,
        out,
        |actions, gap, least| {
            if least == 0.0 { 0.0 } else { least / (actions * least + gamma * gap) }
        },
    )
}

fn gaps(
    losses: &[f64],
    gamma: f64,
    out: &mut [f64],
    probability: impl Fn(f64, f64, f64) -> f64,
) -> Result<(), DenoiseError> {
    check_len(out, losses.len())?;
    check_finite(losses)?;
    require(gamma > 0.0 && gamma.is_finite())?;
    let mut best = 0;
    for (action, loss) in losses.iter().enumerate() {
        if *loss < losses[best] {
            best = action;
        }
    }
    let &least = losses.get(best).ok_or(DenoiseError::Shape)?;
    let mut rest = 1.0;
    for (action, (out, loss)) in out.iter_mut().zip(losses).enumerate() {
        *out = if action == best { 0.0 } else { probability(losses.len() as f64, loss - least, least) };
        rest -= *out;
    }
    out[best] = rest;
    Ok(())
}

/// A prediction with a perturbation by the last layer (Deb et al. 2023, "NeuCB"): f + c·Σ(θ − θ₀)·s/m^¼ with signs s.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`], [`DenoiseError::Parameter`] for a width of 0.
pub fn perturbed(
    prediction: f64,
    strength: f64,
    width: u32,
    (theta, start): (&[f64], &[f64]),
    signs: &[bool],
) -> Result<f64, DenoiseError> {
    check_len(start, theta.len())?;
    check_len(signs, theta.len())?;
    [theta, start, &[prediction, strength]].into_iter().try_for_each(check_finite)?;
    require(width > 0)?;
    let moved = theta
        .iter()
        .zip(start)
        .zip(signs)
        .fold(0.0, |sum, ((theta, start), &plus)| if plus { sum + (theta - start) } else { sum - (theta - start) });
    Ok(prediction + strength * moved / libm::pow(width.into(), 0.25))
}

/// Optimistic multiplicative weights over K choices (Rakhlin and Sridharan 2013), the last gradient as hint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimisticWeights<const K: usize> {
    rate: f64,
    weights: [f64; K],
    hint: [f64; K],
}

impl<const K: usize> OptimisticWeights<K> {
    /// With a learning rate.
    ///
    /// # Errors
    /// [`DenoiseError::Parameter`] for a rate that is not above 0, [`DenoiseError::Shape`] for no choices.
    pub fn new(rate: f64) -> Result<Self, DenoiseError> {
        require(rate > 0.0 && rate.is_finite())?;
        if K == 0 {
            return Err(DenoiseError::Shape);
        }
        Ok(OptimisticWeights { rate, weights: [1.0 / K as f64; K], hint: [0.0; K] })
    }

    /// What to play.
    pub fn play(&self) -> [f64; K] {
        tilt(&self.weights, &self.hint, self.rate)
    }

    /// The weights without the hint.
    pub fn weights(&self) -> &[f64; K] {
        &self.weights
    }

    /// Learns the losses of a round.
    ///
    /// # Errors
    /// [`DenoiseError::NotFinite`].
    pub fn learn(&mut self, losses: &[f64; K]) -> Result<(), DenoiseError> {
        check_finite(losses)?;
        self.weights = tilt(&self.weights, losses, self.rate);
        self.hint = *losses;
        Ok(())
    }
}

/// Weights times e^(−rate·losses), of sum 1. Losses are taken from the least, so that one weight stays.
fn tilt<const K: usize>(weights: &[f64; K], losses: &[f64; K], rate: f64) -> [f64; K] {
    let least = losses.iter().fold(f64::INFINITY, |least, &loss| if loss < least { loss } else { least });
    let mut out: [f64; K] = core::array::from_fn(|i| weights[i] * libm::exp(-rate * (losses[i] - least)));
    let total = out.iter().sum::<f64>();
    if total > 0.0 {
        out.iter_mut().for_each(|x| *x /= total);
        out
    } else {
        *weights
    }
}

/// Follow the regularized leader with a log barrier: the π of the simplex with least ⟨π, L⟩ − (1/η)·Σ ln π, which is
/// 1/(η·(L − λ)). Returns λ, found by halving to the last bit.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`], [`DenoiseError::Shape`] for no choices,
/// [`DenoiseError::Parameter`] for an η that is not above 0.
pub fn log_barrier(losses: &[f64], eta: f64, out: &mut [f64]) -> Result<f64, DenoiseError> {
    check_len(out, losses.len())?;
    check_finite(losses)?;
    require(eta > 0.0 && eta.is_finite())?;
    if losses.is_empty() {
        return Err(DenoiseError::Shape);
    }
    let least = losses.iter().fold(f64::INFINITY, |least, &loss| if loss < least { loss } else { least });
    let total = |lambda: f64| losses.iter().fold(0.0, |sum, loss| sum + 1.0 / (eta * (loss - lambda)));
    // At the lower end no term is above 1/K, at the upper one the first is 1.
    let (mut low, mut high) = (least - losses.len() as f64 / eta, least - 1.0 / eta);
    loop {
        let middle = 0.5 * (low + high);
        let between = middle > low && middle < high;
        if !between {
            break;
        }
        if total(middle) < 1.0 { low = middle } else { high = middle }
    }
    let lambda = 0.5 * (low + high);
    out.iter_mut().zip(losses).for_each(|(out, loss)| *out = 1.0 / (eta * (loss - lambda)));
    Ok(lambda)
}
