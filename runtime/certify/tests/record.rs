//! Batches, states and records: the same counts whatever the way, and nothing false gets through.

mod common;
use common::{By, IDENTITY, parse, table_bytes};
use selvedge_certify::{
    Alpha, Certifier, Error, Identity, Input, LOOK_COUNTS, Look, Looks, Plan, Record, Rule, VerifyError, check, count,
    look_at, probability_for, rerun, state_bytes,
};

const INPUT: [u8; 20] = [90, 3, 250, 0, 128, 77, 45, 200, 13, 66, 90, 3, 250, 0, 128, 77, 45, 200, 13, 66];

fn model() -> By<impl FnMut(&[i16]) -> usize> {
    By(vec![0; 20], |codes: &[i16]| {
        let sum: i32 = codes.iter().map(|&c| i32::from(c.clamp(0, 255))).sum();
        (sum / 800).clamp(0, 2) as usize
    })
}

/// Calls `then` with a fixed plan and a sequential one.
fn with_plans(then: impl Fn(&Plan<'_>)) {
    let bytes = table_bytes(51, 2);
    let table = parse(&bytes);
    let alpha = || Alpha::new(0.001).expect("a share");
    then(&Plan::new(&table, 20, 3, 50, Rule::Fixed { n: 700 }, alpha()).expect("a plan"));
    let p0 = probability_for(20.0, table.tv_price(20), table.sigma()).expect("a target");
    let looks: Vec<Look> = LOOK_COUNTS.iter().take(10).map(|&n| look_at(n, p0, 0.001)).collect();
    let rule = Rule::Sequential(Looks { p0, alpha: 0.001, looks: &looks });
    then(&Plan::new(&table, 20, 3, 50, rule, alpha()).expect("a plan"));
}

fn finished<'p>(plan: &'p Plan<'p>, batch: u32) -> Certifier<'p, 4> {
    let mut certifier = Certifier::<4>::new(plan, Input::U8(&INPUT), &IDENTITY).expect("fits");
    while certifier.decision().is_none() {
        certifier.step(&mut model(), Input::U8(&INPUT), batch).expect("runs");
    }
    certifier
}

fn record(certifier: &Certifier<'_, 4>) -> Vec<u8> {
    let mut bytes = vec![0; Record::bytes(3)];
    assert_eq!(certifier.record(&mut bytes), Some(Record::bytes(3)));
    bytes
}

#[test]
fn every_batch_and_every_split_gives_the_same_record() {
    with_plans(|plan| {
        let whole = finished(plan, u32::MAX);
        for batch in [1, 7, 64, 333] {
            assert_eq!(record(&finished(plan, batch)), record(&whole), "batches of {batch}");
        }
        // Ranges counted apart, as threads do, last part first.
        let mut certifier = Certifier::<4>::new(plan, Input::U8(&INPUT), &IDENTITY).expect("fits");
        while let Some(draws) = certifier.pending(100) {
            let mut sum = [0; 3];
            let (from, to) = (draws.samples.start, draws.samples.end);
            let middle = (from + to) / 2;
            for part in [middle..to, from..middle] {
                let noise = (plan.table(), certifier.key(), draws.domain);
                count(&mut model(), Input::U8(&INPUT), noise, part, &mut sum).expect("counts");
            }
            assert_eq!(certifier.add(&draws, &sum[..2]), Err(()), "counts of other draws");
            certifier.add(&draws, &sum).expect("added");
            assert_eq!(certifier.add(&draws, &sum), Err(()), "draws cannot be added twice");
        }
        assert_eq!(record(&certifier), record(&whole));
    });
}

#[test]
fn a_certifier_saved_after_every_step_ends_the_same() {
    with_plans(|plan| {
        let whole = record(&finished(plan, u32::MAX));
        let mut state = vec![0; state_bytes(3)];
        let mut certifier = Certifier::<4>::new(plan, Input::U8(&INPUT), &IDENTITY).expect("fits");
        while certifier.decision().is_none() {
            certifier.step(&mut model(), Input::U8(&INPUT), 23).expect("runs");
            assert_eq!(certifier.save(&mut state), Some(state_bytes(3)));
            certifier = Certifier::<4>::resume(plan, Input::U8(&INPUT), &IDENTITY, &state).expect("resumes");
        }
        assert_eq!(record(&certifier), whole);
        assert_eq!(certifier.save(&mut [0; 50]), None);
        assert!(state_bytes(10) <= 128 + 8 * 10);
        // Of another nonce, input or damaged: refused.
        let refused = |identity: &Identity, input: &[u8], state: &[u8]| {
            matches!(Certifier::<4>::resume(plan, Input::U8(input), identity, state), Err(Error::State))
        };
        let mut other = INPUT;
        other[3] ^= 1;
        assert!(refused(&Identity { nonce: [1; 32], ..IDENTITY }, &INPUT, &state));
        assert!(refused(&IDENTITY, &other, &state));
        for at in 0..state.len() {
            let mut bad = state.clone();
            bad[at] ^= 4;
            assert!(refused(&IDENTITY, &INPUT, &bad), "byte {at}");
            assert!(refused(&IDENTITY, &INPUT, &state[..at]));
        }
    });
}

#[test]
fn another_input_in_the_middle_is_refused() {
    with_plans(|plan| {
        let mut certifier = Certifier::<4>::new(plan, Input::U8(&INPUT), &IDENTITY).expect("fits");
        certifier.step(&mut model(), Input::U8(&INPUT), 10).expect("runs");
        let mut other = INPUT;
        other[0] += 1;
        assert_eq!(certifier.step(&mut model(), Input::U8(&other), 10), Err(Error::OtherInput));
        // A class that the plan does not have is named, and nothing is counted.
        let before = certifier.progress();
        let mut odd = By(vec![0; 20], |_: &[i16]| 3);
        assert_eq!(certifier.step(&mut odd, Input::U8(&INPUT), 10), Err(Error::Class(3)));
        assert_eq!(certifier.progress(), before);
    });
}

#[test]
fn records_are_verified_whole_and_lies_are_found() {
    with_plans(|plan| {
        let bytes = record(&finished(plan, u32::MAX));
        let parsed = Record::parse(&bytes).expect("a record");
        assert_eq!(check(&parsed, plan.table()), Ok(()));
        let again = |record: &Record<'_>, digest: [u8; 32], input: &[u8]| {
            rerun::<_, 4>(record, plan.table(), &mut model(), &digest, Input::U8(input))
        };
        assert_eq!(again(&parsed, IDENTITY.model, &INPUT), Ok(()));
        assert_eq!(again(&parsed, [1; 32], &INPUT), Err(VerifyError::Model));
        let mut other = INPUT;
        other[3] ^= 1;
        assert_eq!(again(&parsed, IDENTITY.model, &other), Err(VerifyError::Input));
        // Damage is found by the digest.
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(Record::parse(&bad), None, "byte {at}");
            assert_eq!(Record::parse(&bytes[..at]), None);
        }
        // Lies with the digest made anew: each byte is believed by nobody.
        let mut unseen = 0;
        for at in 8..bytes.len() - 32 {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            let digest = <sha2::Sha256 as sha2::Digest>::digest(&bad[..bytes.len() - 32]);
            bad[bytes.len() - 32..].copy_from_slice(&digest);
            if let Some(lie) = Record::parse(&bad) {
                // Another nonce draws other noise, whose counts are the same now and then.
                let same = again(&lie, IDENTITY.model, &INPUT).is_ok();
                assert!(!same || (168..200).contains(&at), "byte {at} can be changed, draws made again");
                unseen += u32::from(same);
            }
        }
        assert!(unseen < 12, "{unseen} of 32 nonces give the same counts");
        // A false count with everything else made to fit is found by making the draws again.
        let mut lie = bytes.clone();
        let first = 232 + 3 * 4;
        let class = finished(plan, u32::MAX).progress().class.expect("chosen") as usize;
        let from = (0..3).find(|&c| c != class).expect("another");
        let word = |at: usize, lie: &[u8]| u32::from_le_bytes(*lie[at..].first_chunk().expect("4"));
        let (a, b) = (first + from * 4, first + class * 4);
        if word(a, &lie) > 0 {
            let (x, y) = (word(a, &lie) - 1, word(b, &lie) + 1);
            lie[a..a + 4].copy_from_slice(&x.to_le_bytes());
            lie[b..b + 4].copy_from_slice(&y.to_le_bytes());
            let digest = <sha2::Sha256 as sha2::Digest>::digest(&lie[..bytes.len() - 32]);
            lie[bytes.len() - 32..].copy_from_slice(&digest);
            let parsed = Record::parse(&lie).expect("well formed");
            assert!(again(&parsed, IDENTITY.model, &INPUT).is_err());
        }
    });
}

#[test]
fn a_record_of_another_table_is_refused() {
    with_plans(|plan| {
        let bytes = record(&finished(plan, 100));
        let parsed = Record::parse(&bytes).expect("a record");
        let other = table_bytes(25, 1);
        assert_eq!(check(&parsed, &parse(&other)), Err(VerifyError::Table));
    });
}
