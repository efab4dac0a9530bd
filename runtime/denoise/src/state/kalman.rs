//! The Kalman filter and the smoother of Rauch, Tung and Striebel (1965), for D states and O observations.
//!
//! Updates take Joseph's form, which keeps covariances symmetric and positive under rounding.

use crate::error::{DenoiseError, check_finite};
use crate::real::Real;

/// R rows of C columns.
pub type Matrix<T, const R: usize, const C: usize> = [[T; C]; R];

/// Mean and covariance of a state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaussian<T, const D: usize> {
    /// Mean.
    pub mean: [T; D],
    /// Covariance.
    pub covariance: Matrix<T, D, D>,
}

/// x′ = F·x + w, w ~ N(0, Q).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kalman<T, const D: usize> {
    /// F.
    pub transition: Matrix<T, D, D>,
    /// Q.
    pub noise: Matrix<T, D, D>,
}

/// y = H·x + v, v ~ N(0, R).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation<T, const D: usize, const O: usize> {
    /// H.
    pub matrix: Matrix<T, O, D>,
    /// R.
    pub noise: Matrix<T, O, O>,
}

/// How an observation fits what was expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Innovation<T> {
    /// (y − H·m)ᵀ·S⁻¹·(y − H·m): χ² with O degrees of freedom. A gate refuses what lies above a quantile.
    pub distance: T,
    /// ln p(y).
    pub log_likelihood: T,
}

impl<T: Real, const D: usize> Kalman<T, D> {
    /// The law one step on.
    ///
    /// # Errors
    /// [`DenoiseError::NotFinite`] with the coordinate.
    pub fn predict(&self, state: &Gaussian<T, D>) -> Result<Gaussian<T, D>, DenoiseError> {
        let covariance =
            add(&times(&times(&self.transition, &state.covariance), &transpose(&self.transition)), &self.noise);
        checked(Gaussian { mean: apply(&self.transition, &state.mean), covariance })
    }
}

impl<T: Real, const D: usize, const O: usize> Observation<T, D, O> {
    /// How an observation fits, without taking it in.
    ///
    /// # Errors
    /// [`DenoiseError::NotFinite`], [`DenoiseError::Matrix`] where the covariance of y is not positive definite.
    pub fn innovation(&self, state: &Gaussian<T, D>, y: &[T; O]) -> Result<Innovation<T>, DenoiseError> {
        let (residual, factor) = self.residual(state, y)?;
        let mut log_determinant = T::ZERO;
        let half_solved = lower_solve(&factor, &residual);
        let mut distance = T::ZERO;
        for (i, x) in half_solved.iter().enumerate() {
            distance += *x * *x;
            log_determinant += factor[i][i].ln();
        }
        let constant = T::of(O as f64 * 0.5 * LN_TAU);
        let log_likelihood = -(T::of(0.5) * distance) - log_determinant - constant;
        Ok(Innovation { distance, log_likelihood })
    }

    /// The law after an observation. A missing one is left out: the state stays as it was predicted.
    ///
    /// # Errors
    /// Those of [`Observation::innovation`].
    pub fn update(&self, state: &Gaussian<T, D>, y: &[T; O]) -> Result<Gaussian<T, D>, DenoiseError> {
        let (residual, factor) = self.residual(state, y)?;
        // K = P·Hᵀ·S⁻¹, row by row: S is symmetric.
        let cross = times(&state.covariance, &transpose(&self.matrix));
        let mut gain = cross;
        gain.iter_mut().for_each(|row| *row = upper_solve(&factor, &lower_solve(&factor, row)));
        let mut mean = apply(&gain, &residual);
        mean.iter_mut().zip(&state.mean).for_each(|(to, &from)| *to += from);
        // (I − K·H)·P·(I − K·H)ᵀ + K·R·Kᵀ.
        let mut left = times(&gain, &self.matrix);
        for (i, row) in left.iter_mut().enumerate() {
            for (j, x) in row.iter_mut().enumerate() {
                *x = if i == j { T::ONE - *x } else { -*x };
            }
        }
        let kept = times(&times(&left, &state.covariance), &transpose(&left));
        let added = times(&times(&gain, &self.noise), &transpose(&gain));
        checked(Gaussian { mean, covariance: add(&kept, &added) })
    }

    /// y − H·m and Cholesky's factor of S = H·P·Hᵀ + R.
    fn residual(&self, state: &Gaussian<T, D>, y: &[T; O]) -> Result<([T; O], Matrix<T, O, O>), DenoiseError> {
        check_finite(y)?;
        let expected = apply(&self.matrix, &state.mean);
        let residual = core::array::from_fn(|i| y[i] - expected[i]);
        let s = add(&times(&times(&self.matrix, &state.covariance), &transpose(&self.matrix)), &self.noise);
        Ok((residual, cholesky(s)?))
    }
}

const LN_TAU: f64 = 1.837_877_066_409_345_5;

/// One step back of the smoother: the law of x_t given all observations, from the filter's law at t, its prediction for
/// t + 1, and the smoothed law at t + 1. The second result is the gain G; `G·P_{t+1|T}` is the covariance of x_t with x_{t+1}.
///
/// # Errors
/// [`DenoiseError::Matrix`] where the prediction's covariance is not positive definite; [`DenoiseError::NotFinite`].
pub fn rts_step<T: Real, const D: usize>(
    model: &Kalman<T, D>,
    filtered: &Gaussian<T, D>,
    predicted: &Gaussian<T, D>,
    smoothed: &Gaussian<T, D>,
) -> Result<(Gaussian<T, D>, Matrix<T, D, D>), DenoiseError> {
    let factor = cholesky(predicted.covariance)?;
    let mut gain = times(&filtered.covariance, &transpose(&model.transition));
    gain.iter_mut().for_each(|row| *row = upper_solve(&factor, &lower_solve(&factor, row)));
    let ahead = core::array::from_fn(|i| smoothed.mean[i] - predicted.mean[i]);
    let mut mean = apply(&gain, &ahead);
    mean.iter_mut().zip(&filtered.mean).for_each(|(to, &from)| *to += from);
    let mut difference = smoothed.covariance;
    for (row, less) in difference.iter_mut().zip(&predicted.covariance) {
        row.iter_mut().zip(less).for_each(|(x, &less)| *x -= less);
    }
    let covariance = add(&filtered.covariance, &times(&times(&gain, &difference), &transpose(&gain)));
    Ok((checked(Gaussian { mean, covariance })?, gain))
}

fn checked<T: Real, const D: usize>(state: Gaussian<T, D>) -> Result<Gaussian<T, D>, DenoiseError> {
    check_finite(&state.mean)?;
    state.covariance.iter().try_for_each(|row| check_finite(row))?;
    Ok(state)
}

fn transpose<T: Real, const R: usize, const C: usize>(a: &Matrix<T, R, C>) -> Matrix<T, C, R> {
    core::array::from_fn(|i| core::array::from_fn(|j| a[j][i]))
}

fn times<T: Real, const R: usize, const K: usize, const C: usize>(
    a: &Matrix<T, R, K>,
    b: &Matrix<T, K, C>,
) -> Matrix<T, R, C> {
    core::array::from_fn(|i| core::array::from_fn(|j| (0..K).fold(T::ZERO, |sum, k| sum + a[i][k] * b[k][j])))
}

fn apply<T: Real, const R: usize, const C: usize>(a: &Matrix<T, R, C>, x: &[T; C]) -> [T; R] {
    core::array::from_fn(|i| a[i].iter().zip(x).fold(T::ZERO, |sum, (&a, &x)| sum + a * x))
}

fn add<T: Real, const R: usize, const C: usize>(a: &Matrix<T, R, C>, b: &Matrix<T, R, C>) -> Matrix<T, R, C> {
    core::array::from_fn(|i| core::array::from_fn(|j| a[i][j] + b[i][j]))
}

/// L with L·Lᵀ = a.
fn cholesky<T: Real, const N: usize>(a: Matrix<T, N, N>) -> Result<Matrix<T, N, N>, DenoiseError> {
    let mut l = [[T::ZERO; N]; N];
    for i in 0..N {
        for j in 0..=i {
            let sum = (0..j).fold(a[i][j], |sum, k| sum - l[i][k] * l[j][k]);
            if i == j {
                let positive = sum > T::ZERO && sum.is_finite();
                if !positive {
                    return Err(DenoiseError::Matrix { row: crate::error::index(i) });
                }
                l[i][i] = sum.sqrt();
            } else {
                l[i][j] = sum / l[j][j];
            }
        }
    }
    Ok(l)
}

fn lower_solve<T: Real, const N: usize>(l: &Matrix<T, N, N>, b: &[T; N]) -> [T; N] {
    let mut x = *b;
    for i in 0..N {
        let sum = (0..i).fold(x[i], |sum, k| sum - l[i][k] * x[k]);
        x[i] = sum / l[i][i];
    }
    x
}

/// Solves Lᵀ·x = b.
fn upper_solve<T: Real, const N: usize>(l: &Matrix<T, N, N>, b: &[T; N]) -> [T; N] {
    let mut x = *b;
    for i in (0..N).rev() {
        let sum = (i + 1..N).fold(x[i], |sum, k| sum - l[k][i] * x[k]);
        x[i] = sum / l[i][i];
    }
    x
}
