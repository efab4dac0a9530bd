//! Why noise has to be added on an integer grid (Jin et al. 2022; Voráček and Hein 2023). Oracle: the same classifier
//! on both sides of a perturbation that the certificate covers.

mod common;

use common::{Model, Rng, job, noise, sigma, subject};
use selvedge_certify::{Alpha, CertSpec, Certifier, Decision, Price, Request, Rule, Step, Terms, covers};
use selvedge_noise::{Domain, NoiseTable, Sigma, binomial};

const DIMENSIONS: usize = 64;
const SAMPLES: u32 = 10_000;

/// Counts class 1 of a smoothed classifier with noise in f32: the usual implementation.
fn float_smoothed(x: f32, sigma: f32, seed: u64, f: impl Fn(&[f32]) -> usize) -> u32 {
    let mut rng = Rng(seed);
    let mut normal = || {
        // Box and Muller in f64, rounded once.
        let (u, v) = (1.0 - rng.unit(), rng.unit());
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    };
    let sample = |_| {
        let y: Vec<f32> = (0..DIMENSIONS).map(|_| x + sigma * normal()).collect();
        f(&y) as u32
    };
    (0..SAMPLES).map(sample).sum()
}

#[test]
fn float_noise_certifies_a_radius_within_which_the_prediction_is_flipped() {
    // Class 1 if some value below 1/16 is no multiple of 2^-27: x + noise is one wherever it was rounded while x was 1/8.
    let f = |y: &[f32]| usize::from(y.iter().any(|&v| v.abs() < 0.0625 && (v * 134_217_728.0).fract() != 0.0));
    let (at, shifted) = (float_smoothed(0.0, 0.5, 1, f), float_smoothed(0.125, 0.5, 2, f));
    let price = Price::new(Sigma { numerator: 1, denominator: 2 }, 0.0);
    let radius = price.radius(binomial::lower_bound(at, SAMPLES, 0.001));
    // 64 coordinates, 1/8 each: a perturbation of length 1.
    assert!(radius > 1.0, "{at} of {SAMPLES}: {radius}");
    assert!(shifted < SAMPLES / 100, "{shifted} of {SAMPLES}: flipped");
    println!("float: certified {radius:.3} at class 1 with {at} of {SAMPLES}; at distance 1.000 only {shifted}");
}

#[test]
fn integer_noise_keeps_the_prediction_of_the_same_classifier_at_every_covered_distance() {
    // The same on the grid, σ = 64 steps: class 1 if some value nearer to 0 than 8 is no multiple of 4; shifted by
    // 16 steps, a multiple of 4, each: again 2σ. And by every other shift of the kind.
    let f = |y: &[i16]| usize::from(y.iter().any(|&v| v.abs() < 8 && v % 4 != 0));
    let bytes = noise(sigma(64, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let request = Request { rule: Rule::Fixed, sigma: table.sigma(), selection: 100, samples: 4000, target_r2: None };
    let spec = CertSpec::new(Alpha::ratio(1, 1000).expect("a probability"), request).expect("answerable");
    let certify = |x: i16| {
        let input = [x; DIMENSIONS];
        let terms = Terms::new(&spec, subject(&input, 2), &table).expect("fits");
        let job = job(&terms, 4);
        let mut run = Certifier::<2>::new(&job).expect("fits");
        let mut model = Model::new(DIMENSIONS, 32, f);
        loop {
            if let Step::Done(decision) = run.step(&mut model, 1000).expect("runs") {
                break (decision, run.estimate().of(1));
            }
        }
    };
    let (decision, at) = certify(0);
    let Decision::Certified { class: 1, r2 } = decision else { panic!("{decision:?}") };
    let mut covered = 0;
    for shift in [1, 2, 3, 4, 7, 8, 12, 16, -16, 20] {
        let delta = [i32::from(shift); DIMENSIONS];
        let (other, hits) = certify(shift);
        if covers(&delta, r2) {
            covered += 1;
            assert!(!matches!(other, Decision::Certified { class: 0, .. }) && hits > 2000, "{shift}: {other:?}");
        }
        println!("integer: {at} of 4000 at 0, {hits} at {shift}, r² = {r2}");
    }
    assert!(covered >= 8, "the shift by 2σ is covered too: r² = {r2}");
    // No leak: at most a few standard deviations between the two.
    let (_, shifted) = certify(16);
    assert!(at.abs_diff(shifted) < 100, "{at} {shifted}");
    let _ = Domain::Estimate;
}
