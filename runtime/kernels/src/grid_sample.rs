//! Sampling at computed points (ONNX GridSample): one form for every instruction set, the definition and the
//! kernel.
//!
//! `x` is `[batch, channels, depth, rows, columns]`, the grid `[batch, points, axes]` with the last axis of `x`
//! first, in −1..=1. Every operation of the formulas is rounded; each output is a sum from +0 over the taps of
//! (depth, row, column), ascending, of `(w_depth·w_row)·w_column` times the cell.

use crate::f32_rules::canonical;
use crate::math::{floor, round_ties_even};

/// Which cells around a point count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Nearest,
    Linear,
    /// Cubic convolution with a = −0.75.
    Cubic,
}

/// What lies outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    Zeros,
    /// The nearest cell of the border.
    Border,
    Reflection,
}

/// Shapes and modes of [`grid_sample_f32`].
#[derive(Clone, Copy, Debug)]
pub struct GridSample {
    pub channels: usize,
    /// Depth, rows, columns of `x`.
    pub input: [usize; 3],
    /// Axes that the grid has a coordinate for: the last ones.
    pub axes: usize,
    /// Points of one image.
    pub points: usize,
    pub mode: Mode,
    pub outside: Outside,
    /// −1 and 1 are the centres of the border cells, not their outer edges.
    pub align_corners: bool,
}

/// Up to four cells of an axis with their weights; those outside have none.
#[derive(Clone, Copy)]
struct Taps {
    cells: [Option<usize>; 4],
    weights: [f32; 4],
    used: usize,
}

const POINT: Taps = Taps { cells: [Some(0), None, None, None], weights: [1.0, 0.0, 0.0, 0.0], used: 1 };

impl GridSample {
    fn taps(&self, coordinate: f32, len: usize) -> Taps {
        let n = len as f32;
        let (low, high) = if self.align_corners { (0.0, n - 1.0) } else { (-0.5, n - 0.5) };
        let mut at = match self.align_corners {
            true => (coordinate + 1.0) / 2.0 * (n - 1.0),
            false => ((coordinate + 1.0) * n - 1.0) / 2.0,
        };
        if self.mode == Mode::Nearest {
            at = round_ties_even(at);
        }
        if at < low || at > high {
            at = match self.outside {
                Outside::Zeros => at,
                Outside::Border if at < 0.0 => 0.0,
                Outside::Border if at > n - 1.0 => n - 1.0,
                Outside::Border => at,
                Outside::Reflection => reflect(at, low, high),
            };
        }
        if self.mode == Mode::Nearest {
            let cell = self.cell(round_ties_even(at), len, low, high);
            return Taps { cells: [cell, None, None, None], ..POINT };
        }
        let left = floor(at);
        let t = at - left;
        let (first, used, weights) = match self.mode {
            Mode::Cubic => (left - 1.0, 4, [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]),
            _ => (left, 2, [1.0 - t, t, 0.0, 0.0]),
        };
        let mut cells = [None; 4];
        for (i, cell) in cells.iter_mut().take(used).enumerate() {
            *cell = self.cell(first + i as f32, len, low, high);
        }
        Taps { cells, weights, used }
    }

    /// The cell that stands for a whole coordinate.
    fn cell(&self, at: f32, len: usize, low: f32, high: f32) -> Option<usize> {
        let last = len as f32 - 1.0;
        let at = match self.outside {
            Outside::Zeros if !(at >= 0.0 && at <= last) => return None,
            Outside::Zeros => at,
            Outside::Border => at,
            Outside::Reflection if at < low || at > high => reflect(at, low, high),
            Outside::Reflection => at,
        };
        // A conversion saturates; NaN is 0.
        Some((at as usize).min(len.saturating_sub(1)))
    }
}

/// Reflects at both borders until between them.
fn reflect(at: f32, low: f32, high: f32) -> f32 {
    let range = high - low;
    if range.is_nan() || range <= 0.0 {
        return low;
    }
    let beyond = if at < low { low - at } else { at - high };
    let times = floor(beyond / range);
    let rest = beyond - times * range;
    let half = times / 2.0;
    let odd = half != floor(half);
    if (at < low) == odd { high - rest } else { low + rest }
}

/// Cubic convolution kernel for distances up to 1.
fn near(x: f32) -> f32 {
    (1.25 * x - 2.25) * x * x + 1.0
}

/// Cubic convolution kernel for distances from 1 to 2.
fn far(x: f32) -> f32 {
    ((-0.75 * x + 3.75) * x - 6.0) * x + 3.0
}

/// `out` is `[batch, channels, points]`.
pub fn grid_sample_f32(x: &[f32], grid: &[f32], s: &GridSample, out: &mut [f32]) {
    let [depth, rows, columns] = s.input;
    let plane = depth.saturating_mul(rows).saturating_mul(columns).max(1);
    let (axes, points) = (s.axes.clamp(1, 3), s.points.max(1));
    let images = x.chunks_exact(plane.saturating_mul(s.channels).max(1)).zip(grid.chunks_exact(points * axes));
    for ((x, grid), out) in images.zip(out.chunks_exact_mut(points.saturating_mul(s.channels).max(1))) {
        for (point, coordinates) in grid.chunks_exact(axes).enumerate() {
            let mut taps = [POINT; 3];
            for ((taps, &len), &coordinate) in taps.iter_mut().rev().zip(s.input.iter().rev()).zip(coordinates) {
                *taps = s.taps(coordinate, len);
            }
            let column = out.get_mut(point..).unwrap_or_default().iter_mut().step_by(points);
            for (x, y) in x.chunks_exact(plane).zip(column) {
                *y = canonical(sum(x, &taps, rows, columns));
            }
        }
    }
}

fn sum(x: &[f32], [depth, row, column]: &[Taps; 3], rows: usize, columns: usize) -> f32 {
    let mut sum = 0.0;
    let each = |taps: &Taps| {
        let Taps { cells, weights, used } = *taps;
        cells.into_iter().zip(weights).take(used)
    };
    for (d, wd) in each(depth) {
        for (r, wr) in each(row) {
            for (c, wc) in each(column) {
                let (Some(d), Some(r), Some(c)) = (d, r, c) else { continue };
                let cell = x.get((d * rows + r) * columns + c).copied().unwrap_or_default();
                sum += wd * wr * wc * cell;
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: GridSample = GridSample {
        channels: 1,
        input: [1, 2, 3],
        axes: 2,
        points: 4,
        mode: Mode::Linear,
        outside: Outside::Zeros,
        align_corners: true,
    };

    /// Oracle: bilinear interpolation by hand on [[0, 1, 2], [3, 4, 5]].
    #[test]
    fn points_are_interpolated_between_their_cells() {
        let x = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let grid = [-1.0, -1.0, 0.5, 0.0, 1.0, 1.0, 2.0, -1.0];
        let mut out = [9.0; 4];
        grid_sample_f32(&x, &grid, &S, &mut out);
        assert_eq!(out, [0.0, 3.0, 5.0, 0.0]);
        grid_sample_f32(&x, &grid, &GridSample { outside: Outside::Border, ..S }, &mut out);
        assert_eq!(out, [0.0, 3.0, 5.0, 2.0]);
        grid_sample_f32(&x, &grid, &GridSample { outside: Outside::Reflection, ..S }, &mut out);
        assert_eq!(out, [0.0, 3.0, 5.0, 1.0]);
        let nearest = GridSample { mode: Mode::Nearest, align_corners: false, ..S };
        grid_sample_f32(&x, &[-0.7, -0.6, 0.0, 0.6, 0.0, -3.0, 0.9, 0.9], &nearest, &mut out);
        assert_eq!(out, [0.0, 4.0, 0.0, 5.0]);
    }

    /// Oracle: a constant tensor, of which every point inside is that constant.
    #[test]
    fn points_that_are_no_numbers_do_no_harm() {
        let grid = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e38, -1e38, f32::NAN, 0.0, 0.0];
        for mode in [Mode::Nearest, Mode::Linear, Mode::Cubic] {
            for outside in [Outside::Zeros, Outside::Border, Outside::Reflection] {
                for align_corners in [false, true] {
                    let mut out = [7.0; 4];
                    let s = GridSample { mode, outside, align_corners, ..S };
                    grid_sample_f32(&[1.0; 6], &grid, &s, &mut out);
                    // Half of a cubic window lies outside of two rows.
                    if (mode, outside) != (Mode::Cubic, Outside::Zeros) {
                        assert!((out[3] - 1.0).abs() < 1e-6, "{mode:?} {outside:?}: {out:?}");
                    }
                }
            }
        }
    }
}
