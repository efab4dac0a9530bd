//! The score of a Gaussian law under Gaussian noise: the best linear denoiser (Wiener 1949), and the one case in which
//! every sampler's result is known exactly.

use crate::error::{DenoiseError, check_finite, check_len, index};
use crate::linalg::square;
use crate::model::ScoreModel;
use crate::prediction::Prediction;
use crate::real::Real;

/// −(C + σ²·I)⁻¹·(x − m) for any σ, from the eigenvectors of C. Its level is σ; 0 is the law without noise. It is also what
/// AR-DAE training (Lim et al. 2020; Noise2Score) would find for such data.
#[derive(Debug)]
pub struct GaussianScore<'a> {
    mean: &'a [f64],
    vectors: &'a [f64],
    values: &'a [f64],
}

impl<'a> GaussianScore<'a> {
    /// Of a mean, and eigenvectors in columns with their eigenvalues, as [`crate::eigen_symmetric`] gives them.
    ///
    /// # Errors
    /// [`DenoiseError::Length`], [`DenoiseError::NotFinite`], [`DenoiseError::Matrix`] for a negative eigenvalue.
    pub fn new(mean: &'a [f64], vectors: &'a [f64], values: &'a [f64]) -> Result<Self, DenoiseError> {
        check_len(vectors, square(mean.len())?)?;
        check_len(values, mean.len())?;
        [mean, vectors, values].into_iter().try_for_each(check_finite)?;
        match values.iter().position(|&value| value < 0.0) {
            None => Ok(GaussianScore { mean, vectors, values }),
            Some(row) => Err(DenoiseError::Matrix { row: index(row) }),
        }
    }
}

impl<T: Real> ScoreModel<T> for GaussianScore<'_> {
    type Error = DenoiseError;

    fn prediction(&self) -> Prediction {
        Prediction::Score
    }

    fn predict(&mut self, x: &[T], level: T, out: &mut [T]) -> Result<(), DenoiseError> {
        let n = self.mean.len();
        check_len(x, n)?;
        check_len(out, n)?;
        let variance = level.to_f64() * level.to_f64();
        out.fill(T::ZERO);
        for (k, &value) in self.values.iter().enumerate() {
            let along = (0..n).fold(0.0, |sum, i| sum + self.vectors[i * n + k] * (x[i].to_f64() - self.mean[i]));
            let power = value + variance;
            let positive = power > 0.0;
            if !positive {
                return Err(DenoiseError::Level);
            }
            for (i, out) in out.iter_mut().enumerate() {
                *out -= T::of(self.vectors[i * n + k] * along / power);
            }
        }
        Ok(())
    }
}
