//! Ternary weight networks (Li, Zhang and Liu 2016): Δ = 0.7·mean|w|, codes sign(w) where |w| > Δ,
//! and the mean of those |w| as scale.

use super::{LowBitError, LowBitRows, Width, check};

/// What shares a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TernaryScale {
    Tensor,
    Row,
}

/// Ternary codes of `rows`.
///
/// # Errors
/// [`LowBitError`] for sizes that do not fit and values that are not finite.
pub fn ternary(rows: &[f32], (n, k): (usize, usize), share: TernaryScale) -> Result<LowBitRows, LowBitError> {
    check(rows, n, k, 0)?;
    let mut out = LowBitRows::empty(n, k, Width::T2, 0);
    let of = |values: &[f32]| {
        let sum: f64 = values.iter().map(|w| f64::from(w.abs())).sum();
        let delta = (0.7 * sum / values.len().max(1) as f64) as f32;
        let large = values.iter().filter(|w| w.abs() > delta);
        let (count, sum) = large.fold((0u32, 0f64), |(count, sum), w| (count + 1, sum + f64::from(w.abs())));
        (delta, if count == 0 { 1.0 } else { (sum / f64::from(count)) as f32 })
    };
    let whole = of(rows);
    for row in rows.chunks(k.max(1)) {
        let (delta, scale) = if share == TernaryScale::Tensor { whole } else { of(row) };
        out.row_scale.push(scale);
        out.codes.extend(row.iter().map(|&w| {
            if w > delta {
                2
            } else if w < -delta {
                0
            } else {
                1u8
            }
        }));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::testing::gaussian;
    use super::*;

    #[test]
    fn codes_and_scales_follow_the_formula() {
        let rows = [0.1f32, -0.9, 0.5, 0.0, -0.2, 0.7];
        let q = ternary(&rows, (2, 3), TernaryScale::Tensor).expect("quantizes");
        // mean|w| = 0.4, Δ = 0.28: −0.9, 0.5 and 0.7 remain, their mean is 0.7.
        assert_eq!(q.codes, [1, 0, 2, 1, 1, 2]);
        assert!(q.row_scale.iter().all(|s| (s - 0.7).abs() < 1e-6));
        let rows = gaussian(5 * 77, 2);
        let q = ternary(&rows, (5, 77), TernaryScale::Row).expect("quantizes");
        assert!(q.codes.iter().all(|&code| code <= 2) && q.row_scale.len() == 5);
        let zeros = ternary(&[0.0; 8], (2, 4), TernaryScale::Row).expect("quantizes");
        assert!(zeros.dequantize().iter().all(|&w| w == 0.0));
    }
}
