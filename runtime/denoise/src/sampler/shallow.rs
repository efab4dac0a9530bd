//! Shallow starts: a run that begins at a coarse estimate with noise on it (Liu et al. 2022, "DiffSinger").
//!
//! Put noise on the estimate with [`Schedule::add_noise`] at step k − 1, then take the k steps of any sampler with
//! `start = k`. k comes from how far estimates are from the truth: where the noise has made both alike.

use crate::error::{DenoiseError, check_len, require};
use crate::real::Real;
use crate::schedule::Schedule;

/// KL(q(x_t | estimate) ‖ q(x_t | truth)) at a step, in nats: `ᾱ/(2(1 − ᾱ))·residual`; it falls with the step.
/// `residual` is the squared distance of estimate and truth, a mean over a set being the usual choice.
///
/// # Errors
/// [`DenoiseError::Step`], [`DenoiseError::Parameter`] for a residual that is negative or not finite.
pub fn boundary_kl(schedule: &Schedule<'_>, step: usize, residual: f64) -> Result<f64, DenoiseError> {
    require(residual >= 0.0 && residual.is_finite())?;
    let alpha_bar = schedule.alpha_bar(step)?;
    Ok(alpha_bar / (2.0 * (1.0 - alpha_bar)) * residual)
}

/// KL(q(x_T | truth) ‖ N(0, I)) of the last step, in nats: what a run from pure noise neglects anyway.
/// `energy` is ‖truth‖², `len` its elements.
///
/// # Errors
/// [`DenoiseError::Parameter`] for an energy that is negative or not finite.
pub fn terminal_kl(schedule: &Schedule<'_>, energy: f64, len: usize) -> Result<f64, DenoiseError> {
    require(energy >= 0.0 && energy.is_finite())?;
    let alpha_bar = schedule.alpha_bar(schedule.len().saturating_sub(1))?;
    let variance = 1.0 - alpha_bar;
    Ok(0.5 * (alpha_bar * energy + len as f64 * (variance - 1.0 - libm::log(variance))))
}

/// The first step at which [`boundary_kl`] is at most `limit`: run from there, `start = step + 1`. `None` where no step is.
///
/// # Errors
/// [`DenoiseError::Parameter`] for a residual that is negative or not finite, or a limit that is NaN.
pub fn first_step_below(schedule: &Schedule<'_>, residual: f64, limit: f64) -> Result<Option<usize>, DenoiseError> {
    require(!limit.is_nan())?;
    // The divergence falls: halve.
    let (mut low, mut high) = (0, schedule.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if boundary_kl(schedule, middle, residual)? <= limit { high = middle } else { low = middle + 1 }
    }
    Ok((low < schedule.len()).then_some(low))
}

/// Bands of a spectrogram between their own stored extremes and −1 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Bands<'a, T> {
    low: &'a [T],
    high: &'a [T],
}

impl<'a, T: Real> Bands<'a, T> {
    /// One extreme a band.
    ///
    /// # Errors
    /// [`DenoiseError::Length`], and [`DenoiseError::Parameter`] for a band whose extremes do not rise.
    pub fn new(low: &'a [T], high: &'a [T]) -> Result<Self, DenoiseError> {
        check_len(high, low.len())?;
        require(low.iter().zip(high).all(|(low, high)| low < high && low.is_finite() && high.is_finite()))?;
        require(!low.is_empty())?;
        Ok(Bands { low, high })
    }

    /// Frames of one value a band, one frame behind the other: `(x − low)/(high − low)·2 − 1`.
    ///
    /// # Errors
    /// [`DenoiseError::Length`] for a part of a frame.
    pub fn normalize(&self, frames: &mut [T]) -> Result<(), DenoiseError> {
        let two = T::of(2.0);
        self.each(frames, |x, low, high| (x - low) / (high - low) * two - T::ONE)
    }

    /// The way back.
    ///
    /// # Errors
    /// [`DenoiseError::Length`] for a part of a frame.
    pub fn restore(&self, frames: &mut [T]) -> Result<(), DenoiseError> {
        let half = T::of(0.5);
        self.each(frames, |x, low, high| (x + T::ONE) * half * (high - low) + low)
    }

    fn each(&self, frames: &mut [T], f: impl Fn(T, T, T) -> T) -> Result<(), DenoiseError> {
        let bands = self.low.len();
        check_len(frames, frames.len() / bands * bands)?;
        for frame in frames.chunks_exact_mut(bands) {
            for ((x, &low), &high) in frame.iter_mut().zip(self.low).zip(self.high) {
                *x = f(*x, low, high);
            }
        }
        Ok(())
    }
}
