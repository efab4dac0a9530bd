//! Functions against f64 (std), in ULP of the f32 result, on a grid of all magnitudes.

use super::*;
use crate::f32_rules::canonical;

/// Distance from the exact value in units of the last place of its f32 neighbour.
fn ulps(got: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if got.to_bits() == rounded.to_bits() || (got.is_nan() && exact.is_nan()) {
        return 0.0;
    }
    if !rounded.is_finite() || !got.is_finite() {
        return f64::INFINITY;
    }
    let exponent = ((rounded.to_bits() >> 23) & 255).max(1) as i32;
    (got as f64 - exact).abs() / 2f64.powi(exponent - 150)
}

/// Every 1021st f32 of either sign, which covers all exponents, and the ends of the subnormal and finite ranges.
fn grid() -> impl Iterator<Item = f32> {
    let positive = (0..=0x7f80_0000u32).step_by(1021).chain([1, 0x007f_ffff, 0x0080_0000, 0x7f7f_ffff, 0x7f80_0000]);
    positive.flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)])
}

/// The worst error over the grid and over a fine step through `range`.
fn worst(range: (f32, f32), f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> (f64, f32) {
    let fine = (0..200_000).map(|i| range.0 + (range.1 - range.0) * (i as f32 / 200_000.0));
    let mut worst = (0.0, 0.0);
    for x in grid().chain(fine) {
        let error = ulps(f(x), exact(x as f64));
        if error > worst.0 {
            worst = (error, x);
        }
    }
    worst
}

#[track_caller]
fn within(limit: f64, range: (f32, f32), f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) {
    let (error, x) = worst(range, f, exact);
    std::println!("{error:.3} ULP at {x:e}");
    assert!(error <= limit, "{error} ULP at {x:e}");
}

/// erf in f64: Taylor series near 0, continued fraction behind.
fn erf_f64(x: f64) -> f64 {
    let a = x.abs();
    if a > 6.0 {
        return 1f64.copysign(x);
    }
    if a < 3.0 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > 1e-18 * sum.abs() {
            n += 1.0;
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    let mut fraction = 0.0;
    for n in (1..100).rev() {
        fraction = n as f64 / 2.0 / (a + fraction);
    }
    (1.0 - (-a * a).exp() / std::f64::consts::PI.sqrt() / (a + fraction)).copysign(x)
}

#[test]
fn exp_is_within_its_bound() {
    within(1.0, (-105.0, 90.0), exp, f64::exp);
}

#[test]
fn expm1_negative_is_within_its_bound() {
    within(2.0, (-26.0, 0.0), |x| expm1_negative(-x.abs()), |x| (-x.abs()).exp_m1());
}

#[test]
fn sigmoid_is_within_its_bound() {
    within(
        3.0,
        (-105.0, 20.0),
        sigmoid,
        |x| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) },
    );
}

#[test]
fn tanh_is_within_its_bound() {
    within(2.0, (-10.0, 10.0), tanh, f64::tanh);
}

#[test]
fn log_is_within_its_bound() {
    within(1.0, (0.0, 4.0), log, f64::ln);
}

#[test]
fn softplus_is_within_its_bound() {
    within(2.0, (-105.0, 20.0), softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p());
}

#[test]
fn erf_is_within_its_bound() {
    within(2.0, (-4.5, 4.5), erf, erf_f64);
    let error = (-45_000..=45_000).map(|i| i as f32 / 10_000.0).map(|x| (erf(x) as f64 - erf_f64(x as f64)).abs());
    assert!(error.fold(0.0, f64::max) <= 1e-7);
}

#[test]
fn gelu_is_near_the_exact_one() {
    for x in (-80_000..=80_000).map(|i| i as f32 / 10_000.0) {
        let exact = 0.5 * x as f64 * (1.0 + erf_f64(x as f64 * std::f64::consts::FRAC_1_SQRT_2));
        assert!((gelu(x) as f64 - exact).abs() <= 2e-7 * (1.0 + exact.abs()), "{x}");
    }
}

#[test]
fn pow_is_within_its_bound() {
    for y in [-2.5f32, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 7.25] {
        within(1.0, (0.0, 10.0), |x| pow(x, y), |x| x.powf(y as f64));
    }
}

#[test]
fn sqrt_is_correctly_rounded() {
    for x in grid() {
        assert_eq!(canonical(sqrt(x)).to_bits(), canonical(x.sqrt()).to_bits(), "{x:e}");
    }
}

#[test]
fn rounding_equals_std() {
    for x in grid().chain((-40_000..40_000).map(|i| i as f32 / 8.0)) {
        assert_eq!(round_ties_even(x).to_bits(), x.round_ties_even().to_bits(), "{x:e}");
        assert_eq!(round_ties_even(x).to_bits(), selvedge_core::arith::round_ties_even(x).to_bits(), "{x:e}");
        assert_eq!(floor(x).to_bits(), x.floor().to_bits(), "{x:e}");
        assert_eq!(ceil(x).to_bits(), x.ceil().to_bits(), "{x:e}");
    }
}

#[test]
fn special_values() {
    let inf = f32::INFINITY;
    assert_eq!([exp(inf), exp(-inf), exp(-104.0), exp(0.0), exp(88.73)], [inf, 0.0, 0.0, 1.0, inf]);
    assert_eq!([log(inf), log(0.0), log(-0.0), log(1.0)], [inf, -inf, -inf, 0.0]);
    assert!(log(-1.0).is_nan() && log(-inf).is_nan());
    assert_eq!([tanh(inf), tanh(-inf), erf(inf), erf(-inf)], [1.0, -1.0, 1.0, -1.0]);
    assert_eq!([sigmoid(inf), sigmoid(-inf), sigmoid(0.0)], [1.0, 0.0, 0.5]);
    assert_eq!([softplus(inf), softplus(-inf)], [inf, 0.0]);
    assert_eq!([elu(-inf, 2.0), elu(inf, 2.0)], [-2.0, inf]);
    assert_eq!([tanh(-0.0), erf(-0.0), elu(-0.0, 1.0)].map(f32::to_bits), [(-0.0f32).to_bits(); 3]);
    assert_eq!([gelu(inf), silu(inf)], [inf, inf]);
    assert!(gelu(-inf).is_nan() && silu(-inf).is_nan() && hard_swish(-inf).is_nan());
}

/// Bounds of libm's functions: what is measured here, rounded up.
#[test]
fn trigonometric_functions_are_within_their_bounds() {
    use selvedge_core::params::unary;
    type Exact = fn(f64) -> f64;
    let functions: [(u32, (f32, f32), Exact); 11] = [
        (unary::SIN, (-50.0, 50.0), f64::sin),
        (unary::COS, (-50.0, 50.0), f64::cos),
        (unary::TAN, (-50.0, 50.0), f64::tan),
        (unary::ASIN, (-1.0, 1.0), f64::asin),
        (unary::ACOS, (-1.0, 1.0), f64::acos),
        (unary::ATAN, (-50.0, 50.0), f64::atan),
        (unary::SINH, (-90.0, 90.0), f64::sinh),
        (unary::COSH, (-90.0, 90.0), f64::cosh),
        (unary::ASINH, (-50.0, 50.0), |x| (x.abs() + (x * x + 1.0).sqrt()).ln().copysign(x)),
        (unary::ACOSH, (1.0, 50.0), |x| (x + ((x - 1.0) * (x + 1.0)).sqrt()).ln()),
        (unary::ATANH, (-1.0, 1.0), |x| (2.0 * x / (1.0 - x)).ln_1p() / 2.0),
    ];
    for (kind, (lo, hi), exact) in functions {
        let fine = (0..=100_000).map(|i| lo + (hi - lo) * (i as f32 / 100_000.0));
        for x in fine.filter(|x| x.abs() > 1e-3) {
            let (y, wanted) = (trig(kind, x), exact(x as f64));
            // Near zeros of the function the exact one above loses digits, not ours.
            let near = (y as f64 - wanted).abs() <= 1e-9;
            assert!(near || ulps(y, wanted) <= 3.0, "{kind} of {x:e}: {y:e}, exact {wanted:e}");
        }
        assert!(trig(kind, f32::NAN).is_nan(), "{kind}");
    }
    assert_eq!(trig(unary::LAST_TRIG + 1, 1.0).to_bits(), crate::f32_rules::NAN.to_bits());
}

/// Oracle: ONNX's formulas in f64.
#[test]
fn activations_are_near_the_exact_ones() {
    let plus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    for x in (-40_000..=40_000).map(|i| i as f32 / 2_000.0) {
        let d = x as f64;
        let near = |y: f32, exact: f64| {
            assert!((y as f64 - exact).abs() <= 4e-7 * (1.0 + exact.abs()), "{x}: {y} is not {exact}");
        };
        near(celu(x, 2.0), d.max(0.0) + (2.0 * ((d / 2.0).exp() - 1.0)).min(0.0));
        near(selu(x, 1.5, 2.0), 2.0 * if d > 0.0 { d } else { 1.5 * (d.exp() - 1.0) });
        near(mish(x), d * plus(d).tanh());
        near(softsign(x), d / (1.0 + d.abs()));
        near(swish(x, 1.7), d / (1.0 + (-1.7f32 as f64 * d).exp()));
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (d + 0.044715 * d * d * d);
        near(gelu_tanh(x), 0.5 * d * (1.0 + inner.tanh()));
    }
    assert_eq!([1.0, 1.5, -3.0].map(|x| thresholded_relu(x, 1.0)), [0.0, 1.5, 0.0]);
    assert_eq!([-2.0, -1.0, 0.5, 2.0].map(|x| shrink(x, 1.5, 0.5)), [-1.5, 0.0, 0.0, 1.5]);
    let ends =
        [0.0, -0.0, 1e-45, 1.17e-38, 1.1754944e-38, 0.3, 1.0, 1.5, 8388609.0, 3e38, f32::MAX, f32::INFINITY, f32::NAN];
    let mut state = 1u32;
    let mut any = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        f32::from_bits(state ^ state >> 13)
    };
    let mut pairs: std::vec::Vec<(f32, f32)> = ends.iter().flat_map(|&a| ends.map(|b| (a, -b))).collect();
    pairs.extend((0..200_000).map(|_| (any(), any())));
    // Exact by IEEE 754: any other implementation is an oracle.
    for (a, b) in pairs {
        let (found, right) = (fmod(a, b), libm::fmodf(a, b));
        assert!(found.to_bits() == right.to_bits() || (found.is_nan() && right.is_nan()), "{a:e} mod {b:e}: {found:e}");
    }
    assert_eq!([floor_mod(-4.5, 2.0), floor_mod(4.5, -2.0), fmod(-4.5, 2.0), fmod(4.5, -2.0)], [1.5, -1.5, -0.5, 0.5]);
}
