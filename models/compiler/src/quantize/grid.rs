//! int8 and int16 grids of activations.

use crate::graph::{ActQuant, Clamp};

/// The grid of probabilities: 1/256 steps from 0.
pub(super) const UNIT: ActQuant = ActQuant { scale: 1.0 / 256.0, zero_point: -128, bits: 8, unsigned: false };

/// The grid of −1..1: 1/128 steps around 0.
pub(super) const SIGNED_UNIT: ActQuant = ActQuant { scale: 1.0 / 128.0, zero_point: 0, bits: 8, unsigned: false };

/// The asymmetric int8 grid that covers `lo..hi` and holds 0 exactly.
///
/// The range is widened to include 0, its scale is `(hi − lo)/255`. An empty
/// range (all zeros) gets scale 1. Ends of the range lie within half a step of
/// the grid's ends. `lo` and `hi` are finite.
pub fn activation_grid(lo: f32, hi: f32) -> ActQuant {
    let (lo, hi) = (f64::from(lo.min(hi)).min(0.0), f64::from(hi.max(lo)).max(0.0));
    let scale = ((hi - lo) / 255.0) as f32;
    if scale < f32::MIN_POSITIVE {
        // Below the smallest normal f32 a step cannot be told from 0.
        return ActQuant { scale: 1.0, zero_point: 0, bits: 8, unsigned: false };
    }
    let zero_point = (-128.0 - lo / f64::from(scale)).round_ties_even().clamp(-128.0, 127.0) as i32;
    ActQuant { scale, zero_point, bits: 8, unsigned: false }
}

/// The int16 grid around 0 that covers `lo..hi`: codes −32767..=32767. An empty range gets scale 1.
pub(super) fn wide_grid(lo: f32, hi: f32) -> ActQuant {
    let scale = lo.abs().max(hi.abs()) / 32_767.0;
    let scale = if scale < f32::MIN_POSITIVE { 1.0 } else { scale };
    ActQuant { scale, zero_point: 0, bits: 16, unsigned: false }
}

/// The symmetric scale of codes −127..=127 for magnitudes up to `abs_max`; 1 where it would vanish.
pub(super) fn symmetric_scale(abs_max: f32) -> f32 {
    let scale = abs_max / 127.0;
    if scale < f32::MIN_POSITIVE { 1.0 } else { scale }
}

/// A range after a fused activation. An empty intersection collapses to its nearer end.
pub(super) fn clamped((lo, hi): (f32, f32), clamp: Option<Clamp>) -> (f32, f32) {
    match clamp {
        Some(c) => (lo.max(c.lo).min(c.hi), hi.min(c.hi).max(c.lo)),
        None => (lo, hi),
    }
}

/// Real values of the least and the greatest code.
pub(crate) fn ends(grid: ActQuant) -> (f32, f32) {
    let real = |q: i32| (q - grid.zero_point) as f32 * grid.scale;
    let half = 1 << (grid.bits - 1);
    (real(-half), real(half - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_hold_zero_and_cover_their_range_within_half_a_step() {
        let ends_of = [0.0f32, 1e-30, 3e-5, 0.1, 1.0, 6.0, 255.0, 4.2e4, 1e30, f32::MAX];
        for &a in &ends_of {
            for &b in &ends_of {
                for (lo, hi) in [(-a, b), (a, b), (-a, -b)] {
                    let grid = activation_grid(lo, hi);
                    assert!(grid.scale.is_finite() && grid.scale > 0.0, "{lo}..{hi}");
                    assert!((-128..=127).contains(&grid.zero_point));
                    let (left, right) = ends(grid);
                    if grid.scale == 1.0 && a.max(b) < 1.0 {
                        continue;
                    }
                    let half = grid.scale * 0.5001;
                    assert!(f64::from(lo.min(hi).min(0.0)) >= f64::from(left) - f64::from(half), "{lo}..{hi}");
                    assert!(f64::from(hi.max(lo).max(0.0)) <= f64::from(right) + f64::from(half), "{lo}..{hi}");
                }
            }
        }
    }

    #[test]
    fn degenerate_ranges_have_a_usable_grid() {
        for (lo, hi) in [(0.0, 0.0), (1e-44, 1e-44), (-0.0, 0.0)] {
            assert_eq!(activation_grid(lo, hi), ActQuant { scale: 1.0, zero_point: 0, bits: 8, unsigned: false });
        }
        assert_eq!(activation_grid(0.0, 5.1).zero_point, -128);
        assert_eq!(activation_grid(-5.1, 0.0).zero_point, 127);
        assert_eq!(activation_grid(2.0, 2.0).scale, 2.0 / 255.0);
    }

    #[test]
    fn clamps_narrow_ranges() {
        let relu6 = Some(Clamp { lo: 0.0, hi: 6.0 });
        assert_eq!(clamped((-3.0, 2.0), relu6), (0.0, 2.0));
        assert_eq!(clamped((-3.0, 9.0), relu6), (0.0, 6.0));
        assert_eq!(clamped((-3.0, -1.0), relu6), (0.0, 0.0));
        assert_eq!(clamped((-3.0, -1.0), None), (-3.0, -1.0));
    }
}
