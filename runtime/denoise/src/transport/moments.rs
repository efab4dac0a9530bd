//! Mean and covariance in one pass, mergeable (Chan, Golub and LeVeque 1979).

use crate::error::{DenoiseError, check_finite, check_len, index, part};
use crate::real::Real;

/// Count, mean and sums of products of differences from the mean, in f64 in memory of the caller.
#[derive(Debug)]
pub struct Moments<'b> {
    count: u64,
    dimension: usize,
    mean: &'b mut [f64],
    products: &'b mut [f64],
}

impl<'b> Moments<'b> {
    /// Elements that the moments of vectors of a dimension take.
    pub const fn len(dimension: usize) -> usize {
        dimension * (dimension + 1)
    }

    /// Of nothing yet. The buffer has [`Moments::len`] elements.
    ///
    /// # Errors
    /// [`DenoiseError::Shape`] for no dimension, [`DenoiseError::Buffer`].
    pub fn new(dimension: usize, buffer: &'b mut [f64]) -> Result<Self, DenoiseError> {
        let needed = (dimension.checked_add(1).and_then(|more| dimension.checked_mul(more)))
            .filter(|&n| n > 0)
            .ok_or(DenoiseError::Shape)?;
        let buffer = part(buffer, needed)?;
        buffer.fill(0.0);
        let (mean, products) = buffer.split_at_mut(dimension);
        Ok(Moments { count: 0, dimension, mean, products })
    }

    /// Of moments that were computed elsewhere: mean, and covariance with n − 1 below the line.
    ///
    /// # Errors
    /// Those of [`Moments::new`]; [`DenoiseError::Length`], [`DenoiseError::NotFinite`].
    pub fn resume(count: u64, mean: &[f64], covariance: &[f64], buffer: &'b mut [f64]) -> Result<Self, DenoiseError> {
        let moments = Self::new(mean.len(), buffer)?;
        check_len(covariance, moments.products.len())?;
        check_finite(mean)?;
        check_finite(covariance)?;
        moments.mean.copy_from_slice(mean);
        let less = count.saturating_sub(1) as f64;
        moments.products.iter_mut().zip(covariance).for_each(|(sum, &c)| *sum = c * less);
        Ok(Moments { count, ..moments })
    }

    /// Vectors seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean; zeros for none.
    pub fn mean(&self) -> &[f64] {
        self.mean
    }

    /// Takes in a vector.
    ///
    /// # Errors
    /// [`DenoiseError::Length`], [`DenoiseError::NotFinite`]; nothing is taken in then.
    pub fn push<T: Real>(&mut self, x: &[T]) -> Result<(), DenoiseError> {
        check_len(x, self.dimension)?;
        check_finite(x)?;
        let before = self.count as f64;
        self.count += 1;
        let n = self.count as f64;
        // Σ(x − m)(x − m)ᵀ grows by (n − 1)/n·d·dᵀ, d being the difference from the old mean.
        for (i, row) in self.products.chunks_exact_mut(self.dimension).enumerate() {
            let left = (x[i].to_f64() - self.mean[i]) * (before / n);
            for ((sum, &x), &mean) in row.iter_mut().zip(x).zip(&*self.mean) {
                *sum += left * (x.to_f64() - mean);
            }
        }
        self.mean.iter_mut().zip(x).for_each(|(mean, &x)| *mean += (x.to_f64() - *mean) / n);
        Ok(())
    }

    /// Takes in the vectors of other moments.
    ///
    /// # Errors
    /// [`DenoiseError::Length`] for another dimension.
    pub fn merge(&mut self, other: &Moments<'_>) -> Result<(), DenoiseError> {
        check_len(other.mean, self.dimension)?;
        if other.count == 0 {
            return Ok(());
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let n = a + b;
        for (i, row) in self.products.chunks_exact_mut(self.dimension).enumerate() {
            let left = (other.mean[i] - self.mean[i]) * (a * b / n);
            let others = other.products.chunks_exact(self.dimension).nth(i).unwrap_or(&[]);
            for ((sum, &more), (&to, &from)) in row.iter_mut().zip(others).zip(other.mean.iter().zip(&*self.mean)) {
                *sum += more + left * (to - from);
            }
        }
        self.mean.iter_mut().zip(&*other.mean).for_each(|(mean, &to)| *mean += (to - *mean) * (b / n));
        self.count += other.count;
        Ok(())
    }

    /// The unbiased covariance, row by row.
    ///
    /// # Errors
    /// [`DenoiseError::Samples`] for fewer than two vectors, [`DenoiseError::Length`].
    pub fn covariance(&self, out: &mut [f64]) -> Result<(), DenoiseError> {
        check_len(out, self.products.len())?;
        if self.count < 2 {
            return Err(DenoiseError::Samples { needed: 2 });
        }
        let less = (self.count - 1) as f64;
        out.iter_mut().zip(&*self.products).for_each(|(out, &sum)| *out = sum / less);
        Ok(())
    }

    /// The variance of a coordinate with n below the line.
    ///
    /// # Errors
    /// [`DenoiseError::Samples`] for none, [`DenoiseError::Step`] for a coordinate that does not exist.
    pub fn population_variance(&self, coordinate: usize) -> Result<f64, DenoiseError> {
        if self.count == 0 {
            return Err(DenoiseError::Samples { needed: 1 });
        }
        if coordinate >= self.dimension {
            return Err(DenoiseError::Step { step: index(coordinate) });
        }
        Ok(self.products[coordinate * (self.dimension + 1)] / self.count as f64)
    }
}
