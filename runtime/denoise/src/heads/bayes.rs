//! Generative heads on features of a frozen network: Gaussian classes with shared variances fold into one linear layer
//! (Zheng et al. 2023, "Revisiting discriminative vs. generative classifiers").

use crate::error::{DenoiseError, check_finite, check_len, index, part};
use crate::linalg::solve_positive;
use crate::transport::Moments;

/// Added to every variance.
const FLOOR: f64 = 1e-9;

/// A head of one linear layer: scores W·x + b.
#[derive(Debug)]
pub struct GaussianHead<'b> {
    weights: &'b mut [f64],
    bias: &'b mut [f64],
}

impl<'b> GaussianHead<'b> {
    /// Elements of a head's buffer.
    pub const fn len(classes: usize, dimension: usize) -> usize {
        classes * (dimension + 1)
    }

    /// Naive Bayes: W = μ/v, b = ln π − ½Σμ²/v, with v the population variances of the classes, pooled by prior. Pass the
    /// moments of each class' features.
    ///
    /// # Errors
    /// [`DenoiseError::Samples`] for a class without features, [`DenoiseError::Length`] for classes of different dimension,
    /// [`DenoiseError::Buffer`].
    pub fn naive_bayes(classes: &[Moments<'_>], buffer: &'b mut [f64]) -> Result<Self, DenoiseError> {
        let (head, dimension, total) = Self::start(classes, buffer)?;
        for j in 0..dimension {
            let mut pooled = 0.0;
            for class in classes {
                pooled += (class.population_variance(j)? + FLOOR) * (class.count() as f64 / total);
            }
            for ((class, row), bias) in
                classes.iter().zip(head.weights.chunks_exact_mut(dimension)).zip(head.bias.iter_mut())
            {
                let mean = class.mean()[j];
                row[j] = mean / pooled;
                *bias -= 0.5 * (mean * mean / pooled);
            }
        }
        Ok(head)
    }

    /// Linear discriminant analysis: the same with the pooled covariance. `work` has dimension² elements twice.
    ///
    /// # Errors
    /// Those of [`GaussianHead::naive_bayes`]; [`DenoiseError::Matrix`] where the pooled covariance is singular.
    pub fn linear_discriminant(
        classes: &[Moments<'_>],
        work: &mut [f64],
        buffer: &'b mut [f64],
    ) -> Result<Self, DenoiseError> {
        let (head, dimension, total) = Self::start(classes, buffer)?;
        let size = dimension * dimension;
        let (pooled, one) = part(work, 2 * size)?.split_at_mut(size);
        pooled.fill(0.0);
        for class in classes.iter().filter(|class| class.count() > 1) {
            class.covariance(one)?;
            let share = (class.count() - 1) as f64 / total;
            pooled.iter_mut().zip(&*one).for_each(|(sum, x)| *sum += share * x);
        }
        (0..dimension).for_each(|i| pooled[i * (dimension + 1)] += FLOOR);
        for (class, row) in classes.iter().zip(head.weights.chunks_exact_mut(dimension)) {
            row.copy_from_slice(class.mean());
        }
        solve_positive(pooled, dimension, head.weights)?;
        for ((class, row), bias) in classes.iter().zip(head.weights.chunks_exact(dimension)).zip(head.bias.iter_mut()) {
            *bias -= 0.5 * crate::real::dot(class.mean(), row);
        }
        Ok(head)
    }

    /// Zero weights, and the logarithms of the priors.
    fn start(classes: &[Moments<'_>], buffer: &'b mut [f64]) -> Result<(Self, usize, f64), DenoiseError> {
        let dimension = classes.first().ok_or(DenoiseError::Shape)?.mean().len();
        for class in classes {
            check_len(class.mean(), dimension)?;
            if class.count() == 0 {
                return Err(DenoiseError::Samples { needed: 1 });
            }
        }
        let total = classes.iter().map(Moments::count).sum::<u64>() as f64;
        let (weights, bias) =
            part(buffer, Self::len(classes.len(), dimension))?.split_at_mut(classes.len() * dimension);
        weights.fill(0.0);
        bias.iter_mut().zip(classes).for_each(|(b, class)| *b = libm::log(class.count() as f64 / total));
        Ok((GaussianHead { weights, bias }, dimension, total))
    }

    /// W, class by class.
    pub fn weights(&self) -> &[f64] {
        self.weights
    }

    /// b.
    pub fn bias(&self) -> &[f64] {
        self.bias
    }

    /// Scores of the classes.
    ///
    /// # Errors
    /// [`DenoiseError::Length`], [`DenoiseError::NotFinite`].
    pub fn scores(&self, features: &[f64], out: &mut [f64]) -> Result<(), DenoiseError> {
        check_len(out, self.bias.len())?;
        check_len(features, self.weights.len() / self.bias.len())?;
        check_finite(features)?;
        for ((out, row), bias) in out.iter_mut().zip(self.weights.chunks_exact(features.len())).zip(&*self.bias) {
            *out = bias + crate::real::dot(row, features);
        }
        Ok(())
    }

    /// The class of the largest score; the first of equals.
    ///
    /// # Errors
    /// Those of [`GaussianHead::scores`].
    pub fn class(&self, features: &[f64]) -> Result<usize, DenoiseError> {
        check_len(features, self.weights.len() / self.bias.len())?;
        check_finite(features)?;
        let mut best = (f64::NEG_INFINITY, 0);
        for (class, (row, bias)) in self.weights.chunks_exact(features.len()).zip(&*self.bias).enumerate() {
            let score = bias + crate::real::dot(row, features);
            if score > best.0 {
                best = (score, class);
            }
        }
        // At least one class has a finite score: it is better than −∞.
        if best.0 == f64::NEG_INFINITY {
            return Err(DenoiseError::NotFinite { index: index(0) });
        }
        Ok(best.1)
    }
}
