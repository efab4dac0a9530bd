//! The scan of noise levels.

use crate::support::{case, same};
use selvedge_denoise::blind::*;
use selvedge_denoise::{Family, Tweedie};

#[test]
fn the_scan_finds_the_reference_level_and_every_penalty() {
    let Some(case) = case("blind_sigma_tv") else { return };
    let (y, score) = (case.list("inputs.y"), case.list("inputs.score"));
    let plane = Plane::new(&y, 8, 8).expect("64 pixels");
    let found = scan(Candidates::Gaussian, &plane, &score).expect("finite");
    assert_eq!(found.index, case.integer("expected.argmin"));
    same(&[case.number("expected.sigma_hat_255")], &[found.parameter * 255.0], 1e-12, "sigma");
    let penalties: Vec<f64> = (0..Candidates::Gaussian.len())
        .map(|i| {
            let mut estimate = score.clone();
            Tweedie::new(Candidates::Gaussian.family(i)).expect("a law").apply(&y, &mut estimate).expect("finite");
            let estimate = Plane::new(&estimate, 8, 8).expect("64 pixels");
            penalty(Candidates::Gaussian, &plane, &estimate).expect("finite")
        })
        .collect();
    case.same("expected.tv", &penalties, 1e-12);
    same(&[case.number("expected.tv_at_25_255")], &[found.penalty], 1e-12, "tv");
    assert_eq!(Candidates::Gaussian.family(19), Family::Gaussian { sigma: found.parameter });
}

#[test]
fn penalties_of_poisson_and_gamma_noise_are_the_reference_ones() {
    let Some(case) = case("blind_penalties") else { return };
    let (y, estimate) = (case.list("inputs.y"), case.list("inputs.xhat"));
    let (y, estimate) = (Plane::new(&y, 8, 8).expect("64"), Plane::new(&estimate, 8, 8).expect("64"));
    for (candidates, path) in [(Candidates::Poisson, "expected.poisson"), (Candidates::Gamma, "expected.gamma")] {
        let found = penalty(candidates, &y, &estimate).expect("finite");
        same(&[case.number(path)], &[found], 1e-12, path);
    }
}
