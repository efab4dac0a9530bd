//! Ridge regression in one pass: normal equations that are added to row by row and solved when they are needed.

use crate::error::{DenoiseError, check_finite, check_len, index, require};

/// Σw·xxᵀ and Σw·xy of D features.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormalEquations<const D: usize> {
    gram: [[f64; D]; D],
    moment: [f64; D],
}

impl<const D: usize> Default for NormalEquations<D> {
    fn default() -> Self {
        NormalEquations { gram: [[0.0; D]; D], moment: [0.0; D] }
    }
}

impl<const D: usize> NormalEquations<D> {
    /// Of no rows yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a row. Rows of any kind mix: single examples, means of bags, rows distilled from larger sets.
    ///
    /// # Errors
    /// [`DenoiseError::NotFinite`], [`DenoiseError::Parameter`] for a negative weight.
    pub fn push(&mut self, x: &[f64; D], y: f64, weight: f64) -> Result<(), DenoiseError> {
        check_finite(x)?;
        check_finite(&[y])?;
        require(weight >= 0.0 && weight.is_finite())?;
        for ((row, moment), left) in self.gram.iter_mut().zip(&mut self.moment).zip(x) {
            row.iter_mut().zip(x).for_each(|(sum, right)| *sum += weight * left * right);
            *moment += weight * left * y;
        }
        Ok(())
    }

    /// Takes in the rows of others.
    pub fn merge(&mut self, other: &Self) {
        for (row, more) in self.gram.iter_mut().zip(&other.gram) {
            row.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
        self.moment.iter_mut().zip(&other.moment).for_each(|(sum, more)| *sum += more);
    }

    /// θ of least Σw·(y − θ·x)² + λ·‖θ‖².
    ///
    /// # Errors
    /// [`DenoiseError::Matrix`] where rows and λ do not determine it, [`DenoiseError::Parameter`] for a negative λ.
    pub fn solve(&self, lambda: f64) -> Result<[f64; D], DenoiseError> {
        require(lambda >= 0.0 && lambda.is_finite())?;
        let mut a = self.gram;
        (0..D).for_each(|i| a[i][i] += lambda);
        let mut theta = self.moment;
        if D == 0 {
            return Err(DenoiseError::Shape);
        }
        check_len(a.as_flattened(), D * D)?;
        crate::linalg::solve_positive(a.as_flattened_mut(), D, &mut theta)?;
        match theta.iter().position(|x| !x.is_finite()) {
            None => Ok(theta),
            Some(row) => Err(DenoiseError::Matrix { row: index(row) }),
        }
    }
}
