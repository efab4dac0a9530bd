//! How good a result is, where the truth is known. Sums are taken in f64, in order.

use crate::error::{DenoiseError, check_finite, check_len, positive};
use crate::real::{Real, dot};

/// Peak signal-to-noise ratio in dB: 10·log₁₀(peak²/mean squared error). Infinite for equal signals. Clip to the range of
/// the signal before, as published numbers do.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`], [`DenoiseError::Samples`] for none, [`DenoiseError::Level`] for a
/// peak that is not above 0.
pub fn psnr<T: Real>(truth: &[T], found: &[T], peak: f64) -> Result<f64, DenoiseError> {
    check_pair(truth, found)?;
    let peak = positive(peak)?;
    let error = truth.iter().zip(found).fold(0.0, |sum, (t, f)| {
        let difference = f.to_f64() - t.to_f64();
        sum + difference * difference
    });
    Ok(10.0 * libm::log10(peak * peak * truth.len() as f64 / error))
}

/// Scale-invariant signal-to-noise ratio in dB (Le Roux et al. 2019): the part of the result along the truth, against the
/// rest. Means are taken off first.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`]; [`DenoiseError::Samples`] for none, or a truth that is constant.
pub fn si_snr<T: Real>(truth: &[T], found: &[T]) -> Result<f64, DenoiseError> {
    check_pair(truth, found)?;
    let n = truth.len() as f64;
    let mean = |x: &[T]| x.iter().fold(0.0, |sum, x| sum + x.to_f64()) / n;
    let (of_truth, of_found) = (mean(truth), mean(found));
    let power = dot(truth, truth) - n * of_truth * of_truth;
    let own = dot(found, found) - n * of_found * of_found;
    let along = dot(truth, found) - n * of_truth * of_found;
    let varies = power > 1e-12 * dot(truth, truth);
    if !varies {
        return Err(DenoiseError::Samples { needed: 2 });
    }
    let signal = along * along / power;
    Ok(10.0 * libm::log10(signal / (own - signal).at_least(0.0)))
}

fn check_pair<T: Real>(truth: &[T], found: &[T]) -> Result<(), DenoiseError> {
    check_len(found, truth.len())?;
    check_finite(truth)?;
    check_finite(found)?;
    if truth.is_empty() { Err(DenoiseError::Samples { needed: 1 }) } else { Ok(()) }
}
