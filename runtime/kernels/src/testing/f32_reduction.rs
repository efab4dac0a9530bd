//! Reductions and softmax.

use super::f32_buffers::{Rng, assert_same};
use crate::Reference;
use crate::args::LayerNormF32;
use crate::isa::IsaF32;
use selvedge_core::params::reduce;
use std::format;
use std::vec;
use std::vec::Vec;

pub fn reduce_equals_reference_on_all_tails_of_16<I: IsaF32>(isa: I) {
    let mut rng = Rng::new(13);
    for kind in 0..=reduce::LAST + 1 {
        for n in (0..=17).chain([300]) {
            for (outer, inner) in [(1, 1), (3, 1), (2, 3), (1, 8), (2, 19)] {
                for wild in [false, true] {
                    let x = rng.numbers(outer * n * inner, wild);
                    assert_same(
                        outer * inner,
                        &format!("reduce {kind}, [{outer}, {n}, {inner}]"),
                        |y| Reference.reduce_f32(kind, &x, outer, n, inner, y),
                        |y| isa.reduce_f32(kind, &x, outer, n, inner, y),
                    );
                }
            }
        }
    }
}

pub fn softmax_equals_reference_on_all_rows_up_to_33<I: IsaF32>(isa: I) {
    let mut rng = Rng::new(14);
    for row in (0..=33).chain([1000]) {
        for (rows, wild) in [(1, false), (3, false), (3, true)] {
            let x: Vec<f32> = rng.numbers(rows * row, wild).iter().map(|x| x * 9.0).collect();
            let what = format!("softmax {rows} rows of {row}");
            assert_same(x.len(), &what, |y| Reference.softmax_f32(&x, row, y), |y| isa.softmax_f32(&x, row, y));
        }
    }
}

pub fn layer_norm_equals_reference_on_all_rows_up_to_33<I: IsaF32>(isa: I) {
    let mut rng = Rng::new(16);
    for row in (0..=33).chain([384, 1000]) {
        for (rows, wild) in [(1, false), (3, false), (3, true)] {
            let x = rng.numbers(rows * row, wild);
            let (gamma, beta) = (rng.numbers(row, wild), rng.numbers(row, wild));
            for epsilon in [0.0, 1e-12, 1e-5] {
                let norm = LayerNormF32 { epsilon, gamma: &gamma, beta: &beta };
                let what = format!("layer norm, {rows} rows of {row}, epsilon {epsilon}");
                assert_same(
                    x.len(),
                    &what,
                    |y| Reference.layer_norm_f32(&x, &norm, y),
                    |y| isa.layer_norm_f32(&x, &norm, y),
                );
            }
        }
    }
}

#[test]
fn layer_norm_is_near_the_exact_one() {
    let mut rng = Rng::new(17);
    for row in [1, 2, 7, 384] {
        let x: Vec<f32> = rng.numbers(row, false).iter().map(|x| x * 3.0 + 5.0).collect();
        let (gamma, beta) = (rng.numbers(row, false), rng.numbers(row, false));
        let mut y = vec![0.0; row];
        Reference.layer_norm_f32(&x, &LayerNormF32 { epsilon: 1e-5, gamma: &gamma, beta: &beta }, &mut y);
        let mean = x.iter().map(|&v| v as f64).sum::<f64>() / row as f64;
        let variance = x.iter().map(|&v| (v as f64 - mean).powi(2)).sum::<f64>() / row as f64;
        for i in 0..row {
            let exact = (x[i] as f64 - mean) / (variance + 1e-5f32 as f64).sqrt() * gamma[i] as f64 + beta[i] as f64;
            assert!((y[i] as f64 - exact).abs() < 1e-5, "{i} of {row}: {} is not {exact}", y[i]);
        }
    }
}

#[test]
fn softmax_of_masked_rows() {
    let softmax = |x: [f32; 3]| {
        let mut y = [0.0; 3];
        Reference.softmax_f32(&x, 3, &mut y);
        y
    };
    let inf = f32::INFINITY;
    assert_eq!(softmax([2.0, -inf, 2.0]), [0.5, 0.0, 0.5]);
    assert_eq!(softmax([-inf, -1e30, -inf]), [0.0, 1.0, 0.0]);
    for x in [[-inf; 3], [f32::NAN, 0.0, 1.0], [inf, 0.0, 1.0]] {
        // An element whose exponential is 0 over a sum of NaN is NaN too.
        assert!(softmax(x).iter().all(|y| y.is_nan()), "{x:?}");
    }
}

#[test]
fn softmax_is_near_the_exact_one() {
    let mut rng = Rng::new(15);
    let x: Vec<f32> = rng.numbers(100, false).iter().map(|x| x * 6.0).collect();
    let mut y = vec![0.0; 100];
    Reference.softmax_f32(&x, 100, &mut y);
    let sum: f64 = x.iter().map(|&x| (x as f64).exp()).sum();
    for (x, y) in x.iter().zip(y) {
        let exact = (*x as f64).exp() / sum;
        assert!((y as f64 / exact - 1.0).abs() < 1e-6, "{y} is not {exact}");
    }
}

/// The order in numbers: 1 + 2^24 loses the 1 in a lane, lanes are joined as (0+4)+(2+6), (1+5)+(3+7).
#[test]
fn a_sum_uses_eight_lanes() {
    let sum = |x: &[f32]| {
        let mut y = [0.0];
        Reference.reduce_f32(reduce::SUM, x, 1, x.len(), 1, &mut y);
        y[0]
    };
    let big = 16_777_216.0;
    let mut x = [0.0; 16];
    (x[0], x[8], x[4]) = (big, 1.0, -big);
    assert_eq!(sum(&x), 0.0);
    let mut x = [0.0; 16];
    (x[0], x[1], x[4]) = (big, 1.0, -big);
    assert_eq!(sum(&x), 1.0);
    let mut x = [0.0; 16];
    (x[0], x[2], x[4], x[6]) = (big, -big, 1.0, 1.0);
    assert_eq!(sum(&x), 1.0, "big + 1 loses it; −big + 1 is exact");
}

#[test]
fn extremes_propagate_nan_and_empty_sums_are_zero() {
    let of = |kind, x: &[f32]| {
        let mut y = [0.0];
        Reference.reduce_f32(kind, x, 1, x.len(), 1, &mut y);
        y[0]
    };
    for kind in 0..=reduce::LAST {
        assert!(of(kind, &[1.0, f32::NAN, 2.0]).is_nan());
    }
    assert_eq!([of(reduce::SUM, &[]), of(reduce::PROD, &[])], [0.0, 1.0]);
    assert_eq!([of(reduce::MAX, &[]), of(reduce::MIN, &[])], [f32::NEG_INFINITY, f32::INFINITY]);
    assert_eq!([of(reduce::MEAN, &[1.0, 2.0]), of(reduce::L2, &[3.0, 4.0])], [1.5, 5.0]);
    assert_eq!([of(reduce::PROD, &[3.0, 4.0]), of(reduce::SUM_SQUARE, &[3.0, 4.0])], [12.0, 25.0]);
}
