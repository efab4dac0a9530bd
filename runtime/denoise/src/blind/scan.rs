//! Noise2Score's search of the noise parameter (Kim and Ye 2021): the parameter whose estimate has least total variation,
//! with a term of the likelihood for Poisson and Gamma noise.

use super::Plane;
use crate::error::{DenoiseError, StepError, check_finite, check_len, part, require};
use crate::model::{ScoreModel, run};
use crate::prediction::Prediction;
use crate::real::Real;
use crate::tweedie::{Family, Guards, PoissonRule, Tweedie};

/// Under the root of the Charbonnier penalty.
const EPSILON: f64 = 1e-12;

/// The candidates of a family, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// σ from 6/255 to 55/255, 50 of them.
    Gaussian,
    /// ζ from 0.1 down to 0.005, 100 of them.
    Poisson,
    /// k from 40 to 120, 80 of them.
    Gamma,
}

impl Candidates {
    /// How many.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(self) -> usize {
        match self {
            Candidates::Gaussian => 50,
            Candidates::Poisson => 100,
            Candidates::Gamma => 80,
        }
    }

    /// A candidate.
    pub fn parameter(self, index: usize) -> f64 {
        let i = index as f64;
        match self {
            Candidates::Gaussian => (5.0 + 50.0 * (i + 1.0) / 50.0) / 255.0,
            Candidates::Poisson => 0.1 + (0.005 - 0.1) * i / 99.0,
            Candidates::Gamma => 40.0 + 80.0 * (i + 1.0) / 80.0,
        }
    }

    /// The noise law with a candidate.
    pub fn family(self, index: usize) -> Family {
        let parameter = self.parameter(index);
        match self {
            Candidates::Gaussian => Family::Gaussian { sigma: parameter },
            Candidates::Poisson => Family::Poisson { zeta: parameter, rule: PoissonRule::Half },
            Candidates::Gamma => Family::Gamma { shape: parameter },
        }
    }
}

/// The candidate that won: the first of those with least penalty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Which candidate.
    pub index: usize,
    /// Its parameter.
    pub parameter: f64,
    /// Its penalty.
    pub penalty: f64,
}

/// Charbonnier total variation: the mean of √(d² + 1e-12) over vertical differences and that over horizontal ones.
pub fn total_variation<T: Real>(image: &Plane<'_, T>) -> f64 {
    variation(image.shape(), |row, column| image.at(row, column).to_f64())
}

fn variation((height, width): (usize, usize), at: impl Fn(usize, usize) -> f64) -> f64 {
    let (mut down, mut across) = (0.0, 0.0);
    for row in 0..height {
        for column in 0..width {
            let here = at(row, column);
            let cost = |there: f64| libm::sqrt((there - here) * (there - here) + EPSILON);
            if row + 1 < height {
                down += cost(at(row + 1, column));
            }
            if column + 1 < width {
                across += cost(at(row, column + 1));
            }
        }
    }
    let mean = |sum: f64, count: usize| if count == 0 { 0.0 } else { sum / count as f64 };
    mean(down, (height - 1) * width) + mean(across, height * (width - 1))
}

fn penalty_of<T: Real>(candidates: Candidates, y: &Plane<'_, T>, estimate: impl Fn(usize, usize) -> f64) -> f64 {
    let tv = variation(y.shape(), &estimate);
    let (height, width) = y.shape();
    let (mut sum, mut count) = (0.0, 0u32);
    if candidates != Candidates::Gaussian {
        for place in 0..height * width {
            let (row, column) = (place / width, place % width);
            let (x, y) = (estimate(row, column), y.at(row, column).to_f64());
            if x > 0.0 {
                count += 1;
                sum += match candidates {
                    Candidates::Poisson => x - y * libm::log(x),
                    _ => libm::log(x) + y / x + (y / x) * (y / x),
                };
            }
        }
    }
    match candidates {
        Candidates::Gaussian => tv,
        // No estimate above 0 explains anything.
        _ if count == 0 => f64::INFINITY,
        Candidates::Poisson => 0.1 * tv + sum / f64::from(count),
        Candidates::Gamma => tv + sum / f64::from(count),
    }
}

/// The penalty of an estimate. Terms of the likelihood are means over the estimates above 0.
///
/// # Errors
/// [`DenoiseError::Length`] for planes of different shape, [`DenoiseError::NotFinite`].
pub fn penalty<T: Real>(
    candidates: Candidates,
    y: &Plane<'_, T>,
    estimate: &Plane<'_, T>,
) -> Result<f64, DenoiseError> {
    if y.shape() != estimate.shape() {
        return Err(DenoiseError::Shape);
    }
    check_finite(y.data)?;
    check_finite(estimate.data)?;
    Ok(penalty_of(candidates, y, |row, column| estimate.at(row, column).to_f64()))
}

/// The first of the least.
fn better(found: &mut Option<Found>, candidates: Candidates, index: usize, penalty: f64) {
    if found.is_none_or(|found| penalty < found.penalty) {
        *found = Some(Found { index, parameter: candidates.parameter(index), penalty });
    }
}

/// Scans Gaussian or Gamma candidates with one score, which does not depend on them: no memory, each estimate is computed
/// where it is needed. `score` is laid out as the data of `y`.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`]; [`DenoiseError::Parameter`] for Poisson noise, whose score
/// depends on ζ: see [`scan_poisson`].
pub fn scan<T: Real>(candidates: Candidates, y: &Plane<'_, T>, score: &[T]) -> Result<Found, DenoiseError> {
    require(candidates != Candidates::Poisson)?;
    check_len(score, y.data.len())?;
    check_finite(y.data)?;
    check_finite(score)?;
    let mut found = None;
    for index in 0..candidates.len() {
        let rule = Tweedie::new(candidates.family(index))?.rule::<T>();
        let estimate = |row, column| {
            let place = y.place(row, column);
            rule.estimate(y.data[place], score[place], &mut Guards::default()).to_f64()
        };
        better(&mut found, candidates, index, penalty_of(candidates, y, estimate));
    }
    found.ok_or(DenoiseError::Samples { needed: 1 })
}

/// Scans the Poisson candidates, with a network run for each. `scratch` has at least twice as many elements as `y`.
///
/// # Errors
/// The model's; [`DenoiseError::Buffer`], [`DenoiseError::NotFinite`], [`DenoiseError::Parameter`] for a model that does
/// not predict scores.
pub fn scan_poisson<T: Real, M: ScoreModel<T>>(
    model: &mut M,
    level: T,
    y: &Plane<'_, T>,
    scratch: &mut [T],
) -> Result<Found, StepError<M::Error>> {
    require(model.prediction() == Prediction::Score)?;
    let len = y.data.len();
    let (counts, score) = part(scratch, 2 * len)?.split_at_mut(len);
    let candidates = Candidates::Poisson;
    let mut found = None;
    for index in 0..candidates.len() {
        let zeta = T::of(candidates.parameter(index));
        counts.iter_mut().zip(y.data).for_each(|(z, &y)| *z = y / zeta);
        run(model, counts, level, score)?;
        let rule = Tweedie::new(candidates.family(index))?.rule::<T>();
        let estimate = |row, column| {
            let place = y.place(row, column);
            rule.estimate(y.data[place], score[place], &mut Guards::default()).to_f64()
        };
        better(&mut found, candidates, index, penalty_of(candidates, y, estimate));
    }
    Ok(found.ok_or(DenoiseError::Samples { needed: 1 })?)
}
