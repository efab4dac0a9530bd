//! What a network predicts, and the ways from one kind of prediction to another.
//!
//! Let `x = s·x₀ + n·ε` with signal level s and noise level n: s² + n² = 1 for diffusion models (variance preserving), s = 1
//! and n = σ for denoisers and consistency models (variance exploding). x₀ and ε are then linear in x and in any of the
//! predictions (Salimans and Ho 2022 for the velocity; Vincent 2011 for the score).

use crate::error::{DenoiseError, check_len, positive};
use crate::real::Real;
use crate::schedule::Schedule;

/// What a network's output stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prediction {
    /// The noise ε.
    Noise,
    /// The clean signal x₀: a denoiser in image form. Quantized networks lose least in the other forms.
    Clean,
    /// v = s·ε − n·x₀.
    Velocity,
    /// ∇ log p(x) = −ε/n.
    Score,
    /// x₀ − x: a denoiser in residual form.
    Residual,
}

/// Signal and noise level of `x = signal·x₀ + noise·ε`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    signal: f64,
    noise: f64,
}

/// `x₀ = clean_x·x + clean_p·p`, `ε = noise_x·x + noise_p·p` for a prediction p of one kind at one level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split<T> {
    clean_x: T,
    clean_p: T,
    noise_x: T,
    noise_p: T,
}

impl<T: Real> Split<T> {
    /// x₀ of an element.
    #[inline]
    pub fn clean(&self, x: T, p: T) -> T {
        self.clean_x * x + self.clean_p * p
    }

    /// ε of an element.
    #[inline]
    pub fn noise(&self, x: T, p: T) -> T {
        self.noise_x * x + self.noise_p * p
    }
}

impl Level {
    /// s = √ᾱ, n = √(1 − ᾱ).
    ///
    /// # Errors
    /// [`DenoiseError::Level`] unless 0 < ᾱ < 1.
    pub fn variance_preserving(alpha_bar: f64) -> Result<Self, DenoiseError> {
        Ok(Level { signal: libm::sqrt(positive(alpha_bar)?), noise: libm::sqrt(positive(1.0 - alpha_bar)?) })
    }

    /// s = 1, n = σ.
    ///
    /// # Errors
    /// [`DenoiseError::Level`] for a σ that is not finite and above 0.
    pub fn variance_exploding(sigma: f64) -> Result<Self, DenoiseError> {
        Ok(Level { signal: 1.0, noise: positive(sigma)? })
    }

    /// Of any two levels.
    ///
    /// # Errors
    /// [`DenoiseError::Level`] unless both are finite and above 0.
    pub fn new(signal: f64, noise: f64) -> Result<Self, DenoiseError> {
        Ok(Level { signal: positive(signal)?, noise: positive(noise)? })
    }

    /// s.
    pub fn signal(self) -> f64 {
        self.signal
    }

    /// n.
    pub fn noise(self) -> f64 {
        self.noise
    }

    /// The way from predictions of a kind to x₀ and ε.
    pub fn split<T: Real>(self, kind: Prediction) -> Split<T> {
        let Level { signal: s, noise: n } = self;
        let (clean, noise) = match kind {
            Prediction::Noise => ((1.0 / s, -n / s), (0.0, 1.0)),
            Prediction::Clean => ((0.0, 1.0), (1.0 / n, -s / n)),
            Prediction::Velocity => {
                let power = s * s + n * n;
                ((s / power, -n / power), (n / power, s / power))
            }
            Prediction::Score => ((1.0 / s, n * n / s), (0.0, -n)),
            Prediction::Residual => ((1.0, 1.0), ((1.0 - s) / n, -s / n)),
        };
        Split { clean_x: T::of(clean.0), clean_p: T::of(clean.1), noise_x: T::of(noise.0), noise_p: T::of(noise.1) }
    }

    /// Turns predictions of one kind, made at `x`, into another kind, in place. Equal kinds stay as they are.
    ///
    /// # Errors
    /// [`DenoiseError::Length`] for buffers of different length.
    pub fn convert<T: Real>(
        self,
        from: Prediction,
        to: Prediction,
        x: &[T],
        prediction: &mut [T],
    ) -> Result<(), DenoiseError> {
        check_len(prediction, x.len())?;
        if from == to {
            return Ok(());
        }
        let split = self.split::<T>(from);
        let (s, n, over) = (T::of(self.signal), T::of(self.noise), T::of(-1.0 / self.noise));
        for (&x, p) in x.iter().zip(prediction) {
            *p = match to {
                Prediction::Noise => split.noise(x, *p),
                Prediction::Clean => split.clean(x, *p),
                Prediction::Velocity => s * split.noise(x, *p) - n * split.clean(x, *p),
                Prediction::Score => over * split.noise(x, *p),
                Prediction::Residual => split.clean(x, *p) - x,
            };
        }
        Ok(())
    }
}

/// What the level argument of a model means in signal and noise.
pub trait Marginal {
    /// Signal and noise at a level.
    ///
    /// # Errors
    /// [`DenoiseError::Level`] or [`DenoiseError::Step`] for a level that does not exist.
    fn marginal(&self, level: f64) -> Result<Level, DenoiseError>;
}

/// Levels are standard deviations σ of noise that is added to the signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddedNoise;

impl Marginal for AddedNoise {
    fn marginal(&self, level: f64) -> Result<Level, DenoiseError> {
        Level::variance_exploding(level)
    }
}

/// Levels are steps of the schedule.
impl Marginal for Schedule<'_> {
    fn marginal(&self, level: f64) -> Result<Level, DenoiseError> {
        // Negative and NaN become 0, too large the largest: both differ from the level then.
        let step = level as usize;
        if step as f64 != level {
            return Err(DenoiseError::Level);
        }
        self.level(step)
    }
}
