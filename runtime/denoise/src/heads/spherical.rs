//! The Z-loss (de Brébisson and Vincent 2016): scores standardized over the classes, so that one class can be judged
//! without computing the others.

use crate::error::{DenoiseError, check_finite, check_len, index, require};
use crate::linalg::square;

/// Mean and population deviation of all scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standardized {
    mean: f64,
    deviation: f64,
    classes: usize,
}

impl Standardized {
    /// Of all scores.
    ///
    /// # Errors
    /// [`DenoiseError::NotFinite`], [`DenoiseError::Samples`] for fewer than two or scores that are all alike.
    pub fn of_scores(scores: &[f64]) -> Result<Self, DenoiseError> {
        check_finite(scores)?;
        let n = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / n;
        let power = scores.iter().fold(0.0, |sum, x| sum + (x - mean) * (x - mean));
        Self::new(mean, power / n, scores.len())
    }

    /// Of the hidden vector h alone: `mean_weights` is the mean row w̄ of the output layer W, `gram` is WᵀW. d² operations,
    /// whatever the number of classes.
    ///
    /// # Errors
    /// [`DenoiseError::Length`], [`DenoiseError::NotFinite`], [`DenoiseError::Samples`].
    pub fn of_hidden(hidden: &[f64], mean_weights: &[f64], gram: &[f64], classes: usize) -> Result<Self, DenoiseError> {
        check_len(mean_weights, hidden.len())?;
        check_len(gram, square(hidden.len())?)?;
        [hidden, mean_weights, gram].into_iter().try_for_each(check_finite)?;
        let mean = crate::real::dot(hidden, mean_weights);
        let rows = gram.chunks_exact(hidden.len());
        let squares = rows.zip(hidden).fold(0.0, |sum, (row, h)| sum + h * crate::real::dot(row, hidden));
        Self::new(mean, squares / classes as f64 - mean * mean, classes)
    }

    fn new(mean: f64, variance: f64, classes: usize) -> Result<Self, DenoiseError> {
        let spread = variance > 0.0 && classes > 1;
        if !spread {
            return Err(DenoiseError::Samples { needed: 2 });
        }
        Ok(Standardized { mean, deviation: libm::sqrt(variance), classes })
    }

    /// The mean of the scores.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Their population deviation.
    pub fn deviation(&self) -> f64 {
        self.deviation
    }

    /// A score, standardized: above a threshold the class is verified.
    pub fn score(&self, score: f64) -> f64 {
        (score - self.mean) / self.deviation
    }
}

/// ln(1 + e^x) without overflow.
fn soft_plus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

/// softplus(a·(b − z))/a of the right class' standardized score.
///
/// # Errors
/// [`DenoiseError::Parameter`] for an a that is not above 0 or numbers that are not finite.
pub fn z_loss(z: f64, a: f64, b: f64) -> Result<f64, DenoiseError> {
    require(a > 0.0 && a.is_finite() && b.is_finite() && z.is_finite())?;
    Ok(soft_plus(a * (b - z)) / a)
}

/// The loss' derivatives by all scores.
///
/// # Errors
/// Those of [`Standardized::of_scores`] and [`z_loss`]; [`DenoiseError::Length`], [`DenoiseError::Step`] for a target that
/// does not exist.
pub fn z_loss_gradient(scores: &[f64], target: usize, a: f64, b: f64, out: &mut [f64]) -> Result<(), DenoiseError> {
    check_len(out, scores.len())?;
    let all = Standardized::of_scores(scores)?;
    let own = all.score(*scores.get(target).ok_or(DenoiseError::Step { step: index(target) })?);
    z_loss(own, a, b)?;
    let slope = 1.0 / (1.0 + libm::exp(a * (own - b)));
    let n = all.classes as f64;
    for (i, (out, &score)) in out.iter_mut().zip(scores).enumerate() {
        let one = f64::from(u8::from(i == target));
        *out = -slope * (one - 1.0 / n - all.score(score) * own / n) / all.deviation;
    }
    Ok(())
}
