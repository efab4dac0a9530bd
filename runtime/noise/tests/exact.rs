//! Oracle: sums of binomial coefficients in whole numbers, for probabilities that are fractions of 256; and arguments
//! of every kind, of which none may panic or make a bound that is none.

use num_bigint::BigUint;
use selvedge_noise::{Domain, NoiseKey, binomial, bounds, normal, tables};

/// Rounded down to 53 bits.
fn quotient(above: &BigUint, below: &BigUint) -> f64 {
    let shift = (64 + below.bits()).saturating_sub(above.bits());
    let whole: BigUint = (above << shift) / below;
    let drop = whole.bits().saturating_sub(53);
    let power = drop as i32 - shift as i32;
    let head = u64::try_from(&(whole >> drop)).expect("53 bits") as f64;
    head * 2f64.powi(power / 2) * 2f64.powi(power - power / 2)
}

/// `P(Bin(n, p256/256) ≥ k)` for k = 0..=n, rounded down.
fn tails(n: u32, p256: u32) -> Vec<f64> {
    let (p, q) = (BigUint::from(p256), BigUint::from(256 - p256));
    let mut coefficient = BigUint::from(1u32);
    let mut terms = Vec::new();
    for k in 0..=n {
        terms.push(&coefficient * p.pow(k) * q.pow(n - k));
        coefficient = coefficient * (n - k) / (k + 1);
    }
    let whole = BigUint::from(256u32).pow(n);
    let mut sum = BigUint::from(0u32);
    let mut tails: Vec<f64> = Vec::new();
    for term in terms.iter().rev() {
        sum += term;
        tails.push(quotient(&sum, &whole));
    }
    tails.reverse();
    tails
}

#[test]
fn tails_are_never_below_the_exact_ones_and_near_them_on_all_k_of_many_n() {
    let mut worst = 0f64;
    for n in [1, 2, 3, 7, 15, 16, 17, 31, 64, 100, 211] {
        for p256 in [1, 3, 64, 100, 127, 128, 129, 200, 255] {
            let p = f64::from(p256) / 256.0;
            for (k, &exact) in tails(n, p256).iter().enumerate() {
                let (tail, quick) = (binomial::upper_tail(k as u32, n, p), binomial::upper_tail_quick(k as u32, n, p));
                assert!(tail >= exact && quick >= exact, "P(Bin({n}, {p}) ≥ {k}): {tail:e} {quick:e} {exact:e}");
                worst = worst.max((tail - exact) / exact.max(1e-290));
                // Robbins' 1/(12n + 1) and a geometric rest cost more than exact sums.
                assert!(quick >= tail * (1.0 - 1e-12), "{k} {n} {p}");
            }
        }
    }
    assert!(worst < 3e-12, "{worst:e}");
}

#[test]
fn fair_coin_tests_equal_whole_number_arithmetic() {
    for n in [1u32, 2, 5, 10, 33, 64, 127, 300] {
        let exact = tails(n, 128);
        for n1 in 0..=n {
            let found = binomial::two_sided_half(n1, n - n1);
            let top = n1.max(n - n1);
            let want = if 2 * n1 == n { 1.0 } else { (2.0 * exact[top as usize]).min(1.0) };
            assert!(found >= want && found - want <= 1e-11 * want, "{n1} of {n}: {found} {want}");
        }
        for alpha in [0.5, 0.05, 1e-3, 1e-9] {
            let want = (0..=n).find(|&k| exact[k as usize] <= alpha * (1.0 - 1e-11));
            assert_eq!(binomial::min_count(n, 0.5, alpha), want, "{n} {alpha}");
        }
    }
    assert_eq!(binomial::two_sided_half(u32::MAX, 1), 1.0);
}

#[test]
fn tails_that_underflow_are_not_taken_for_nothing() {
    // 2^−10000000 and the like: above 0.
    for (k, n, p) in [(10_000_000, 10_000_000, 0.5), (9_000_000, 10_000_000, 0.5), (5, 9, 1e-200), (3, 7, 5e-324)] {
        assert!(binomial::upper_tail(k, n, p) > 0.0 && binomial::upper_tail_quick(k, n, p) > 0.0, "{k} {n} {p}");
        assert!(binomial::upper_tail(k, n, p) < 1e-290);
    }
    assert!(binomial::two_sided_half(10_000_000, 0) > 0.0);
    // The first term is 10^−300000, the tail all but 1.
    for k in [1, 1000, 1_000_000, 4_900_000] {
        assert_eq!(binomial::upper_tail(k, 10_000_000, 0.5), 1.0, "{k}");
    }
    for k in (4_930_000..4_970_000).step_by(37) {
        // About here the first term passes the smallest normal number, and the smallest of all.
        assert!(binomial::upper_tail(k, 10_000_000, 0.5) > 0.999_999, "{k}");
    }
}

#[test]
fn bounds_of_ten_million_draws_hold_at_their_own_tail() {
    // Oracle: the definition, by the tail at the bound and a little above it.
    for (k, n) in [(1, 10_000_000), (5_000_000, 10_000_000), (9_990_000, 10_000_000), (9_999_999, 10_000_000)] {
        for alpha in [0.05, 1e-3, 1e-6] {
            let (lower, quick) = (binomial::lower_bound(k, n, alpha), binomial::lower_bound_quick(k, n, alpha));
            assert!(
                binomial::upper_tail(k, n, lower) <= alpha && quick <= lower && lower <= f64::from(k) / f64::from(n)
            );
            let above = lower + 1e-12 * f64::max(lower, 1e-6);
            assert!(binomial::upper_tail(k, n, above) > alpha, "{k}/{n}, {alpha}: {lower} is too low");
            // A share of √(k(n − k)/n)/n is what the geometric rest costs, times a number below 1.
            let deviation = (lower * (1.0 - lower) / f64::from(n)).sqrt();
            assert!(lower - quick < 0.2 * deviation + 1e-15, "{k}/{n}, {alpha}: {quick} {lower}");
        }
    }
}

#[test]
fn shifts_outside_their_theorems_are_infinite_or_those_of_the_edge() {
    // Massart's one-sided constant holds for δ ≤ ½.
    assert_eq!(bounds::dkw_one_sided(100, 0.9), bounds::dkw_one_sided(100, 0.5));
    assert!(bounds::dkw_two_sided(100, 0.9) > bounds::dkw_one_sided(100, 0.5) * 0.99);
    assert_eq!(bounds::empirical_bernstein(1, 0.0, 0.1), f64::INFINITY);
    for delta in [0.0, -1.0, 1.0, 1.5, f64::NAN, 5e-324] {
        assert_eq!(bounds::hoeffding(10, delta), f64::INFINITY);
        assert_eq!(bounds::dkw_one_sided(10, delta), f64::INFINITY);
        assert_eq!(bounds::dkw_two_sided(10, delta), f64::INFINITY);
        assert_eq!(bounds::empirical_bernstein(10, 0.1, delta), f64::INFINITY);
    }
    assert_eq!(bounds::ablation(0, 0, 0), 0.0);
    assert_eq!(bounds::ablation(10, 5, 6), 1.0);
    assert_eq!(bounds::ablation(u32::MAX, u32::MAX, u32::MAX), 1.0);
    assert_eq!(bounds::ablation(u32::MAX, 1 << 30, 1 << 31), 1.0);
    let one = bounds::ablation(784, 45, 1);
    assert!(one >= 45.0 / 784.0 && one < 45.0 / 784.0 + 1e-15);
}

#[test]
fn nothing_panics_and_bounds_stay_in_their_range_on_any_argument() {
    const REALS: [f64; 22] = [
        0.0,
        -0.0,
        5e-324,
        1e-310,
        1e-290,
        1e-17,
        1e-3,
        0.3,
        0.5,
        0.75,
        0.999,
        1.0 - f64::EPSILON / 2.0,
        1.0,
        1.0 + f64::EPSILON,
        2.0,
        38.0,
        1e300,
        -0.5,
        -40.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];
    const COUNTS: [u32; 10] = [0, 1, 2, 15, 16, 1000, 999_999, 10_000_000, u32::MAX - 1, u32::MAX];
    for x in REALS {
        let (lower, upper) = (normal::cdf_lower(x), normal::cdf_upper(x));
        assert!((0.0..=1.0).contains(&lower) && (0.0..=1.0).contains(&upper) && lower <= upper, "{x}");
        let (lower, upper) = (normal::quantile_lower(x), normal::quantile_upper(x));
        assert!(x.is_nan() || lower <= upper, "{x}: {lower} {upper}");
        for k in COUNTS {
            for n in COUNTS {
                let tail = binomial::upper_tail(k, n, x);
                let quick = binomial::upper_tail_quick(k, n, x);
                assert!((0.0..=1.0).contains(&tail) && (0.0..=1.0).contains(&quick), "{k} {n} {x}");
            }
        }
    }
    for x in [f64::NAN, -1.0, 0.0, 5e-324, 1e-300, 1e-3, 0.5, 0.9, 1.0, 2.0, f64::INFINITY] {
        for (k, n) in COUNTS.into_iter().flat_map(|k| COUNTS.map(|n| (k, n))).filter(|(_, n)| *n <= 10_000_000) {
            let (lower, upper) = (binomial::lower_bound(k, n, x), binomial::upper_bound(k, n, x));
            assert!((0.0..=1.0).contains(&lower) && (0.0..=1.0).contains(&upper), "{k} {n} {x}");
            assert!(k > n || lower <= upper);
            assert!(binomial::lower_bound_quick(k, n, x) <= 1.0);
        }
        for (n, p) in COUNTS[..8].iter().flat_map(|&n| REALS.map(|p| (n, p))) {
            if let Some(k) = binomial::min_count(n, p, x) {
                assert!(k >= 1 && k <= n && binomial::upper_tail(k, n, p) <= x, "{n} {p} {x}");
            }
        }
    }
    let table = tables::STEPS_2.table().expect("valid");
    let key = NoiseKey::from_bytes([0; 32]);
    for (sample, first, len) in [(u64::MAX, u32::MAX, 0), (u64::MAX, u32::MAX, 3), (1 << 62, u32::MAX - 5, 100)] {
        table.fill(&key, Domain::Extension, sample, first, &mut vec![0; len]);
    }
}
