//! Records and their checks. Oracle: the honest run; a lie is what an adversary writes with a fresh seal.

mod common;

use common::{Model, Rng, job, noise, sigma, subject};
use selvedge_certify::verify::{self, CheckError, Claim, VerifyError};
use selvedge_certify::{
    Alpha, CertError, CertSpec, Certifier, Counts, Decision, Job, Proof, Reason, Record, Request, Rule, Sink, Step,
    Subject, Terms, Tree, record_bytes, shipped,
};
use selvedge_noise::{Domain, NoiseTable};
use sha2::{Digest, Sha256};

const INPUT: [i16; 40] = [3; 40];
const NONCE: u8 = 9;

fn spec(rule: Rule<'_>, samples: u32) -> CertSpec<'_> {
    let selection = if rule == Rule::Predict { 0 } else { 40 };
    let request = Request { rule, sigma: sigma(8, 1), selection, samples, target_r2: None };
    CertSpec::new(Alpha::ratio(1, 1000).expect("a probability"), request).expect("answerable")
}

fn rules() -> [Rule<'static>; 5] {
    [
        Rule::Fixed,
        Rule::Predict,
        Rule::Sequential(shipped(2).expect("shipped")),
        Rule::Largest { gain: 50 },
        Rule::Partition,
    ]
}

fn classify(input: &[i16]) -> usize {
    let sum: i32 = input.iter().map(|&v| i32::from(v)).sum();
    usize::from(sum > 60) + usize::from(sum > 260)
}

/// Keeps all estimation predictions beside the tree.
struct Both<'t>(&'t mut Tree<4>, Vec<u16>);

impl Sink for Both<'_> {
    fn take(&mut self, domain: Domain, sample: u32, class: usize) -> Result<(), CertError> {
        if domain == Domain::Estimate {
            self.1.push(class as u16);
        }
        self.0.take(domain, sample, class)
    }
}

fn honest(terms: &Terms<'_>) -> (Record<4>, Vec<u16>) {
    let job = job(terms, NONCE);
    let (mut run, mut tree) = (Certifier::<4>::new(&job).expect("fits"), Tree::new(&job));
    let mut sink = Both(&mut tree, Vec::new());
    let mut model = Model::new(40, 16, classify);
    while let Step::Progress(_) = run.step_with(&mut model, 100, &mut sink).expect("runs") {}
    let predictions = sink.1;
    (run.record(Some(&tree)).expect("complete"), predictions)
}

fn claim(terms: &Terms<'_>) -> Claim {
    Claim { nonce: [NONCE; 32], own_nonce: false, commitment: terms.commitment() }
}

fn looks(rule: Rule<'static>) -> Option<&'static selvedge_certify::LookTable<'static>> {
    if let Rule::Sequential(looks) = rule { Some(looks) } else { None }
}

#[test]
fn honest_records_pass_every_check_under_every_rule() {
    let bytes = noise(sigma(8, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    for rule in rules() {
        let spec = spec(rule, 600);
        let terms = Terms::new(&spec, subject(&INPUT, 3), &table).expect("fits");
        let (record, predictions) = honest(&terms);
        match rule {
            Rule::Predict => assert_eq!(record.decision, Decision::Predicted { class: 1 }),
            _ => assert!(matches!(record.decision, Decision::Certified { class: 1, r2: 1.. }), "{record:?}"),
        }
        let mut encoded = [0; record_bytes(3)];
        assert_eq!(record.encode(&mut encoded), Ok(encoded.len()));
        let parsed = Record::<10>::parse(&encoded).expect("its own");
        let mut again = [0; record_bytes(3)];
        parsed.encode(&mut again).expect("fits");
        assert_eq!(again, encoded);
        assert_eq!(Record::<2>::parse(&encoded), Err(CertError::Classes { found: 3 }));

        let claim = claim(&terms);
        assert_eq!(verify::arithmetic(&record, &claim, &table, looks(rule)), Ok(()));
        let mut model = Model::new(40, 32, classify);
        assert_eq!(verify::full(&record, &claim, &terms, &mut model), Ok(()));
        let prove = |sample| Proof::<4>::new(&predictions, sample, 3);
        assert_eq!(verify::spot(&record, &claim, &terms, &mut model, &[1; 32], 50, prove), Ok(()));
        // 459 checks leave at most 1 % undetected, with 1 % error: the answer stands, with a smaller radius.
        assert!(verify::undetected(459, 0.01) < 0.01 && verify::undetected(458, 0.01) > 0.01);
        let assured = verify::assured(&record, &claim, &table, looks(rule), 459, 0.01).expect("accepted");
        match (assured, record.decision) {
            (Some(Decision::Certified { class: 1, r2 }), Decision::Certified { r2: whole, .. }) => {
                assert!(r2 < whole || (r2 == whole && matches!(rule, Rule::Sequential(_))), "{rule:?}");
            }
            (Some(Decision::Predicted { class: 1 }), Decision::Predicted { .. }) => {}
            // The last look before the boundary leaves no room for doubt.
            (None, _) => assert!(matches!(rule, Rule::Sequential(_)), "{rule:?}"),
            other => panic!("{rule:?}: {other:?}"),
        }
        assert_eq!(verify::assured(&record, &claim, &table, looks(rule), 0, 0.01), Ok(None));
        // Without a tree: no spot check.
        let bare = Record { roots: None, ..record.clone() };
        assert_eq!(verify::full(&bare, &claim, &terms, &mut model), Ok(()));
        let refused = verify::spot(&bare, &claim, &terms, &mut model, &[1; 32], 50, prove);
        assert_eq!(refused, Err(CheckError::Verify(VerifyError::NoTree)));
    }
}

#[test]
fn an_unfinished_run_makes_no_claim_and_an_abstention_is_confirmed() {
    let bytes = noise(sigma(8, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let spec = spec(Rule::Fixed, 600);
    let terms = Terms::new(&spec, subject(&INPUT, 3), &table).expect("fits");
    let job = job(&terms, NONCE);
    let mut run = Certifier::<4>::new(&job).expect("fits");
    run.step(&mut Model::new(40, 1, classify), 30).expect("runs");
    let record = run.record(None).expect("no tree");
    assert_eq!(record.decision, Decision::Abstain(Reason::Cancelled));
    let refused = verify::arithmetic(&record, &claim(&terms), &table, None);
    assert_eq!(refused, Err(VerifyError::NoClaim));
    // A classifier of pure chance.
    let chance = |input: &[i16]| usize::from(input.iter().fold(0i16, |a, &b| a ^ b) & 1 == 1);
    let mut model = Model::new(40, 1, chance);
    let mut run = Certifier::<4>::new(&job).expect("fits");
    while let Step::Progress(_) = run.step(&mut model, 100).expect("runs") {}
    let record = run.record(None).expect("no tree");
    assert_eq!(record.decision, Decision::Abstain(Reason::UndecidedAtBudget));
    assert_eq!(verify::full(&record, &claim(&terms), &terms, &mut model), Ok(()));
}

/// Encodes with a fresh seal.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - 32;
    let digest = Sha256::digest(&bytes[..body]);
    bytes[body..].copy_from_slice(&digest);
    bytes
}

#[test]
fn every_changed_bit_is_found_sealed_again_or_not() {
    let bytes = noise(sigma(8, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    for rule in rules() {
        let spec = spec(rule, 600);
        let terms = Terms::new(&spec, subject(&INPUT, 3), &table).expect("fits");
        let (record, _) = honest(&terms);
        let claim = claim(&terms);
        let mut encoded = vec![0; record_bytes(3)];
        record.encode(&mut encoded).expect("fits");
        assert!((0..encoded.len()).all(|short| Record::<4>::parse(&encoded[..short]).is_err()));
        assert!(Record::<4>::parse(&[&encoded[..], &[0]].concat()).is_err());
        let mut survivors = Vec::new();
        for bit in 0..8 * encoded.len() {
            let mut damaged = encoded.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::<4>::parse(&damaged).is_err(), "bit {bit}");
            if bit / 8 >= encoded.len() - 32 {
                continue;
            }
            // An adversary seals it again: parsed or not, it does not pass without the model but where it has to,
            // and then a rerun finds it.
            let Ok(lie) = Record::<4>::parse(&sealed(damaged.clone())) else { continue };
            let mut again = vec![0; record_bytes(3)];
            lie.encode(&mut again).expect("fits");
            assert_eq!(again, sealed(damaged), "parsing is strict: bit {bit}");
            if verify::arithmetic(&lie, &claim, &table, looks(rule)).is_ok() {
                survivors.push(bit / 8);
                if !(24..28).contains(&(bit / 8)) {
                    let mut model = Model::new(40, 32, classify);
                    assert!(verify::full(&lie, &claim, &terms, &mut model).is_err(), "bit {bit}");
                }
            }
        }
        survivors.dedup();
        // The library's version, the tree's roots, and counts that change nothing.
        assert!(survivors.iter().all(|&at| (24..28).contains(&at) || at >= 304), "{survivors:?}");
    }
}

#[test]
fn random_bytes_and_random_changes_never_panic_or_verify() {
    let bytes = noise(sigma(8, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let mut rng = Rng(77);
    for rule in rules() {
        let spec = spec(rule, 600);
        let terms = Terms::new(&spec, subject(&INPUT, 3), &table).expect("fits");
        let (record, _) = honest(&terms);
        let claim = claim(&terms);
        let mut encoded = vec![0; record_bytes(3)];
        record.encode(&mut encoded).expect("fits");
        for _ in 0..3000 {
            let mut bytes = encoded.clone();
            for _ in 0..1 + rng.below(6) {
                // Fields, not the hashes that only fail to match.
                let at = if rng.below(2) == 0 { 8 + rng.below(104) } else { 368 + rng.below(24) };
                bytes[at] = [rng.word() as u8, 0, 0xff, 1][rng.below(4)];
            }
            let bytes = sealed(bytes);
            if let Ok(lie) = Record::<4>::parse(&bytes)
                && (Record { library: record.library, ..lie.clone() }) != record
                && lie.decision == record.decision
            {
                // Counts that lead to the same decision pass: they are what arithmetic cannot know.
                let accepted = verify::arithmetic(&lie, &claim, &table, looks(rule)).is_ok();
                assert!(!accepted || lie.counts != record.counts);
            }
            let noise: Vec<u8> = (0..rng.below(600)).map(|_| rng.word() as u8).collect();
            assert!(Record::<4>::parse(&noise).is_err());
        }
    }
}

#[test]
fn claims_of_the_verifier_bind() {
    let bytes = noise(sigma(8, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let spec = spec(Rule::Fixed, 600);
    let terms = Terms::new(&spec, subject(&INPUT, 3), &table).expect("fits");
    let (record, _) = honest(&terms);
    let honest_claim = claim(&terms);
    let arithmetic = |record: &Record<4>, claim: &Claim| verify::arithmetic(record, claim, &table, None);
    let nonce = Claim { nonce: [1; 32], ..honest_claim };
    assert_eq!(arithmetic(&record, &nonce), Err(VerifyError::Nonce));
    // A nonce of the prover's own is marked, and passes for those alone who say that they know.
    let own = Record { own_nonce: true, ..record.clone() };
    assert_eq!(arithmetic(&own, &honest_claim), Err(VerifyError::Nonce));
    let knows = Claim { own_nonce: true, ..honest_claim };
    assert_eq!(arithmetic(&own, &knows), Ok(()));
    assert_eq!(arithmetic(&record, &knows), Err(VerifyError::Nonce));
    let (mut with, mut without) = (vec![0; record_bytes(3)], vec![0; record_bytes(3)]);
    own.encode(&mut with).expect("fits");
    record.encode(&mut without).expect("fits");
    assert_ne!(with, without);
    assert_eq!(Record::<4>::parse(&with), Ok(own));
    let prover = Job::with_own_nonce(&terms, [NONCE; 32]);
    let run = Certifier::<4>::new(&prover).expect("fits");
    assert!(run.record(None).expect("no tree").own_nonce);
    for lie in [
        Record { model: [0; 32], ..record.clone() },
        Record { input: [0; 32], ..record.clone() },
        Record { samples: 601, ..record.clone() },
        Record { dimensions: 41, ..record.clone() },
        Record { target_r2: Some(1), ..record.clone() },
        Record { alpha: record.alpha + 1, ..record.clone() },
    ] {
        assert_eq!(arithmetic(&lie, &honest_claim), Err(VerifyError::Commitment));
    }
    let other = noise(sigma(9, 1));
    let other = NoiseTable::parse(&other).expect("valid");
    assert_eq!(verify::arithmetic(&record, &honest_claim, &other, None), Err(VerifyError::Table));
    let Decision::Certified { class, r2 } = record.decision else { panic!("certified") };
    let larger = Record { decision: Decision::Certified { class, r2: r2 + 1 }, ..record.clone() };
    assert_eq!(arithmetic(&larger, &honest_claim), Err(VerifyError::Decision));
    let cheaper = Record { spent: record.spent - 1, ..record.clone() };
    assert_eq!(arithmetic(&cheaper, &honest_claim), Err(VerifyError::Account));
    // More draws than were asked for, or classes beyond the model's: by hand, parsing knows them not.
    let more = |phase: usize, counts: &[u32]| {
        let mut lie = record.clone();
        lie.counts[phase].merge(&Counts::from_slice(counts).expect("fits"));
        arithmetic(&lie, &honest_claim)
    };
    assert_eq!(more(0, &[0, 1]), Err(VerifyError::Counts));
    assert_eq!(more(1, &[0, 5000]), Err(VerifyError::Counts));
    let mut beyond = record.clone();
    beyond.counts[0] = Counts::from_slice(&[0, 0, 0, 40]).expect("fits");
    assert_eq!(arithmetic(&beyond, &honest_claim), Err(VerifyError::Counts));
    // The wrong model at hand, and the wrong input.
    let mut model = Model::new(40, 1, |_: &[i16]| 1);
    let full = verify::full(&record, &honest_claim, &terms, &mut model);
    assert_eq!(full, Err(CheckError::Verify(VerifyError::Counts)));
    let strange = Subject { model: [0; 32], ..subject(&INPUT, 3) };
    let terms = Terms::new(&spec, strange, &table).expect("fits");
    let full = verify::full(&record, &honest_claim, &terms, &mut Model::new(40, 1, classify));
    assert_eq!(full, Err(CheckError::Verify(VerifyError::Terms)));
}

#[test]
fn spot_checks_find_lies_as_often_as_promised_and_proofs_cannot_be_forged() {
    let bytes = noise(sigma(8, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let spec = spec(Rule::Fixed, 1000);
    let terms = Terms::new(&spec, subject(&INPUT, 3), &table).expect("fits");
    let (truth, predictions) = honest(&terms);
    let job = job(&terms, NONCE);
    let claim = claim(&terms);
    // The liar turns 100 of 1000 predictions into the class that is certified, and commits to them.
    let wrong: Vec<usize> = (0..1000).filter(|&i| predictions[i] != 1).take(100).collect();
    let mut lies = predictions.clone();
    wrong.iter().for_each(|&i| lies[i] = 1);
    let eta = wrong.len() as f64 / 1000.0;
    assert!(eta > 0.02, "{eta}");
    let (mut run, mut tree) = (Certifier::<4>::new(&job).expect("fits"), Tree::new(&job));
    let mut counts = [Counts::default(); 2];
    job.for_each(&mut Model::new(40, 1, classify), Domain::Select, 0, 40, |i, class| {
        assert!(counts[0].add(class));
        tree.take(Domain::Select, i, class)
    })
    .expect("runs");
    for (i, &class) in (0..).zip(&lies) {
        assert!(counts[1].add(usize::from(class)));
        tree.take(Domain::Estimate, i, usize::from(class)).expect("in order");
    }
    run.merge(common::range(Domain::Select, 0, 40), &counts[0]).expect("next");
    run.merge(common::range(Domain::Estimate, 0, 1000), &counts[1]).expect("next");
    let lie = run.record(Some(&tree)).expect("complete");
    assert_eq!(verify::arithmetic(&lie, &claim, &table, None), Ok(()));
    assert!(lie.decision != truth.decision);
    let mut model = Model::new(40, 1, classify);
    let checks = 20;
    let mut passed = 0;
    for seed in 0..200u8 {
        let result =
            verify::spot(&lie, &claim, &terms, &mut model, &[seed; 32], checks, |sample| Proof::new(&lies, sample, 3));
        match result {
            Ok(()) => passed += 1,
            Err(CheckError::Verify(VerifyError::Prediction { sample })) => assert!(wrong.contains(&(sample as usize))),
            other => panic!("{other:?}"),
        }
        // Telling the truth about a sample after committing to a lie does not lead to the root.
        let result = verify::spot(&lie, &claim, &terms, &mut model, &[seed; 32], checks, |sample| {
            Proof::new(&predictions, sample, 3)
        });
        assert!(matches!(result, Err(CheckError::Verify(VerifyError::Proof { .. }))));
    }
    let promised = 200.0 * (1.0 - eta).powi(checks as i32);
    assert!(f64::from(passed) < promised + 4.0 * promised.sqrt() + 1.0, "{passed} of 200, {promised} promised");
    // A record with an honest tree and other counts.
    let mut inflated = truth.clone();
    inflated.counts[1] = counts[1];
    inflated.decision = lie.decision;
    let result =
        verify::spot(&inflated, &claim, &terms, &mut model, &[0; 32], 1, |sample| Proof::new(&predictions, sample, 3));
    assert!(matches!(result, Err(CheckError::Verify(VerifyError::Proof { .. }))));
    // The selection is rerun whole.
    let mut selected = truth.clone();
    selected.counts[0] = Counts::from_slice(&[0, 40, 0]).expect("fits");
    let result =
        verify::spot(&selected, &claim, &terms, &mut model, &[0; 32], 1, |sample| Proof::new(&predictions, sample, 3));
    assert_eq!(result, Err(CheckError::Verify(VerifyError::Counts)));
    // Missing, cut and stretched proofs; siblings that claim more than their size.
    let forge = |change: &dyn Fn(&mut Vec<selvedge_certify::Node<4>>)| {
        let mut model = Model::new(40, 1, classify);
        verify::spot(&truth, &claim, &terms, &mut model, &[0; 32], 3, |sample| {
            let proof = Proof::<4>::new(&predictions, sample, 3)?;
            let mut path = proof.path().to_vec();
            change(&mut path);
            Proof::from_path(proof.class, &path)
        })
    };
    assert_eq!(forge(&|_| ()), Ok(()));
    let refused = |result| matches!(result, Err(CheckError::Verify(VerifyError::Proof { .. })));
    assert!(refused(forge(&|path| assert!(path.pop().is_some()))));
    assert!(refused(forge(&|path| path.push(path[0]))));
    assert!(refused(forge(&|path| path[2].hash[0] ^= 1)));
    assert!(refused(forge(&|path| path[2].counts.merge(&Counts::from_slice(&[0, 1]).expect("fits")))));
    assert!(refused(verify::spot(&truth, &claim, &terms, &mut model, &[0; 32], 3, |_| None)));
    // Positions: all of them, evenly.
    let mut hits = [0u32; 10];
    (0..1000).for_each(|check| hits[verify::position(&[3; 32], check, 10) as usize] += 1);
    assert!(hits.iter().all(|&hits| (60..140).contains(&hits)), "{hits:?}");
}

#[test]
fn proofs_lead_to_the_root_for_every_number_of_leaves_up_to_70() {
    // Oracle: the tree that was built leaf by leaf, through a record of so many draws.
    let bytes = noise(sigma(8, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    for samples in 11..=70 {
        let spec = spec(Rule::Fixed, samples);
        let terms = Terms::new(&spec, subject(&INPUT, 3), &table).expect("fits");
        let (record, predictions) = honest(&terms);
        let mut model = Model::new(40, 1, classify);
        let prove = |sample| Proof::<4>::new(&predictions, sample, 3);
        assert_eq!(
            verify::spot(&record, &claim(&terms), &terms, &mut model, &[2; 32], 2 * samples, prove),
            Ok(()),
            "{samples}"
        );
    }
}
