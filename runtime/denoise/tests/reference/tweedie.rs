//! Tweedie's formula against conjugate posteriors, f64 at 1e-12 and f32 at 2e-6.

use crate::support::{Case, case, narrow, same, wide};
use selvedge_denoise::*;

/// Estimates in both types.
fn check(case: &Case, family: Family, y: &str, score: &str, expected: &str) {
    let tweedie = Tweedie::new(family).expect("a law");
    let (y, mut estimate) = (case.list(y), case.list(score));
    let (y32, mut estimate32) = (narrow(&y), narrow(&estimate));
    assert_eq!(tweedie.apply(&y, &mut estimate).expect("finite"), Guards::default());
    case.same(expected, &estimate, 1e-12);
    tweedie.apply(&y32, &mut estimate32).expect("finite");
    case.same(expected, &wide(&estimate32), 2e-6);
}

#[test]
fn gaussian_estimates_are_the_posterior_means_of_normal_and_mixture_priors() {
    let Some(conjugate) = case("tweedie_gaussian_conjugate") else { return };
    let sigma = conjugate.number("params.sigma");
    check(&conjugate, Family::Gaussian { sigma }, "inputs.y", "inputs.score", "expected.posterior_mean");
    let prior = conjugate.number("params.prior_std");
    let variance = posterior_variance(sigma, -1.0 / (prior * prior + sigma * sigma)).expect("finite");
    same(&[conjugate.number("expected.posterior_var")], &[variance], 1e-12, "variance");
    let mixture = case("tweedie_gaussian_mixture_prior").expect("the same file");
    let sigma = mixture.number("params.sigma");
    check(&mixture, Family::Gaussian { sigma }, "inputs.y", "inputs.score", "expected.posterior_mean");
}

#[test]
fn gaussian_estimates_are_alike_from_every_kind_of_prediction() {
    let Some(conjugate) = case("tweedie_gaussian_conjugate") else { return };
    let sigma = conjugate.number("params.sigma");
    let (y, score) = (conjugate.list("inputs.y"), conjugate.list("inputs.score"));
    let level = Level::variance_exploding(sigma).expect("above 0");
    let tweedie = Tweedie::new(Family::Gaussian { sigma }).expect("a law");
    for kind in [Prediction::Noise, Prediction::Clean, Prediction::Velocity, Prediction::Score, Prediction::Residual] {
        let mut prediction = score.clone();
        level.convert(Prediction::Score, kind, &y, &mut prediction).expect("same length");
        let given = prediction.clone();
        let mut model = FromFn::new(kind, |_: &[f64], at: f64, out: &mut [f64]| {
            assert_eq!(at, sigma);
            out.copy_from_slice(&given);
            Ok::<(), ()>(())
        });
        let mut out = vec![0.0; y.len()];
        tweedie.denoise(&mut model, sigma, &y, &mut out, &mut []).expect("runs");
        conjugate.same("expected.posterior_mean", &out, 1e-12);
        // And back to the score by the adapter.
        let mut adapted = Convert::new(model, AddedNoise, Prediction::Score);
        adapted.predict(&y, sigma, &mut out).expect("runs");
        conjugate.same("inputs.score", &out, 1e-12);
    }
}

#[test]
fn poisson_estimates_are_the_published_ones_and_the_exact_ones_by_digamma() {
    let Some(case) = case("tweedie_poisson_gamma_prior") else { return };
    let zeta = case.number("params.zeta");
    let half = Family::Poisson { zeta, rule: PoissonRule::Half };
    check(&case, half, "inputs.y", "inputs.score_z", "expected.xhat_n2s");
    let exact = Family::Poisson { zeta, rule: PoissonRule::Digamma };
    check(&case, exact, "inputs.y", "inputs.score_z", "expected.xhat_exact_digamma");
    check(&case, exact, "inputs.y", "inputs.score_z", "expected.exp_posterior_mean_log");
    // The network gets counts.
    let (y, z, score) = (case.list("inputs.y"), case.list("inputs.z"), case.list("inputs.score_z"));
    let mut model = FromFn::new(Prediction::Score, |x: &[f64], _: f64, out: &mut [f64]| {
        same(&z, x, 1e-12, "counts");
        out.copy_from_slice(&score);
        Ok::<(), ()>(())
    });
    let (mut out, mut scratch) = (vec![0.0; y.len()], vec![0.0; y.len()]);
    let tweedie = Tweedie::new(half).expect("a law");
    tweedie.denoise(&mut model, 0.0, &y, &mut out, &mut scratch).expect("runs");
    case.same("expected.xhat_n2s", &out, 1e-12);
}

#[test]
fn gamma_estimates_are_the_harmonic_posterior_means() {
    let Some(case) = case("tweedie_gamma_invgamma_prior") else { return };
    let family = Family::Gamma { shape: case.number("params.k") };
    check(&case, family, "inputs.y", "inputs.score", "expected.harmonic_posterior_mean");
    check(&case, family, "inputs.y", "inputs.score", "expected.xhat_n2s");
}

#[test]
fn the_score_of_a_gaussian_law_is_what_ar_dae_would_find() {
    let Some(case) = case("ardae_gaussian_optimum") else { return };
    let (mut covariance, mut vectors) = (case.list("params.cov"), vec![0.0; 4]);
    eigen_symmetric(&mut covariance, &mut vectors, 2).expect("symmetric");
    let (mean, values) = (case.list("params.mean"), [covariance[0], covariance[3]]);
    let mut model = GaussianScore::new(&mean, &vectors, &values).expect("positive");
    for (sigma, expected) in [(case.number("params.sigma_a"), "expected.score"), (0.0, "expected.score_sigma0")] {
        let mut found = vec![];
        for y in case.rows("inputs.y") {
            let mut out = [0.0; 2];
            model.predict(&y, sigma, &mut out).expect("positive");
            found.extend(out);
        }
        // One coordinate is 0 up to rounding.
        case.same(expected, &found, 1e-12);
    }
}

#[test]
fn denoisers_become_scores_by_the_regression_form() {
    let Some(case) = case("score_regression_form") else { return };
    let (signal, variance) = (case.number("params.alpha_t"), case.number("params.h_t"));
    let level = Level::new(signal, variance.sqrt()).expect("above 0");
    let (x, mut f) = (case.list("inputs.x"), case.list("inputs.f"));
    level.convert(Prediction::Clean, Prediction::Score, &x, &mut f).expect("same length");
    case.same("expected.score", &f, 1e-12);
}
