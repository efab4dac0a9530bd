//! Groups with a scale and an offset of their own, fitted by alternating least squares.
//!
//! Data-free, in the manner of half-quadratic quantization (Badri and Shaji 2023) with a plain
//! squared error.

use super::{LowBitError, LowBitRows, Width, check, scale_limit};

/// Rounds of the alternation.
const ROUNDS: usize = 20;

/// Scale and offset with the least squared error: `w ≈ scale·code − offset`.
fn fit(values: &[f32], max: u8) -> (f32, f32) {
    let (lo, hi) = values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), &w| (w.min(lo), w.max(hi)));
    let first = (hi - lo) / f32::from(max);
    if first <= 0.0 || !first.is_normal() {
        // One value: half the codes up, so that it is met.
        return (lo.abs(), if lo < 0.0 { lo.abs() } else { 0.0 });
    }
    let code = |w: f32, scale: f32, offset: f32| ((w + offset) / scale).round_ties_even().clamp(0.0, f32::from(max));
    let error = |(scale, offset): (f32, f32)| -> f64 {
        values.iter().map(|&w| f64::from(w - (scale * code(w, scale, offset) - offset)).powi(2)).sum()
    };
    let mut best = (first, -lo);
    let mut least = error(best);
    for shrink in [1.0f32, 0.9, 0.8] {
        let middle = (lo + hi) / 2.0;
        let mut now = (first * shrink, first * shrink * f32::from(max) / 2.0 - middle);
        for _ in 0..ROUNDS {
            let (mut sq, mut sw, mut sqq, mut sqw) = (0f64, 0f64, 0f64, 0f64);
            for &w in values {
                let q = f64::from(code(w, now.0, now.1));
                (sq, sw, sqq, sqw) = (sq + q, sw + f64::from(w), sqq + q * q, sqw + q * f64::from(w));
            }
            let count = values.len() as f64;
            let spread = sqq - sq * sq / count;
            if spread <= 0.0 {
                break;
            }
            let scale = (sqw - sq * sw / count) / spread;
            let next = (scale as f32, ((scale * sq - sw) / count) as f32);
            if next.0 <= 0.0 || !next.0.is_normal() || next == now {
                break;
            }
            now = next;
            let error = error(now);
            if error < least {
                (best, least) = (now, error);
            }
        }
    }
    best
}

/// Quantizes `rows` with a scale and a minimum for each group. Minimums are whole steps of the row's
/// scale; with `group` 0 they are whole codes.
///
/// # Errors
/// [`LowBitError`] for sizes that do not fit and values that are not finite.
pub fn fit_asymmetric(
    rows: &[f32],
    (n, k): (usize, usize),
    width: Width,
    group: usize,
) -> Result<LowBitRows, LowBitError> {
    check(rows, n, k, group)?;
    let mut out = LowBitRows { zero: 0, ..LowBitRows::empty(n, k, width, group) };
    let span = if group == 0 { k } else { group }.max(1);
    let limit = scale_limit(k, width.max());
    for row in rows.chunks(k.max(1)) {
        let fits: Vec<(f32, f32)> = row.chunks(span).map(|values| fit(values, width.max())).collect();
        let steps: Vec<f32> = fits.iter().map(|fit| fit.0).collect();
        // Minimums fit 16 bits.
        let least = fits.iter().fold(0f32, |max, fit| fit.1.abs().max(max)) / 32767.0;
        let steps = out.push_scales(&steps, limit, least);
        let unit = out.row_scale.last().copied().unwrap_or(1.0);
        for ((values, &step), fit) in row.chunks(span).zip(&steps).zip(&fits) {
            let min = (fit.1 / unit).round_ties_even().clamp(-32768.0, 32767.0);
            out.mins.push(min as i16);
            let code = |&w: &f32| {
                let code = if step > 0.0 { ((w + min * unit) / step).round_ties_even() } else { 0.0 };
                code.clamp(0.0, f32::from(width.max())) as u8
            };
            out.codes.extend(values.iter().map(code));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{gaussian, squared_error};
    use super::super::{Clip, nearest};
    use super::*;

    #[test]
    fn it_beats_symmetric_codes_in_every_width_and_shape() {
        for width in [Width::W4, Width::W3, Width::W2] {
            for (n, k) in [(4, 256), (3, 100), (1, 33)] {
                let rows = gaussian(n * k, 11);
                let asymmetric = fit_asymmetric(&rows, (n, k), width, 32).expect("quantizes");
                assert!(asymmetric.bound() < 1 << 30);
                let symmetric = nearest(&rows, (n, k), width, 32, Clip::Search, &[]).expect("quantizes");
                let error = |q: &LowBitRows| squared_error(&rows, &q.dequantize());
                assert!(error(&asymmetric) < error(&symmetric), "{width:?} {n} {k}");
            }
        }
    }

    #[test]
    fn shifted_rows_two_values_and_half_grids_come_back() {
        // Levels of ±½ and ±3/2 steps, which no whole zero point has.
        let levels = [-0.75f32, -0.25, 0.25, 0.75];
        let rows: Vec<f32> = (0..128).map(|i| levels[(i * 7 / 3) % 4]).collect();
        let back = fit_asymmetric(&rows, (2, 64), Width::W2, 64).expect("quantizes").dequantize();
        assert!(rows.iter().zip(&back).all(|(w, b)| (w - b).abs() < 0.005), "{:?}", &back[..4]);
        let far: Vec<f32> = gaussian(64, 3).iter().map(|w| w * 0.01 + 5.0).collect();
        let q = fit_asymmetric(&far, (1, 64), Width::W4, 32).expect("quantizes");
        assert!(far.iter().zip(q.dequantize()).all(|(w, b)| (w - b).abs() < 0.005), "a row far from 0");
        let same = vec![-0.5f32; 40];
        let back = fit_asymmetric(&same, (1, 40), Width::W4, 32).expect("quantizes").dequantize();
        assert!(back.iter().all(|b| (b + 0.5).abs() < 0.01), "{:?}", &back[..2]);
    }
}
