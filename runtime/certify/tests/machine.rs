//! The state machine against itself: oracle of every test is the uninterrupted run with one sample a step.

mod common;

use common::{Model, Rng, WIDE, job, noise, range, sigma, subject};
use selvedge_certify::{
    Alpha, CertError, CertSpec, Certifier, Classify, Clean, Counts, Decision, Grid, Job, Reason, Record, Request, Rule,
    Sink, Step, StepError, Subject, Terms, Tree, shipped, state_bytes,
};
use selvedge_noise::{Domain, NoiseKey, NoiseTable};
use sha2::Digest;
use std::convert::Infallible;

const INPUT: [i16; 70] = [5; 70];

fn spec(rule: Rule<'_>) -> CertSpec<'_> {
    let selection = if rule == Rule::Predict { 0 } else { 40 };
    let request = Request { rule, sigma: sigma(13, 2), selection, samples: 700, target_r2: None };
    CertSpec::new(Alpha::ratio(1, 1000).expect("a probability"), request).expect("answerable")
}

fn rules() -> [Rule<'static>; 5] {
    let looks = shipped(2).expect("shipped");
    [Rule::Fixed, Rule::Predict, Rule::Sequential(looks), Rule::Largest { gain: 100 }, Rule::Partition]
}

/// Three classes by the sum, so that none has all votes.
fn classify(input: &[i16]) -> usize {
    let sum: i32 = input.iter().map(|&v| i32::from(v)).sum();
    [2, 0, 1][usize::from(sum > 280) + usize::from(sum > 440)]
}

fn run_to_end<'j, M: Classify<Error = Infallible>>(
    job: &'j Job<'j>,
    model: &mut M,
    mut most: impl FnMut() -> u32,
) -> (Certifier<'j, 4>, Tree<4>) {
    let (mut run, mut tree) = (Certifier::<4>::new(job).expect("fits"), Tree::new(job));
    loop {
        if let Step::Done(_) = run.step_with(model, most(), &mut tree).expect("runs") {
            return (run, tree);
        }
    }
}

fn record(run: &Certifier<'_, 4>, tree: &Tree<4>) -> Record<4> {
    run.record(Some(tree)).expect("the tree is complete")
}

#[test]
fn any_batches_steps_and_threads_give_the_same_record() {
    let bytes = noise(sigma(13, 2));
    let table = NoiseTable::parse(&bytes).expect("valid");
    for rule in rules() {
        let spec = spec(rule);
        let terms = Terms::new(&spec, subject(&INPUT, 3), &table).expect("fits");
        let job = job(&terms, 1);
        let (run, tree) = run_to_end(&job, &mut Model::new(70, 1, classify), || 1);
        let whole = record(&run, &tree);
        assert!(!matches!(whole.decision, Decision::Abstain(Reason::Cancelled)));
        let mut rng = Rng(5);
        for batch in [1, 2, 7, 64] {
            let mut model = Model::new(70, batch, classify);
            let (run, tree) = run_to_end(&job, &mut model, || 1 + rng.below(200) as u32);
            assert_eq!(record(&run, &tree), whole, "{rule:?} in batches of {batch}");
        }
        // Two threads count alternating parts of what comes next.
        let mut run = Certifier::<4>::new(&job).expect("fits");
        while let Some(next) = run.next_range(u32::MAX) {
            let half = next.len / 2;
            let mut counts = std::thread::scope(|scope| {
                let count = |first, len| {
                    let job = &job;
                    scope.spawn(move || {
                        let mut model = Model::new(70, 3, classify);
                        job.count_range::<4, _>(&mut model, next.domain, first, len).expect("counts")
                    })
                };
                let parts = [count(next.first + half, next.len - half), count(next.first, half)];
                parts.map(|part| part.join().expect("joins"))
            });
            let other = counts[1];
            counts[0].merge(&other);
            run.merge(next, &counts[0]).expect("the next samples");
        }
        assert_eq!(run.record(None).expect("no tree"), Record { roots: None, ..whole });
    }
}

#[test]
fn records_are_the_same_bytes_on_every_machine() {
    // Oracle: the bytes of x86-64. Nothing of them may depend on the CPU, bounds in f64 included.
    let bytes = noise(sigma(13, 2));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let digests = rules().map(|rule| {
        let spec = spec(rule);
        let terms = Terms::new(&spec, subject(&INPUT, 3), &table).expect("fits");
        let job = job(&terms, 3);
        let (run, tree) = run_to_end(&job, &mut Model::new(70, 8, classify), || 50);
        let mut encoded = [0; selvedge_certify::record_bytes(3)];
        let record = Record { library: 0, ..record(&run, &tree) };
        record.encode(&mut encoded).expect("fits");
        let digest = sha2::Sha256::digest(encoded);
        digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>()
    });
    assert_eq!(digests, ["e71f1b8fdaa7", "552cd9ec79a7", "4c4c313e8ba8", "6eec302a4259", "e0cac73714bf"]);
}

#[test]
fn saved_and_resumed_at_every_step_the_run_is_the_same() {
    let bytes = noise(sigma(13, 2));
    let table = NoiseTable::parse(&bytes).expect("valid");
    for rule in rules() {
        let spec = spec(rule);
        let terms = Terms::new(&spec, subject(&INPUT, 3), &table).expect("fits");
        let job = job(&terms, 2);
        let mut model = Model::new(70, 5, classify);
        let (whole, whole_tree) = run_to_end(&job, &mut model, || 9);
        let mut state = [0; state_bytes(4)];
        let mut tree_state = [0; 2000];
        assert!(state.len() <= 128 + 8 * 4);
        let mut run = Certifier::<4>::new(&job).expect("fits");
        let mut tree = Tree::new(&job);
        loop {
            let len = run.save(&mut state).expect("fits");
            let tree_len = tree.save(&mut tree_state).expect("fits");
            assert_eq!(run.save(&mut state[..len - 1]), Err(CertError::Buffer { needed: len as u32 }));
            run = Certifier::resume(&job, &state[..len]).expect("its own");
            tree = Tree::resume(&job, &tree_state[..tree_len]).expect("its own");
            if let Step::Done(_) = run.step_with(&mut model, 9, &mut tree).expect("runs") {
                break;
            }
        }
        assert_eq!(record(&run, &tree), record(&whole, &whole_tree), "{rule:?}");
        // A finished run stays finished, and draws nothing.
        let len = run.save(&mut state).expect("fits");
        let mut again = Certifier::<4>::resume(&job, &state[..len]).expect("its own");
        let before = model.runs;
        assert_eq!(again.step(&mut model, 9), Ok(whole.status()));
        assert_eq!((model.runs, again.next_range(1)), (before, None));
    }
}

#[test]
fn states_of_another_job_and_damaged_states_are_refused() {
    let bytes = noise(sigma(13, 2));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let (fixed, other) = (spec(Rule::Fixed), spec(Rule::Largest { gain: 1 }));
    let terms = Terms::new(&fixed, subject(&INPUT, 3), &table).expect("fits");
    let job1 = job(&terms, 1);
    let mut model = Model::new(70, 5, classify);
    let (mut run, mut tree) = (Certifier::<4>::new(&job1).expect("fits"), Tree::new(&job1));
    for _ in 0..9 {
        run.step_with(&mut model, 10, &mut tree).expect("runs");
    }
    let (mut state, mut tree_state) = ([0; state_bytes(3)], [0; 900]);
    let len = run.save(&mut state).expect("fits");
    let tree_len = tree.save(&mut tree_state).expect("fits");
    // Another nonce, rule, input, model, grid.
    let mut input = INPUT;
    input[3] += 1;
    let strangers = [
        (&fixed, subject(&INPUT, 3), 2),
        (&other, subject(&INPUT, 3), 1),
        (&fixed, subject(&input, 3), 1),
        (&fixed, Subject { model: [4; 32], ..subject(&INPUT, 3) }, 1),
        (&fixed, Subject { grid: Grid { low: -100, ..WIDE }, ..subject(&INPUT, 3) }, 1),
        (&fixed, subject(&INPUT, 4), 1),
    ];
    for (spec, subject, nonce) in strangers {
        let terms = Terms::new(spec, subject, &table).expect("fits");
        let job = job(&terms, nonce);
        assert_eq!(Certifier::<4>::resume(&job, &state[..len]).err(), Some(CertError::Foreign));
        assert_eq!(Tree::<4>::resume(&job, &tree_state[..tree_len]).err(), Some(CertError::Foreign));
    }
    // Every single bit, every length.
    for bit in 0..8 * len {
        let mut damaged = state;
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Certifier::<4>::resume(&job1, &damaged[..len]).is_err(), "bit {bit}");
    }
    for bit in 0..8 * tree_len {
        let mut damaged = tree_state;
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Tree::<4>::resume(&job1, &damaged[..tree_len]).is_err(), "bit {bit}");
    }
    assert!((0..len).all(|short| Certifier::<4>::resume(&job1, &state[..short]).is_err()));
    assert!((0..tree_len).all(|short| Tree::<4>::resume(&job1, &tree_state[..short]).is_err()));
    // Counts that an adversary sealed: refused, or a run that ends.
    let mut rng = Rng(8);
    for _ in 0..500 {
        let mut forged = state;
        for _ in 0..1 + rng.below(4) {
            forged[44 + rng.below(24)] = [0, 1, 0xff, 40, rng.word() as u8][rng.below(5)];
        }
        let seal = sha2::Sha256::digest(&forged[..len - 12]);
        forged[len - 12..].copy_from_slice(&seal[..12]);
        let Ok(mut run) = Certifier::<4>::resume(&job1, &forged) else { continue };
        while let Step::Progress(_) = run.step(&mut model, 400).expect("runs") {}
    }
    // A tree that misses samples gives no record.
    run.step(&mut model, 1).expect("runs");
    assert_eq!(run.record(Some(&tree)), Err(CertError::Tree));
    assert_eq!(tree.take(Domain::Estimate, 99, 0), Err(CertError::Tree));
}

#[test]
fn codes_are_clean_plus_noise_saturated_in_the_grid() {
    // Oracle: the noise table's own samples, added in i32 and clamped, for all three element types.
    struct Keep(Vec<i16>);
    impl Classify for Keep {
        type Error = &'static str;
        fn batch(&self) -> usize {
            2
        }
        fn write(&mut self, sample: usize, first: usize, codes: &[i16]) -> Result<(), Self::Error> {
            let to = self.0.get_mut(150 * sample + first..150 * sample + first + codes.len()).ok_or("too long")?;
            to.copy_from_slice(codes);
            Ok(())
        }
        fn run(&mut self, _: usize) -> Result<(), Self::Error> {
            Ok(())
        }
        fn class(&self, _: usize) -> usize {
            0
        }
    }
    let sigma = sigma(60, 1);
    let bytes = noise(sigma);
    let table = NoiseTable::parse(&bytes).expect("valid");
    let request = Request { rule: Rule::Fixed, sigma, selection: 9, samples: 90, target_r2: None };
    let spec = CertSpec::new(Alpha::ratio(1, 100).expect("a probability"), request).expect("answerable");
    let signed: Vec<i8> = (0..150).map(|i| (i - 75) as i8).collect();
    let unsigned: Vec<u8> = (0..150).map(|i| i as u8).collect();
    let words: Vec<i16> = (0..150).map(|i| 40 * i).collect();
    let cases = [
        (Clean::I8(&signed), Grid { low: -100, high: 127, scale: 0.5, zero: 3 }),
        (Clean::U8(&unsigned), Grid { low: 0, high: 255, scale: 0.5, zero: 3 }),
        (Clean::I16(&words), Grid { low: 0, high: 5960, scale: 0.5, zero: 3 }),
    ];
    for (input, grid) in cases {
        let terms = Terms::new(&spec, Subject { model: [0; 32], classes: 2, input, grid }, &table).expect("fits");
        let nonce = [8; 32];
        let job = Job::new(&terms, nonce);
        let mut model = Keep(vec![0; 300]);
        job.for_each(&mut model, Domain::Estimate, 6, 2, |_, _| Ok(())).expect("runs");
        // The key is the KDF of the record's hashes.
        let record = Certifier::<2>::new(&job).expect("fits").record(None).expect("no tree");
        let key = NoiseKey::derive(&nonce, &record.model, &input.hash(), &record.params, &table.hash());
        let mut saturated = 0;
        for sample in 0..2usize {
            let mut z = [0i16; 150];
            table.fill(&key, Domain::Estimate, 6 + sample as u64, 0, &mut z);
            for (i, &z) in z.iter().enumerate() {
                let clean = match input {
                    Clean::I8(data) => i32::from(data[i]),
                    Clean::U8(data) => i32::from(data[i]),
                    Clean::I16(data) => i32::from(data[i]),
                };
                let want = (clean + i32::from(z)).clamp(grid.low.into(), grid.high.into());
                assert_eq!(i32::from(model.0[150 * sample + i]), want);
                saturated += u32::from(want != clean + i32::from(z));
            }
        }
        assert!(saturated > 0);
        // A model for shorter inputs says so.
        model.0.truncate(299);
        let error = job.for_each(&mut model, Domain::Estimate, 0, 2, |_, _| Ok(()));
        assert_eq!(error, Err(StepError::Model("too long")));
    }
}

#[test]
fn requests_that_can_never_be_answered_are_refused_with_the_smallest_number_that_could() {
    // Oracle: one draw less is refused with the same number, that number is accepted; known values.
    let table = shipped(4).expect("shipped");
    let request = |rule, samples, target_r2| {
        let selection = if rule == Rule::Predict { 0 } else { 10 };
        Request { rule, sigma: sigma(8, 1), selection, samples, target_r2 }
    };
    let new = |request| CertSpec::new(Alpha::ratio(1, 1000).expect("a probability"), request).map(|_| ());
    // α^(1/n) > ½ from n = 10 on; halves of α from 11 on (½^11 < 1/2000); 48 of 48 is the table's first answer.
    let known = [
        (Rule::Fixed, None, 10),
        (Rule::Predict, None, 11),
        (Rule::Partition, None, 11),
        (Rule::Largest { gain: 1 }, None, 10),
        (Rule::Sequential(table), None, 48),
        (Rule::Sequential(table), Some(64), 48),
    ];
    for (rule, target, needed) in known {
        assert_eq!(new(request(rule, 0, target)), Err(CertError::TooFewSamples { needed }), "{rule:?}");
        assert_eq!(new(request(rule, needed - 1, target)), Err(CertError::TooFewSamples { needed }));
        assert_eq!(new(request(rule, needed, target)), Ok(()));
    }
    for rule in [Rule::Fixed, Rule::Partition, Rule::Largest { gain: 1 }] {
        let Err(CertError::TooFewSamples { needed }) = new(request(rule, 100, Some(400))) else { panic!("{rule:?}") };
        assert!(needed > 100);
        assert_eq!(new(request(rule, needed - 1, Some(400))), Err(CertError::TooFewSamples { needed }));
        assert_eq!(new(request(rule, needed, Some(400))), Ok(()));
        // 8.1σ: out of reach of 2^31 draws.
        assert_eq!(new(request(rule, 100, Some(4200))), Err(CertError::Target));
    }
    assert_eq!(new(request(Rule::Sequential(table), 1000, Some(65))), Err(CertError::Target));
    assert_eq!(new(request(Rule::Predict, 1000, Some(65))), Err(CertError::Target));
    assert_eq!(new(Request { selection: 0, ..request(Rule::Fixed, 1000, None) }), Err(CertError::Selection));
    let low = CertSpec::new(Alpha::ratio(1, 1001).expect("a probability"), request(Rule::Sequential(table), 64, None));
    assert_eq!(low.err(), Some(CertError::Alpha));
    for (numerator, denominator) in [(0, 1), (1, 1), (2, 1), (1, 0)] {
        assert_eq!(Alpha::ratio(numerator, denominator).err(), Some(CertError::Alpha));
    }
    for value in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY, 1e-300] {
        assert_eq!(Alpha::from_f64(value).err(), Some(CertError::Alpha));
    }
    assert!(Alpha::from_f64(0.001).expect("fits").units() <= Alpha::ratio(1, 1000).expect("fits").units());
}

#[test]
fn subjects_that_do_not_fit_are_refused_and_wrong_models_stop_the_run() {
    let bytes = noise(sigma(13, 2));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let spec = spec(Rule::Fixed);
    let fails = |subject| Terms::new(&spec, subject, &table).err();
    let plain = subject(&INPUT, 3);
    assert_eq!(fails(subject(&[], 3)), Some(CertError::Length));
    assert_eq!(fails(subject(&INPUT, 1)), Some(CertError::Classes { found: 1 }));
    assert_eq!(fails(Subject { grid: Grid { low: 6, ..WIDE }, ..plain }), Some(CertError::OutOfRange { index: 0 }));
    assert_eq!(fails(Subject { grid: Grid { low: 6, high: 6, ..WIDE }, ..plain }), Some(CertError::Range));
    let bytes8 = Clean::I8(&[0; 9]);
    assert_eq!(fails(Subject { input: bytes8, ..plain }), Some(CertError::Range));
    assert_eq!(fails(plain), None);
    let other = noise(sigma(7, 1));
    let other = NoiseTable::parse(&other).expect("valid");
    assert_eq!(Terms::new(&spec, plain, &other).err(), Some(CertError::Sigma));

    let terms = Terms::new(&spec, plain, &table).expect("fits");
    let job = job(&terms, 1);
    assert_eq!(Certifier::<2>::new(&job).err(), Some(CertError::Classes { found: 3 }));
    let mut run = Certifier::<4>::new(&job).expect("fits");
    let wrong = run.step(&mut Model::new(70, 1, |_| 3), 1);
    assert_eq!(wrong, Err(StepError::Cert(CertError::Class { found: 3 })));
    assert_eq!((run.selected(), run.drawn()), (0, 0));
    let one = Counts::<4>::from_slice(&[1]).expect("fits");
    let merges = [range(Domain::Estimate, 0, 1), range(Domain::Select, 1, 1), range(Domain::Select, 0, 2)];
    for range in merges {
        assert_eq!(run.merge(range, &one), Err(CertError::Order));
    }
    // A model that is no function is found out, and the state remembers.
    let mut calls = 0;
    let mut fickle = Model::new(70, 1, |_: &[i16]| {
        calls += 1;
        calls % 2
    });
    let done = Step::Done(Decision::Abstain(Reason::NonDeterministicBackend));
    assert_eq!(run.probe(&mut fickle, 0), Ok(done));
    let mut state = [0; state_bytes(3)];
    run.save(&mut state).expect("fits");
    assert_eq!(Certifier::<4>::resume(&job, &state).expect("its own").status(), done);
    let mut sound = Certifier::<4>::new(&job).expect("fits");
    assert!(matches!(sound.probe(&mut Model::new(70, 1, classify), 0), Ok(Step::Progress(_))));
    assert!(size_of::<CertError>() <= 8 && size_of::<selvedge_certify::verify::VerifyError>() <= 8);
}
