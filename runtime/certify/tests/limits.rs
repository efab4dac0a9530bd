//! Arguments that make no sense. Oracle: an error or a number on the safe side; never a panic, never a certificate.

mod common;

use common::{Model, Rng, job, noise, sigma, subject};
use selvedge_certify::verify::{self, Claim, VerifyError};
use selvedge_certify::{
    Account, Alpha, CertError, CertSpec, Certifier, Counts, Decision, GRID, LookTable, NEVER, Node, Price, Proof,
    Record, Request, Rule, Sink, Terms, Tree, closed_ball, covers, eprocess, open_ball, shipped,
};
use selvedge_noise::{Domain, NoiseTable};

const STRANGE: [f64; 12] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    -1.0,
    -0.0,
    0.0,
    f64::MIN_POSITIVE,
    5e-324,
    0.5,
    1.0,
    1.0 + f64::EPSILON,
    f64::MAX,
];

#[test]
fn strange_numbers_certify_nothing() {
    for tau in STRANGE {
        for p in STRANGE {
            let price = Price::new(sigma(1, u32::MAX), tau);
            let sound = (0.0..0.5).contains(&tau) && p > 0.5;
            assert!(sound || open_ball(price.radius(p)).is_none(), "{tau} {p}");
            for q in STRANGE {
                let ball = open_ball(price.radius_two_class(p, q));
                assert!(ball.is_none() || ((0.0..0.5).contains(&tau) && p > q), "{tau} {p} {q}");
            }
            let _ = price.null_probability(u64::MAX);
        }
        assert!(tau > 0.0 || (open_ball(tau).is_none() && closed_ball(tau).is_none()));
    }
    // A product that underflows is still a ball: the point itself.
    assert_eq!((open_ball(1e-200), open_ball(1.0), open_ball(1.5)), (Some(0), Some(0), Some(2)));
    assert_eq!((closed_ball(1.0 + 1e-9), open_ball(f64::MAX)), (Some(1), None));
    assert!(covers(&[], 0) && covers(&[0; 9], 0) && !covers(&[1], 0));
    for p0 in STRANGE {
        for (k, n) in [(0, 0), (1, 0), (0, 1), (1, 1), (u32::MAX, u32::MAX), (0, u32::MAX), (7, u32::MAX), (5, 4)] {
            let log = eprocess::log_e_lower(k, n, p0);
            assert!(!log.is_nan() && (log <= 0.0 || (p0 > 0.0 && p0 < 1.0)), "{k} {n} {p0}: {log}");
            for alpha in STRANGE {
                let certain = !(alpha > 0.0 && alpha < 1.0);
                assert!(!eprocess::rejects(k, n, p0, alpha) || log >= 0.0 || certain, "{k} {n} {p0} {alpha}");
            }
        }
    }
    // E starts at 1 and rises with k.
    for n in [1, 2, 50, 1000, 100_000] {
        let all: Vec<f64> = (0..=20).map(|i| eprocess::log_e_lower(i * (n / 20), n, 0.7)).collect();
        assert!(all.windows(2).all(|pair| pair[0] <= pair[1] + 1e-9), "{all:?}");
        assert!(all[0] <= 0.0);
    }
}

#[test]
fn a_wager_against_the_null_never_wins_on_average() {
    // Oracle: E[E] ≤ 1 under every p ≤ p0, summed exactly over all outcomes; and near 1 at p = p0, so that the lower
    // bound gives little away.
    for (n, p0) in [(1u32, 0.5), (5, 0.6), (40, 0.841_344_746), (60, 0.95), (100, 0.977_249_868)] {
        for part in [1.0, 0.9, 0.5] {
            let p: f64 = part * p0;
            let ln = |m: u32| libm::lgamma(f64::from(m) + 1.0);
            let mean: f64 = (0..=n)
                .map(|k| {
                    let choose = ln(n) - ln(k) - ln(n - k);
                    let log = choose + f64::from(k) * p.ln() + f64::from(n - k) * (-p).ln_1p();
                    (log + eprocess::log_e_lower(k, n, p0)).exp()
                })
                .sum();
            assert!(mean <= 1.0 + 1e-12, "{n} {p0} {p}: {mean}");
            assert!(part < 1.0 || mean > 1.0 - 1e-4, "{n} {p0}: {mean}");
        }
    }
}

#[test]
fn look_tables_that_are_not_proved_are_refused() {
    let alpha = Alpha::ratio(1, 1000).expect("a probability");
    let table = shipped(4).expect("shipped");
    let new = |samples: &[u32], accept: &[u32], refuse: &[u32]| {
        LookTable::new(table.p0(), &alpha, samples, accept, refuse).map(|_| ())
    };
    assert_eq!(new(&[48], &[48], &[0]), Ok(()));
    assert_eq!(new(&[48], &[47], &[0]), Err(CertError::Looks { row: 0 }));
    assert_eq!(new(&[16, 48], &[NEVER, 49], &[0, 0]), Err(CertError::Looks { row: 1 }));
    assert_eq!(new(&[48, 48], &[48, 48], &[0, 0]), Err(CertError::Looks { row: 1 }));
    assert_eq!(new(&[0], &[0], &[0]), Err(CertError::Looks { row: 0 }));
    assert_eq!(new(&[], &[], &[]), Err(CertError::Looks { row: 0 }));
    assert_eq!(new(&[48], &[48, 49], &[0]), Err(CertError::Looks { row: 0 }));
    // One hit less than any row of a shipped table is no longer a proof.
    for row in [2, 9, 20, 35] {
        let mut accept: Vec<u32> = table.accept().to_vec();
        accept[row] -= 1;
        assert_eq!(new(&GRID, &accept, table.refuse()), Err(CertError::Looks { row: row as u32 }));
    }
    for p0 in STRANGE {
        let (mut accept, mut refuse) = ([0; 2], [0; 2]);
        let built = LookTable::build(p0, &alpha, &[100, 200], &mut accept, &mut refuse).expect("looks rise");
        assert!((p0 > 0.0 && p0 < 0.99) || built.accept() == [NEVER, NEVER], "{p0}");
    }
}

#[test]
fn shares_of_alpha_never_add_up_to_more() {
    let mut rng = Rng(4);
    for _ in 0..2000 {
        let units = rng.word() | 1;
        let alpha = Alpha::from_units(units).expect("not zero");
        let mut account = Account::open(&alpha);
        let parts = 1 + rng.below(9) as u32;
        let mut left = alpha;
        for part in 0..parts {
            let share;
            (share, left) = left.split_off(1, parts - part);
            assert!(share.units() >= units / u64::from(parts));
            let units = share.units();
            assert!(account.spend(share) <= units as f64 / 2f64.powi(64));
        }
        assert_eq!((account.spent(), account.shares(), left.units()), (units, parts, 0));
        let [a, b, c] = Alpha::from_units(units).expect("not zero").split();
        assert!(a.units() + b.units() + c.units() <= units);
        let (some, rest) = Alpha::from_units(units).expect("not zero").split_off(rng.word() as u32, rng.word() as u32);
        assert_eq!(some.units() + rest.units(), units);
    }
}

#[test]
fn counts_trees_and_proofs_of_anything_are_errors() {
    assert_eq!(Counts::<2>::from_slice(&[1, 2, 3]), None);
    let mut counts = Counts::<2>::from_slice(&[u32::MAX, u32::MAX]).expect("fits");
    assert!(counts.add(1) && !counts.add(2));
    counts.merge(&Counts::from_slice(&[1]).expect("fits"));
    assert_eq!((counts.of(0), counts.of(9), counts.total()), (u32::MAX, 0, 2 * u64::from(u32::MAX)));
    assert_eq!((counts.top(), counts.top_two(), Counts::<0>::default().top_two()), (0, (0, 1), (0, 0)));
    assert_eq!(Proof::<3>::new(&[0, 1, 2], 3, 3), None);
    assert_eq!(Proof::<3>::new(&[0, 1, 9], 1, 3), None);
    assert_eq!(Proof::<3>::new(&[], 0, 3), None);
    assert_eq!(Proof::<3>::from_path(0, &[Node::default(); 25]), None);
    assert_eq!(verify::position(&[0; 32], 0, 0), 0);
    assert!(verify::undetected(0, 0.5) == 1.0 && verify::undetected(9, f64::NAN) == 1.0);

    let bytes = noise(sigma(4, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let request = Request { rule: Rule::Fixed, sigma: sigma(4, 1), selection: 2, samples: 20, target_r2: None };
    let spec = CertSpec::new(Alpha::ratio(1, 100).expect("a probability"), request).expect("answerable");
    let terms = Terms::new(&spec, subject(&[1, 2, 3], 3), &table).expect("fits");
    let job = job(&terms, 1);
    let mut tree = Tree::<3>::new(&job);
    assert_eq!(tree.take(Domain::Select, 1, 0), Err(CertError::Tree));
    assert_eq!(tree.take(Domain::Select, 0, 3), Err(CertError::Tree));
    assert_eq!(tree.take(Domain::Extension, 0, 0), Err(CertError::Tree));
    assert_eq!(tree.take(Domain::Select, 0, 0), Ok(()));
    assert_eq!(tree.take(Domain::Estimate, 0, 0), Ok(()));
    assert_eq!(tree.take(Domain::Select, 1, 0), Err(CertError::Tree));
    // A record made up by hand, of more classes than there is room for.
    let run = Certifier::<3>::new(&job).expect("fits");
    let record = Record { classes: 9, ..run.record(None).expect("no tree") };
    assert_eq!(record.encode(&mut [0; 999]), Err(CertError::Classes { found: 9 }));
    // Counts, sizes and parameters at their ends: judged without a panic, and accepted by nobody.
    let claim = Claim { nonce: [1; 32], own_nonce: false, commitment: terms.commitment() };
    let mut rng = Rng(3);
    let ends = [0, 1, 2, 63, 64, 1 << 31, u32::MAX];
    for _ in 0..2000 {
        let mut any = || ends[rng.below(ends.len())];
        let counts = [
            Counts::from_slice(&[any(), any(), any()]).expect("fits"),
            Counts::from_slice(&[any(), any(), any()]).expect("fits"),
        ];
        let record = Record {
            rule: (any() % 6) as u8,
            counts,
            samples: any(),
            selection: any(),
            gain: any(),
            alpha: u64::from(any()) << (any() % 33),
            dimensions: any(),
            target_r2: (any() > 2).then_some(u64::from(any())),
            decision: Decision::Certified { class: 0, r2: 1 },
            ..run.record(None).expect("no tree")
        };
        assert_ne!(verify::arithmetic(&record, &claim, &table, shipped(4)), Ok(()));
        assert!(verify::assured(&record, &claim, &table, shipped(4), any(), 0.01).is_err());
    }
    let other = Claim { nonce: [2; 32], ..claim };
    let record = run.record(None).expect("no tree");
    assert_eq!(verify::arithmetic(&record, &other, &table, None), Err(VerifyError::Nonce));
    assert!(verify::full(&record, &claim, &terms, &mut Model::new(3, 1, |_: &[i16]| 0)).is_err());
}
