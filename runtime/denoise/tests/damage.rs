//! Damaged input: clear errors, nothing written, no panic. Oracle: the errors that the documentation names.

use selvedge_denoise::heads::*;
use selvedge_denoise::sampler::*;
use selvedge_denoise::state::*;
use selvedge_denoise::transport::{Latent as Planar, Moments, mix, sampling_map, transport_map, wasserstein2_squared};
use selvedge_denoise::*;
use selvedge_noise::NoiseKey;
use std::convert::Infallible;

const BAD: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
const KINDS: [Prediction; 5] =
    [Prediction::Noise, Prediction::Clean, Prediction::Velocity, Prediction::Score, Prediction::Residual];

fn schedule(buffer: &mut [f64]) -> Schedule<'_> {
    Schedule::build(Betas::Linear { start: 1e-4, end: 0.06 }, buffer).expect("falls")
}

fn constant(value: f32) -> impl ScoreModel<f32, Error = Infallible> {
    FromFn::new(Prediction::Noise, move |_: &[f32], _: f32, out: &mut [f32]| {
        out.fill(value);
        Ok(())
    })
}

#[test]
fn errors_are_copied_in_eight_bytes_and_say_what_to_do() {
    fn copied<T: Copy + Send + Sync + 'static>() {}
    copied::<DenoiseError>();
    assert!(size_of::<DenoiseError>() <= 8);
    for error in [DenoiseError::Level, DenoiseError::NotFinite { index: 7 }, DenoiseError::Buffer { needed: 3 }] {
        assert!(error.to_string().len() > 20, "{error}");
    }
    assert!(DenoiseError::NotFinite { index: 7 }.to_string().contains('7'));
    let model: StepError<DenoiseError> = StepError::Model(DenoiseError::Level);
    assert_eq!(model.to_string(), DenoiseError::Level.to_string());
}

#[test]
fn levels_and_parameters_out_of_range_are_refused() {
    for bad in [0.0, -1.0, BAD[0], BAD[1], BAD[2]] {
        assert_eq!(Level::variance_exploding(bad), Err(DenoiseError::Level));
        assert_eq!(Level::variance_preserving(bad), Err(DenoiseError::Level));
        assert_eq!(Level::new(1.0, bad), Err(DenoiseError::Level));
        assert_eq!(Level::new(bad, 1.0), Err(DenoiseError::Level));
        for family in [
            Family::Gaussian { sigma: bad },
            Family::Poisson { zeta: bad, rule: PoissonRule::Half },
            Family::Gamma { shape: bad },
        ] {
            assert_eq!(Tweedie::new(family), Err(DenoiseError::Level));
        }
        assert_eq!(posterior_variance(bad, 0.0), Err(DenoiseError::Level));
        assert_eq!(Consistency::new(bad, 0.002), Err(DenoiseError::Level));
        assert_eq!(Consistency::new(0.5, bad), Err(DenoiseError::Level));
        assert_eq!(LatentBoundary::new(bad, 10.0), Err(DenoiseError::Level));
        assert!(karras(0, 10, bad, 80.0, 7.0).is_err() && karras(0, 10, 0.002, bad, 7.0).is_err());
        assert!(karras(0, 10, 0.002, 80.0, bad).is_err());
    }
    assert_eq!(Level::variance_preserving(1.0), Err(DenoiseError::Level));
    assert_eq!(Tweedie::new(Family::Gamma { shape: 1.0 }), Err(DenoiseError::Parameter));
    assert_eq!(
        Tweedie::new(Family::Gaussian { sigma: 1.0 }).expect("a law").clipped(1.0, 1.0),
        Err(DenoiseError::Parameter)
    );
    assert_eq!(Consistency::new(0.5, 0.002).expect("fits").boundary(0.001), Err(DenoiseError::Level));
    assert_eq!(karras(10, 10, 0.002, 80.0, 7.0), Err(DenoiseError::Parameter));
    assert_eq!(karras(0, 10, 80.0, 0.002, 7.0), Err(DenoiseError::Parameter));
    let settings =
        GuidanceSettings { scale: 2.0, parallel: 0.0, radius: 1.0, momentum: -0.5, form: Form::FromConditional };
    for bad in BAD {
        assert!(Guidance::new(GuidanceSettings { scale: bad, ..settings }).is_err());
        assert!(Guidance::new(GuidanceSettings { parallel: bad, ..settings }).is_err());
        assert!(Guidance::new(GuidanceSettings { radius: bad, ..settings }).is_err());
        assert!(Guidance::new(GuidanceSettings { momentum: bad, ..settings }).is_err());
    }
    assert!(Guidance::new(GuidanceSettings { radius: -1.0, ..settings }).is_err());
    assert!(Guidance::new(GuidanceSettings { momentum: 1.0, ..settings }).is_err());
}

#[test]
fn schedules_that_do_not_fall_are_refused_with_their_step() {
    assert_eq!(Schedule::from_alpha_bar(&[]).unwrap_err(), DenoiseError::Shape);
    for (table, step) in [
        (&[1.0][..], 0),
        (&[0.9, 0.9], 1),
        (&[0.9, 0.95], 1),
        (&[0.9, 0.0], 1),
        (&[0.9, -0.1], 1),
        (&[f64::NAN], 0),
        (&[0.9, 0.8, f64::NAN], 2),
        (&[f64::INFINITY], 0),
    ] {
        assert_eq!(Schedule::from_alpha_bar(table).unwrap_err(), DenoiseError::Schedule { step });
    }
    for betas in [
        Betas::Linear { start: 0.1, end: 1.5 },
        Betas::Linear { start: -0.1, end: 0.5 },
        Betas::Linear { start: f64::NAN, end: 0.5 },
        Betas::ScaledLinear { start: -1.0, end: 0.5 },
        Betas::Cosine { cap: f64::NAN },
    ] {
        // A cap of NaN caps nothing: the last β is 1.
        assert!(Schedule::build(betas, &mut [0.0; 10]).is_err(), "{betas:?}");
    }
    let mut buffer = [0.0; 10];
    let schedule = schedule(&mut buffer);
    assert_eq!(schedule.alpha_bar(10), Err(DenoiseError::Step { step: 10 }));
    assert!(schedule.posterior(10).is_err() && schedule.beta(usize::MAX).is_err() && schedule.level(10).is_err());
    for level in [-1.0, 0.5, 10.0, f64::NAN, f64::INFINITY, 1e30] {
        assert!(schedule.marginal(level).is_err(), "{level}");
    }
    assert!(schedule.marginal(9.0).is_ok());
    assert!(Ancestral::new(schedule, 0).is_err() && Ancestral::new(schedule, 11).is_err());
    assert!(Ddim::new(schedule, 10, 0, 0.0).is_err() && Ddim::new(schedule, 10, 1, 1.5).is_err());
    assert!(Ddim::new(schedule, 10, 1, f64::NAN).is_err() && Plms::new(schedule, 10, 0).is_err());
    let boundary = LatentBoundary::new(0.5, 10.0).expect("fits");
    assert!(Latent::new(schedule, boundary, 3, 2).is_err() && Latent::new(schedule, boundary, 5, 6).is_err());
    assert!(Latent::new(schedule, boundary, 0, 0).is_err() && Latent::new(schedule, boundary, 5, 0).is_err());
}

#[test]
fn numbers_that_are_not_finite_are_refused_with_their_place_and_nothing_is_written() {
    let mut buffer = [0.0; 20];
    let schedule = schedule(&mut buffer);
    let clean = [0.25f32, -0.5, 0.75];
    for bad in BAD {
        for at in 0..3 {
            let mut broken = clean;
            broken[at] = bad as f32;
            let place = DenoiseError::NotFinite { index: at as u32 };
            let here = Err(place);
            for kind in KINDS {
                let mut x = clean;
                assert_eq!(ancestral_update(&schedule, 5, kind, None, &mut x, &broken, Noise::Off), here);
                assert_eq!(ddim_update(&schedule, (5, None), kind, 0.0, &mut x, &broken, Noise::Off), here);
                assert_eq!(
                    ddim_update(&schedule, (5, Some(4)), kind, 1.0, &mut x, &clean, Noise::Given(&broken)),
                    here
                );
                assert_eq!(plms_update(&schedule, (5, None), &mut x, &broken), here);
                assert_eq!(schedule.add_noise(5, &mut x, Noise::Given(&broken)), here);
                assert_eq!(x, clean);
                let mut x = broken;
                assert_eq!(ancestral_update(&schedule, 5, kind, None, &mut x, &clean, Noise::Off), here);
                assert_eq!(ddim_update(&schedule, (5, None), kind, 0.0, &mut x, &clean, Noise::Off), here);
            }
            for family in [
                Family::Gaussian { sigma: 0.1 },
                Family::Poisson { zeta: 0.1, rule: PoissonRule::Digamma },
                Family::Gamma { shape: 50.0 },
            ] {
                let tweedie = Tweedie::new(family).expect("a law");
                let mut score = clean;
                assert_eq!(tweedie.apply(&broken, &mut score).unwrap_err(), place);
                assert_eq!(score, clean);
                assert_eq!(tweedie.apply(&clean, &mut broken.clone()).unwrap_err(), place);
            }
            assert_eq!(stable_max(&mut broken.clone()), here);
            assert_eq!(soft_max(&mut broken.clone(), 1.0), here);
            assert_eq!(sparse_max(&mut broken.clone()).map(|_| ()), here);
            assert_eq!(mix(0.5, &broken, &mut clean.clone()), here);
        }
        // A model that returns nonsense.
        let (mut x, mut scratch) = (clean, [0.0; 12]);
        let mut run = Ddim::new(schedule, 20, 5, 0.0).expect("a start");
        let error = run.step(&mut constant(bad as f32), &mut x, &mut scratch, Noise::Off).unwrap_err();
        assert_eq!(error, StepError::Denoise(DenoiseError::NotFinite { index: 0 }));
        assert_eq!((x, run.next_step()), (clean, Some(15)), "the run can be tried again");
        let mut run = Plms::new(schedule, 20, 5).expect("a start");
        assert!(run.step(&mut constant(bad as f32), &mut x, &mut scratch).is_err());
        assert_eq!((x, run.next_step()), (clean, Some(15)));
        let mut run = Ancestral::new(schedule, 20).expect("a start");
        assert!(run.step(&mut constant(bad as f32), &mut x, &mut scratch, Noise::Off).is_err());
        assert_eq!((x, run.next_step()), (clean, Some(19)));
    }
}

#[test]
fn buffers_of_other_lengths_are_refused() {
    let mut buffer = [0.0; 20];
    let schedule = schedule(&mut buffer);
    let (mut x, p) = ([0.5f32; 3], [0.5f32; 4]);
    let length = Err(DenoiseError::Length { expected: 3 });
    assert_eq!(ancestral_update(&schedule, 5, Prediction::Noise, None, &mut x, &p, Noise::Off), length);
    assert_eq!(ddim_update(&schedule, (5, None), Prediction::Noise, 0.0, &mut x, &p, Noise::Off), length);
    assert_eq!(schedule.add_noise(5, &mut x, Noise::Given(&p)), length);
    let mut run = Ddim::new(schedule, 20, 5, 0.0).expect("a start");
    let short = StepError::Denoise(DenoiseError::Buffer { needed: 3 });
    assert_eq!(run.step(&mut constant(0.0), &mut x, &mut [0.0; 2], Noise::Off).unwrap_err(), short);
    let mut run = Plms::new(schedule, 20, 5).expect("a start");
    let short = StepError::Denoise(DenoiseError::Buffer { needed: 12 });
    assert_eq!(run.step(&mut constant(0.0), &mut x, &mut [0.0; 11]).unwrap_err(), short);
    let model = Consistency::new(0.5, 0.002).expect("fits");
    let mut run = Multistep::new(model, &[80.0, 1.0]).expect("falls");
    let short = StepError::Denoise(DenoiseError::Buffer { needed: 6 });
    assert_eq!(run.step(&mut constant(0.0), &mut x, &mut [0.0; 5], Noise::Off).unwrap_err(), short);
    assert!(Multistep::new(model, &[1.0, 1.0]).is_err() && Multistep::new(model, &[]).is_err());
    assert!(Multistep::new(model, &[1.0, f64::NAN]).is_err());
    assert!(Bands::new(&[0.0f32], &[0.0]).is_err() && Bands::new(&[0.0f32], &[1.0, 2.0]).is_err());
    let bands = Bands::new(&[0.0f32, -2.0], &[1.0, 2.0]).expect("rise");
    assert!(bands.normalize(&mut x).is_err());
    let mut frames = [0.0, 0.0, 1.0, 2.0, 0.25, -2.0];
    bands.normalize(&mut frames).expect("whole frames");
    assert_eq!(frames, [-1.0, 0.0, 1.0, 1.0, -0.5, -1.0]);
    bands.restore(&mut frames).expect("whole frames");
    assert_eq!(frames, [0.0, 0.0, 1.0, 2.0, 0.25, -2.0]);
}

#[test]
fn guards_hold_the_formulas_in_range_and_are_counted() {
    // Oracle: the formula at the limit; y where there is none.
    let poisson = Tweedie::new(Family::Poisson { zeta: 0.1, rule: PoissonRule::Half }).expect("a law");
    let mut score = [100.0f64, -100.0, 1.0];
    let guards = poisson.apply(&[1.0, 1.0, 1.0], &mut score).expect("finite");
    assert_eq!(guards, Guards { exponent: 2, ..Guards::default() });
    assert_eq!(score, [1.05 * libm_exp(8.0), 1.05 * libm_exp(-8.0), 1.05 * libm_exp(1.0)]);
    let gamma = Tweedie::new(Family::Gamma { shape: 10.0 }).expect("a law");
    let mut score = [9.0f64, 20.0, 8.999_999, 4.0];
    let guards = gamma.apply(&[1.0; 4], &mut score).expect("finite");
    assert_eq!((guards.denominator, score), (3, [1.0, 1.0, 1.0, 2.0]));
    let exact = Tweedie::new(Family::Poisson { zeta: 0.1, rule: PoissonRule::Digamma }).expect("a law");
    let mut score = [0.0f64; 2];
    let guards = exact.apply(&[-0.5, 0.0], &mut score).expect("finite");
    assert_eq!((guards.negative, score[0]), (1, score[1]));
    let clipped = Tweedie::new(Family::Gaussian { sigma: 1.0 }).expect("a law").clipped(0.0, 1.0).expect("a range");
    let mut score = [0.5f64, 5.0, -5.0];
    let guards = clipped.apply(&[0.25; 3], &mut score).expect("finite");
    assert_eq!((guards.clipped, score), (2, [0.75, 1.0, 0.0]));
    // Families that need scores say so.
    let mut x = [0.0f32; 1];
    let refused = gamma.denoise(&mut constant(0.0), 0.0, &[0.5], &mut x, &mut []);
    assert_eq!(refused.unwrap_err(), StepError::Denoise(DenoiseError::Parameter));
}

fn libm_exp(x: f64) -> f64 {
    Real::exp(x)
}

#[test]
fn matrices_that_are_none_are_refused() {
    let (mut work, mut out) = ([0.0; 28], [0.0; 4]);
    let good = [2.0, 0.5, 0.5, 1.0];
    for (bad, error) in [
        ([2.0, 0.5, -0.5, 1.0], DenoiseError::Matrix { row: 1 }),
        ([2.0, f64::NAN, 0.5, 1.0], DenoiseError::NotFinite { index: 1 }),
        ([2.0, 0.5, f64::INFINITY, 1.0], DenoiseError::NotFinite { index: 2 }),
    ] {
        assert_eq!(check_symmetric(&bad, 2), Err(error));
        assert_eq!(transport_map(&bad, &good, 2, &mut work, &mut out), Err(error));
        assert!(transport_map(&good, &bad, 2, &mut work, &mut out).is_err());
        assert!(sampling_map(&bad, &good, 2, &mut work, &mut out, &mut [0.0; 4]).is_err());
        assert!(wasserstein2_squared((&[0.0; 2], &bad), (&[0.0; 2], &good), &mut work).is_err());
    }
    assert!(transport_map(&[0.0; 4], &good, 2, &mut work, &mut out).is_err(), "singular");
    assert!(transport_map(&good, &good, 2, &mut work[..23], &mut out).is_err());
    assert!(transport_map(&good, &good, 0, &mut work, &mut out).is_err());
    assert!(transport_map(&good, &good, usize::MAX, &mut work, &mut out).is_err());
    assert_eq!(solve_positive(&mut [1.0, 2.0, 2.0, 1.0], 2, &mut [1.0; 2]), Err(DenoiseError::Matrix { row: 1 }));
    assert_eq!(solve_positive(&mut [0.0], 1, &mut [1.0]), Err(DenoiseError::Matrix { row: 0 }));
    let mut buffer = [0.0; Moments::len(2)];
    let mut moments = Moments::new(2, &mut buffer).expect("room");
    moments.push(&[1.0, 2.0]).expect("finite");
    assert!(moments.push(&[f64::NAN, 2.0]).is_err() && moments.push(&[1.0]).is_err());
    assert_eq!(moments.covariance(&mut out), Err(DenoiseError::Samples { needed: 2 }));
    assert_eq!(moments.mean(), [1.0, 2.0]);
    assert!(Moments::new(0, &mut [0.0; 4]).is_err() && Moments::new(usize::MAX, &mut [0.0; 4]).is_err());
    let state = Gaussian { mean: [0.0, 1.0], covariance: [[1.0, 0.0], [0.0, 1.0]] };
    let sensor = Observation { matrix: [[1.0, 0.0]], noise: [[0.5]] };
    assert!(sensor.update(&state, &[f64::NAN]).is_err());
    let blind = Observation { matrix: [[0.0, 0.0]], noise: [[0.0]] };
    assert_eq!(blind.update(&state, &[1.0]), Err(DenoiseError::Matrix { row: 0 }));
    assert!(Planar::new(2, 4, 5, 2).is_err() && Planar::new(0, 4, 5, 3).is_err());
}

#[test]
fn runs_that_were_stored_continue_with_the_same_bits() {
    // Oracle: the run in one go.
    let mut buffer = [0.0; 20];
    let schedule = schedule(&mut buffer);
    let key = NoiseKey::from_bytes([8; 32]);
    let whole = |stop: Option<usize>, run: u32| {
        let mut sampler = Ddim::new(schedule, 20, 1, 1.0).expect("a start");
        let (mut x, mut scratch) = ([0.1f32, -0.2, 0.3], [0.0; 3]);
        while let Some(step) = sampler.next_step() {
            if stop == Some(step) {
                // All that a run is: the sampler and x.
                let stored = (sampler, x);
                scratch = [f32::NAN; 3];
                (sampler, x) = stored;
            }
            let mut model = constant(0.25);
            sampler.step(&mut model, &mut x, &mut scratch, Noise::Key { key: &key, run }).expect("runs");
        }
        x.map(f32::to_bits)
    };
    let expected = whole(None, 0);
    (0..20).for_each(|step| assert_eq!(whole(Some(step), 0), expected));
    assert_ne!(whole(None, 1), expected);
    assert!(size_of::<Ddim<'_>>() <= 56 && size_of::<Plms<'_>>() <= 64 && size_of::<Guidance>() <= 64);
}
