//! The optimal map between two Gaussians (Olkin and Pukelsheim 1982), and what replaces it where the source is singular.

use crate::error::{DenoiseError, check_finite, check_len, index, part, require};
use crate::linalg::{check_symmetric, matrix_function, product, sqrt_symmetric, square};
use crate::real::Real;

/// Eigenvalues up to this part of the largest one are zeros.
const RANK: f64 = 1e-8;
/// Eigenvalues of a product up to this part of the largest one are rounding.
const ROUNDING: f64 = 1e-13;

/// The map T of `x̂ = T·(x − m_s) + m_t`: `T = C_s^−½·(C_s^½·C_t·C_s^½)^½·C_s^−½`, symmetric, with `T·C_s·T = C_t`.
/// `work` has 6·n² elements. In f64.
///
/// # Errors
/// [`DenoiseError::Matrix`] for matrices that are not symmetric or a source that is not positive definite (see
/// [`sampling_map`]); [`DenoiseError::Length`], [`DenoiseError::Buffer`], [`DenoiseError::NotFinite`],
/// [`DenoiseError::Convergence`].
pub fn transport_map(
    source: &[f64],
    target: &[f64],
    n: usize,
    work: &mut [f64],
    out: &mut [f64],
) -> Result<(), DenoiseError> {
    let size = square(n)?;
    check_symmetric(source, n)?;
    check_symmetric(target, n)?;
    check_len(out, size)?;
    let [root, inverse, middle, spare, eigen] = split(work, size)?;
    sqrt_symmetric(source, n, eigen, root)?;
    inverse_root(source, n, eigen, inverse)?;
    product(root, target, n, spare);
    product(spare, root, n, middle);
    symmetrize(middle, n);
    sqrt_symmetric(middle, n, eigen, root)?;
    product(inverse, root, n, spare);
    product(spare, inverse, n, out);
    Ok(())
}

/// The map and the covariance of the noise that goes with it, for a source that lacks directions of the target:
/// `x̂ = T·(x − m_s) + m_t + w`, `w ~ N(0, noise)`; the law of x̂ is the target's then.
/// `T = C_t^½·(C_t^½·C_s·C_t^½)^½·C_t^−½·C_s⁺`. `work` has 7·n² elements. [`sqrt_symmetric`] of `noise` turns standard
/// normal numbers into w. In f64.
///
/// # Errors
/// Those of [`transport_map`], for a target that is not positive definite.
pub fn sampling_map(
    source: &[f64],
    target: &[f64],
    n: usize,
    work: &mut [f64],
    out: &mut [f64],
    noise: &mut [f64],
) -> Result<(), DenoiseError> {
    let size = square(n)?;
    check_symmetric(source, n)?;
    check_symmetric(target, n)?;
    check_len(out, size)?;
    check_len(noise, size)?;
    let (first, rest) = part(work, 7 * size)?.split_at_mut(size);
    let [root, inverse, middle, spare, eigen] = split(rest, size)?;
    sqrt_symmetric(target, n, eigen, root)?;
    // The reverse map needs an inverse of the target's root.
    inverse_root(target, n, eigen, inverse)?;
    product(root, source, n, spare);
    product(spare, root, n, first);
    symmetrize(first, n);
    // Of a zero eigenvalue rounding leaves about 1e-16, of which the root would be 1e-8.
    matrix_function(
        first,
        n,
        eigen,
        middle,
        |value, largest| {
            if value > ROUNDING * largest { libm::sqrt(value) } else { 0.0 }
        },
    )?;
    // `first`: C_t^½·middle·C_t^−½, `spare`: T* = C_t^−½·middle·C_t^−½.
    product(middle, inverse, n, noise);
    product(root, noise, n, first);
    product(inverse, noise, n, spare);
    // Σ_w = C_t^½·(I − C_t^½·T*·C_s⁺·T*·C_t^½)·C_t^½ with the pseudo-inverse in `inverse`.
    matrix_function(
        source,
        n,
        eigen,
        inverse,
        |value, largest| if value > RANK * largest { 1.0 / value } else { 0.0 },
    )?;
    product(first, inverse, n, out);
    product(spare, inverse, n, middle);
    product(middle, spare, n, noise);
    product(root, noise, n, middle);
    product(middle, root, n, noise);
    for (place, value) in noise.iter_mut().enumerate() {
        *value = f64::from(u8::from(place % (n + 1) == 0)) - *value;
    }
    product(root, noise, n, middle);
    product(middle, root, n, noise);
    symmetrize(noise, n);
    Ok(())
}

/// The inverse of the square root of a positive definite matrix.
fn inverse_root(matrix: &[f64], n: usize, eigen: &mut [f64], out: &mut [f64]) -> Result<(), DenoiseError> {
    let singular = core::cell::Cell::new(false);
    matrix_function(matrix, n, eigen, out, |value, largest| {
        if value > RANK * largest {
            1.0 / libm::sqrt(value)
        } else {
            singular.set(true);
            0.0
        }
    })?;
    if singular.get() { Err(DenoiseError::Matrix { row: 0 }) } else { Ok(()) }
}

/// The squared Wasserstein distance of two Gaussians: `‖m_s − m_t‖² + tr(C_s + C_t − 2·(C_t^½·C_s·C_t^½)^½)`.
/// `work` has 6·n² elements.
///
/// # Errors
/// Those of [`transport_map`]; singular matrices are fine.
pub fn wasserstein2_squared(
    (source_mean, source): (&[f64], &[f64]),
    (target_mean, target): (&[f64], &[f64]),
    work: &mut [f64],
) -> Result<f64, DenoiseError> {
    let n = source_mean.len();
    let size = square(n)?;
    check_len(target_mean, n)?;
    check_symmetric(source, n)?;
    check_symmetric(target, n)?;
    let [root, spare, middle, result, eigen] = split(work, size)?;
    sqrt_symmetric(target, n, eigen, root)?;
    product(root, source, n, spare);
    product(spare, root, n, middle);
    symmetrize(middle, n);
    sqrt_symmetric(middle, n, eigen, result)?;
    let means = source_mean.iter().zip(target_mean).fold(0.0, |sum, (a, b)| sum + (a - b) * (a - b));
    let trace = (0..n).map(|i| i * (n + 1)).fold(0.0, |sum, i| sum + source[i] + target[i] - 2.0 * result[i]);
    Ok(means + trace)
}

/// (1 − α)·transported + α·restored, in place of the restored image: 0 for best perception, 1 for least distortion.
///
/// # Errors
/// [`DenoiseError::Parameter`] for an α that is not finite, [`DenoiseError::Length`], [`DenoiseError::NotFinite`].
pub fn mix<T: Real>(alpha: f64, transported: &[T], restored: &mut [T]) -> Result<(), DenoiseError> {
    require(alpha.is_finite())?;
    check_len(transported, restored.len())?;
    check_finite(transported)?;
    check_finite(restored)?;
    let (keep, take) = (T::of(alpha), T::of(1.0 - alpha));
    restored.iter_mut().zip(transported).for_each(|(x, &t)| *x = take * t + keep * *x);
    Ok(())
}

/// Four matrices and two more for eigenvectors.
fn split(work: &mut [f64], size: usize) -> Result<[&mut [f64]; 5], DenoiseError> {
    let needed = DenoiseError::Buffer { needed: index(6 * size) };
    let (a, rest) = work.split_at_mut_checked(size).ok_or(needed)?;
    let (b, rest) = rest.split_at_mut_checked(size).ok_or(needed)?;
    let (c, rest) = rest.split_at_mut_checked(size).ok_or(needed)?;
    let (d, rest) = rest.split_at_mut_checked(size).ok_or(needed)?;
    let (eigen, _) = rest.split_at_mut_checked(2 * size).ok_or(needed)?;
    Ok([a, b, c, d, eigen])
}

/// Products of symmetric matrices are symmetric up to rounding.
fn symmetrize(a: &mut [f64], n: usize) {
    for i in 0..n {
        for j in 0..i {
            let mean = 0.5 * (a[i * n + j] + a[j * n + i]);
            (a[i * n + j], a[j * n + i]) = (mean, mean);
        }
    }
}
