//! Updates of certificates. Oracles: the reference values, exact probabilities of the new model at every covered shift,
//! and simulation of both bounds.

mod common;

use common::{Model, Rng, int, job, noise, real, reference, rounded_gaussian, rows, sigma, subject};
use selvedge_certify::update::{Update, UpdateRequest, UpdateRun, carried};
use selvedge_certify::{Alpha, CertError, CertSpec, Certifier, Clean, Decision, GRID, LookTable, Price, Record};
use selvedge_certify::{Reason, Request, Rule, Step, Subject, Terms, covers};
use selvedge_noise::{NoiseTable, binomial};

const REACH: i32 = 12;
const SIDE: i32 = 61;
const HALF: UpdateRequest = UpdateRequest { pairs: 600, share: (1, 2) };

fn alpha() -> Alpha {
    Alpha::ratio(1, 1000).expect("a probability")
}

#[test]
fn bounds_are_within_1e_12_of_the_exact_ones_and_radii_within_1e_9_and_never_above() {
    let Some(tables) = reference("certify_reference.json") else { return };
    let share = Alpha::from_f64(0.0005).expect("a probability").lower();
    let price = Price::new(sigma(1, 1), 0.0);
    for row in rows(&tables, "incremental_irs") {
        assert_eq!(row["alpha_split"], "0.0005+0.0005");
        let (k, n, lost, pairs) = (int(&row["k"]), int(&row["n"]), int(&row["disagree"]), int(&row["n_p"]));
        let (lower, exact) = (binomial::lower_bound(k, n, share), real(&row["p_lower"]));
        assert!(lower <= exact && exact - lower < 1e-12, "{row}: {lower}");
        let (upper, exact) = (binomial::upper_bound(lost, pairs, share), real(&row["zeta_upper"]));
        assert!(upper >= exact && upper - exact < 1e-12, "{row}: {upper}");
        let after = carried(lower, lost, pairs, share);
        assert!(after <= lower - upper);
        // The slope of Φ⁻¹ is below 50 here: 10⁻¹² becomes 10⁻¹⁰.
        let (radius, exact) = (price.radius(after), real(&row["r_over_sigma"]));
        assert!(radius <= exact && exact - radius < 1e-9, "{row}: {radius}");
    }
}

/// A half-plane with mistakes, as a table, and a copy that differs in some cells.
#[derive(Clone)]
struct Planar(Vec<u8>);

impl Planar {
    fn random(rng: &mut Rng) -> Self {
        let (border, mistakes) = (rng.below(5) as i32 - 4, 0.2 * rng.unit());
        let class =
            |i: i32, rng: &mut Rng| u8::from((i % SIDE - 30 + i / SIDE - 30 > border) != (rng.unit() < mistakes));
        Planar((0..SIDE * SIDE).map(|i| class(i, rng)).collect())
    }

    fn changed(&self, rng: &mut Rng, part: f64) -> Self {
        let other = |&class: &u8, rng: &mut Rng| if rng.unit() < part { rng.below(3) as u8 } else { class };
        Planar(self.0.iter().map(|class| other(class, rng)).collect())
    }

    fn class(&self, x: i32, y: i32) -> usize {
        usize::from(self.0[((y.clamp(-30, 30) + 30) * SIDE + x.clamp(-30, 30) + 30) as usize])
    }

    fn smoothed(&self, pmf: &[f64], x: i32, y: i32) -> [f64; 3] {
        let mut p = [0.0; 3];
        for (dy, py) in (-REACH..).zip(pmf) {
            for (dx, px) in (-REACH..).zip(pmf) {
                p[self.class(x + dx, y + dy)] += px * py;
            }
        }
        p
    }

    fn model(&self) -> Model<impl FnMut(&[i16]) -> usize> {
        Model::new(2, 16, |v: &[i16]| self.class(v[0].into(), v[1].into()))
    }
}

fn parent(terms: &Terms<'_>, nonce: u8, planar: &Planar) -> (Record<3>, Decision) {
    let job = job(terms, nonce);
    let mut run = Certifier::<3>::new(&job).expect("fits");
    loop {
        if let Step::Done(decision) = run.step(&mut planar.model(), 500).expect("runs") {
            return (run.record(None).expect("no tree"), decision);
        }
    }
}

fn renewed(input: &[i16]) -> Subject<'_> {
    Subject { model: [4; 32], ..subject(input, 3) }
}

#[test]
fn certificates_of_updates_hold_at_every_shift_they_cover_whatever_the_parents_rule() {
    let sigma = sigma(2, 1);
    let bytes = noise(sigma);
    let table = NoiseTable::parse(&bytes).expect("valid");
    let pmf = rounded_gaussian(sigma.value(), REACH);
    let p0 = Price::new(sigma, table.tv_price(2)).null_probability(2);
    let (mut accept, mut refuse) = ([0; 36], [0; 36]);
    let half = alpha().split::<2>().into_iter().next().expect("a half");
    let looks = LookTable::build(p0, &half, &GRID, &mut accept, &mut refuse).expect("looks rise");
    let rules = [Rule::Fixed, Rule::Partition, Rule::Largest { gain: 50 }, Rule::Sequential(&looks)];
    let mut rng = Rng(21);
    let (mut certified, mut shifts, mut lost, mut differ) = ([0; 4], 0, 0, 0);
    for round in 0..60u8 {
        let old = Planar::random(&mut rng);
        let part = 0.12 * rng.unit();
        let new = old.changed(&mut rng, part);
        let input = [rng.below(7) as i16 - 3, rng.below(7) as i16 - 3];
        for (rule, certified) in rules.iter().zip(&mut certified) {
            let request = Request { rule: *rule, sigma, selection: 40, samples: 2000, target_r2: None };
            let spec = CertSpec::new(alpha(), request).expect("answerable");
            let old_terms = Terms::new(&spec, subject(&input, 3), &table).expect("fits");
            let (record, _) = parent(&old_terms, round, &old);
            let terms = Terms::new(&spec, renewed(&input), &table).expect("fits");
            let Ok(update) = Update::new(&terms, &record, HALF) else { continue };
            assert!(update.account().spent() <= update.account().budget());
            let mut run = UpdateRun::new(&update, [200; 32]).expect("another nonce");
            let decision = run.step(&mut old.model(), &mut new.model(), u32::MAX).expect("runs").expect("done");
            (lost, differ) = (lost + run.lost(), differ + run.differ());
            let Decision::Certified { class, r2 } = decision else { continue };
            *certified += 1;
            let p = new.smoothed(&pmf, input[0].into(), input[1].into())[usize::from(class)];
            assert!(p >= carried(update.parent_lower(), run.lost(), 600, 0.0005), "{rule:?}: {p}");
            for (dx, dy) in
                (-4..=4).flat_map(|dx| (-4..=4).map(move |dy| (dx, dy))).filter(|&(dx, dy)| covers(&[dx, dy], r2))
            {
                let p = new.smoothed(&pmf, i32::from(input[0]) + dx, i32::from(input[1]) + dy);
                assert!(p[usize::from(class)] > 0.5, "{rule:?}, r² = {r2}, ({dx}, {dy}): {p:?}");
                shifts += 1;
            }
        }
    }
    println!(
        "certified {certified:?} of 60 by rule, {shifts} shifts, none flips; {lost} of {differ} differences are losses"
    );
    assert!(certified.iter().all(|&count| count >= 10) && shifts > 300 && lost < differ, "{certified:?} {shifts}");
}

#[test]
fn both_bounds_together_fail_as_rarely_as_promised() {
    // Oracle: 3000 runs of binomial parents and losses; α = 0.1, four standard deviations.
    let mut rng = Rng(5);
    let drawn = |rng: &mut Rng, n: u32, p: f64| (0..n).filter(|_| rng.unit() < p).count() as u32;
    let [one, other] = Alpha::ratio(1, 10).expect("a probability").split();
    let (mut wrong, rounds) = (0u32, 3000u32);
    for _ in 0..rounds {
        let lower = binomial::lower_bound(drawn(&mut rng, 150, 0.9), 150, one.lower());
        // All losses are losses: P(f' = A) = 0.9 − 0.05.
        wrong += u32::from(carried(lower, drawn(&mut rng, 80, 0.05), 80, other.lower()) > 0.85);
    }
    let rate = f64::from(wrong) / f64::from(rounds);
    println!("{rate:.4} of claims are false");
    assert!(rate < 0.1 + 4.0 * (0.09 / f64::from(rounds)).sqrt(), "{rate}");
}

#[test]
fn any_steps_and_interruptions_count_the_same_on_the_same_noise() {
    let sigma = sigma(2, 1);
    let bytes = noise(sigma);
    let table = NoiseTable::parse(&bytes).expect("valid");
    let mut rng = Rng(2);
    let old = Planar((0..SIDE * SIDE).map(|i| u8::from(i % SIDE + i / SIDE > 60)).collect());
    let new = old.changed(&mut rng, 0.1);
    let input = [8i16, 8];
    let request = Request { rule: Rule::Fixed, sigma, selection: 40, samples: 1000, target_r2: None };
    let spec = CertSpec::new(alpha(), request).expect("answerable");
    let (record, _) = parent(&Terms::new(&spec, subject(&input, 3), &table).expect("fits"), 1, &old);
    let terms = Terms::new(&spec, renewed(&input), &table).expect("fits");
    let update = Update::new(&terms, &record, HALF).expect("answerable");
    assert_eq!(update.class(), 1);
    let mut run = UpdateRun::new(&update, [9; 32]).expect("another nonce");
    let want = run.step(&mut old.model(), &mut new.model(), u32::MAX).expect("runs").expect("done");
    assert!(run.lost() > 0 && run.differ() >= run.lost());
    let mut state = [0; 68];
    let mut other = UpdateRun::new(&update, [9; 32]).expect("another nonce");
    loop {
        // One batch of one input, one of seven.
        let mut slow = Model::new(2, 1, |v: &[i16]| old.class(v[0].into(), v[1].into()));
        let mut fast = Model::new(2, 7, |v: &[i16]| new.class(v[0].into(), v[1].into()));
        let done = other.step(&mut slow, &mut fast, 77).expect("runs");
        if let Some(found) = done {
            assert_eq!((found, other.lost(), other.differ()), (want, run.lost(), run.differ()));
            break;
        }
        assert_eq!(other.save(&mut state), Ok(68));
        other = UpdateRun::resume(&update, [9; 32], &state).expect("own state");
    }
    assert_eq!(UpdateRun::resume(&update, [8; 32], &state).err(), Some(CertError::Foreign));
    assert_eq!(other.save(&mut [0; 67]), Err(CertError::Buffer { needed: 68 }));
    // The same model loses nothing and is cheaper by nothing but the bound.
    let mut same = UpdateRun::new(&update, [9; 32]).expect("another nonce");
    let decision = same.step(&mut old.model(), &mut old.model(), u32::MAX).expect("runs").expect("done");
    assert_eq!((same.lost(), same.differ()), (0, 0));
    let Decision::Certified { r2, .. } = decision else { panic!("{decision:?}") };
    assert!(
        matches!(record.decision, Decision::Certified { r2: parent, .. } if parent > r2),
        "{:?} {r2}",
        record.decision
    );
    // A target above what is left.
    let request = Request { target_r2: Some(r2), ..request };
    let spec = CertSpec::new(alpha(), request).expect("answerable");
    let terms = Terms::new(&spec, renewed(&input), &table).expect("fits");
    let update = Update::new(&terms, &record, HALF).expect("just so");
    let mut run = UpdateRun::new(&update, [9; 32]).expect("another nonce");
    let decision = run.step(&mut old.model(), &mut new.model(), u32::MAX).expect("runs").expect("done");
    assert!(matches!(decision, Decision::Abstain(Reason::BelowTarget { r2: less }) if less < r2), "{decision:?}");
}

#[test]
fn records_of_something_else_and_bad_requests_have_named_errors() {
    let sigma = sigma(2, 1);
    let bytes = noise(sigma);
    let table = NoiseTable::parse(&bytes).expect("valid");
    let input = [8i16, 8];
    let old = Planar::random(&mut Rng(2));
    let request = Request { rule: Rule::Fixed, sigma, selection: 40, samples: 1000, target_r2: None };
    let spec = CertSpec::new(alpha(), request).expect("answerable");
    let (record, _) = parent(&Terms::new(&spec, subject(&input, 3), &table).expect("fits"), 1, &old);
    let terms = Terms::new(&spec, renewed(&input), &table).expect("fits");
    let new = |record: &Record<3>, request| Update::new(&terms, record, request).err();
    assert_eq!(new(&record, HALF), None);
    for share in [(0, 2), (2, 2), (1, 0), (3, 2)] {
        assert_eq!(new(&record, UpdateRequest { share, ..HALF }), Some(CertError::Alpha));
    }
    let needed = new(&record, UpdateRequest { pairs: 0, ..HALF });
    let Some(CertError::TooFewSamples { needed }) = needed else { panic!("{needed:?}") };
    assert_eq!(new(&record, UpdateRequest { pairs: needed, ..HALF }), None);
    assert_eq!(new(&record, UpdateRequest { pairs: needed - 1, ..HALF }), Some(CertError::TooFewSamples { needed }));
    assert_eq!(new(&record, UpdateRequest { pairs: u32::MAX, ..HALF }), Some(CertError::Selection));
    let changes: [fn(&mut Record<3>); 12] = [
        |record| record.input[0] ^= 1,
        |record| record.table[0] ^= 1,
        |record| record.grid.high -= 1,
        |record| record.kind = 2,
        |record| record.classes = 2,
        |record| record.sigma.numerator = 3,
        |record| record.samples += 1,
        |record| record.selection += 1,
        |record| record.rule = 2,
        |record| record.rule = 3,
        |record| record.rule = 9,
        |record| record.decision = Decision::Abstain(Reason::NonDeterministicBackend),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut record = record.clone();
        change(&mut record);
        assert_eq!(new(&record, HALF), Some(CertError::Parent), "{index}");
    }
    // Half of the hits: no number of pairs helps.
    let mut weak = record.clone();
    weak.counts[1] = selvedge_certify::Counts::from_slice(&[500, 500, 0]).expect("fits");
    assert_eq!(new(&weak, HALF), Some(CertError::Target));
    let update = Update::new(&terms, &record, HALF).expect("answerable");
    assert_eq!(UpdateRun::new(&update, [1; 32]).err(), Some(CertError::Parent));
    // Whatever may be chosen changes the commitment.
    let more = Update::new(&terms, &record, UpdateRequest { pairs: 601, ..HALF }).expect("answerable");
    assert!(update.commitment() != more.commitment() && update.commitment() != terms.commitment());
    let third = Subject { input: Clean::I16(&[8, 7]), ..renewed(&input) };
    let elsewhere = Terms::new(&spec, third, &table).expect("fits");
    assert_eq!(Update::new(&elsewhere, &record, HALF).err(), Some(CertError::Parent));
}
