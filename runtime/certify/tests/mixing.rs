//! Mixtures. Oracles: 25-digit radii of the reference file; exact class probabilities on Z², summed in f64 over the
//! noise's whole support, with the worst scores that the other classifier can give.

mod common;

use common::{Model, Rng, job, noise, range, real, reference, rows, sigma, subject};
use selvedge_certify::{
    Alpha, CertError, CertSpec, Certifier, Counts, Decision, Mixing, Price, Reason, Request, Rule, Step, Terms, covers,
    open_ball,
};
use selvedge_noise::{Domain, NoiseTable, normal};

#[test]
fn radii_are_within_1e_12_of_the_exact_ones_and_the_one_used_is_never_smaller() {
    let Some(table) = reference("certify_reference.json") else { return };
    let (mut checked, mut gain) = (0, 0.0f64);
    for row in rows(&table, "adaptive_smoothing_radius") {
        let share = (real(&row["alpha_mix"]) * 100.0).round() as u32;
        let Ok(mixing) = Mixing::new(share, 100) else {
            assert_eq!((share, row["certifiable"].as_bool()), (50, Some(false)));
            continue;
        };
        let s = sigma((real(&row["sigma"]) * 1000.0).round() as u32, 1000);
        let (a, b) = (real(&row["h_top"]), real(&row["h_second"]));
        let price = Price::new(s, 0.0);
        let near = |found: f64, exact: f64| {
            // The file has 0 where there is no radius.
            assert!((found.max(0.0) <= exact) && found.max(0.0) >= exact - 1e-12, "{row}: {found} {exact}");
        };
        let margin = mixing.radius_lipschitz(&price, a, b);
        let scaled = mixing.radius_scaled(&price, a, b);
        near(scaled, real(&row["r_rs_scaled"]));
        near(margin, real(&row["r_lipschitz_margin_difference"]));
        near(0.5 * margin, real(&row["r_lipschitz_perclass_L=sqrt(2/pi)/sigma"]));
        let used = mixing.radius(&price, a, b).max(0.0);
        assert!(used >= scaled.max(margin) - 1e-12, "{row}: {used}");
        assert_eq!(open_ball(used).is_some(), row["certifiable"].as_bool() == Some(true) && scaled > 0.0, "{row}");
        assert!(share < 100 || (used - price.radius_two_class(a, b)).abs() < 1e-12, "{row}: {used}");
        gain = gain.max(used - scaled);
        checked += 1;
    }
    println!("{checked} radii; the one used is up to {gain:.3} larger at σ = 0.5");
    assert!(checked == 12 && gain > 0.02, "{gain}");
}

#[test]
fn shares_of_one_half_and_less_are_refused_and_mixtures_are_exact() {
    for (n, d) in [(0, 0), (0, 1), (1, 2), (1, 3), (2, 4), (3, 2), (1 << 31, u32::MAX / 2 * 2 + 1), (5, 0)] {
        let above = u64::from(n) * 2 > u64::from(d) && n <= d;
        assert_eq!(Mixing::new(n, d).is_ok(), above, "{n}/{d}");
        assert!(above || Mixing::new(n, d) == Err(CertError::Mixing));
    }
    assert_eq!(Mixing::new(3, 4).expect("above").mix(10, 100), 10 + 300);
    let most = Mixing::new(u32::MAX - 1, u32::MAX).expect("above");
    assert_eq!(most.mix(u32::MAX, u32::MAX), u64::from(u32::MAX) * u64::from(u32::MAX));
    let price = Price::new(sigma(8, 1), 1e-13);
    for strange in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 0.5, 1.0, 2.0] {
        for other in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 0.5, 1.0, 2.0] {
            let mixing = Mixing::new(3, 4).expect("above");
            let all = [Mixing::radius, Mixing::radius_scaled, Mixing::radius_lipschitz];
            for (i, radius) in all.iter().enumerate() {
                let ball = open_ball(radius(&mixing, &price, strange, other));
                assert!(ball.is_none() || strange - other > 1.0 / 3.0, "{i} {strange} {other}");
            }
            let certain = Price::new(sigma(8, 1), strange);
            assert!(open_ball(mixing.radius(&certain, 0.99, 0.01)).is_none() || (0.0..0.17).contains(&strange));
        }
    }
    // A price of finite precision is paid, and is small.
    let (free, mixing) = (Price::new(sigma(8, 1), 0.0), Mixing::new(3, 4).expect("above"));
    let (full, paid) = (mixing.radius(&free, 0.9, 0.1), mixing.radius(&price, 0.9, 0.1));
    assert!(paid < full && paid > full - 1e-10, "{full} {paid}");
    assert!(mixing.radius(&Price::new(sigma(8, 1), 1e-3), 0.9, 0.1) < full - 0.01);
}

const WINDOW: i32 = 10;
const REACH: i32 = 12;

/// A half-space, with mistakes and a third class by chance.
struct Plane {
    angle: f64,
    offset: f64,
    mistakes: f64,
    seed: u64,
}

impl Plane {
    fn random(rng: &mut Rng) -> Self {
        let angle = rng.unit() * std::f64::consts::TAU;
        Plane { angle, offset: 1.0 + 5.0 * rng.unit(), mistakes: 0.1 * rng.unit() * rng.unit(), seed: rng.word() }
    }

    fn at(&self, x: i32, y: i32) -> usize {
        let along = f64::from(x) * self.angle.cos() + f64::from(y) * self.angle.sin();
        let mut chance = Rng(self.seed ^ ((x as u64) << 32 | u64::from(y as u32)));
        match chance.unit() < self.mistakes {
            true => 1 + chance.below(2),
            false => usize::from(along > self.offset),
        }
    }

    fn smoothed(&self, pmf: &[f64], x: i32, y: i32) -> [f64; 3] {
        let mut p = [0.0; 3];
        for (dy, py) in (-REACH..).zip(pmf) {
            for (dx, px) in (-REACH..).zip(pmf) {
                p[self.at(x + dx, y + dy)] += px * py;
            }
        }
        p
    }
}

fn pmf(sigma: f64) -> Vec<f64> {
    let p = |z: i32| normal::cdf_upper((f64::from(z) + 0.5) / sigma) - normal::cdf_upper((f64::from(z) - 0.5) / sigma);
    (-REACH..=REACH).map(p).collect()
}

#[test]
fn no_scores_of_the_other_classifier_take_the_class_within_the_radius() {
    let mut rng = Rng(8);
    let s = sigma(2, 1);
    let (price, pmf) = (Price::new(s, 1e-15), pmf(2.0));
    let (mut shifts, mut certified, mut tight) = (0, 0, 0);
    for share in [55, 60, 76, 90, 100].repeat(8) {
        let mixing = Mixing::new(share, 100).expect("above one half");
        let plane = Plane::random(&mut rng);
        let p = plane.smoothed(&pmf, 0, 0);
        let second = p[1].max(p[2]);
        let Some(r2) = open_ball(mixing.radius(&price, p[0] - 1e-12, second + 1e-12)) else { continue };
        certified += 1;
        let a = f64::from(share) / 100.0;
        let mut flips = false;
        for (x, y) in (-WINDOW..=WINDOW).flat_map(|x| (-WINDOW..=WINDOW).map(move |y| (x, y))) {
            if !covers(&[x, y], r2 + 6) {
                continue;
            }
            let p = plane.smoothed(&pmf, x, y);
            // The other classifier gives all to another class.
            let kept = a * p[0] > a * p[1].max(p[2]) + (1.0 - a);
            assert!(kept || !covers(&[x, y], r2), "a = {a}, r² = {r2}, ({x}, {y}): {p:?}");
            flips |= !kept;
            shifts += 1;
        }
        tight += u32::from(flips);
    }
    println!("{certified} of 40 certified, {shifts} shifts; {tight} flip a little farther out");
    assert!(certified >= 25 && tight >= 15, "{certified} {tight}");
}

#[test]
fn verdicts_of_runs_take_their_bounds_and_no_more_alpha() {
    let bytes = noise(sigma(64, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let alpha = || Alpha::ratio(1, 1000).expect("a probability");
    let mixing = Mixing::new(4, 5).expect("above one half");
    for (rule, target_r2, hits) in [
        (Rule::Fixed, None, 960),
        (Rule::Partition, None, 960),
        (Rule::Partition, Some(4000), 960),
        (Rule::Partition, Some(4000), 900),
        (Rule::Fixed, None, 400),
    ] {
        let request = Request { rule, sigma: table.sigma(), selection: 40, samples: 1000, target_r2 };
        let spec = CertSpec::new(alpha(), request).expect("answerable");
        let terms = Terms::new(&spec, subject(&[0; 4], 3), &table).expect("fits");
        let job = job(&terms, 0);
        let mut run = Certifier::<3>::new(&job).expect("fits");
        assert_eq!(mixing.verdict(&run), Ok(None));
        let select = Counts::from_slice(&[36, 3, 1]).expect("fits");
        run.merge(range(Domain::Select, 0, 40), &select).expect("next");
        let counts = Counts::from_slice(&[hits, (1000 - hits) / 2, (1000 - hits) / 2]).expect("fits");
        run.merge(range(Domain::Estimate, 0, 1000), &counts).expect("next");
        let own = run.decision().expect("done");
        let found = mixing.verdict(&run).expect("a rule").expect("done");
        println!("{rule:?}, {hits} of 1000: {own:?}, mixed {found:?}");
        match (hits, target_r2, found, own) {
            (960, None, Decision::Certified { class: 0, r2 }, Decision::Certified { r2: whole, .. }) => {
                assert!(r2 < whole && r2 > whole / 4);
            }
            (960, Some(_), Decision::Certified { class: 0, .. }, _) => {}
            (900, _, Decision::Abstain(Reason::BelowTarget { r2 }), _) => assert!(r2 < 4000),
            (400, _, Decision::Abstain(Reason::UndecidedAtBudget), _) => {}
            _ => panic!("{rule:?} {hits}: {found:?}"),
        }
        assert_eq!(Mixing::new(1, 1).expect("above").verdict(&run), Ok(Some(own)));
        let mut turns = 0;
        let mut fickle = Model::new(4, 1, |_: &[i16]| {
            turns += 1;
            turns % 2
        });
        let failed = Decision::Abstain(Reason::NonDeterministicBackend);
        assert_eq!(run.probe(&mut fickle, 0).expect("runs"), Step::Done(failed));
        assert_eq!(mixing.verdict(&run), Ok(Some(failed)));
    }
    let request =
        Request { rule: Rule::Largest { gain: 9 }, sigma: table.sigma(), selection: 9, samples: 99, target_r2: None };
    let spec = CertSpec::new(alpha(), request).expect("answerable");
    let terms = Terms::new(&spec, subject(&[0; 4], 3), &table).expect("fits");
    let job = job(&terms, 0);
    assert_eq!(mixing.verdict(&Certifier::<3>::new(&job).expect("fits")), Err(CertError::Rule));
}
