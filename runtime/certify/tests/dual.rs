//! Dual smoothing. Oracles: 25-digit radii of the reference file; exact mean votes, summed in f64 over the noise's whole
//! support on Z², one coordinate a half.

mod common;

use common::{Model, Rng, WIDE, job, noise, range, real, reference, rows, sigma, subject};
use selvedge_certify::{
    Alpha, CertError, CertSpec, Certifier, Checkerboard, Classify, Clean, Counts, Decision, Dual, Grid, Half, Price,
    Reason, Request, Rule, Side, Step, Subject, Terms, dual_radius, open_ball,
};
use selvedge_noise::{Domain, NoiseTable, Sigma, normal};

/// A decimal as thousandths.
fn decimal(value: &serde_json::Value) -> Sigma {
    sigma((real(value) * 1000.0).round() as u32, 1000)
}

#[test]
fn radii_are_within_1e_12_of_the_exact_ones_and_never_above() {
    let Some(table) = reference("certify_reference.json") else { return };
    let (mut checked, mut roots_above) = (0, 0);
    for row in rows(&table, "drs_dual") {
        let price = Price::new(decimal(&row["sigma"]), 0.0);
        let (l, r) = (real(&row["p_left_lower"]), real(&row["p_right_lower"]));
        let (found, exact) = (dual_radius(&price, l, &price, r), real(&row["R_joint_vote"]));
        assert!(found <= exact && found >= exact - 1e-12, "{row}: {found}");
        // With the price that a table of 64 bits has for 3072 dimensions.
        let paid = Price::new(decimal(&row["sigma"]), 1e-13);
        let priced = dual_radius(&paid, l, &paid, r);
        assert!(priced <= found && (found < 0.01 || priced > found - 1e-9), "{row}: {found} {priced}");
        roots_above += u32::from(real(&row["R_code_sqrt_sum_sq_NOT_SOUND"]) > found + 1e-3);
        checked += 1;
    }
    for row in rows(&table, "drs_dual_unequal_sigma") {
        let (l, r) = (Price::new(decimal(&row["sigma_l"]), 0.0), Price::new(decimal(&row["sigma_r"]), 0.0));
        let found = dual_radius(&l, real(&row["p_l"]), &r, real(&row["p_r"]));
        let exact = real(&row["R_joint_vote_unequal_sigma"]);
        assert!(found <= exact && found >= exact - 1e-12, "{row}: {found}");
        checked += 1;
    }
    println!("{checked} radii; the root of squares exceeds {roots_above} of them");
    assert_eq!((checked, roots_above), (34, 16));
}

/// Inputs and shifts per coordinate; classifiers are tables over the inputs plus the noise.
const REACH: i32 = 40;
const SHIFT: i32 = 24;
const SIDE: usize = 2 * (REACH + SHIFT) as usize + 1;

fn pmf(sigma: f64) -> Vec<f64> {
    let p = |z: i32| normal::cdf_upper((f64::from(z) + 0.5) / sigma) - normal::cdf_upper((f64::from(z) - 0.5) / sigma);
    (-REACH..=REACH).map(p).collect()
}

/// One half: whether each value of its coordinate is predicted as A.
struct Line([bool; SIDE]);

impl Line {
    fn below(border: i32) -> Self {
        Line(core::array::from_fn(|i| i as i32 - REACH - SHIFT < border))
    }

    /// A half-space, with mistakes by chance.
    fn random(rng: &mut Rng) -> Self {
        let border = rng.below(25) as i32 - 8;
        let mistakes = rng.unit() * rng.unit() * 0.5;
        let mut line = Self::below(border);
        line.0.iter_mut().for_each(|a| *a ^= rng.unit() < mistakes);
        line
    }

    fn at(&self, x: i32) -> bool {
        self.0[(x.clamp(-REACH - SHIFT, REACH + SHIFT) + REACH + SHIFT) as usize]
    }

    /// P(A) at every shift.
    fn smoothed(&self, pmf: &[f64]) -> Vec<f64> {
        let at = |x: i32| (-REACH..=REACH).zip(pmf).filter(|(z, _)| self.at(x + z)).map(|(_, p)| p).sum();
        (-SHIFT..=SHIFT).map(at).collect()
    }
}

/// The smallest mean vote for A within a squared radius of 0.
fn worst(left: &[f64], right: &[f64], r2: u64) -> f64 {
    let mut worst = f64::INFINITY;
    for (l, dl) in left.iter().zip(-SHIFT..) {
        for (r, dr) in right.iter().zip(-SHIFT..) {
            if (dl * dl + dr * dr) as u64 <= r2 {
                worst = worst.min(0.5 * (l + r));
            }
        }
    }
    worst
}

#[test]
fn no_split_of_a_shift_within_the_radius_takes_the_mean_vote_from_the_class() {
    let mut rng = Rng(21);
    let sigmas = [(4, 1), (5, 2), (6, 1)].map(|(n, d)| sigma(n, d));
    let (mut certified, mut tight, mut negative) = (0, 0, 0);
    for _ in 0..600 {
        let (l, r) = (sigmas[rng.below(3)], sigmas[rng.below(3)]);
        let left = Line::random(&mut rng).smoothed(&pmf(l.value()));
        let right = Line::random(&mut rng).smoothed(&pmf(r.value()));
        let here = SHIFT as usize;
        let (pl, pr) = (left[here] - 1e-12, right[here] - 1e-12);
        let radius = dual_radius(&Price::new(l, 1e-15), pl, &Price::new(r, 1e-15), pr);
        let Some(r2) = open_ball(radius) else { continue };
        let r2 = r2.min((SHIFT * SHIFT) as u64);
        assert!(worst(&left, &right, r2) > 0.5, "{pl} {pr}: r² = {r2}");
        certified += 1;
        negative += u32::from(pl.min(pr) < 0.5);
        tight += u32::from(worst(&left, &right, r2 + 40) < 0.5);
    }
    println!(
        "{certified} certificates, {negative} of them with a half below one half; {tight} flip a little farther out"
    );
    assert!(certified > 250 && negative > 20 && tight > 50, "{certified} {negative} {tight}");
}

#[test]
fn the_root_of_the_sum_of_squares_is_flipped_by_half_spaces() {
    // The bug in published code: both halves' radii as if one shift could not use both. The sum of the same numbers holds.
    let s = sigma(4, 1);
    let (price, pmf) = (Price::new(s, 0.0), pmf(4.0));
    let mut flipped = 0;
    for (border_l, border_r) in [(10, 2), (9, 2), (10, 1), (8, 3), (12, 4)] {
        let left = Line::below(border_l).smoothed(&pmf);
        let right = Line::below(border_r).smoothed(&pmf);
        let (pl, pr) = (left[SHIFT as usize] - 1e-12, right[SHIFT as usize] - 1e-12);
        let root = price.radius(pl).hypot(price.radius(pr).max(0.0));
        let (sum, root) = (open_ball(dual_radius(&price, pl, &price, pr)), open_ball(root));
        let (sum, root) = (sum.expect("a radius"), root.expect("a radius"));
        println!("p = {pl:.4}, {pr:.4}: sum {sum}, root {root}, mean vote there {:.4}", worst(&left, &right, root));
        assert!(worst(&left, &right, sum) > 0.5 && sum < root);
        flipped += u32::from(worst(&left, &right, root) < 0.5);
    }
    assert_eq!(flipped, 5);
}

#[test]
fn every_element_belongs_to_one_half_in_the_order_of_the_whole() {
    // Oracle: the definition, row + column even, counted one by one.
    for (height, width, channels) in [(1, 9, 1), (5, 4, 3), (4, 5, 2), (3, 3, 3), (1, 1, 1), (6, 1, 2), (16, 16, 1)] {
        for planar in [false, true] {
            let board = Checkerboard::new(height, width, channels, planar).expect("not empty");
            let mut next = [0u32; 2];
            for element in 0..height * width * channels {
                let place = if planar { element % (height * width) } else { element / channels };
                let right = (place / width + place % width) % 2 == 1;
                let side = if right { Side::Right } else { Side::Left };
                assert_eq!(board.place(element), (side, next[usize::from(right)]), "{board:?} {element}");
                next[usize::from(right)] += 1;
            }
            assert_eq!(next, [board.len(Side::Left), board.len(Side::Right)]);
            assert_eq!(board.is_empty(Side::Right), next[1] == 0);
        }
    }
    for bad in [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1 << 16, 1 << 16, 1), (1 << 15, 1 << 15, 4)] {
        assert_eq!(Checkerboard::new(bad.0, bad.1, bad.2, false), Err(CertError::Shape));
    }
    let board = Checkerboard::new(2, 2, 1, false).expect("not empty");
    let names = [board.name(Side::Left, &[1; 32]), board.name(Side::Right, &[1; 32]), board.name(Side::Left, &[2; 32])];
    assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2]);
    // Codes of elements that the board does not have go somewhere, without a panic.
    let _ = board.place(u32::MAX);
}

#[test]
fn a_half_gets_its_codes_and_no_others_whatever_the_tiles() {
    let board = Checkerboard::new(9, 11, 2, false).expect("not empty");
    let whole: Vec<i16> = (0..198).collect();
    for side in [Side::Left, Side::Right] {
        let want: Vec<i16> = whole.iter().copied().filter(|&v| board.place(v as u32).0 == side).collect();
        for tile in [1, 7, 64, 100, 198] {
            let len = board.len(side) as usize;
            let inner = Model::new(len, 2, |v: &[i16]| usize::from(v == want));
            let mut half = Half::new(board, side, inner);
            for sample in 0..2 {
                for (index, codes) in whole.chunks(tile).enumerate() {
                    half.write(sample, index * tile, codes).expect("writes");
                }
            }
            half.run(2).expect("runs");
            assert_eq!((half.batch(), half.class(0), half.class(1)), (2, 1, 1), "{side:?} {tile}");
        }
    }
}

fn spec(alpha: Alpha, sigma: Sigma, samples: u32) -> CertSpec<'static> {
    let request = Request { rule: Rule::Fixed, sigma, selection: 60, samples, target_r2: None };
    CertSpec::new(alpha, request).expect("answerable")
}

#[test]
fn certificates_of_runs_are_not_flipped_survive_interruptions_and_account_for_alpha() {
    let (sl, sr) = (sigma(4, 1), sigma(5, 2));
    let bytes = [noise(sl), noise(sr)];
    let tables = [0, 1].map(|i| NoiseTable::parse(&bytes[i]).expect("valid"));
    let board = Checkerboard::new(1, 2, 1, false).expect("not empty");
    let mut rng = Rng(2);
    let mut certified = 0;
    for round in 0..60 {
        let [al, ar] = Alpha::ratio(1, 1000).expect("a probability").split();
        let specs = [spec(al, sl, 1500), spec(ar, sr, 1000)];
        let terms = [Side::Left, Side::Right].map(|side| {
            let i = side as usize;
            let subject = Subject { model: board.name(side, &[3; 32]), ..subject(&[0, 0], 2) };
            Terms::new(&specs[i], subject, &tables[i]).expect("fits")
        });
        let jobs = [job(&terms[0], round), job(&terms[1], round)];
        let lines = [Line::random(&mut rng), Line::random(&mut rng)];
        let model = |i: usize, side| {
            let line = &lines[i];
            Half::new(board, side, Model::new(1, 8, move |v: &[i16]| usize::from(line.at(v[0].into()))))
        };
        let (mut left, mut right) = (model(0, Side::Left), model(1, Side::Right));
        let new = |i: usize| Certifier::<2>::new(&jobs[i]).expect("fits");
        let mut run = Dual::new(new(0), new(1)).expect("halves");
        let mut state = [[0u8; selvedge_certify::state_bytes(2)]; 2];
        let decision = loop {
            if let Step::Done(decision) = run.step(&mut left, &mut right, 330).expect("runs") {
                break decision;
            }
            // Every step ends in a restart.
            run.half(Side::Left).save(&mut state[0]).expect("fits");
            run.half(Side::Right).save(&mut state[1]).expect("fits");
            let resume = |i: usize| Certifier::<2>::resume(&jobs[i], &state[i]).expect("own state");
            run = Dual::new(resume(0), resume(1)).expect("halves");
        };
        let mut whole = Dual::new(new(0), new(1)).expect("halves");
        while let Step::Progress(progress) = whole.step(&mut left, &mut right, u32::MAX).expect("runs") {
            assert_eq!(progress.samples, 2500);
        }
        let (verdict, account) = whole.verdict().expect("done");
        assert_eq!(verdict, decision);
        assert_eq!((account.spent(), account.shares()), (account.budget(), 2));
        assert!(account.budget() <= Alpha::ratio(1, 1000).expect("a probability").units());
        let Decision::Certified { class, r2 } = decision else { continue };
        let vote = |i: usize, s: f64| -> Vec<f64> {
            let p = lines[i].smoothed(&pmf(s));
            p.into_iter().map(|p| if class == 1 { p } else { 1.0 - p }).collect()
        };
        assert!(worst(&vote(0, 4.0), &vote(1, 2.5), r2.min((SHIFT * SHIFT) as u64)) > 0.5, "{round}: r² = {r2}");
        certified += 1;
    }
    println!("{certified} of 60 certified, none flips");
    assert!(certified > 25, "{certified}");
}

#[test]
fn halves_that_do_not_belong_together_are_refused() {
    let bytes = noise(sigma(4, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let alpha = || Alpha::ratio(1, 1000).expect("a probability");
    let fixed = spec(alpha(), sigma(4, 1), 100);
    let rule = Rule::Partition;
    let other = CertSpec::new(alpha(), Request { rule, ..*fixed.request() }).expect("answerable");
    let make = |spec, input| Terms::new(spec, input, &table).expect("fits");
    let narrow = Subject { grid: Grid { low: -9, ..WIDE }, ..subject(&[0, 0], 2) };
    let all = [
        make(&fixed, subject(&[0, 0], 2)),
        make(&other, subject(&[0, 0], 2)),
        make(&fixed, subject(&[0, 1], 2)),
        make(&fixed, subject(&[0, 0], 3)),
        make(&fixed, narrow),
        make(&fixed, Subject { input: Clean::I8(&[0, 0]), grid: Grid::int8(1.0, 0), ..subject(&[], 2) }),
    ];
    let jobs: Vec<_> = all.iter().map(|terms| job(terms, 1)).collect();
    let run = |i: usize| Certifier::<3>::new(&jobs[i]).expect("fits");
    assert!(Dual::new(run(0), run(0)).is_ok());
    assert_eq!(Dual::new(run(0), run(1)).err(), Some(CertError::Rule));
    for i in 2..6 {
        assert_eq!(Dual::new(run(0), run(i)).err(), Some(CertError::Halves), "{i}");
    }
    // A half whose draws all miss, or that is not a function, leaves no certificate.
    let mut dual = Dual::new(run(0), run(0)).expect("halves");
    let counts = |hits: u32, all: u32| Counts::from_slice(&[hits, all - hits]).expect("fits");
    for side in [Side::Left, Side::Right] {
        dual.merge(side, range(Domain::Select, 0, 60), &counts(60, 60)).expect("next");
        let hits = if side == Side::Left { 100 } else { 0 };
        assert_eq!(dual.verdict(), None);
        dual.merge(side, range(Domain::Estimate, 0, 100), &counts(hits, 100)).expect("next");
    }
    assert_eq!(dual.status(), Step::Done(Decision::Abstain(Reason::UndecidedAtBudget)));
    assert_eq!(dual.merge(Side::Left, range(Domain::Estimate, 0, 1), &counts(1, 1)), Err(CertError::Order));
    let mut turns = 0;
    let mut fickle = Model::new(2, 1, |_: &[i16]| {
        turns += 1;
        turns % 2
    });
    let mut left = run(0);
    left.probe(&mut fickle, 0).expect("runs");
    let steady = dual.half(Side::Right).clone();
    let verdict = Dual::new(left, steady).expect("halves").verdict().expect("done");
    assert_eq!(verdict.0, Decision::Abstain(Reason::NonDeterministicBackend));
    // Bounds that are none.
    let price = Price::new(sigma(4, 1), 0.0);
    for p in [f64::NAN, -1.0, 0.0, 1.0, 2.0, f64::INFINITY] {
        for tau in [0.0, 1e-13, 0.5, f64::NAN] {
            let paid = Price::new(sigma(4, 1), tau);
            assert!(open_ball(dual_radius(&paid, p, &price, 0.4)).is_none() || p == 1.0, "{p} {tau}");
            assert!(open_ball(dual_radius(&price, 0.9, &paid, p)).is_none() || p >= 1.0, "{p} {tau}");
        }
    }
}
