//! Denoising by the score of the noisy law: Tweedie's formula for Gaussian, Poisson and Gamma noise (Robbins 1956; Efron
//! 2011; Kim and Ye 2021, "Noise2Score").
//!
//! | noise | observation | estimate | r is | the estimate is |
//! |---|---|---|---|---|
//! | Gaussian σ | x + σ·n | y + σ²·r(y) | d/dy log p(y) | the posterior mean |
//! | Poisson ζ | ζ·Poisson(x/ζ) | (y + ζ/2)·exp(r(y/ζ)) | d/dz log p(z), z = y/ζ | about exp E[log x \| y], below the mean |
//! | Gamma k | x·Gamma(k, 1/k) | k·y/((k − 1) − y·r(y)) | d/dy log p(y) | 1/E[1/x \| y], below the mean |
//!
//! The signal is kept apart from the network: y is added in the caller's precision and is never quantized. What would
//! leave the formula's range is held there and counted ([`Guards`]).

use crate::error::{DenoiseError, StepError, check_finite, check_len, part, positive, require};
use crate::model::{ScoreModel, run};
use crate::prediction::{Level, Prediction};
use crate::real::Real;

/// The law of the noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Family {
    /// Added, of this standard deviation.
    Gaussian {
        /// σ.
        sigma: f64,
    },
    /// Photon counts.
    Poisson {
        /// ζ, the signal of one count.
        zeta: f64,
        /// How `exp ψ(z + 1)` is computed.
        rule: PoissonRule,
    },
    /// Speckle of mean 1 and variance 1/k.
    Gamma {
        /// k, above 1.
        shape: f64,
    },
}

/// The factor before the exponential for Poisson noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoissonRule {
    /// y + ζ/2, as published.
    #[default]
    Half,
    /// ζ·exp ψ(y/ζ + 1), of which the published one is the expansion: exact, and better at few counts.
    Digamma,
}

/// How often a formula was held in its range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// Scores of Poisson noise that were clamped.
    pub exponent: u32,
    /// Elements of Gamma noise whose denominator came too near to 0: y is passed through.
    pub denominator: u32,
    /// Counts below 0 that were taken as 0 by [`PoissonRule::Digamma`].
    pub negative: u32,
    /// Estimates outside of the clip range.
    pub clipped: u32,
}

/// The estimator of one noise law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tweedie {
    family: Family,
    limit: f64,
    clip: Option<(f64, f64)>,
}

/// ln of the largest factor between y and its estimate, for Poisson and Gamma noise.
const LIMIT: f64 = 8.0;

impl Tweedie {
    /// For a noise law.
    ///
    /// # Errors
    /// [`DenoiseError::Level`] for a σ, ζ or k that is not finite and above 0; [`DenoiseError::Parameter`] for k ≤ 1.
    pub fn new(family: Family) -> Result<Self, DenoiseError> {
        match family {
            Family::Gaussian { sigma } => positive(sigma)?,
            Family::Poisson { zeta, .. } => positive(zeta)?,
            Family::Gamma { shape } => {
                require(positive(shape)? > 1.0)?;
                shape
            }
        };
        Ok(Tweedie { family, limit: LIMIT, clip: None })
    }

    /// Clips estimates, to 0..1 for images.
    ///
    /// # Errors
    /// [`DenoiseError::Parameter`] for an empty range.
    pub fn clipped(self, low: f64, high: f64) -> Result<Self, DenoiseError> {
        require(low < high)?;
        Ok(Tweedie { clip: Some((low, high)), ..self })
    }

    /// The noise law.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Estimates in place of their scores.
    ///
    /// # Errors
    /// [`DenoiseError::Length`], [`DenoiseError::NotFinite`]; the scores are untouched then.
    pub fn apply<T: Real>(&self, y: &[T], score: &mut [T]) -> Result<Guards, DenoiseError> {
        check_len(score, y.len())?;
        check_finite(y)?;
        check_finite(score)?;
        let mut guards = Guards::default();
        let rule = self.rule::<T>();
        y.iter().zip(score).for_each(|(&y, r)| *r = rule.estimate(y, *r, &mut guards));
        Ok(guards)
    }

    /// Denoises by one network run: estimates in `out`. `level` goes to the network. Gaussian noise takes any kind of
    /// prediction; Poisson and Gamma noise take scores. `scratch` is as long as `y` for Poisson noise, else not used.
    ///
    /// # Errors
    /// The model's; [`DenoiseError::Length`], [`DenoiseError::Buffer`], [`DenoiseError::NotFinite`];
    /// [`DenoiseError::Parameter`] for a kind of prediction that the family does not take.
    pub fn denoise<T: Real, M: ScoreModel<T>>(
        &self,
        model: &mut M,
        level: T,
        y: &[T],
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<Guards, StepError<M::Error>> {
        let kind = model.prediction();
        match self.family {
            Family::Gaussian { sigma } => {
                run(model, y, level, out)?;
                // The residual form is y + out, exactly as it stands.
                let split = Level::variance_exploding(sigma)?.split::<T>(kind);
                let mut guards = Guards::default();
                let rule = self.rule::<T>();
                y.iter().zip(out).for_each(|(&y, p)| *p = rule.clip(split.clean(y, *p), &mut guards));
                Ok(guards)
            }
            Family::Poisson { zeta, .. } => {
                require(kind == Prediction::Score)?;
                check_finite(y)?;
                let counts = part(scratch, y.len())?;
                let zeta = T::of(zeta);
                counts.iter_mut().zip(y).for_each(|(z, &y)| *z = y / zeta);
                run(model, counts, level, out)?;
                Ok(self.apply(y, out)?)
            }
            Family::Gamma { .. } => {
                require(kind == Prediction::Score)?;
                run(model, y, level, out)?;
                Ok(self.apply(y, out)?)
            }
        }
    }

    pub(crate) fn rule<T: Real>(&self) -> Rule<T> {
        Rule {
            family: match self.family {
                Family::Gaussian { sigma } => Terms::Gaussian { variance: T::of(sigma * sigma) },
                Family::Poisson { zeta, rule } => Terms::Poisson { zeta: T::of(zeta), half: T::of(zeta / 2.0), rule },
                Family::Gamma { shape } => Terms::Gamma { shape: T::of(shape), less: T::of(shape - 1.0) },
            },
            limit: T::of(self.limit),
            factor: T::of(libm::exp(-self.limit)),
            clip: self.clip.map(|(low, high)| (T::of(low), T::of(high))),
        }
    }
}

/// The posterior variance σ²·(1 + σ²·r′) under Gaussian noise, r′ being the score's derivative in that coordinate; never
/// below 0.
///
/// # Errors
/// [`DenoiseError::Level`] for a σ that is not finite and above 0, [`DenoiseError::NotFinite`] for such a derivative.
pub fn posterior_variance(sigma: f64, derivative: f64) -> Result<f64, DenoiseError> {
    let variance = positive(sigma)? * sigma;
    check_finite(&[derivative])?;
    Ok((variance * (1.0 + variance * derivative)).at_least(0.0))
}

#[derive(Clone, Copy)]
enum Terms<T> {
    Gaussian { variance: T },
    Poisson { zeta: T, half: T, rule: PoissonRule },
    Gamma { shape: T, less: T },
}

/// The formula with its constants in the signal's type.
#[derive(Clone, Copy)]
pub(crate) struct Rule<T> {
    family: Terms<T>,
    limit: T,
    /// e^−limit.
    factor: T,
    clip: Option<(T, T)>,
}

impl<T: Real> Rule<T> {
    pub fn estimate(&self, y: T, r: T, guards: &mut Guards) -> T {
        let estimate = match self.family {
            Terms::Gaussian { variance } => y + variance * r,
            Terms::Poisson { zeta, half, rule } => {
                let exponent = r.at_least(-self.limit).at_most(self.limit);
                guards.exponent += u32::from(exponent != r);
                match rule {
                    PoissonRule::Half => (y + half) * exponent.exp(),
                    PoissonRule::Digamma => {
                        let count = y / zeta;
                        guards.negative += u32::from(count < T::ZERO);
                        zeta * (T::of(digamma(count.at_least(T::ZERO).to_f64() + 1.0)) + exponent).exp()
                    }
                }
            }
            Terms::Gamma { shape, less } => {
                let below = less - y * r;
                if below > shape * self.factor {
                    shape * y / below
                } else {
                    guards.denominator += 1;
                    y
                }
            }
        };
        self.clip(estimate, guards)
    }

    fn clip(&self, estimate: T, guards: &mut Guards) -> T {
        let Some((low, high)) = self.clip else { return estimate };
        let clipped = estimate.at_least(low).at_most(high);
        guards.clipped += u32::from(clipped != estimate);
        clipped
    }
}

/// ψ(x) for x ≥ 1: the recurrence up to 10, then the asymptotic series (Abramowitz and Stegun 6.3.18).
pub(crate) fn digamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 10.0 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = y
        * (1.0 / 12.0
            - y * (1.0 / 120.0
                - y * (1.0 / 252.0
                    - y * (1.0 / 240.0 - y * (1.0 / 132.0 - y * (691.0 / 32_760.0 - y * (1.0 / 12.0)))))));
    sum + libm::log(x) - 0.5 / x - series
}
