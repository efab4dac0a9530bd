//! Oracle: noise of a known level on known images.

use selvedge_denoise::blind::*;
use selvedge_denoise::{DenoiseError, FromFn, Prediction, Tweedie};
use selvedge_noise::{Domain, NoiseKey};

/// Ramps, a disc, an edge and waves, from 0 to 1.
fn picture(side: usize, sample: u64, sigma: f64) -> Vec<f32> {
    let key = NoiseKey::from_bytes([3; 32]);
    let noise = key.reals(Domain::Extension, sample, 0);
    (0..side * side)
        .zip(noise)
        .map(|(at, z)| {
            let (y, x) = ((at / side) as f64 / side as f64, (at % side) as f64 / side as f64);
            let disc = f64::from(u8::from((x - 0.6).hypot(y - 0.4) < 0.25));
            let edge = f64::from(u8::from(x + 0.7 * y > 1.2));
            (0.3 * x + 0.2 * y + 0.25 * disc + 0.2 * edge + 0.05 * (20.0 * x).sin() + sigma * z) as f32
        })
        .collect()
}

#[test]
fn the_robust_estimate_is_within_five_percent_of_levels_that_were_added() {
    for wavelet in [Wavelet::Haar, Wavelet::Db2] {
        for (sample, level) in [(1, 5.0), (2, 15.0), (3, 25.0), (4, 50.0), (5, 75.0)] {
            let sigma = level / 255.0;
            let image = picture(128, sample, sigma);
            let found = noise_level(&Plane::new(&image, 128, 128).expect("fits"), wavelet).expect("finite");
            assert!((found / sigma - 1.0).abs() < 0.05, "{wavelet:?} {level}: {}", found * 255.0);
        }
    }
    // A signal of one dimension.
    let key = NoiseKey::from_bytes([3; 32]);
    let signal: Vec<f32> = key
        .reals(Domain::Extension, 9, 0)
        .take(16_000)
        .enumerate()
        .map(|(t, z)| ((t as f64 * 0.03).sin() + 0.1 * z) as f32)
        .collect();
    let found = noise_level_of_signal(&signal, Wavelet::default()).expect("finite");
    assert!((found - 0.1).abs() < 0.004, "{found}");
}

#[test]
fn channels_of_an_interleaved_image_are_told_apart() {
    // Oracle: the plane alone.
    let planes = [picture(64, 1, 0.02), picture(64, 2, 0.1), picture(64, 3, 0.3)];
    let mixed: Vec<f32> = (0..64 * 64 * 3).map(|at| planes[at % 3][at / 3]).collect();
    for (channel, alone) in planes.iter().enumerate() {
        let plane = Plane::channel(&mixed, 64, 64, 3, channel).expect("fits");
        let alone = Plane::new(alone, 64, 64).expect("fits");
        assert_eq!(noise_level(&plane, Wavelet::Db2), noise_level(&alone, Wavelet::Db2));
        assert_eq!(total_variation(&plane), total_variation(&alone));
    }
}

#[test]
fn a_flat_image_has_no_noise_and_small_or_broken_ones_are_refused() {
    let flat = [0.5f32; 64];
    let plane = Plane::new(&flat, 8, 8).expect("fits");
    assert!(noise_level(&plane, Wavelet::Haar).expect("finite") == 0.0);
    let small = Plane::new(&flat[..9], 3, 3).expect("fits");
    assert_eq!(noise_level(&small, Wavelet::Db2), Err(DenoiseError::Samples { needed: 1 }));
    assert!(noise_level(&small, Wavelet::Haar).is_ok(), "odd sides leave the border out");
    let mut broken = flat;
    broken[17] = f32::NAN;
    let plane = Plane::new(&broken, 8, 8).expect("fits");
    assert_eq!(noise_level(&plane, Wavelet::Haar), Err(DenoiseError::NotFinite { index: 17 }));
    assert!(Plane::new(&flat, 8, 9).is_err() && Plane::new(&flat, 0, 8).is_err());
    assert!(Plane::channel(&flat, 8, 4, 2, 2).is_err());
    assert!(scan(Candidates::Poisson, &Plane::new(&flat, 8, 8).expect("fits"), &flat).is_err());
}

#[test]
fn the_scan_finds_the_noise_that_an_exact_score_belongs_to() {
    // Oracle: the level that was added to a flat field, whose score at that level is known; the scan knows the score only.
    let key = NoiseKey::from_bytes([4; 32]);
    let (x, sigma) = (0.5, 25.0 / 255.0);
    let y: Vec<f64> = key.reals(Domain::Extension, 1, 0).take(48 * 48).map(|z| x + sigma * z).collect();
    let score: Vec<f64> = y.iter().map(|y| -(y - x) / (sigma * sigma)).collect();
    let found = scan(Candidates::Gaussian, &Plane::new(&y, 48, 48).expect("fits"), &score).expect("finite");
    assert_eq!(found.index, 19, "{found:?}");
}

#[test]
fn scans_of_gamma_and_poisson_noise_are_their_definition() {
    // Oracle: every candidate's estimate as an image of its own, and its penalty.
    let key = NoiseKey::from_bytes([4; 32]);
    let y: Vec<f64> = key.reals(Domain::Extension, 2, 0).take(240).map(|z| (0.5 + 0.1 * z).max(0.02)).collect();
    let plane = Plane::new(&y, 12, 20).expect("fits");
    let by_definition = |candidates: Candidates, score: &dyn Fn(f64) -> Vec<f64>| {
        let penalties: Vec<f64> = (0..candidates.len())
            .map(|index| {
                let mut estimate = score(candidates.parameter(index));
                Tweedie::new(candidates.family(index)).expect("a law").apply(&y, &mut estimate).expect("finite");
                penalty(candidates, &plane, &Plane::new(&estimate, 12, 20).expect("fits")).expect("finite")
            })
            .collect();
        let least = penalties.iter().copied().fold(f64::INFINITY, f64::min);
        let index = penalties.iter().position(|&p| p == least).expect("one");
        Found { index, parameter: candidates.parameter(index), penalty: least }
    };
    let score: Vec<f64> = y.iter().map(|y| 79.0 / y - 160.0).collect();
    let found = scan(Candidates::Gamma, &plane, &score).expect("finite");
    assert_eq!(found, by_definition(Candidates::Gamma, &|_| score.clone()));
    assert!((1..79).contains(&found.index), "not at an end: {found:?}");
    let mut model = FromFn::new(Prediction::Score, |z: &[f64], _: f64, out: &mut [f64]| {
        out.iter_mut().zip(z).for_each(|(out, z)| *out = (12.0 / (z + 0.5)).ln());
        Ok::<(), ()>(())
    });
    let found = scan_poisson(&mut model, 0.0, &plane, &mut vec![0.0; 480]).expect("runs");
    let score = |zeta: f64| y.iter().map(|y| (12.0 / (y / zeta + 0.5)).ln()).collect();
    assert_eq!(found, by_definition(Candidates::Poisson, &score));
    assert!((1..99).contains(&found.index), "not at an end: {found:?}");
    assert!(scan_poisson(&mut model, 0.0, &plane, &mut vec![0.0; 479]).is_err());
}
