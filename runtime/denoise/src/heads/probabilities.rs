//! Logits to probabilities, and losses of them.

use crate::error::{DenoiseError, check_finite, check_len, require};
use crate::real::Real;

/// s(x) = x + 1 for x ≥ 0, 1/(1 − x) below: what StableMax (Prieto et al. 2025) has in place of the exponential.
pub fn stable_score<T: Real>(x: T) -> T {
    if x < T::ZERO { T::ONE / (T::ONE - x) } else { x + T::ONE }
}

/// StableMax: s(x)/Σs in place of the logits. One division a class; no class ever gets all.
///
/// # Errors
/// [`DenoiseError::NotFinite`].
pub fn stable_max<T: Real>(logits: &mut [T]) -> Result<(), DenoiseError> {
    check_finite(logits)?;
    let mut total = T::ZERO;
    for x in logits.iter_mut() {
        *x = stable_score(*x);
        total += *x;
    }
    logits.iter_mut().for_each(|x| *x = *x / total);
    Ok(())
}

/// Softmax in place of the logits, at a temperature.
///
/// # Errors
/// [`DenoiseError::NotFinite`], [`DenoiseError::Parameter`] for a temperature that is not finite and above 0.
pub fn soft_max<T: Real>(logits: &mut [T], temperature: f64) -> Result<(), DenoiseError> {
    require(temperature > 0.0 && temperature.is_finite())?;
    check_finite(logits)?;
    let over = T::of(temperature);
    let largest = logits.iter().fold(None, |most: Option<T>, &x| Some(most.map_or(x, |most| most.at_least(x))));
    let Some(largest) = largest else { return Ok(()) };
    let mut total = T::ZERO;
    for x in logits.iter_mut() {
        *x = ((*x - largest) / over).exp();
        total += *x;
    }
    logits.iter_mut().for_each(|x| *x = *x / total);
    Ok(())
}

/// Softmax of log-likelihoods of candidates that were drawn several times each: c·e^l/Σ c·e^l (Zhang et al. 2023,
/// "Ethicist": calibrated confidence).
///
/// # Errors
/// [`DenoiseError::NotFinite`], [`DenoiseError::Length`], [`DenoiseError::Weights`] where all counts are 0.
pub fn weighted_soft_max<T: Real>(log_likelihoods: &mut [T], counts: &[u32]) -> Result<(), DenoiseError> {
    check_len(counts, log_likelihoods.len())?;
    if counts.iter().all(|&count| count == 0) {
        return Err(DenoiseError::Weights);
    }
    soft_max(log_likelihoods, 1.0)?;
    let mut total = T::ZERO;
    for (x, &count) in log_likelihoods.iter_mut().zip(counts) {
        *x *= T::of(count.into());
        total += *x;
    }
    log_likelihoods.iter_mut().for_each(|x| *x = *x / total);
    Ok(())
}

/// Sparsemax (Martins and Astudillo 2016): the nearest point of the simplex, in place of the logits. Returns its threshold.
/// No memory is taken: N² comparisons at most.
///
/// # Errors
/// [`DenoiseError::NotFinite`], [`DenoiseError::Shape`] for no logits.
pub fn sparse_max<T: Real>(logits: &mut [T]) -> Result<T, DenoiseError> {
    check_finite(logits)?;
    if logits.is_empty() {
        return Err(DenoiseError::Shape);
    }
    // Michelot's iteration: the threshold of a shrinking support, at most N times.
    let mut threshold = T::of(f64::MIN);
    loop {
        let (mut sum, mut count) = (T::ZERO, 0u32);
        for &x in logits.iter().filter(|&&x| x > threshold) {
            sum += x;
            count += 1;
        }
        let next = (sum - T::ONE) / T::of(count.into());
        // Rounding could empty the support where all logits are huge: the last one holds then.
        if count == 0 || next <= threshold {
            break;
        }
        threshold = next;
    }
    logits.iter_mut().for_each(|x| *x = (*x - threshold).at_least(T::ZERO));
    Ok(threshold)
}

/// Whether softmax has collapsed: the logarithm of the top class is exactly 0 in this float type, and nothing could be
/// learned or told from it. Count it where logits are of few bits.
pub fn collapsed<T: Real>(logits: &[T]) -> bool {
    let mut largest = match logits.first() {
        Some(&first) => first,
        None => return false,
    };
    logits.iter().for_each(|&x| largest = largest.at_least(x));
    let total = logits.iter().fold(T::ZERO, |sum, &x| sum + (x - largest).exp());
    logits.len() > 1 && total.ln() == T::ZERO
}

/// The distance of two logits at which softmax collapses with a significand of so many bits (11 for f16, 24, 53):
/// bits·ln 2.
pub fn collapse_gap(significand_bits: u32) -> f64 {
    f64::from(significand_bits) * core::f64::consts::LN_2
}

/// A comp-sum loss (Mao, Mohri and Zhong 2023) of logits: u = Σ_{j≠y} e^(h_j − h_y); ((1 + u)^(1 − τ) − 1)/(1 − τ).
/// τ = 0 is the sum of exponentials, 1 cross-entropy, 2 the mean absolute error; between the last two the generalized
/// cross-entropy.
///
/// # Errors
/// [`DenoiseError::NotFinite`], [`DenoiseError::Step`] for a target that does not exist, [`DenoiseError::Parameter`] for
/// a negative τ.
pub fn comp_sum_loss(logits: &[f64], target: usize, tau: f64) -> Result<f64, DenoiseError> {
    check_finite(logits)?;
    require(tau >= 0.0 && tau.is_finite())?;
    let &own = logits.get(target).ok_or(DenoiseError::Step { step: crate::error::index(target) })?;
    let others = logits.iter().enumerate().filter(|&(j, _)| j != target);
    let u = others.fold(0.0, |sum, (_, &h)| sum + libm::exp(h - own));
    Ok(if tau == 1.0 { libm::log1p(u) } else { (libm::pow(1.0 + u, 1.0 - tau) - 1.0) / (1.0 - tau) })
}
