//! Unary and binary functions.

use super::f32_buffers::{Rng, assert_same};
use crate::Reference;
use crate::isa::IsaF32;
use selvedge_core::params::{binary, unary};
use std::format;
use std::vec::Vec;

/// Bits of every magnitude.
fn any_bits(rng: &mut Rng, n: usize) -> Vec<f32> {
    (0..n).map(|i| if i % 2 == 0 { f32::from_bits(rng.next() as u32) } else { 8.0 * rng.wild() }).collect()
}

pub fn unary_equals_reference_on_all_tails_of_32<I: IsaF32>(isa: I) {
    let mut rng = Rng::new(11);
    for kind in 0..=unary::LAST + 1 {
        for n in (0..=33).chain([1000]) {
            let x = any_bits(&mut rng, n);
            for (alpha, beta) in [(0.1, 3.0), (-1.0, 1.0), (f32::NAN, f32::MAX), (0.0, -1e9)] {
                let what = format!("unary {kind}, {n}");
                let expected = |y: &mut [f32]| Reference.unary_f32(kind, alpha, beta, &x, y);
                assert_same(n, &what, expected, |y| isa.unary_f32(kind, alpha, beta, &x, y));
                assert_same(n, &what, expected, |y| {
                    y.copy_from_slice(&x);
                    isa.unary_in_place_f32(kind, alpha, beta, y);
                });
            }
        }
    }
}

pub fn binary_equals_reference_on_all_tails_of_16<I: IsaF32>(isa: I) {
    let mut rng = Rng::new(12);
    for kind in 0..=binary::LAST + 1 {
        for n in (0..=17).chain([200]) {
            for (left, right) in [(n, n), (1, n), (n, 1)] {
                let (a, b) = (any_bits(&mut rng, left), any_bits(&mut rng, right));
                for (lo, hi) in [(f32::NEG_INFINITY, f32::INFINITY), (0.0, 6.0)] {
                    assert_same(
                        n,
                        &format!("binary {kind}, {left} and {right}"),
                        |y| Reference.binary_f32(kind, &a, &b, lo, hi, y),
                        |y| isa.binary_f32(kind, &a, &b, lo, hi, y),
                    );
                }
            }
        }
    }
}

fn unary_of(kind: u32, alpha: f32, beta: f32, x: f32) -> f32 {
    let mut y = [0.0];
    Reference.unary_f32(kind, alpha, beta, &[x], &mut y);
    y[0]
}

fn binary_of(kind: u32, a: f32, b: f32) -> f32 {
    let mut y = [0.0];
    Reference.binary_f32(kind, &[a], &[b], f32::NEG_INFINITY, f32::INFINITY, &mut y);
    y[0]
}

#[test]
fn nan_goes_through_every_function() {
    for kind in 0..=unary::LAST {
        assert!(unary_of(kind, 0.5, 1.0, f32::NAN).is_nan(), "unary {kind}");
    }
    for kind in 0..=binary::LAST {
        assert!(binary_of(kind, f32::NAN, 1.5).is_nan(), "binary {kind}");
        // A slope is not looked at where the number is positive.
        assert!(kind == binary::PRELU || binary_of(kind, 1.5, f32::NAN).is_nan(), "binary {kind}");
    }
    let mut y = [0.0];
    Reference.binary_f32(binary::ADD, &[f32::NAN], &[1.0], 0.0, 6.0, &mut y);
    assert!(y[0].is_nan());
}

#[test]
fn functions_have_the_values_onnx_states() {
    let one = |kind, x| unary_of(kind, 0.0, 0.0, x);
    assert_eq!([one(unary::RELU, -2.0), one(unary::RELU, 2.0)], [0.0, 2.0]);
    assert_eq!(unary_of(unary::LEAKY_RELU, 0.25, 0.0, -2.0), -0.5);
    // Where min > max, all become max.
    assert_eq!([unary_of(unary::CLIP, -1.0, 1.0, 3.0), unary_of(unary::CLIP, 2.0, 1.0, 0.0)], [1.0, 1.0]);
    assert_eq!(unary_of(unary::HARD_SIGMOID, 0.2, 0.5, 1.0), 0.7);
    assert_eq!([one(unary::HARD_SWISH, 3.0), one(unary::HARD_SWISH, -3.0)], [3.0, 0.0]);
    assert_eq!([0.5, 1.5, 2.5, -0.5, -1.5].map(|x| one(unary::ROUND, x)), [0.0, 2.0, 2.0, -0.0, -2.0]);
    assert_eq!([-0.5, -1.0, 1.5].map(|x| one(unary::FLOOR, x)), [-1.0, -1.0, 1.0]);
    assert_eq!([-0.5, 1.0, 1.5].map(|x| one(unary::CEIL, x)), [-0.0, 1.0, 2.0]);
    assert_eq!(
        [-3.0, -0.0, 0.0, 1e-40].map(|x| one(unary::SIGN, x).to_bits()),
        [-1.0, 0.0, 0.0, 1.0].map(f32::to_bits)
    );
    // Grid 0.5·(q − 3): −4 lies on it, 100 ends at (127 − 3)/2, 0.25 ties to q = 0 + 3.
    assert_eq!([-4.0, 100.0, 0.25, -100.0].map(|x| unary_of(unary::FAKE_QUANT, 0.5, 3.0, x)), [-4.0, 62.0, 0.0, -65.5]);
    assert_eq!([binary_of(binary::POW, 2.0, 10.0), binary_of(binary::POW, -3.0, 2.0)], [1024.0, 9.0]);
    assert_eq!([binary_of(binary::PRELU, -2.0, 0.5), binary_of(binary::PRELU, 2.0, 0.5)], [-1.0, 2.0]);
    assert_eq!([binary_of(binary::MAX, 1.0, 2.0), binary_of(binary::MIN, 1.0, 2.0)], [2.0, 1.0]);
    assert_eq!([binary_of(binary::SUB, 1.0, 2.0), binary_of(binary::DIV, 1.0, 2.0)], [-1.0, 0.5]);
}
