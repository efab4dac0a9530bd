//! Weights of classes in place of counts: maps, bounds, runs. Oracles: exact fractions and 25-digit values of the reference
//! file; softmax in f64; for runs the same run without interruptions.

mod common;

use common::{Rng, Scorer, int, job, noise, real, reference, rows, sigma, subject};
use selvedge_certify::{
    Alpha, Bound, CertError, CertSpec, Certifier, Classify, Decision, Denoise, Denoised, DenoisedError, MarginRun,
    Mixing, Moments, Plan, Price, Range, Reason, Request, Rule, Scores, Simplex, Step, StepError, Terms, UNIT,
    closed_ball, margin_state_bytes, open_ball, smoothed_lipschitz,
};
use selvedge_noise::{Domain, NoiseTable, bounds};

fn weights(map: Simplex, scores: &[i32]) -> Vec<u16> {
    let mut weights = vec![1; scores.len()];
    map.weigh(scores, &mut weights);
    weights
}

#[test]
fn sparsemax_is_the_exact_fraction_rounded_down() {
    let Some(table) = reference("certify_reference.json") else { return };
    for row in rows(&table, "sparsemax_exact_rational") {
        // Three digits after the point, as integers.
        let scores: Vec<i32> = row["z"].as_array().expect("scores").iter().map(|z| (real(z) * 1000.0) as i32).collect();
        let exact = row["sparsemax"].as_array().expect("weights").iter().map(|text| {
            let text = text.as_str().expect("a fraction");
            let (n, d) = text.split_once('/').unwrap_or((text, "1"));
            let (n, d): (u64, u64) = (n.parse().expect("integer"), d.parse().expect("integer"));
            (n * u64::from(UNIT) / d) as u16
        });
        assert_eq!(weights(Simplex::Sparsemax { unit: 1000 }, &scores), exact.collect::<Vec<_>>(), "{row}");
    }
}

/// Sparsemax by sorting (the published algorithm), in 128 bits.
fn sorted_sparsemax(scores: &[i32], unit: u32) -> Vec<u16> {
    let mut sorted: Vec<i128> = scores.iter().map(|&z| i128::from(z)).collect();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let (mut sum, mut best) = (0, (0, 1));
    for (k, z) in (1..).zip(&sorted) {
        sum += z;
        if i128::from(unit) + k * z > sum {
            best = (sum - i128::from(unit), k);
        }
    }
    let (excess, k) = best;
    let weight = |&z: &i32| (i128::from(z) * k - excess).max(0) * i128::from(UNIT) / (k * i128::from(unit));
    scores.iter().map(|z| weight(z) as u16).collect()
}

#[test]
fn maps_equal_their_definitions_and_never_add_up_to_more_than_one() {
    let mut rng = Rng(31);
    let mut worst = 0.0f64;
    for round in 0..4000 {
        let classes = 1 + rng.below(12);
        let span = 1u64 << rng.below(32);
        let mut scores: Vec<i32> = (0..classes)
            .map(|_| (rng.word() % (2 * span)) as i64 - span as i64)
            .map(|z| z.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
            .collect();
        if round % 7 == 0 {
            scores[rng.below(classes)] = [i32::MIN, i32::MAX][rng.below(2)];
        }
        let unit = 1 + (rng.word() % (1 << rng.below(31))) as u32;
        assert_eq!(weights(Simplex::Sparsemax { unit }, &scores), sorted_sparsemax(&scores, unit), "{scores:?} {unit}");
        let found = weights(Simplex::Softmax { unit }, &scores);
        let top = f64::from(*scores.iter().max().expect("classes"));
        let power: Vec<f64> = scores.iter().map(|&z| ((f64::from(z) - top) / f64::from(unit)).exp()).collect();
        let sum: f64 = power.iter().sum();
        for (found, power) in found.iter().zip(&power) {
            let off = power / sum * f64::from(UNIT) - f64::from(*found);
            worst = worst.max((off - 0.5).abs());
        }
        let first = scores.iter().position(|&z| f64::from(z) == top).expect("the largest");
        let argmax = weights(Simplex::Argmax, &scores);
        assert!(argmax.iter().enumerate().all(|(class, &w)| w == if class == first { UNIT } else { 0 }));
        for map in [Simplex::Argmax, Simplex::Sparsemax { unit }, Simplex::Softmax { unit }] {
            let all: u32 = weights(map, &scores).iter().map(|&w| u32::from(w)).sum();
            assert!(
                all <= u32::from(UNIT) && all + classes as u32 > u32::from(UNIT),
                "{map:?} {scores:?} {unit}: {all}"
            );
        }
    }
    println!("softmax within {:.4} of the middle of its step", worst);
    assert!(worst < 0.51, "{worst}");
    // Far scores, strange units, nothing, too much: no panic.
    for unit in [0, 1, 1 << 31, u32::MAX] {
        for map in [Simplex::Softmax { unit }, Simplex::Sparsemax { unit }] {
            assert!(weights(map, &[]).is_empty());
            assert_eq!(weights(map, &[5]), [UNIT]);
            assert_eq!(weights(map, &vec![0; 65_536]), vec![0; 65_536]);
            let extreme: Vec<i32> = (0..65_535).map(|i| if i % 2 == 0 { i32::MAX } else { i32::MIN }).collect();
            assert!(weights(map, &extreme).iter().all(|&w| w <= 1));
            map.weigh(&[1, 2, 3], &mut []);
            map.weigh(&[1], &mut [7; 3]);
        }
    }
}

#[test]
fn bounds_of_means_are_within_1e_12_of_the_exact_ones_and_never_inside() {
    let Some(table) = reference("certify_reference.json") else { return };
    let mut checked = 0;
    for row in rows(&table, "empirical_bernstein") {
        let (n, delta) = (int(&row["n"]), real(&row["delta"]));
        let exact = real(&row["maurer_pontil_one_sided"]);
        let found = bounds::empirical_bernstein(n, real(&row["sample_variance"]), delta);
        assert!(found >= exact && found < exact + 1e-12, "{row}: {found}");
        // From weights: half of them 0 and half v, whose variance is known.
        let v = u64::from(UNIT / 4);
        let moments = Moments { sum: u64::from(n / 2) * v, squares: u64::from(n / 2) * v * v };
        let variance = 1.0 / 64.0 * f64::from(n) / f64::from(n - 1);
        assert!(moments.variance(n) >= variance && moments.variance(n) < variance * (1.0 + 1e-14));
        let shift = bounds::empirical_bernstein(n, variance, delta);
        let (lower, upper) = (moments.lower_bound(n, delta), moments.upper_bound(n, delta));
        assert!(lower <= 0.125 - shift && lower > 0.125 - shift - 1e-12);
        assert!(upper >= 0.125 + shift && upper < 0.125 + shift + 1e-12);
        checked += 1;
    }
    assert_eq!(checked, 40);
    let mut moments = Moments::default();
    [3, 7, 7, UNIT].iter().for_each(|&w| moments.add(w));
    let mut twice = moments;
    twice.merge(&moments);
    assert_eq!((moments.sum, moments.squares), (17 + 32_768, 107 + (1 << 30)));
    assert_eq!(twice, Moments { sum: 2 * moments.sum, squares: 2 * moments.squares });
    // What no weights have, and no draws, bounds nothing.
    for (sum, squares, n) in [(0, 0, 0), (5, 25, 1), (10, 1, 3), (1, u64::MAX, 9), (u64::MAX, u64::MAX, u32::MAX)] {
        let moments = Moments { sum, squares };
        assert_eq!(moments.variance(n), f64::INFINITY);
        assert_eq!((moments.lower_bound(n, 0.1), moments.upper_bound(n, 0.1)), (f64::NEG_INFINITY, f64::INFINITY));
    }
}

#[test]
fn radii_and_lipschitz_constants_are_within_1e_12_of_the_exact_ones_on_the_safe_side() {
    let Some(table) = reference("certify_reference.json") else { return };
    let mut checked = 0;
    for row in rows(&table, "lvmrs_radii") {
        let price = Price::new(sigma((real(&row["sigma"]) * 1000.0) as u32, 1000), 0.0);
        let (a, b) = (real(&row["pA"]), real(&row["pB"]));
        for (found, exact) in [
            (price.radius_two_class(a, b), &row["r_quantile_two_class"]),
            (price.radius(a), &row["r_quantile_mono"]),
            (price.radius_margin((a - b).next_down()), &row["r_lipschitz_margin"]),
        ] {
            assert!(found <= real(exact) && found > real(exact) - 1e-12, "{row}: {found}");
        }
        checked += 1;
    }
    for row in rows(&table, "smoothed_lipschitz_erf") {
        let (lipschitz, sigma, range) = (real(&row["L"]), real(&row["sigma"]), real(&row["range"]));
        let found = smoothed_lipschitz(lipschitz, sigma, range);
        let exact = real(&row["L_smoothed_range_form"]);
        assert!(found >= exact && found < exact + 1e-12, "{row}: {found}");
        assert!(found <= lipschitz && found <= real(&row["limit_L_inf"]) * (1.0 + 1e-14));
        checked += 1;
    }
    assert_eq!(checked, 36);
    for strange in [f64::NAN, 0.0, -1.0, f64::NEG_INFINITY] {
        assert_eq!(smoothed_lipschitz(strange, 1.0, 1.0), f64::INFINITY);
        assert_eq!(smoothed_lipschitz(1.0, strange, 1.0), f64::INFINITY);
        assert_eq!(smoothed_lipschitz(1.0, 1.0, strange), f64::INFINITY);
        assert_eq!(open_ball(Price::new(sigma(9, 1), 0.0).radius_margin(strange)), None);
    }
    // Steep functions, flat ones, and none.
    let limit = smoothed_lipschitz(f64::INFINITY, 2.0, 1.0);
    assert!((limit - 0.199_471_140_200_716_4).abs() < 1e-15 && smoothed_lipschitz(1e300, 2.0, 1.0) <= limit);
    assert_eq!(smoothed_lipschitz(1e-300, 1.0, 1.0), 1e-300);
    // Finite precision costs 4τ of a margin.
    let paid = Price::new(sigma(8, 1), 1e-3).radius_margin(0.5);
    assert!((paid - 8.0 * 1.253_314_137_3 * 0.496).abs() < 1e-8);
    assert_eq!(closed_ball(Price::new(sigma(8, 1), f64::NAN).radius_margin(0.9)), None);
}

const MAPS: [Simplex; 3] = [Simplex::Argmax, Simplex::Softmax { unit: 30 }, Simplex::Sparsemax { unit: 80 }];

fn request(maps: &[Simplex], selection: u32, samples: u32) -> Request<'_> {
    Request { rule: Rule::Margin(maps), sigma: sigma(16, 1), selection, samples, target_r2: None }
}

fn alpha() -> Alpha {
    Alpha::ratio(1, 1000).expect("a probability")
}

/// A model of 8 codes and 3 classes: two sums that noise moves apart, and a constant.
fn model(codes: &[i16], scores: &mut [i32]) {
    let sum = |codes: &[i16]| codes.iter().map(|&code| i32::from(code)).sum::<i32>();
    (scores[0], scores[1], scores[2]) = (sum(&codes[..4]), sum(&codes[4..]), 10);
}

#[test]
fn runs_are_the_same_whatever_the_steps_and_interruptions() {
    let bytes = noise(sigma(16, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let spec = CertSpec::new(alpha(), request(&MAPS, 41, 2000)).expect("answerable");
    let input = [30i16, 30, 30, 30, 20, 20, 10, 10];
    let terms = Terms::new(&spec, subject(&input, 3), &table).expect("fits");
    let job = job(&terms, 3);
    let mut whole = MarginRun::<3, 3>::new(&job).expect("fits");
    let mut scorer = Scorer::new(8, 3, model);
    let decision = loop {
        match whole.step(&mut scorer, u32::MAX).expect("runs") {
            Step::Done(decision) => break decision,
            Step::Progress(progress) => assert!(whole.plan().is_some() || progress.hits == 0),
        }
    };
    println!("{decision:?} by {:?}", whole.plan());
    assert!(matches!(decision, Decision::Certified { class: 0, .. }));
    let (verdict, account) = whole.verdict().expect("done");
    assert_eq!((verdict, account.spent()), (decision, account.budget()));
    let mixed = whole.mixed(&Mixing::new(9, 10).expect("above one half")).expect("done").0;
    assert_eq!(whole.mixed(&Mixing::new(1, 1).expect("above one half")).expect("done").0, decision);
    match (mixed, decision) {
        (Decision::Certified { r2: less, .. }, Decision::Certified { r2: more, .. }) => assert!(less < more),
        other => panic!("{other:?}"),
    }

    let mut run = MarginRun::<5, 4>::new(&job).expect("more room than needed");
    let mut state = vec![0; margin_state_bytes(3, 3)];
    assert_eq!(state.len(), 56 + 3 * (2 + 72) + 12);
    let mut most = 1;
    while let Step::Progress(_) = run.step(&mut scorer, most).expect("runs") {
        most = most % 97 + 6;
        assert_eq!(run.save(&mut state), Ok(state.len()));
        run = MarginRun::resume(&job, &state).expect("own state");
    }
    assert_eq!(run.status(), Step::Done(decision));
    assert_eq!((run.plan(), run.draws()), (whole.plan(), (41, 2000)));
    assert_eq!(run.moments()[..3], whole.moments());
    // Estimation draws weighed before there was a map for them are no part of the run.
    let early = MarginRun::<3, 3>::new(&job).expect("fits");
    let mut late = early.clone();
    let ahead = Range { domain: Domain::Estimate, first: 0, len: 10 };
    let ahead = (ahead, early.count(&mut scorer, ahead).expect("runs"));
    while late.plan().is_none() {
        late.step(&mut scorer, u32::MAX).expect("runs");
    }
    assert_eq!(late.merge(ahead.0, &ahead.1), Err(CertError::Order));
    // Counted in three parts of every range, in any order.
    let mut parted = MarginRun::<3, 3>::new(&job).expect("fits");
    while let Some(all) = parted.next_range(300) {
        let cut = all.len / 3;
        let part = |first, len| Range { first: all.first + first, len, ..all };
        let mut sums = parted.count(&mut scorer, part(2 * cut, all.len - 2 * cut)).expect("runs");
        for first in [0, cut] {
            sums.merge(&parted.count(&mut scorer, part(first, cut)).expect("runs"));
        }
        assert_eq!(parted.merge(part(1, all.len), &sums), Err(CertError::Order));
        assert_eq!(parted.merge(part(0, all.len - 1), &sums), Err(CertError::Order));
        parted.merge(all, &sums).expect("next");
    }
    assert_eq!((parted.status(), parted.moments()), (whole.status(), whole.moments()));
    run.save(&mut state).expect("fits");
    assert_eq!(MarginRun::<3, 3>::resume(&job, &state).expect("own state").status(), Step::Done(decision));

    // Damage, other jobs, other capacities.
    assert_eq!(run.save(&mut state[1..]), Err(CertError::Buffer { needed: margin_state_bytes(3, 3) as u32 }));
    let mut rng = Rng(6);
    for _ in 0..500 {
        let mut damaged = state.clone();
        damaged[rng.below(state.len())] ^= 1 << rng.below(8);
        assert!(MarginRun::<3, 3>::resume(&job, &damaged).is_err());
        // Sealed again: refused, or a state that makes no panic.
        let body = damaged.len() - 12;
        let seal: [u8; 32] =
            sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(&damaged[..body])).into();
        damaged[body..].copy_from_slice(&seal[..12]);
        if let Ok(run) = MarginRun::<3, 3>::resume(&job, &damaged) {
            let _ = (run.status(), run.next_range(9));
        }
    }
    assert_eq!(MarginRun::<3, 3>::resume(&common::job(&terms, 4), &state).err(), Some(CertError::Foreign));
    assert_eq!(MarginRun::<3, 3>::resume(&job, b"SLVS").err(), Some(CertError::Magic));
    assert_eq!(MarginRun::<3, 3>::resume(&job, &state[..60]).err(), Some(CertError::Checksum));
    assert_eq!(MarginRun::<2, 3>::new(&job).err(), Some(CertError::Classes { found: 3 }));
    assert_eq!(MarginRun::<3, 2>::new(&job).err(), Some(CertError::Maps));
    assert_eq!(Certifier::<3>::new(&job).err(), Some(CertError::Rule));
}

#[test]
fn requests_and_models_that_cannot_be_are_refused() {
    let bytes = noise(sigma(16, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let with = |maps: &[Simplex], samples| CertSpec::new(alpha(), request(maps, 40, samples)).err();
    assert_eq!(with(&[], 1000), Some(CertError::Maps));
    assert_eq!(with(&[Simplex::Argmax, Simplex::Softmax { unit: 0 }], 1000), Some(CertError::Maps));
    assert_eq!(with(&[Simplex::Sparsemax { unit: (1 << 31) + 1 }], 1000), Some(CertError::Maps));
    // Counts answer earlier: 0.5^10 ≤ α; 7·ln(2000)/(3·(n − 1)) < 1/2 asks for 37.
    assert_eq!(with(&MAPS, 9), Some(CertError::TooFewSamples { needed: 10 }));
    assert_eq!(with(&MAPS[1..], 9), Some(CertError::TooFewSamples { needed: 37 }));
    assert_eq!(with(&MAPS[1..], 37), None);

    let spec = CertSpec::new(alpha(), request(&MAPS, 40, 100)).expect("answerable");
    let terms = Terms::new(&spec, subject(&[0; 8], 3), &table).expect("fits");
    let one = job(&terms, 1);
    let mut run = MarginRun::<3, 3>::new(&one).expect("fits");
    let error = run.step(&mut Scorer::new(8, 3, model), 7).map(|_| ());
    assert_eq!((error, run.draws()), (Ok(()), (7, 0)));
    let mut other = Scorer::new(8, 4, |_: &[i16], _: &mut [i32]| {});
    assert_eq!(run.step(&mut other, 7), Err(StepError::Model("another number of classes")));
    assert_eq!((run.draws(), run.plan(), run.moments()), ((7, 0), None, [Moments::default(); 3]));
    // A model that is no function, found by chance of being asked twice.
    let mut turn = 0;
    let mut fickle = Scorer::new(8, 3, |_: &[i16], scores: &mut [i32]| {
        turn += 1;
        scores[0] = turn;
    });
    let failed = Step::Done(Decision::Abstain(Reason::NonDeterministicBackend));
    assert_eq!(run.probe(&mut fickle, 0), Ok(failed));
    let mut state = [0; margin_state_bytes(3, 3)];
    run.save(&mut state).expect("fits");
    let mut run = MarginRun::<3, 3>::resume(&one, &state).expect("own state");
    assert_eq!((run.status(), run.next_range(1)), (failed, None));
    assert_eq!(run.step(&mut fickle, 1), Ok(failed));
    // Another map is another request.
    let maps = [Simplex::Argmax, Simplex::Softmax { unit: 31 }, Simplex::Sparsemax { unit: 80 }];
    let other = CertSpec::new(alpha(), request(&maps, 40, 100)).expect("answerable");
    let other = Terms::new(&other, subject(&[0; 8], 3), &table).expect("fits").commitment();
    assert_ne!(other, terms.commitment());
    // Rules that count are not this run's.
    let counts = CertSpec::new(alpha(), Request { rule: Rule::Fixed, ..request(&MAPS, 40, 100) }).expect("answerable");
    let terms = Terms::new(&counts, subject(&[0; 8], 3), &table).expect("fits");
    assert_eq!(MarginRun::<3, 3>::new(&job(&terms, 1)).err(), Some(CertError::Rule));
    // One selection draw chooses a class, and no more.
    let spec = CertSpec::new(alpha(), request(&MAPS, 1, 100)).expect("answerable");
    let terms = Terms::new(&spec, subject(&[0; 8], 3), &table).expect("fits");
    let one = job(&terms, 1);
    let mut run = MarginRun::<3, 3>::new(&one).expect("fits");
    run.step(&mut Scorer::new(8, 3, |_: &[i16], s: &mut [i32]| s[2] = 1), 9).expect("runs");
    assert_eq!(run.plan(), Some(Plan { map: 0, class: 2, bound: Bound::One }));
}

/// A denoiser that does nothing.
struct Same([i16; 8]);

impl Denoise for Same {
    type Error = &'static str;

    fn output_len(&self) -> usize {
        8
    }

    fn write(&mut self, _: usize, first: usize, codes: &[i16]) -> Result<(), Self::Error> {
        self.0[first..][..codes.len()].copy_from_slice(codes);
        Ok(())
    }

    fn run(&mut self, _: usize) -> Result<(), Self::Error> {
        Ok(())
    }

    fn read(&self, _: usize, first: usize, codes: &mut [i16]) -> Result<(), Self::Error> {
        codes.copy_from_slice(&self.0[first..][..codes.len()]);
        Ok(())
    }
}

#[test]
fn scores_behind_a_denoiser_are_those_of_its_classifier() {
    let mut both = Denoised::new(Same([0; 8]), Scorer::new(8, 3, model));
    both.write(0, 0, &[9, 9, 9, 9, 1, 1, 1, 2]).expect("writes");
    both.run(1).expect("runs");
    let mut scores = [0; 3];
    both.scores(0, &mut scores).expect("three classes");
    assert_eq!((scores, both.class(0)), ([36, 5, 10], 0));
    let error = both.scores(0, &mut [0; 2]);
    assert_eq!(error, Err(DenoisedError::Classifier("another number of classes")));
}
