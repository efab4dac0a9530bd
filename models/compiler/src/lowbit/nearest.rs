//! Rounding to the nearest code, groups with a scale each.

use super::{LowBitError, LowBitRows, TernaryScale, Width, check, scale_limit, ternary};

/// How the range of a group is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clip {
    /// Its largest value is the largest code.
    MinMax,
    /// The fraction of its largest value, out of a few, that has the least squared error.
    Search,
}

/// Fractions of a group's largest value that [`Clip::Search`] tries.
const FRACTIONS: [f32; 11] = [1.0, 0.96, 0.92, 0.88, 0.84, 0.8, 0.76, 0.72, 0.68, 0.64, 0.56];

/// The largest distance of a code from `zero` upwards.
pub(super) fn most(width: Width) -> f32 {
    if width == Width::T2 { 1.0 } else { f32::from(width.max() / 2) }
}

/// The code of `w` on a grid of `step`.
pub(super) fn code(w: f32, step: f32, zero: u8, max: u8) -> u8 {
    let code = if step > 0.0 { (w / step).round_ties_even() } else { 0.0 };
    (code + f32::from(zero)).clamp(0.0, f32::from(max)) as u8
}

/// The step of a group; `weight` of each value's squared error, empty for all alike.
pub(super) fn step(values: &[f32], weight: &[f32], width: Width, clip: Clip) -> f32 {
    let largest = values.iter().fold(0f32, |max, w| w.abs().max(max)) / most(width);
    if clip == Clip::MinMax || largest == 0.0 {
        return largest;
    }
    let zero = if width == Width::T2 { 1 } else { width.max() / 2 + 1 };
    let error = |step: f32| -> f64 {
        let of = |(i, &w): (usize, &f32)| {
            let back = (f32::from(code(w, step, zero, width.max())) - f32::from(zero)) * step;
            f64::from((w - back) * (w - back)) * f64::from(weight.get(i).copied().unwrap_or(1.0))
        };
        values.iter().enumerate().map(of).sum()
    };
    let steps = FRACTIONS.map(|fraction| largest * fraction);
    steps
        .into_iter()
        .map(|step| (error(step), step))
        .fold((f64::INFINITY, largest), |a, b| if b.0 < a.0 { b } else { a })
        .1
}

/// Rounds `rows` to the nearest codes; ternary rows with a search as [`ternary`] says. `weight` per column weighs the squared errors that the search
/// compares (the diagonal of the inputs' second moments); empty: all alike.
///
/// # Errors
/// [`LowBitError`] for sizes that do not fit and values that are not finite.
pub fn nearest(
    rows: &[f32],
    (n, k): (usize, usize),
    width: Width,
    group: usize,
    clip: Clip,
    weight: &[f32],
) -> Result<LowBitRows, LowBitError> {
    check(rows, n, k, group)?;
    if width == Width::T2 && group == 0 && clip == Clip::Search {
        return ternary(rows, (n, k), TernaryScale::Row);
    }
    let mut out = LowBitRows::empty(n, k, width, group);
    let span = if group == 0 { k } else { group }.max(1);
    let limit = scale_limit(k, out.zero);
    for row in rows.chunks(k.max(1)) {
        let weights = |i: usize| weight.get(i * span..).map_or(&[][..], |w| &w[..w.len().min(span)]);
        let steps: Vec<f32> =
            row.chunks(span).enumerate().map(|(i, values)| step(values, weights(i), width, clip)).collect();
        let scales = out.push_scales(&steps, limit, 0.0);
        for (values, step) in row.chunks(span).zip(scales) {
            out.codes.extend(values.iter().map(|&w| code(w, step, out.zero, width.max())));
        }
    }
    Ok(out)
}

impl LowBitRows {
    /// Adds a row's scales for groups of these steps, the row's own scale at least `least`; gives the
    /// steps they make.
    pub(super) fn push_scales(&mut self, steps: &[f32], limit: f32, least: f32) -> Vec<f32> {
        let largest = steps.iter().fold(0f32, |max, &step| step.max(max));
        let unit = if self.group == 0 { largest } else { largest / limit }.max(least);
        let unit = if unit.is_normal() { unit } else { 1.0 };
        self.row_scale.push(unit);
        if self.group == 0 {
            return vec![unit];
        }
        let scales: Vec<f32> = steps.iter().map(|step| (step / unit).round().clamp(0.0, limit)).collect();
        // A group that holds anything keeps a scale.
        let scales: Vec<f32> =
            scales.iter().zip(steps).map(|(&s, &step)| if step > 0.0 { s.max(1.0) } else { s }).collect();
        self.scales.extend(scales.iter().map(|&scale| scale as u8));
        scales.into_iter().map(|scale| scale * unit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{gaussian, squared_error};
    use super::*;

    #[test]
    fn codes_lie_within_half_a_step_for_every_width_group_and_odd_shape() {
        for width in Width::ALL {
            for group in [0, 32, 64, 128] {
                for (n, k) in [(1, 1), (3, 31), (2, 64), (5, 100), (1, 200)] {
                    let rows = gaussian(n * k, (n * k) as u64);
                    let q = nearest(&rows, (n, k), width, group, Clip::MinMax, &[]).expect("quantizes");
                    assert_eq!(
                        (q.codes.len(), q.row_scale.len(), q.scales.len()),
                        (n * k, n, if group == 0 { 0 } else { n * q.groups() })
                    );
                    assert!(q.codes.iter().all(|&code| code <= width.max()) && q.bound() < 1 << 30);
                    for (i, (w, back)) in rows.iter().zip(q.dequantize()).enumerate() {
                        let (row, col) = (i / k, i % k);
                        let scale = q.scales.get(row * q.groups() + col.checked_div(group).unwrap_or(0));
                        let step = q.row_scale[row] * scale.map_or(1.0, |&s| f32::from(s));
                        // The scale may be rounded down: the largest value then lies past the last code.
                        assert!((w - back).abs() <= 0.53 * step + 0.02, "{width:?} {group} {w} {back} {step}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_search_is_never_worse_than_min_max_and_better_on_gaussian_rows() {
        let rows = gaussian(16 * 256, 5);
        for width in [Width::W4, Width::W3, Width::W2] {
            for group in [0, 64] {
                let error = |clip| {
                    squared_error(
                        &rows,
                        &nearest(&rows, (16, 256), width, group, clip, &[]).expect("quantizes").dequantize(),
                    )
                };
                assert!(error(Clip::Search) < error(Clip::MinMax), "{width:?} {group}");
            }
        }
    }

    #[test]
    fn rows_of_zeros_and_constant_rows_come_back() {
        let rows = [vec![0f32; 40], vec![-0.25; 40], vec![1e-30; 40]].concat();
        let q = nearest(&rows, (3, 40), Width::W4, 32, Clip::Search, &[]).expect("quantizes");
        let back = q.dequantize();
        assert!(back[..40].iter().all(|&w| w == 0.0));
        assert!(back[40..80].iter().all(|&w| (w + 0.25).abs() < 0.01), "{:?}", &back[40..44]);
        assert!(q.row_scale.iter().all(|s| s.is_finite() && *s > 0.0));
    }

    #[test]
    fn bad_input_is_named() {
        let nan = [1.0, f32::NAN];
        assert_eq!(nearest(&nan, (1, 2), Width::W4, 0, Clip::MinMax, &[]), Err(LowBitError::NotFinite { index: 1 }));
        assert_eq!(
            nearest(&[1.0], (1, 2), Width::W4, 0, Clip::MinMax, &[]),
            Err(LowBitError::Size { found: 1, n: 1, k: 2 })
        );
        assert_eq!(nearest(&[1.0], (1, 1), Width::W4, 48, Clip::MinMax, &[]), Err(LowBitError::Group(48)));
    }
}
