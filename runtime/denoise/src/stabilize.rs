//! Poisson and Gamma noise made Gaussian of one level, so that a denoiser of Gaussian noise takes them too.
//!
//! | noise | forward | level of the noise there | back |
//! |---|---|---|---|
//! | Gaussian σ | y | σ | x |
//! | Poisson ζ | 2·√(y/ζ + ⅜) (Anscombe 1948) | 1 | the exact unbiased inverse, in closed form (Mäkitalo and Foi 2011) |
//! | Gamma k | ln y | √ψ′(k) | k·exp(z − ψ(k)), which has no bias in the logarithm |
//!
//! What is transformed is then brought to 0..1 for signals of 0..1, which is what networks are trained on.

use crate::error::{DenoiseError, check_finite, check_len};
use crate::real::Real;
use crate::tweedie::{Family, Tweedie, digamma};

/// Darker signals under Gamma noise are taken as this: half of a step of 8 bits.
const FLOOR: f64 = 0.5 / 255.0;

/// A transform for one noise law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stabilizer {
    family: Family,
    low: f64,
    scale: f64,
    sigma: f64,
}

impl Stabilizer {
    /// For signals of 0..1.
    ///
    /// # Errors
    /// Those of [`Tweedie::new`].
    pub fn new(family: Family) -> Result<Self, DenoiseError> {
        Tweedie::new(family)?;
        let (low, high, sigma) = match family {
            Family::Gaussian { sigma } => (0.0, 1.0, sigma),
            Family::Poisson { zeta, .. } => (anscombe(0.0, zeta), anscombe(1.0, zeta), 1.0),
            Family::Gamma { shape } => (libm::log(FLOOR), 0.0, libm::sqrt(trigamma(shape))),
        };
        let scale = 1.0 / (high - low);
        Ok(Stabilizer { family, low, scale, sigma: sigma * scale })
    }

    /// The standard deviation of the noise behind the transform.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// Transforms observations in place.
    ///
    /// # Errors
    /// [`DenoiseError::NotFinite`]; nothing is changed then.
    pub fn forward<T: Real>(&self, y: &mut [T]) -> Result<(), DenoiseError> {
        check_finite(y)?;
        if !matches!(self.family, Family::Gaussian { .. }) {
            y.iter_mut().for_each(|y| *y = T::of((self.transform(y.to_f64()) - self.low) * self.scale));
        }
        Ok(())
    }

    /// Brings estimates back in place.
    ///
    /// # Errors
    /// [`DenoiseError::NotFinite`]; nothing is changed then.
    pub fn inverse<T: Real>(&self, x: &mut [T]) -> Result<(), DenoiseError> {
        check_finite(x)?;
        if !matches!(self.family, Family::Gaussian { .. }) {
            x.iter_mut().for_each(|x| *x = T::of(self.back(x.to_f64() / self.scale + self.low)));
        }
        Ok(())
    }

    fn transform(&self, y: f64) -> f64 {
        match self.family {
            Family::Gaussian { .. } => y,
            Family::Poisson { zeta, .. } => anscombe(y, zeta),
            Family::Gamma { .. } => libm::log(y.at_least(FLOOR)),
        }
    }

    fn back(&self, z: f64) -> f64 {
        match self.family {
            Family::Gaussian { .. } => z,
            Family::Poisson { zeta, .. } => zeta * unbiased_counts(z),
            Family::Gamma { shape } => shape * libm::exp(z - digamma(shape)),
        }
    }
}

fn anscombe(y: f64, zeta: f64) -> f64 {
    2.0 * libm::sqrt(y.at_least(0.0) / zeta + 0.375)
}

/// Mean counts whose transform has the mean `z`.
fn unbiased_counts(z: f64) -> f64 {
    const ROOT: f64 = 1.224_744_871_391_589; // √(3/2)
    if z < 2.0 * libm::sqrt(0.375) {
        return 0.0;
    }
    let inverse = 1.0 / z;
    let counts =
        0.25 * z * z + inverse * (0.25 * ROOT + inverse * (-11.0 / 8.0 + inverse * (5.0 / 8.0 * ROOT))) - 0.125;
    counts.at_least(0.0)
}

/// The derivative of ψ, by its recurrence and its asymptotic series.
fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 10.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = y * (1.0 / 6.0 - y * (1.0 / 30.0 - y * (1.0 / 42.0 - y * (1.0 / 30.0 - y * (5.0 / 66.0)))));
    sum + 1.0 / x + 0.5 * y + series / x
}

/// The ζ of Poisson noise, blindly: the square of the noise level of 2·√y, which `scratch` receives. `level` is a blind
/// estimate such as [`crate::blind::noise_level`].
///
/// # Errors
/// Those of `level`; [`DenoiseError::Length`] for a scratch of another length than `y`; [`DenoiseError::NotFinite`].
pub fn blind_zeta<T: Real>(
    y: &[T],
    scratch: &mut [T],
    level: impl FnOnce(&[T]) -> Result<f64, DenoiseError>,
) -> Result<f64, DenoiseError> {
    check_len(scratch, y.len())?;
    check_finite(y)?;
    scratch.iter_mut().zip(y).for_each(|(to, y)| *to = T::of(2.0 * libm::sqrt(y.to_f64().at_least(0.0))));
    level(scratch).map(|sigma| sigma * sigma)
}

/// The k of Gamma noise, blindly: from the noise level of ln y, whose square is ψ′(k).
///
/// # Errors
/// Those of [`blind_zeta`].
pub fn blind_shape<T: Real>(
    y: &[T],
    scratch: &mut [T],
    level: impl FnOnce(&[T]) -> Result<f64, DenoiseError>,
) -> Result<f64, DenoiseError> {
    check_len(scratch, y.len())?;
    check_finite(y)?;
    scratch.iter_mut().zip(y).for_each(|(to, y)| *to = T::of(libm::log(y.to_f64().at_least(FLOOR))));
    let wanted = level(scratch).map(|sigma| sigma * sigma)?;
    // ψ′ falls: bisection of log k over what counts as noise at all.
    let (mut low, mut high) = (0.0, libm::log(1e9));
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if trigamma(libm::exp(middle)) > wanted { low = middle } else { high = middle }
    }
    Ok(libm::exp(high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tweedie::PoissonRule;

    #[test]
    fn trigamma_at_known_places() {
        let pi = core::f64::consts::PI;
        assert!((trigamma(1.0) - pi * pi / 6.0).abs() < 1e-12);
        assert!((trigamma(0.5) - pi * pi / 2.0).abs() < 1e-12);
        assert!((trigamma(3.0) - (pi * pi / 6.0 - 1.25)).abs() < 1e-12);
    }

    /// Oracle: the sums over the Poisson law itself.
    #[test]
    fn the_mean_of_transformed_counts_comes_back_as_the_mean() {
        for mean in [0.3f64, 1.0, 4.0, 20.0, 90.0] {
            let (mut probability, mut of_transform) = ((-mean).exp(), 0.0);
            for count in 0..400 {
                of_transform += probability * anscombe(f64::from(count), 1.0);
                probability *= mean / f64::from(count + 1);
            }
            let found = unbiased_counts(of_transform);
            assert!((found - mean).abs() < 0.06 * mean.max(1.0), "{mean}: {found}");
        }
    }

    #[test]
    fn signals_come_back_and_the_range_is_that_of_networks() {
        let poisson = |zeta| Family::Poisson { zeta, rule: PoissonRule::Half };
        for family in [Family::Gaussian { sigma: 0.1 }, poisson(0.01), Family::Gamma { shape: 100.0 }] {
            let stabilizer = Stabilizer::new(family).expect("a law");
            let signal = [0.05f64, 0.2, 0.5, 0.9];
            let mut x = signal;
            stabilizer.forward(&mut x).expect("finite");
            assert!(x.iter().all(|x| (0.0..=1.0).contains(x)), "{family:?}: {x:?}");
            stabilizer.inverse(&mut x).expect("finite");
            // A signal without noise comes back up to the bias that the inverse takes off noisy ones.
            assert!(x.iter().zip(signal).all(|(x, s)| (x - s).abs() < 0.02 * s + 0.004), "{family:?}: {x:?}");
            assert!(stabilizer.forward(&mut [f64::NAN]).is_err());
        }
        assert!(Stabilizer::new(poisson(0.0)).is_err() && Stabilizer::new(Family::Gamma { shape: 1.0 }).is_err());
    }

    #[test]
    fn parameters_are_found_from_the_level_behind_the_transform() {
        let mut scratch = [0.0f64; 3];
        let zeta = blind_zeta(&[0.2, 0.4, 0.9], &mut scratch, |_| Ok(0.1)).expect("finite");
        assert!((zeta - 0.01).abs() < 1e-15);
        let shape = blind_shape(&[0.2, 0.4, 0.9], &mut scratch, |_| Ok(trigamma(50.0).sqrt())).expect("finite");
        assert!((shape - 50.0).abs() < 1e-6);
    }
}
