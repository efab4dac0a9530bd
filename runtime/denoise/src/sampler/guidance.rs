//! Adaptive projected guidance (Sadat et al. 2024): of the difference that guidance adds, the part along the conditional
//! prediction saturates; it is scaled down, the length of the difference is limited, and momentum is taken off it.

use crate::error::{DenoiseError, check_finite, check_len, part, require};
use crate::real::{Real, dot};

/// Where the guided prediction starts from. Both forms are in use and differ: they agree only at η = 1 with no radius and
/// no momentum, where each is classifier-free guidance (Ho and Salimans 2022).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The paper's: conditional + (w − 1)·update.
    FromConditional,
    /// That of the library diffusers: unconditional + w·update.
    FromUnconditional,
}

/// Parameters of the guidance. Predictions are x₀ in the paper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuidanceSettings {
    /// w; 1 is none.
    pub scale: f64,
    /// η, the part of the parallel component that is kept; 0 in the paper's recommendation.
    pub parallel: f64,
    /// r, the largest length of the update; 0 for no limit.
    pub radius: f64,
    /// β, below 0: the part of the last update that is added to this one; 0 for none.
    pub momentum: f64,
    /// Which form.
    pub form: Form,
}

/// Guidance with its state between steps.
#[derive(Clone, Copy, Debug)]
pub struct Guidance {
    settings: GuidanceSettings,
    last_sigma: Option<f64>,
}

/// Lengths of the two components of an update, before the parallel one is scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// Along the conditional prediction.
    pub parallel: f64,
    /// Across it.
    pub orthogonal: f64,
}

impl Guidance {
    /// # Errors
    /// [`DenoiseError::Parameter`] for parameters that are not finite, a negative radius or |β| ≥ 1.
    pub fn new(settings: GuidanceSettings) -> Result<Self, DenoiseError> {
        let GuidanceSettings { scale, parallel, radius, momentum, .. } = settings;
        require(scale.is_finite() && parallel.is_finite() && radius.is_finite() && radius >= 0.0)?;
        require(momentum.abs() < 1.0)?;
        Ok(Guidance { settings, last_sigma: None })
    }

    /// Forgets the momentum: before every new run.
    pub fn reset(&mut self) {
        self.last_sigma = None;
    }

    /// The guided prediction at noise level `sigma`. `momentum` is as long as the predictions and kept between steps; it
    /// may be empty where β is 0. Momentum starts anew where the noise level rises. Sums are taken in f64, in order.
    ///
    /// # Errors
    /// [`DenoiseError::Length`], [`DenoiseError::Buffer`], [`DenoiseError::NotFinite`], [`DenoiseError::Parameter`] for
    /// a NaN level.
    pub fn guide<T: Real>(
        &mut self,
        sigma: f64,
        conditional: &[T],
        unconditional: &[T],
        momentum: &mut [T],
        out: &mut [T],
    ) -> Result<Update, DenoiseError> {
        let len = conditional.len();
        check_len(unconditional, len)?;
        check_len(out, len)?;
        check_finite(conditional)?;
        check_finite(unconditional)?;
        require(!sigma.is_nan())?;
        let GuidanceSettings { scale, parallel, radius, momentum: beta, form } = self.settings;
        // The update, before anything is done to it, in `out`.
        for ((out, &c), &u) in out.iter_mut().zip(conditional).zip(unconditional) {
            *out = c - u;
        }
        if beta != 0.0 {
            let momentum = part(momentum, len)?;
            if self.last_sigma.is_none_or(|last| sigma > last) {
                momentum.fill(T::ZERO);
            }
            let beta = T::of(beta);
            for (out, m) in out.iter_mut().zip(momentum) {
                *out += beta * *m;
                *m = *out;
            }
        }
        self.last_sigma = Some(sigma);
        let (power, along, length) = (dot(out, out), dot(out, conditional), dot(conditional, conditional));
        let norm = libm::sqrt(power);
        let limit = if radius > 0.0 && norm > radius { radius / norm } else { 1.0 };
        let projection = if length > 0.0 { limit * along / length } else { 0.0 };
        let (limit_t, taken) = (T::of(limit), T::of((parallel - 1.0) * projection));
        let (w, from) = match form {
            Form::FromConditional => (T::of(scale - 1.0), conditional),
            Form::FromUnconditional => (T::of(scale), unconditional),
        };
        for ((out, &c), &from) in out.iter_mut().zip(conditional).zip(from) {
            *out = from + w * (limit_t * *out + taken * c);
        }
        let parallel = projection.abs() * libm::sqrt(length);
        let across = (limit * limit * power - parallel * parallel).at_least(0.0);
        Ok(Update { parallel, orthogonal: libm::sqrt(across) })
    }
}
