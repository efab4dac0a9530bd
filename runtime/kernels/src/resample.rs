//! Interpolation along one axis: one form for every instruction set, the definition and the kernel.

use crate::f32_rules::canonical;

/// An axis and the table that says how its elements are made.
#[derive(Clone, Copy, Debug)]
pub struct Axis<'a> {
    /// Elements of the input's axis.
    pub len: usize,
    /// Elements between two neighbours of the axis.
    pub inner: usize,
    /// Entries of the table for one element of the output's axis.
    pub taps: usize,
    /// Below `len`.
    pub indices: &'a [u32],
    pub weights: &'a [f32],
}

/// `out[o, j, i] = Σ_t weights[j, t]·x[o, indices[j, t], i]`, summed from +0 with t ascending, each product
/// rounded.
pub fn resample_f32(x: &[f32], axis: &Axis<'_>, out: &mut [f32]) {
    let (inner, taps) = (axis.inner.max(1), axis.taps.max(1));
    let rows = axis.indices.len() / taps;
    let images = x.chunks_exact(axis.len.saturating_mul(inner).max(1));
    for (x, out) in images.zip(out.chunks_exact_mut(rows.saturating_mul(inner).max(1))) {
        let table = axis.indices.chunks_exact(taps).zip(axis.weights.chunks_exact(taps));
        for (out, (indices, weights)) in out.chunks_exact_mut(inner).zip(table) {
            out.fill(0.0);
            for (&index, &weight) in indices.iter().zip(weights) {
                let row = x.get((index as usize).saturating_mul(inner)..).unwrap_or_default();
                for (y, &x) in out.iter_mut().zip(row) {
                    *y += weight * x;
                }
            }
            for y in out {
                *y = canonical(*y);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oracle: the sum written out by hand.
    #[test]
    fn rows_are_weighted_sums_of_rows() {
        let x = [1.0, 2.0, 10.0, 20.0, 100.0, 200.0];
        let axis = Axis { len: 3, inner: 2, taps: 2, indices: &[0, 1, 2, 2], weights: &[0.5, 0.25, 1.0, 0.0] };
        let mut out = [0.0; 4];
        resample_f32(&x, &axis, &mut out);
        assert_eq!(out, [3.0, 6.0, 100.0, 200.0]);
    }
}
