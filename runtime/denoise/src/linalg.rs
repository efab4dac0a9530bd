//! Small symmetric matrices in f64, row by row in memory of the caller. The order of all operations is fixed.

use crate::error::{DenoiseError, check_finite, check_len, index, part};
use crate::real::Real;

/// Sweeps of the Jacobi method; 6 to 10 are usual.
const SWEEPS: usize = 60;

/// Elements of a square matrix.
pub(crate) fn square(n: usize) -> Result<usize, DenoiseError> {
    n.checked_mul(n).filter(|&n| n > 0).ok_or(DenoiseError::Shape)
}

/// Checks that a matrix is finite and symmetric up to 1e-9 of its largest magnitude.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`], [`DenoiseError::Matrix`] with the row; [`DenoiseError::Shape`] for
/// an empty one.
pub fn check_symmetric(a: &[f64], n: usize) -> Result<(), DenoiseError> {
    check_len(a, square(n)?)?;
    check_finite(a)?;
    let largest = a.iter().fold(0.0f64, |most, x| most.at_least(x.abs()));
    for i in 0..n {
        for j in 0..i {
            if (a[i * n + j] - a[j * n + i]).abs() > 1e-9 * largest {
                return Err(DenoiseError::Matrix { row: index(i) });
            }
        }
    }
    Ok(())
}

/// Eigenvalues on the diagonal of `a` and eigenvectors in the columns of `vectors`, by cyclic Jacobi rotations (Golub and
/// Van Loan, algorithm 8.4.3). Values are in no order.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`], [`DenoiseError::Matrix`] for one that is not symmetric,
/// [`DenoiseError::Convergence`].
pub fn eigen_symmetric(a: &mut [f64], vectors: &mut [f64], n: usize) -> Result<(), DenoiseError> {
    check_symmetric(a, n)?;
    check_len(vectors, n * n)?;
    vectors.fill(0.0);
    for i in 0..n {
        vectors[i * n + i] = 1.0;
        for j in 0..i {
            let mean = 0.5 * (a[i * n + j] + a[j * n + i]);
            (a[i * n + j], a[j * n + i]) = (mean, mean);
        }
    }
    for _ in 0..SWEEPS {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                let off = a[p * n + q];
                let (app, aqq) = (a[p * n + p], a[q * n + q]);
                // Below the last bit of both diagonal elements a rotation changes nothing.
                if off == 0.0 || app.abs() + 0.01 * off.abs() == app.abs() && aqq.abs() + 0.01 * off.abs() == aqq.abs()
                {
                    (a[p * n + q], a[q * n + p]) = (0.0, 0.0);
                    continue;
                }
                rotated = true;
                let tau = (aqq - app) / (2.0 * off);
                let t = if tau >= 0.0 {
                    1.0 / (tau + libm::sqrt(1.0 + tau * tau))
                } else {
                    -1.0 / (-tau + libm::sqrt(1.0 + tau * tau))
                };
                let c = 1.0 / libm::sqrt(1.0 + t * t);
                rotate(a, vectors, n, (p, q), c, t * c);
                (a[p * n + q], a[q * n + p]) = (0.0, 0.0);
            }
        }
        if !rotated {
            return Ok(());
        }
    }
    Err(DenoiseError::Convergence)
}

/// a ← Jᵀ·a·J and vectors ← vectors·J for the rotation J of columns p and q.
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, (p, q): (usize, usize), c: f64, s: f64) {
    let turn = |m: &mut [f64], at: usize, to: usize| {
        let (x, y) = (m[at], m[to]);
        (m[at], m[to]) = (c * x - s * y, s * x + c * y);
    };
    for k in 0..n {
        turn(a, k * n + p, k * n + q);
        turn(vectors, k * n + p, k * n + q);
    }
    for k in 0..n {
        turn(a, p * n + k, q * n + k);
    }
}

/// A function of a symmetric matrix: `out = V·f(Λ)·Vᵀ`. `work` has 2·n² elements; `out` may not be part of it.
pub(crate) fn matrix_function(
    a: &[f64],
    n: usize,
    work: &mut [f64],
    out: &mut [f64],
    f: impl Fn(f64, f64) -> f64,
) -> Result<(), DenoiseError> {
    check_len(a, square(n)?)?;
    check_len(out, n * n)?;
    let (copy, vectors) = part(work, 2 * n * n)?.split_at_mut(n * n);
    copy.copy_from_slice(a);
    eigen_symmetric(copy, vectors, n)?;
    let largest = (0..n).fold(0.0f64, |most, i| most.at_least(copy[i * n + i]));
    out.fill(0.0);
    for k in 0..n {
        let value = f(copy[k * n + k], largest);
        if value != 0.0 {
            for i in 0..n {
                let left = value * vectors[i * n + k];
                for j in 0..n {
                    out[i * n + j] += left * vectors[j * n + k];
                }
            }
        }
    }
    Ok(())
}

/// The symmetric square root of a positive semidefinite matrix; eigenvalues below 0 count as 0. `work` has 2·n² elements.
///
/// # Errors
/// Those of [`eigen_symmetric`]; [`DenoiseError::Buffer`].
pub fn sqrt_symmetric(a: &[f64], n: usize, work: &mut [f64], out: &mut [f64]) -> Result<(), DenoiseError> {
    matrix_function(a, n, work, out, |value, _| libm::sqrt(value.at_least(0.0)))
}

/// `out = a·b`, n × n.
pub(crate) fn product(a: &[f64], b: &[f64], n: usize, out: &mut [f64]) {
    for (row, out) in a.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
        out.fill(0.0);
        for (&left, b) in row.iter().zip(b.chunks_exact(n)) {
            out.iter_mut().zip(b).for_each(|(out, &b)| *out += left * b);
        }
    }
}

/// Solves a·x = b for a symmetric positive definite a by Cholesky's factorization, both in place: x is left in `b`, which
/// may hold several right sides, one behind the other.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`], [`DenoiseError::Matrix`] where a is not positive definite.
pub fn solve_positive(a: &mut [f64], n: usize, b: &mut [f64]) -> Result<(), DenoiseError> {
    check_len(a, square(n)?)?;
    check_len(b, b.len() / n * n)?;
    check_finite(a)?;
    check_finite(b)?;
    for i in 0..n {
        for j in 0..=i {
            let mut sum = a[i * n + j];
            for k in 0..j {
                sum -= a[i * n + k] * a[j * n + k];
            }
            if i == j {
                // A pivot that is all rounding is none.
                let positive = sum > 1e-14 * a[i * n + i].abs();
                if !positive {
                    return Err(DenoiseError::Matrix { row: index(i) });
                }
                a[i * n + i] = libm::sqrt(sum);
            } else {
                a[i * n + j] = sum / a[j * n + j];
            }
        }
    }
    for x in b.chunks_exact_mut(n) {
        for i in 0..n {
            let mut sum = x[i];
            for k in 0..i {
                sum -= a[i * n + k] * x[k];
            }
            x[i] = sum / a[i * n + i];
        }
        for i in (0..n).rev() {
            let mut sum = x[i];
            for k in i + 1..n {
                sum -= a[k * n + i] * x[k];
            }
            x[i] = sum / a[i * n + i];
        }
    }
    Ok(())
}
