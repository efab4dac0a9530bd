//! Normalizations and projections of vectors.

use crate::error::{DenoiseError, check_finite, check_len, require};
use crate::real::{Real, dot};

/// Mean and population variance.
fn statistics<T: Real>(x: &[T]) -> (T, T) {
    let n = T::of(x.len() as f64);
    let mean = x.iter().fold(T::ZERO, |sum, &x| sum + x) / n;
    let variance = x.iter().fold(T::ZERO, |sum, &x| sum + (x - mean) * (x - mean)) / n;
    (mean, variance)
}

/// Layer normalization with a shift and no scale, in place, as latent consistency training uses it (Dao et al. 2025):
/// (x − mean)/√(variance + ε) + shift.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`], [`DenoiseError::Parameter`] for an ε that is not above 0.
pub fn layer_norm_unscaled<T: Real>(x: &mut [T], shift: &[T], epsilon: f64) -> Result<(), DenoiseError> {
    check_len(shift, x.len())?;
    check_finite(x)?;
    require(epsilon > 0.0 && epsilon.is_finite())?;
    let (mean, variance) = statistics(x);
    let root = (variance + T::of(epsilon)).sqrt();
    x.iter_mut().zip(shift).for_each(|(x, &shift)| *x = (*x - mean) / root + shift);
    Ok(())
}

/// Gives a channel another mean and deviation, in place (Huang and Belongie 2017): (x − m)/√(v + ε)·deviation + mean. Towards
/// the calibration's statistics it takes a drift of the sensor out. Returns the channel's own mean and population variance.
///
/// # Errors
/// [`DenoiseError::NotFinite`], [`DenoiseError::Parameter`] for an ε that is not above 0.
pub fn restyle<T: Real>(x: &mut [T], mean: T, deviation: T, epsilon: f64) -> Result<(T, T), DenoiseError> {
    check_finite(x)?;
    check_finite(&[mean, deviation])?;
    require(epsilon > 0.0 && epsilon.is_finite())?;
    let (own, variance) = statistics(x);
    let root = (variance + T::of(epsilon)).sqrt();
    x.iter_mut().for_each(|x| *x = deviation * (*x - own) / root + mean);
    Ok((own, variance))
}

/// Takes the part along the weights out of a gradient, in place, and gives it its old length back (⊥Grad, Prieto et al.
/// 2025): the step no longer scales the logits. The length is left as it becomes where `keep_length` is false.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`].
pub fn project_out<T: Real>(weights: &[T], gradient: &mut [T], keep_length: bool) -> Result<(), DenoiseError> {
    check_len(weights, gradient.len())?;
    check_finite(weights)?;
    check_finite(gradient)?;
    let before = dot(gradient, gradient);
    let share = T::of(dot(weights, gradient) / (dot(weights, weights) + 1e-30));
    gradient.iter_mut().zip(weights).for_each(|(g, &w)| *g -= share * w);
    let after = dot(gradient, gradient);
    if keep_length && after > 0.0 {
        let scale = T::of(libm::sqrt(before / after));
        gradient.iter_mut().for_each(|g| *g *= scale);
    }
    Ok(())
}
