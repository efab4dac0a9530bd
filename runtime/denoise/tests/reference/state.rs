//! Filters and smoothers: exact values, fixed particles, and the Monte Carlo error of the particle smoother.

use crate::support::{Case, case, same};
use selvedge_denoise::state::*;
use selvedge_noise::{NoiseKey, Reals};

/// x' = a·x + q·w, y = x + r·v.
struct Linear {
    a: f64,
    q: f64,
    r: f64,
    prior: f64,
    bounded: bool,
}

impl Linear {
    fn of(case: &Case) -> Self {
        let number = |key: &str| case.number(&format!("params.{key}"));
        let (a, q) = (number("a"), number("q_std"));
        Linear { a, q, r: number("r_std"), prior: q * q / (1.0 - a * a), bounded: true }
    }
}

impl Dynamics for Linear {
    type State = f64;
    type Observation = f64;

    fn initial(&self, draws: &mut Reals<'_>) -> f64 {
        self.prior.sqrt() * draws.normal()
    }

    fn propagate(&self, from: &f64, draws: &mut Reals<'_>) -> f64 {
        self.a * from + self.q * draws.normal()
    }

    fn log_likelihood(&self, y: &f64, x: &f64) -> f64 {
        -0.5 * ((y - x) / self.r).powi(2)
    }

    fn log_transition(&self, from: &f64, to: &f64) -> f64 {
        -0.5 * ((to - self.a * from) / self.q).powi(2)
    }

    fn log_transition_bound(&self) -> Option<f64> {
        self.bounded.then_some(0.0)
    }
}

/// Σ x_t.
struct Sum;

impl Additive<f64> for Sum {
    fn first(&self, state: &f64) -> f64 {
        *state
    }

    fn then(&self, _: &f64, to: &f64) -> f64 {
        *to
    }
}

#[test]
fn kalman_filter_and_smoother_are_exact() {
    let Some(case) = case("kalman_rts") else { return };
    let number = |key: &str| case.number(&format!("params.{key}"));
    let (q, r) = (number("q_std"), number("r_std"));
    let model = Kalman { transition: [[number("a")]], noise: [[q * q]] };
    let sensor = Observation { matrix: [[1.0]], noise: [[r * r]] };
    let mut predicted = vec![Gaussian { mean: [number("prior_mean")], covariance: [[number("prior_var")]] }];
    let (mut filtered, mut likelihood) = (vec![], 0.0);
    for y in case.list("inputs.y") {
        let prior = predicted[filtered.len()];
        likelihood += sensor.innovation(&prior, &[y]).expect("positive").log_likelihood;
        filtered.push(sensor.update(&prior, &[y]).expect("positive"));
        predicted.push(model.predict(&filtered[filtered.len() - 1]).expect("finite"));
    }
    let means = |all: &[Gaussian<f64, 1>]| all.iter().map(|s| s.mean[0]).collect::<Vec<_>>();
    let variances = |all: &[Gaussian<f64, 1>]| all.iter().map(|s| s.covariance[0][0]).collect::<Vec<_>>();
    case.same("expected.filter_mean", &means(&filtered), 1e-12);
    case.same("expected.filter_var", &variances(&filtered), 1e-12);
    same(&[case.number("expected.loglik")], &[likelihood], 1e-12, "likelihood");
    let mut smoothed = vec![*filtered.last().expect("six")];
    let mut lags = vec![];
    for t in (0..filtered.len() - 1).rev() {
        let (now, gain) = rts_step(&model, &filtered[t], &predicted[t + 1], &smoothed[0]).expect("positive");
        lags.insert(0, gain[0][0] * smoothed[0].covariance[0][0]);
        smoothed.insert(0, now);
    }
    case.same("expected.smooth_mean", &means(&smoothed), 1e-12);
    case.same("expected.smooth_var", &variances(&smoothed), 1e-12);
    case.same("expected.lag1_cov", &lags, 1e-12);
    let sum = |f: &dyn Fn(usize) -> f64, n: usize| (0..n).map(f).sum::<f64>();
    let (m, v) = (means(&smoothed), variances(&smoothed));
    let found = [sum(&|t| m[t], 6), sum(&|t| v[t] + m[t] * m[t], 6), sum(&|t| lags[t] + m[t] * m[t + 1], 5)];
    for (path, found) in ["sum_smooth_mean", "sum_smooth_x2", "sum_smooth_xx1"].iter().zip(found) {
        same(&[case.number(&format!("expected.{path}"))], &[found], 1e-12, path);
    }
}

#[test]
fn particle_smoothing_with_given_particles_is_the_reference_and_its_limit() {
    let Some(case) = case("paris_fixed_particles") else { return };
    let model = Linear::of(&case);
    let rows = case.rows("inputs.particles");
    let particles: Vec<[f64; 3]> = rows.iter().map(|row| [row[0], row[1], row[2]]).collect();
    let y = case.list("inputs.y");
    let weights: Vec<[f64; 3]> =
        particles.iter().zip(&y).map(|(row, y)| row.map(|x| model.log_likelihood(y, &x).exp())).collect();
    case.same("expected.weights_unnormalised", weights.as_flattened(), 1e-12);
    let uniforms = case.list("inputs.uniforms");
    for (backward, tau, estimate) in [
        (Backward::Exact, "expected.ffbsm_tau", "expected.ffbsm_estimate"),
        (Backward::Draws(2), "expected.paris_tau", "expected.paris_estimate"),
    ] {
        let mut smoother = Smoother::new(&Sum, &particles[0]);
        let mut found = smoother.tau().to_vec();
        let mut next = uniforms.iter().copied();
        for t in 1..3 {
            let old = (&particles[t - 1], &weights[t - 1]);
            let uniform = || next.next().expect("twelve");
            smoother.advance(&model, &Sum, old, &particles[t], backward, uniform).expect("weights");
            found.extend(smoother.tau());
        }
        case.same(tau, &found, 1e-12);
        let value = smoother.estimate(&weights[2]).expect("weights");
        same(&[case.number(estimate)], &[value], 1e-12, estimate);
    }
    // The kernel of M draws is the limit's: with many uniform numbers the mean goes there.
    let mut smoother = Smoother::new(&Sum, &particles[0]);
    let mut i = 0u32;
    let old = (&particles[0], &weights[0]);
    let even = || {
        i += 1;
        (f64::from(i % 10_000) + 0.5) / 10_000.0
    };
    smoother.advance(&model, &Sum, old, &particles[1], Backward::Draws(10_000), even).expect("weights");
    for (found, limit) in smoother.tau().iter().zip(&case.list("expected.ffbsm_tau")[3..6]) {
        assert!((found - limit).abs() < 2e-4, "{found} {limit}");
    }
}

/// Mean and deviation of the estimate over runs, N particles each.
fn monte_carlo<const N: usize>(model: &Linear, y: &[f64], backward: Backward, runs: u32) -> (f64, f64) {
    let key = NoiseKey::from_bytes([11; 32]);
    let estimates: Vec<f64> = (0..runs)
        .map(|run| {
            let mut filter = Filter::<f64, N>::new(model, &Sum, &y[0], (&key, run)).expect("weights");
            let mut last = filter.report().expect("weights");
            for y in &y[1..] {
                last = filter.step(model, &Sum, y, backward, (&key, run)).expect("weights");
            }
            assert!(last.effective > 1.0 && last.effective <= N as f64 + 1e-9);
            last.estimate
        })
        .collect();
    let mean = estimates.iter().sum::<f64>() / f64::from(runs);
    let variance = estimates.iter().map(|e| (e - mean) * (e - mean)).sum::<f64>() / f64::from(runs - 1);
    (mean, variance.sqrt())
}

#[test]
fn particle_smoothing_lies_within_the_monte_carlo_band_of_the_exact_smoother() {
    // Oracle: the exact smoothed sum; 6 standard errors of 400 runs. The measured deviations were .373 (M = 1), .296
    // (M = 2) and .250 (M = ∞) for 100 particles with multinomial resampling: systematic resampling is not worse.
    let Some(case) = case("kalman_rts") else { return };
    let (model, y, exact) = (Linear::of(&case), case.list("inputs.y"), case.number("expected.sum_smooth_mean"));
    let rejection = Backward::Rejection { draws: 2, tries: 20 };
    let mut deviations = vec![];
    for backward in [Backward::Draws(1), Backward::Draws(2), rejection, Backward::Exact] {
        let (mean, deviation) = monte_carlo::<100>(&model, &y, backward, 400);
        assert!((mean - exact).abs() < 0.09, "{backward:?}: {mean}, exact {exact}");
        assert!((mean - exact).abs() < 6.0 * deviation / 20.0, "{backward:?}: {mean} ± {deviation}");
        deviations.push(deviation);
    }
    eprintln!("deviations, M = 1, 2, 2 by rejection, limit: {deviations:.3?}");
    assert!(deviations[1] < 0.33 && deviations[2] < 0.33 && deviations[3] < 0.28, "{deviations:?}");
    assert!(deviations[3] < deviations[1] && deviations[1] < deviations[0], "{deviations:?}");
    // More particles, less error.
    let (mean, deviation) = monte_carlo::<400>(&model, &y, rejection, 100);
    assert!((mean - exact).abs() < 0.09 && deviation < 0.16, "{mean} ± {deviation}");
}

#[test]
fn filters_resume_bit_for_bit_and_take_the_memory_of_their_type() {
    // Oracle: the same run, once stored between all steps and once not; the size of the type.
    let model = Linear { a: 0.9, q: 0.5, r: 0.7, prior: 1.3, bounded: false };
    let key = NoiseKey::from_bytes([5; 32]);
    let run = |stored: bool| {
        let mut filter = Filter::<f64, 64>::new(&model, &Sum, &0.3, (&key, 2)).expect("weights");
        let mut last = filter.report().expect("weights");
        for t in 0..50 {
            if stored {
                let copy = filter;
                let _ = filter.step(&model, &Sum, &9.0, Backward::Exact, (&key, 77));
                filter = copy;
            }
            last =
                filter.step(&model, &Sum, &(f64::from(t) * 0.1).sin(), Backward::Draws(2), (&key, 2)).expect("weights");
        }
        last
    };
    assert_eq!(run(false), run(true));
    assert_eq!(size_of::<Filter<f64, 64>>(), 64 * 8 * 6 + 16);
    let mut filter = Filter::<f64, 64>::new(&model, &Sum, &0.3, (&key, 2)).expect("weights");
    let rejection = Backward::Rejection { draws: 2, tries: 3 };
    assert!(filter.step(&model, &Sum, &0.1, rejection, (&key, 2)).is_err(), "no bound");
    assert!(filter.step(&model, &Sum, &0.1, Backward::Draws(0), (&key, 2)).is_err());
    assert!(filter.step(&model, &Sum, &f64::NAN, Backward::Exact, (&key, 2)).is_err());
    assert!(filter.step(&model, &Sum, &1e300, Backward::Exact, (&key, 2)).is_err(), "no particle explains it");
    assert!(filter.step(&model, &Sum, &0.1, Backward::Draws(2), (&key, 2)).is_ok(), "nothing has moved");
}

#[test]
fn a_million_steps_of_smoothing_stay_in_the_memory_of_one_value_and_on_the_exact_sum() {
    // Oracle: the smoother of Kalman and Rauch, Tung and Striebel, which keeps the whole path.
    const N: usize = 4;
    const STEPS: usize = 1_000_000;
    let (a, q, r) = (0.9, 0.5, 0.4);
    let model = Linear { a, q, r, prior: q * q / (1.0 - a * a), bounded: true };
    let key = NoiseKey::from_bytes([23; 32]);
    let mut draws = key.reals(selvedge_noise::Domain::Extension, 1 << 62, 0);
    let mut state = model.initial(&mut draws);
    let mut observe = |t: usize| {
        if t > 0 {
            state = model.propagate(&state, &mut draws);
        }
        state + r * draws.normal()
    };
    let mut y = observe(0);
    let mut filter = Filter::<f64, N>::new(&model, &Sum, &y, (&key, 0)).expect("weights");
    // N states, 5·N numbers, the evidence and the time.
    assert_eq!(size_of_val(&filter), (6 * N + 2) * 8);
    // Means and variances, filtered and one step on.
    let (mut predicted, mut path) = ((0.0, model.prior), Vec::with_capacity(STEPS));
    let mut last = filter.report().expect("weights");
    for t in 0..STEPS {
        if t > 0 {
            y = observe(t);
            last = filter.step(&model, &Sum, &y, Backward::Draws(2), (&key, 0)).expect("weights");
        }
        let gain = predicted.1 / (predicted.1 + r * r);
        let filtered = (predicted.0 + gain * (y - predicted.0), (1.0 - gain) * predicted.1);
        predicted = (a * filtered.0, a * a * filtered.1 + q * q);
        path.push((filtered, predicted));
    }
    let mut smoothed = path[STEPS - 1].0.0;
    let mut exact = smoothed;
    for (filtered, predicted) in path[..STEPS - 1].iter().rev() {
        smoothed = filtered.0 + filtered.1 * a / predicted.1 * (smoothed - predicted.0);
        exact += smoothed;
    }
    let apart = (last.estimate - exact) / STEPS as f64;
    eprintln!("a million steps: {} a step, exact {}", last.estimate / STEPS as f64, exact / STEPS as f64);
    assert!(apart.abs() < 0.01 && last.log_evidence.is_finite(), "{apart}");
}
