//! Certificates from weights: adversaries by brute force, and how often certificates are false. Oracles: expected weights
//! summed in f64 over the noise's whole support on Z²; α itself, with three standard deviations.

mod common;

use common::{Rng, Scorer, job, noise, sigma, subject};
use selvedge_certify::{
    Alpha, Bound, CertSpec, Decision, MarginRun, Mixing, Moments, Request, Rule, Simplex, Step, Terms, UNIT, covers,
};
use selvedge_noise::{NoiseTable, Sigma, normal};

const MAPS: [Simplex; 4] =
    [Simplex::Argmax, Simplex::Softmax { unit: 40 }, Simplex::Sparsemax { unit: 60 }, Simplex::Sparsemax { unit: 400 }];

fn request(rule: Rule<'_>, sigma: Sigma, selection: u32, samples: u32) -> Request<'_> {
    Request { rule, sigma, selection, samples, target_r2: None }
}

fn run(
    request: Request<'_>,
    alpha: Alpha,
    table: &NoiseTable<'_>,
    (classes, input, nonce): (u32, &[i16], u8),
    scores: impl FnMut(&[i16], &mut [i32]),
    done: impl FnOnce(&MarginRun<'_, 3, 4>),
) -> Decision {
    let spec = CertSpec::new(alpha, request).expect("answerable");
    let terms = Terms::new(&spec, subject(input, classes), table).expect("fits");
    let job = job(&terms, nonce);
    let mut run = MarginRun::<3, 4>::new(&job).expect("fits");
    let mut scorer = Scorer::new(input.len(), classes as usize, scores);
    loop {
        if let Step::Done(decision) = run.step(&mut scorer, u32::MAX).expect("runs") {
            done(&run);
            return decision;
        }
    }
}

const WINDOW: i32 = 9;
const REACH: i32 = 12;
const SIDE: usize = 2 * (WINDOW + REACH) as usize + 1;

/// Scores on Z²: a slope, a wave, and chance at every point.
struct Scene {
    angle: f64,
    offset: f64,
    slope: f64,
    chance: f64,
    seed: u64,
}

impl Scene {
    fn random(rng: &mut Rng) -> Self {
        Scene {
            angle: rng.unit() * std::f64::consts::TAU,
            offset: 5.0 * rng.unit(),
            slope: 2.0 + 30.0 * rng.unit(),
            chance: 120.0 * rng.unit() * rng.unit(),
            seed: rng.word(),
        }
    }

    fn scores(&self, x: i32, y: i32, scores: &mut [i32]) {
        let along = f64::from(x) * self.angle.cos() + f64::from(y) * self.angle.sin();
        let mut rng = Rng(self.seed ^ ((x as u64) << 32 | u64::from(y as u32)));
        let mut chance = || self.chance * (2.0 * rng.unit() - 1.0);
        scores[0] = (self.slope * (self.offset - along) + chance()) as i32;
        scores[1] = chance() as i32;
        scores[2] = (chance() + self.slope * (along - 7.0 + (f64::from(x)).sin())) as i32;
    }

    /// The expected weights of a map within the window.
    fn smoothed(&self, map: Simplex, pmf: &[f64]) -> impl Fn(i32, i32) -> [f64; 3] {
        let edge = WINDOW + REACH;
        let mut table = vec![[0u16; 3]; SIDE * SIDE];
        for (i, weights) in table.iter_mut().enumerate() {
            let mut scores = [0; 3];
            self.scores((i % SIDE) as i32 - edge, (i / SIDE) as i32 - edge, &mut scores);
            map.weigh(&scores, weights);
        }
        move |x, y| {
            let mut mean = [0.0; 3];
            for (dy, py) in (-REACH..).zip(pmf) {
                let row = &table[(y + dy + edge) as usize * SIDE..];
                for (dx, px) in (-REACH..).zip(pmf) {
                    let weights = row[(x + dx + edge) as usize];
                    (0..3).for_each(|c| mean[c] += px * py * f64::from(weights[c]) / f64::from(UNIT));
                }
            }
            mean
        }
    }
}

#[test]
fn no_shift_within_the_radius_takes_the_largest_expected_weight_from_the_class() {
    let s = sigma(2, 1);
    let bytes = noise(s);
    let table = NoiseTable::parse(&bytes).expect("valid");
    let p = |z: i32| normal::cdf_upper((f64::from(z) + 0.5) / 2.0) - normal::cdf_upper((f64::from(z) - 0.5) / 2.0);
    let pmf: Vec<f64> = (-REACH..=REACH).map(p).collect();
    let mixing = Mixing::new(4, 5).expect("above one half");
    let mut rng = Rng(17);
    let (mut certified, mut mixed, mut shifts, mut tight) = ([0; 2], 0, 0, 0);
    for round in 0..90u8 {
        let scene = Scene::random(&mut rng);
        // Every third run may not count.
        let soft = round % 3 == 0;
        let maps = if soft { &MAPS[1..] } else { &MAPS[..] };
        let (mut plan, mut mixture) = (None, None);
        let decision = run(
            request(Rule::Margin(maps), s, 60, 1500),
            Alpha::ratio(1, 1000).expect("a probability"),
            &table,
            (3, &[0, 0], round),
            |v, scores| scene.scores(v[0].into(), v[1].into(), scores),
            |run| (plan, mixture) = (run.plan(), run.mixed(&mixing)),
        );
        let Decision::Certified { class, r2 } = decision else { continue };
        let plan = plan.expect("chosen");
        assert_eq!(plan.class, class);
        let inside = if let Some((Decision::Certified { r2, .. }, _)) = mixture { Some(r2) } else { None };
        assert!(inside.is_none_or(|inside| inside <= r2));
        let smoothed = scene.smoothed(maps[usize::from(plan.map)], &pmf);
        let a = usize::from(class);
        let lead = |mean: [f64; 3]| mean[a] - (0..3).filter(|&c| c != a).map(|c| mean[c]).fold(0.0, f64::max);
        let mut flips = false;
        for (x, y) in (-WINDOW..=WINDOW).flat_map(|x| (-WINDOW..=WINDOW).map(move |y| (x, y))) {
            if covers(&[x, y], r2 + 12) {
                let lead = lead(smoothed(x, y));
                assert!(lead > 0.0 || !covers(&[x, y], r2), "{plan:?}, r² = {r2}, ({x}, {y}): {lead}");
                assert!(lead > 0.25 || !inside.is_some_and(|inside| covers(&[x, y], inside)), "{plan:?} ({x}, {y})");
                flips |= lead < 0.0;
                shifts += 1;
            }
        }
        certified[usize::from(soft)] += 1;
        mixed += u32::from(inside.is_some());
        tight += u32::from(flips);
    }
    println!(
        "{certified:?} of 60, 30 certified (counts or weights, weights), {mixed} as mixtures, {shifts} shifts, {tight} near"
    );
    assert!(certified[0] > 30 && certified[1] > 10 && mixed > 20 && tight > 8, "{certified:?} {mixed} {tight}");
}

#[test]
fn weights_win_where_errors_are_unsure_and_differences_where_weights_move_together() {
    let s = sigma(64, 1);
    let bytes = noise(s);
    let table = NoiseTable::parse(&bytes).expect("valid");
    let alpha = || Alpha::ratio(1, 1000).expect("a probability");
    // Right by 10 in 52 of 100 draws, wrong by 1 in the others.
    let unsure = |v: &[i16], scores: &mut [i32]| scores[0] = if v[0] > -3 { 400 } else { -40 };
    let of = |maps, scores: &dyn Fn(&[i16], &mut [i32]), classes| {
        let mut plan = None;
        let request = request(Rule::Margin(maps), s, 400, 2000);
        let decision = run(request, alpha(), &table, (classes, &[0], 1), scores, |run| plan = run.plan());
        (decision, plan.expect("chosen"))
    };
    let counted = of(&MAPS[..1], &unsure, 2).0;
    let (decision, plan) = of(&MAPS, &unsure, 2);
    println!("counts {counted:?}; {decision:?} by {plan:?}");
    assert!(!matches!(counted, Decision::Certified { r2: 10.., .. }) && plan.map != 0);
    assert!(matches!(decision, Decision::Certified { class: 0, r2 } if r2 > 12 * 12));
    // 0.45 + u, 0.40 + u, 0.15 − 2u with u of two values: the first two are always 0.05 apart.
    let together = |v: &[i16], scores: &mut [i32]| {
        let u = if v[0] > 0 { 70 } else { -70 };
        (scores[0], scores[1], scores[2]) = (450 + u, 400 + u, 150 - 2 * u);
    };
    let (decision, plan) = of(&[Simplex::Sparsemax { unit: 1000 }], &together, 3);
    println!("{decision:?} by {plan:?}");
    assert_eq!(plan.bound, Bound::Margin);
    // σ·√(π/2)·(0.05 − 14·ln(2·2/α)/(3·1999)) = 2.457, less the rounding of weights.
    assert_eq!(decision, Decision::Certified { class: 0, r2: 6 });
}

/// At most so many false ones of `runs`.
fn allowed(runs: u32, alpha: f64) -> f64 {
    let mean = f64::from(runs) * alpha;
    mean + 3.0 * mean.sqrt()
}

#[test]
fn bounds_of_means_are_wrong_in_at_most_alpha_of_6000_samples() {
    let mut rng = Rng(41);
    for (name, law) in [
        ("rare", vec![(0.97, 0), (0.03, UNIT)]),
        ("even", vec![(0.5, 0), (0.5, UNIT)]),
        ("nearly certain", vec![(0.01, 0), (0.99, UNIT)]),
        ("three values", vec![(0.02, 0), (0.9, UNIT / 2), (0.08, UNIT)]),
    ] {
        let mean: f64 = law.iter().map(|(p, w)| p * f64::from(*w) / f64::from(UNIT)).sum();
        for (n, alpha) in [(30u32, 0.05), (150, 0.05), (150, 0.01)] {
            let (mut above, mut below) = (0, 0);
            for _ in 0..6000 {
                let mut moments = Moments::default();
                for _ in 0..n {
                    let mut u = rng.unit();
                    let drawn = law.iter().find(|(p, _)| {
                        u -= p;
                        u < 0.0
                    });
                    moments.add(drawn.map_or(UNIT, |(_, weight)| *weight));
                }
                above += u32::from(moments.lower_bound(n, alpha) > mean);
                below += u32::from(moments.upper_bound(n, alpha) < mean);
            }
            println!("{name}, n = {n}, α = {alpha}: {above} above, {below} below of 6,000");
            assert!(f64::from(above.max(below)) <= allowed(6000, alpha), "{name} {n} {alpha}: {above} {below}");
        }
    }
}

#[test]
fn certificates_are_false_in_at_most_alpha_of_1500_runs_at_the_border() {
    // The border lies 31.5 steps away: a certificate of 32 squared steps is false, and so is any for the other class.
    let s = sigma(64, 1);
    let bytes = noise(s);
    let table = NoiseTable::parse(&bytes).expect("valid");
    let alpha = 0.02;
    for (name, maps) in [("counts", &MAPS[..1]), ("all", &MAPS[..]), ("weights", &MAPS[1..])] {
        let (mut wrong, mut certified) = (0, 0);
        for round in 0..1500u32 {
            // The verdict's nonce and one code that no score depends on: other noise for every run.
            let input = [32, (round / 125) as i16];
            let decision = run(
                request(Rule::Margin(maps), s, 20, 150),
                Alpha::ratio(2, 100).expect("a probability"),
                &table,
                (2, &input, (round % 125) as u8),
                |v, scores| scores[1] = 2 * i32::from(v[0]) - 1,
                |_| {},
            );
            if let Decision::Certified { class, r2 } = decision {
                certified += 1;
                wrong += u32::from(class != 1 || r2 >= 32 * 32);
            }
        }
        println!("{name}: {wrong} false of 1,500, {certified} certified");
        assert!(f64::from(wrong) <= allowed(1500, alpha), "{name}: {wrong}");
        assert!(certified > 500, "{name}: {certified}");
    }
}
