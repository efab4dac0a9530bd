//! Which cells of an axis make a cell of the resized one, with which weights: the formulas of ONNX's
//! Resize (operator set 19), computed in f64.
use crate::graph::Taps;

/// How a coordinate of the output becomes one of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    CropAndResize,
    /// Operator sets 11 and 12.
    HalfPixelForNearest,
}

/// Which neighbour is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Filter {
    Nearest(Rounding),
    Linear { antialias: bool },
    Cubic { a: f64, antialias: bool },
}

/// One axis and how it is resized.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub input: usize,
    pub output: usize,
    pub scale: f64,
    /// Region of interest, normalized.
    pub start: f64,
    pub end: f64,
}

impl Axis {
    fn source(&self, at: usize, coordinates: Coordinates) -> f64 {
        let (x, input) = (at as f64, self.input as f64);
        // Not rounded to whole cells, as in the reference implementation.
        let length = self.scale * input;
        let half = (x + 0.5) / self.scale - 0.5;
        match coordinates {
            Coordinates::HalfPixel => half,
            Coordinates::HalfPixelForNearest => (x + 0.5) / self.scale,
            Coordinates::HalfPixelSymmetric => input / 2.0 * (1.0 - self.output as f64 / length) + half,
            Coordinates::PytorchHalfPixel if self.output == 1 => -0.5,
            Coordinates::PytorchHalfPixel => half,
            Coordinates::AlignCorners if length == 1.0 => 0.0,
            Coordinates::AlignCorners => x * (input - 1.0) / (length - 1.0),
            Coordinates::Asymmetric => x / self.scale,
            Coordinates::CropAndResize if self.output == 1 => (self.start + self.end) * (input - 1.0) / 2.0,
            Coordinates::CropAndResize => {
                self.start * (input - 1.0) + x * (self.end - self.start) * (input - 1.0) / (length - 1.0)
            }
        }
    }
}

/// The table of an axis, and whether some cell lies outside of what may be extrapolated: its weights are zero.
pub(super) fn table(axis: &Axis, filter: Filter, coordinates: Coordinates, exclude_outside: bool) -> (Taps, bool) {
    let mut rows = Vec::with_capacity(axis.output);
    let mut outside = false;
    let last = axis.input as i64 - 1;
    for at in 0..axis.output {
        let x = axis.source(at, coordinates);
        let outer = coordinates == Coordinates::CropAndResize && !(0.0..=last as f64).contains(&x);
        // The cell on the left, and the distance from it in (0, 1].
        let left = x.ceil() - 1.0;
        let mut weights = weights(filter, x - left, axis.scale);
        let first = (left as i64).saturating_add(1 - weights.len() as i64 / 2);
        let cells: Vec<i64> = (0..weights.len() as i64).map(|i| first.saturating_add(i)).collect();
        if exclude_outside {
            for (weight, cell) in weights.iter_mut().zip(&cells) {
                *weight *= f64::from((0..=last).contains(cell));
            }
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|w| *w /= sum);
        }
        if outer {
            outside = true;
            weights.fill(0.0);
        }
        // Cells beyond the border are the border.
        let mut row: Vec<(u32, f64)> = Vec::new();
        for (&cell, &weight) in cells.iter().zip(&weights) {
            let cell = cell.clamp(0, last) as u32;
            match row.iter_mut().find(|(other, _)| *other == cell) {
                Some((_, sum)) => *sum += weight,
                None => row.push((cell, weight)),
            }
        }
        row.retain(|(_, weight)| *weight != 0.0);
        rows.push(row);
    }
    let count = rows.iter().map(Vec::len).max().unwrap_or(1).max(1);
    let mut taps = Taps { count, indices: Vec::new(), weights: Vec::new() };
    for row in rows {
        // Shorter rows repeat a cell of their own with weight 0.
        let spare = row.first().map_or(0, |&(cell, _)| cell);
        let filled = row.into_iter().chain(std::iter::repeat((spare, 0.0))).take(count);
        for (cell, weight) in filled {
            taps.indices.push(cell);
            taps.weights.push(weight as f32);
        }
    }
    (taps, outside)
}

/// Weights of the cells around one at distance `ratio` in (0, 1] from its left neighbour; an even number, half of
/// them on each side.
fn weights(filter: Filter, ratio: f64, scale: f64) -> Vec<f64> {
    let normalized = |weights: Vec<f64>| {
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|w| w / sum).collect()
    };
    // The filter is stretched where the axis shrinks; a filter reaches 2^16 cells at most.
    let stretch = scale.clamp(1.0 / 32768.0, 1.0);
    let spread = |reach: f64| {
        let start = (-reach / stretch).floor() as i64 + 1;
        (start..2 - start).map(move |i| stretch * (i as f64 - ratio)).collect::<Vec<f64>>()
    };
    match filter {
        Filter::Nearest(rounding) => {
            let right = ratio == 1.0
                || match rounding {
                    Rounding::PreferFloor => ratio > 0.5,
                    Rounding::PreferCeil => ratio >= 0.5,
                    Rounding::Floor => false,
                    Rounding::Ceil => true,
                };
            if right { vec![0.0, 1.0] } else { vec![1.0, 0.0] }
        }
        Filter::Linear { antialias: false } => vec![1.0 - ratio, ratio],
        Filter::Linear { antialias: true } => {
            normalized(spread(1.0).into_iter().map(|x| (1.0 - x.abs()).clamp(0.0, 1.0)).collect())
        }
        Filter::Cubic { a, antialias: false } => (0..4).map(|i| cubic(a, i as f64 - 1.0 - ratio)).collect(),
        Filter::Cubic { a, antialias: true } => normalized(spread(2.0).into_iter().map(|x| cubic(a, x)).collect()),
    }
}

/// Cubic convolution (Keys 1981) with the parameter `a`.
fn cubic(a: f64, x: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(input: usize, output: usize, scale: f64) -> Axis {
        Axis { input, output, scale, start: 0.0, end: 1.0 }
    }

    /// The table applied to the numbers of the cells.
    fn resized(axis: &Axis, filter: Filter, coordinates: Coordinates, x: &[f64]) -> Vec<f64> {
        let (taps, _) = table(axis, filter, coordinates, false);
        let rows = taps.indices.chunks(taps.count).zip(taps.weights.chunks(taps.count));
        rows.map(|(cells, weights)| cells.iter().zip(weights).map(|(&c, &w)| x[c as usize] * f64::from(w)).sum())
            .collect()
    }

    /// Oracle: the examples in the ONNX text of Resize, one row of them; the cubic one is computed by hand.
    #[test]
    fn rows_of_the_standard_s_examples_come_out() {
        let near = |found: Vec<f64>, want: &[f64]| {
            assert!(
                found.len() == want.len() && found.iter().zip(want).all(|(f, w)| (f - w).abs() < 1e-5),
                "{found:?}"
            );
        };
        let linear = Filter::Linear { antialias: false };
        // upsample_scales_linear and its align_corners form
        near(resized(&axis(2, 4, 2.0), linear, Coordinates::HalfPixel, &[1.0, 2.0]), &[1.0, 1.25, 1.75, 2.0]);
        let corners = resized(&axis(2, 4, 2.0), linear, Coordinates::AlignCorners, &[1.0, 2.0]);
        near(corners, &[1.0, 1.333_333_3, 1.666_666_7, 2.0]);
        // downsample_scales_linear: [2.66666651, 4.3333331]
        let x: Vec<f64> = (1..=4).map(f64::from).collect();
        near(resized(&axis(4, 2, 0.6), linear, Coordinates::HalfPixel, &x), &[1.333_333_3, 3.0]);
        // Keys' kernel, by hand; the row is symmetric.
        let cubic = Filter::Cubic { a: -0.75, antialias: false };
        let row = resized(&axis(4, 8, 2.0), cubic, Coordinates::HalfPixel, &x);
        let half = [0.894_531_25, 1.191_406_25, 1.667_968_75, 2.296_875];
        near(row, &[half, [2.703_125, 3.332_031_25, 3.808_593_75, 4.105_468_75]].concat());
        let nearest = Filter::Nearest(Rounding::PreferFloor);
        near(resized(&axis(2, 4, 2.0), nearest, Coordinates::HalfPixel, &[1.0, 2.0]), &[1.0, 1.0, 2.0, 2.0]);
    }

    /// Oracle: a filter that is wide enough leaves a constant unchanged.
    #[test]
    fn weights_add_up_to_one_unless_the_cell_lies_outside() {
        for filter in [Filter::Linear { antialias: true }, Filter::Cubic { a: -0.5, antialias: true }] {
            for exclude in [false, true] {
                let (taps, outside) = table(&axis(9, 4, 0.45), filter, Coordinates::HalfPixel, exclude);
                assert!(!outside);
                assert!(taps.weights.chunks(taps.count).all(|w| (w.iter().sum::<f32>() - 1.0).abs() < 1e-5));
            }
        }
        let crop = Axis { start: -0.5, end: 0.5, ..axis(4, 3, 0.75) };
        let (taps, outside) = table(&crop, Filter::Linear { antialias: false }, Coordinates::CropAndResize, false);
        assert!(outside && taps.weights[..taps.count].iter().all(|&w| w == 0.0));
    }
}
