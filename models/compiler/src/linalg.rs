//! Decompositions of dense matrices, in f64.

use nalgebra::DMatrix;

/// `matrix = u · diag(sigma) · vt`, `sigma` descending, one entry a column of `u` and a row of `vt`.
pub(crate) struct Svd {
    pub u: DMatrix<f64>,
    pub sigma: Vec<f64>,
    pub vt: DMatrix<f64>,
}

/// Reconstruction error, relative to the matrix, beyond which a decomposition is refused.
const TOLERANCE: f64 = 1e-9;

/// The singular value decomposition of a matrix; `None` where it holds values that are not finite
/// and where the iteration does not converge to a product that equals the matrix.
pub(crate) fn svd(matrix: &DMatrix<f64>) -> Option<Svd> {
    if matrix.is_empty() || matrix.iter().any(|x| !x.is_finite()) {
        return None;
    }
    // The algorithm is steadier, and cheaper, on tall matrices.
    if matrix.nrows() < matrix.ncols() {
        let Svd { u, sigma, vt } = svd(&matrix.transpose())?;
        return Some(Svd { u: vt.transpose(), sigma, vt: u.transpose() });
    }
    let steps = 100 * matrix.ncols().max(10);
    let found = matrix.clone().try_svd(true, true, f64::EPSILON, steps)?;
    let (u, vt) = (found.u?, found.v_t?);
    let sigma: Vec<f64> = found.singular_values.iter().copied().collect();
    let mut scaled = u.clone();
    for (mut column, &s) in scaled.column_iter_mut().zip(&sigma) {
        column *= s;
    }
    let error = (scaled * &vt - matrix).norm();
    let descending = sigma.windows(2).all(|pair| pair[0] >= pair[1]);
    (descending && error <= TOLERANCE * matrix.norm()).then_some(Svd { u, sigma, vt })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, cols: usize) -> DMatrix<f64> {
        DMatrix::from_fn(rows, cols, |i, j| ((i * 37 + j * 11) % 23) as f64 - 11.0 + 0.1 * (i as f64) * (j as f64))
    }

    #[test]
    fn any_shape_is_rebuilt_from_orthonormal_factors() {
        for (rows, cols) in [(1, 1), (1, 7), (7, 1), (5, 5), (12, 5), (5, 12), (40, 33)] {
            let m = matrix(rows, cols);
            let Svd { u, sigma, vt } = svd(&m).expect("converges");
            let rank = rows.min(cols);
            assert_eq!((u.shape(), sigma.len(), vt.shape()), ((rows, rank), rank, (rank, cols)));
            let rebuilt = &u * DMatrix::from_diagonal(&sigma.clone().into()) * &vt;
            assert!((rebuilt - &m).norm() <= 1e-10 * m.norm());
            let energy: f64 = sigma.iter().map(|s| s * s).sum();
            assert!((energy - m.norm_squared()).abs() <= 1e-9 * energy);
        }
    }

    #[test]
    fn zeros_repeated_values_and_infinities_are_survived() {
        let zero = svd(&DMatrix::zeros(4, 6)).expect("a matrix of zeros");
        assert!(zero.sigma.iter().all(|&s| s == 0.0));
        let twice = DMatrix::from_fn(6, 4, |i, j| if i % 4 == j { 2.0 } else { 0.0 });
        assert_eq!(svd(&twice).expect("repeated values").sigma.len(), 4);
        assert!(svd(&DMatrix::from_element(2, 2, f64::NAN)).is_none());
        assert!(svd(&DMatrix::from_element(2, 2, f64::INFINITY)).is_none());
    }
}
