//! Ensembles without samples. Oracles: enumeration of all noisy codes, exact integer counts, and every shift that a
//! certificate covers.

mod common;

use common::{Model, Rng, noise, range, rounded_gaussian, sigma};
use selvedge_certify::ensembles::{Cell, Ensemble, ExactCertificate, Memory, Node, Reach, Smoothing, Stump, reach};
use selvedge_certify::{Alpha, CertError, CertSpec, Clean, Counts, Grid, Job, Request, Rule, Subject, Terms};
use selvedge_certify::{covers, covers_l1};
use selvedge_noise::{Domain, NoiseTable};

/// Eight codes.
const GRID: Grid = Grid { low: -4, high: 3, scale: 1.0, zero: 0 };

fn certify(ensemble: &Ensemble<'_>, input: &[i16], grid: Grid, noise: Smoothing) -> Option<ExactCertificate> {
    let needs = ensemble.needs();
    let (mut scores, mut cells) = (vec![f64::NAN; needs.scores], vec![Cell::default(); needs.cells]);
    let memory = Memory { scores: &mut scores, cells: &mut cells };
    ensemble.certify(&Clean::I16(input), &grid, noise, memory).expect("fits")
}

/// The law of one noisy, saturated code of the 8: weights that add up to `1`, or to q.
fn law(noise: Smoothing, value: i16) -> [f64; 8] {
    let (pmf, reach) = match noise {
        Smoothing::Gaussian(sigma) => (rounded_gaussian(sigma.value(), 40), 40),
        Smoothing::Uniform { half } => (vec![1.0 / f64::from(2 * half + 1); 2 * half as usize + 1], half as i32),
    };
    let mut law = [0.0; 8];
    for (z, p) in (-reach..).zip(pmf) {
        law[((i32::from(value) + z).clamp(-4, 3) + 4) as usize] += p;
    }
    law
}

/// The classes of all 8^d codes.
fn classes(ensemble: &Ensemble<'_>, d: usize) -> Vec<bool> {
    let code = |view: usize, feature: u32| (view >> (3 * feature) & 7) as i16 - 4;
    (0..1 << (3 * d)).map(|view| ensemble.class(|feature| code(view, feature)) == 1).collect()
}

/// The probability of class 1.
fn exact(classes: &[bool], noise: Smoothing, input: &[i16]) -> f64 {
    let laws: Vec<[f64; 8]> = input.iter().map(|&value| law(noise, value)).collect();
    let p = |view: usize| laws.iter().enumerate().map(|(i, law)| law[view >> (3 * i) & 7]).product::<f64>();
    classes.iter().enumerate().filter(|(_, class)| **class).map(|(view, _)| p(view)).sum()
}

/// All shifts of 3 elements that stay in the grid.
fn shifts(input: &[i16]) -> Vec<[i32; 3]> {
    let all = (-7..=7).flat_map(|a| (-7..=7).flat_map(move |b| (-7..=7).map(move |c| [a, b, c])));
    let inside = |d: &[i32; 3]| input.iter().zip(d).all(|(&x, d)| (-4..=3).contains(&(i32::from(x) + d)));
    all.filter(inside).collect()
}

fn stumps(rng: &mut Rng, features: usize, count: usize, size: i32) -> Vec<Stump> {
    let score = |rng: &mut Rng| rng.below(2 * size as usize + 1) as i32 - size;
    let mut all: Vec<Stump> = (0..count)
        .map(|_| Stump {
            feature: rng.below(features) as u32,
            // Some never reached, some always passed.
            threshold: rng.below(11) as i16 - 6,
            low: score(rng),
            high: score(rng),
        })
        .collect();
    all.sort_by_key(|stump| (stump.feature, stump.threshold));
    all
}

/// A random tree over `features` that is `depth` deep at most, in preorder.
fn tree(rng: &mut Rng, features: &[u32], depth: usize) -> Vec<Node> {
    if depth == 0 || rng.below(6) == 0 {
        return vec![Node::Leaf(rng.below(21) as i32 - 10)];
    }
    let feature = features[rng.below(features.len())];
    let threshold = rng.below(9) as i16 - 5;
    let (low, high) = (tree(rng, features, depth - 1), tree(rng, features, depth - 1));
    let raised = |nodes: Vec<Node>, by: usize| {
        nodes.into_iter().map(move |node| match node {
            Node::Split { feature, threshold, high } => Node::Split { feature, threshold, high: high + by as u32 },
            leaf => leaf,
        })
    };
    let first = Node::Split { feature, threshold, high: 1 + low.len() as u32 };
    let after = 1 + low.len();
    core::iter::once(first).chain(raised(low, 1)).chain(raised(high, after)).collect()
}

/// Checks a certificate of 3 elements, or its absence, against enumeration; shifts that were tried.
fn check(ensemble: &Ensemble<'_>, input: &[i16], noise: Smoothing, flips: &mut u32) -> u32 {
    let classes = classes(ensemble, 3);
    let p = exact(&classes, noise, input);
    let best = p.max(1.0 - p);
    let Some(ExactCertificate { class, rest, reach }) = certify(ensemble, input, GRID, noise) else {
        assert!(best < 0.5 + 1e-9, "{p} abstains");
        return 0;
    };
    assert!((rest - (1.0 - best)).abs() < 1e-11 && usize::from(class) == usize::from(p > 0.5), "{p}: {class} {rest}");
    let mut tried = 0;
    for delta in shifts(input) {
        let covered = match reach {
            Reach::L2 { r2 } => covers(&delta, r2),
            Reach::L1 { r1 } => covers_l1(&delta, r1),
        };
        let next = match reach {
            Reach::L2 { r2 } => covers(&delta, r2 + r2 / 2 + 4),
            Reach::L1 { r1 } => covers_l1(&delta, r1 + 1),
        };
        if !next {
            continue;
        }
        let moved: Vec<i16> = input.iter().zip(delta).map(|(x, d)| x + d as i16).collect();
        let there = exact(&classes, noise, &moved);
        let kept = if class == 1 { there } else { 1.0 - there };
        if covered {
            assert!(kept > 0.5, "{input:?} + {delta:?}: {kept}, {reach:?}");
            tried += 1;
        } else {
            *flips += u32::from(kept <= 0.5);
        }
    }
    tried
}

#[test]
fn stumps_are_enumeration_and_no_covered_shift_flips() {
    let mut rng = Rng(1);
    let laws = [
        Smoothing::Gaussian(sigma(7, 10)),
        Smoothing::Gaussian(sigma(2, 1)),
        Smoothing::Uniform { half: 2 },
        Smoothing::Uniform { half: 3 },
        Smoothing::Uniform { half: 6 },
    ];
    let mut all_flips = 0;
    for noise in laws {
        let (mut tried, mut flips) = (0, 0);
        for round in 0..12 {
            let stumps = stumps(&mut rng, 3, 1 + 2 * round, 8);
            let ensemble = Ensemble::new(&stumps, &[], rng.below(9) as i64 - 4).expect("in order");
            let input: Vec<i16> = (0..3).map(|_| rng.below(8) as i16 - 4).collect();
            tried += check(&ensemble, &input, noise, &mut flips);
        }
        println!("{noise:?}: {tried} covered shifts, none flips; {flips} flip a little farther out");
        assert!(tried > 100, "{noise:?} {tried}");
        all_flips += flips;
    }
    assert!(all_flips > 50, "{all_flips}");
}

#[test]
fn trees_with_their_own_elements_are_enumeration_and_no_covered_shift_flips() {
    let mut rng = Rng(12);
    for noise in [Smoothing::Gaussian(sigma(3, 2)), Smoothing::Uniform { half: 4 }] {
        let (mut tried, mut flips, mut leaves) = (0, 0, 0);
        for _ in 0..15 {
            let (one, other) = (tree(&mut rng, &[0, 2], 5), tree(&mut rng, &[1], 3));
            let trees: [&[Node]; 2] = [&one, &other];
            let ensemble = Ensemble::new(&[], &trees, rng.below(9) as i64 - 4).expect("trees");
            leaves = leaves.max(ensemble.needs().cells);
            let input: Vec<i16> = (0..3).map(|_| rng.below(8) as i16 - 4).collect();
            tried += check(&ensemble, &input, noise, &mut flips);
            // The same with stumps for the second tree's element.
            let stumps: Vec<Stump> = stumps(&mut rng, 1, 4, 8).iter().map(|s| Stump { feature: 1, ..*s }).collect();
            let ensemble = Ensemble::new(&stumps, &trees[..1], 0).expect("disjoint");
            tried += check(&ensemble, &input, noise, &mut flips);
        }
        println!("{noise:?}: {tried} covered shifts, none flips; {flips} farther out; up to {leaves} leaves");
        assert!(tried > 100 && flips > 0 && leaves > 8, "{tried} {flips} {leaves}");
    }
}

#[test]
fn sums_of_many_parts_are_never_below_exact_integer_counts() {
    // Oracle: uniform noise of q = 5 makes every probability a count over 5^24, which integers hold.
    let mut rng = Rng(33);
    let wide = Grid { low: -100, high: 100, scale: 1.0, zero: 0 };
    for _ in 0..40 {
        let features = 24;
        let all = stumps(&mut rng, features, 60, 20);
        let ensemble = Ensemble::new(&all, &[], rng.below(40) as i64 - 20).expect("in order");
        let input: Vec<i16> = (0..features).map(|_| rng.below(9) as i16 - 5).collect();
        let mut law = std::collections::BTreeMap::from([(0i64, 1u128)]);
        for (feature, &value) in input.iter().enumerate() {
            let mut next = std::collections::BTreeMap::new();
            for z in -2..=2 {
                let own = all.iter().filter(|s| s.feature as usize == feature);
                let score: i64 = own.map(|s| i64::from(if value + z > s.threshold { s.high } else { s.low })).sum();
                law.iter().for_each(|(sum, count)| *next.entry(sum + score).or_insert(0) += count);
            }
            law = next;
        }
        let total = 5u128.pow(features as u32);
        let ones: u128 = law.iter().filter(|(score, _)| **score > ensemble.border()).map(|(_, count)| count).sum();
        let (fewer, class) = (ones.min(total - ones), u16::from(ones > total - ones));
        let Some(found) = certify(&ensemble, &input, wide, Smoothing::Uniform { half: 2 }) else {
            assert!((fewer as f64 / total as f64) > 0.5 - 1e-12);
            continue;
        };
        // rest·5^24 < 2^109: exact in integers after scaling by 2^60.
        let scaled = (found.rest * 2f64.powi(60)) as u128;
        assert_eq!(found.class, class);
        assert!((scaled + 1) * total >= fewer << 60, "{} below {fewer} of {total}", found.rest);
        assert!(found.rest - fewer as f64 / total as f64 <= 1e-12 * found.rest + 1e-300, "{}", found.rest);
    }
}

#[test]
fn radii_pass_the_cap_of_eight_deviations_and_one_stump_has_the_exact_one() {
    // Oracle: a single threshold at distance m + ½ has R = m + ½: r² = m² + m.
    let grid = Grid { low: -2000, high: 2000, scale: 1.0, zero: 0 };
    let stump = [Stump { feature: 0, threshold: -1, low: -1, high: 1 }];
    let ensemble = Ensemble::new(&stump, &[], 0).expect("a stump");
    for (numerator, m) in [(1i16, 4i16), (1, 12), (1, 30), (10, 300), (7, 1)] {
        let noise = Smoothing::Gaussian(sigma(numerator as u32, 1));
        let found = certify(&ensemble, &[m], grid, noise).expect("a class");
        assert_eq!(
            (found.class, found.reach),
            (1, Reach::L2 { r2: u64::from(m.unsigned_abs()) * (u64::from(m.unsigned_abs()) + 1) }),
            "{m} of {numerator}"
        );
    }
    // Uniform: class 1 has 1 − (h − m)/q; the reach is m, as far as the stump.
    for (half, m) in [(5u32, 0i16), (5, 3), (100, 77)] {
        let found = certify(&ensemble, &[m], grid, Smoothing::Uniform { half }).expect("a class");
        assert_eq!(found.reach, Reach::L1 { r1: m as u32 });
    }
    // Nothing can change what is the same everywhere: as far as numbers tell.
    let flat = [Stump { feature: 0, threshold: 0, low: 1, high: 1 }];
    let ensemble = Ensemble::new(&flat, &[], 0).expect("a stump");
    let found = certify(&ensemble, &[0], grid, Smoothing::Gaussian(sigma(1, 1))).expect("a class");
    assert!(found.rest < 1e-300 && matches!(found.reach, Reach::L2 { r2 } if r2 > 30 * 30));
}

#[test]
fn draws_of_the_same_ensemble_agree_with_what_is_computed() {
    // Oracle: the sampling certifier's own noise, 4000 draws, five standard deviations.
    let sigma = sigma(2, 1);
    let bytes = noise(sigma);
    let table = NoiseTable::parse(&bytes).expect("valid");
    let mut rng = Rng(77);
    for round in 0..6u8 {
        let stumps = stumps(&mut rng, 40, 120, 10);
        let ensemble = Ensemble::new(&stumps, &[], 0).expect("in order");
        let input: Vec<i16> = (0..40).map(|_| rng.below(8) as i16 - 4).collect();
        let (rule, samples) = (Rule::Fixed, 4000);
        let request = Request { rule, sigma, selection: 1, samples, target_r2: None };
        let spec = CertSpec::new(Alpha::ratio(1, 1000).expect("a probability"), request).expect("answerable");
        let subject = Subject { model: [0; 32], classes: 2, input: Clean::I16(&input), grid: GRID };
        let terms = Terms::new(&spec, subject, &table).expect("fits");
        let job = Job::new(&terms, [round; 32]);
        let mut model = Model::new(40, 16, |v: &[i16]| ensemble.class(|feature| v[feature as usize]));
        let range = range(Domain::Estimate, 0, samples);
        let counts: Counts<2> = job.count_range(&mut model, range.domain, range.first, range.len).expect("runs");
        let Some(found) = certify(&ensemble, &input, GRID, Smoothing::Gaussian(sigma)) else { continue };
        let other = f64::from(counts.of(1 - usize::from(found.class)));
        let expected = found.rest * 4000.0;
        assert!((other - expected).abs() < 5.0 * expected.sqrt() + 5.0, "{other} for {expected}");
    }
}

#[test]
fn three_classes_by_their_differences_keep_the_leading_one_at_every_covered_shift() {
    // Oracle: enumeration of the class of the largest of three sums, the first of equal ones.
    let mut rng = Rng(9);
    let (mut tried, mut certified) = (0, 0);
    for round in 0..30 {
        let noise = [Smoothing::Gaussian(sigma(3, 2)), Smoothing::Uniform { half: 4 }][round % 2];
        let splits = stumps(&mut rng, 3, 9, 1);
        let sides: Vec<[[i32; 3]; 2]> =
            splits.iter().map(|_| [0; 2].map(|_| [0; 3].map(|_| rng.below(9) as i32))).collect();
        let input: Vec<i16> = (0..3).map(|_| rng.below(8) as i16 - 4).collect();
        let sum = |class: usize, view: usize| -> i32 {
            let code = |feature: u32| (view >> (3 * feature) & 7) as i16 - 4;
            splits.iter().zip(&sides).map(|(s, side)| side[usize::from(code(s.feature) > s.threshold)][class]).sum()
        };
        let winner = |view: usize| (0..3).rev().max_by_key(|&class| sum(class, view)).expect("classes");
        let at = |class: usize, input: &[i16]| {
            let views: Vec<bool> = (0..512).map(|view| winner(view) == class).collect();
            exact(&views, noise, input)
        };
        for class in 0..3 {
            let rest = (0..3).filter(|&other| other != class).fold(0.0f64, |rest, other| {
                let of = |side: &[i32; 3]| side[class] - side[other];
                let differences =
                    splits.iter().zip(&sides).map(|(s, [low, high])| Stump { low: of(low), high: of(high), ..*s });
                let differences: Vec<Stump> = differences.collect();
                let ensemble = Ensemble::new(&differences, &[], if class < other { -1 } else { 0 }).expect("in order");
                let needs = ensemble.needs();
                let (mut scores, mut cells) = (vec![0.0; needs.scores], vec![Cell::default(); needs.cells]);
                let memory = Memory { scores: &mut scores, cells: &mut cells };
                let [mass, _] = ensemble.masses(&Clean::I16(&input), &GRID, noise, memory).expect("fits");
                (rest + mass).next_up()
            });
            assert!(1.0 - rest <= at(class, &input) + 1e-12);
            let Some(found) = reach(noise, rest) else { continue };
            certified += 1;
            for delta in shifts(&input) {
                let covered = match found {
                    Reach::L2 { r2 } => covers(&delta, r2),
                    Reach::L1 { r1 } => covers_l1(&delta, r1),
                };
                if covered {
                    let moved: Vec<i16> = input.iter().zip(delta).map(|(x, d)| x + d as i16).collect();
                    assert!(at(class, &moved) > 0.5, "{input:?} + {delta:?}");
                    tried += 1;
                }
            }
        }
    }
    println!("{certified} of 30 certified, {tried} covered shifts, none flips");
    assert!(certified > 8 && tried > 100, "{certified} {tried}");
}

#[test]
fn bad_ensembles_have_named_errors() {
    let stump = |feature, threshold| Stump { feature, threshold, low: 0, high: 1 };
    let split = |feature, high| Node::Split { feature, threshold: 0, high };
    let leaf = Node::Leaf(1);
    let of = |stumps: &[Stump], trees: &[&[Node]]| Ensemble::new(stumps, trees, 0).map(|ensemble| ensemble.needs());
    let bad = |index| Err(CertError::Ensemble { index });
    assert_eq!(of(&[], &[]), Err(CertError::Length));
    assert_eq!(of(&[stump(1, 0), stump(0, 0)], &[]), bad(1));
    assert_eq!(of(&[stump(1, 0), stump(1, 3), stump(1, 2)], &[]), bad(2));
    assert!(of(&[stump(1, 0), stump(1, 0)], &[]).is_ok());
    let good: [&[Node]; 2] = [&[split(0, 2), leaf, leaf], &[split(1, 4), split(1, 3), leaf, leaf, leaf]];
    assert!(of(&[], &good).is_ok_and(|needs| needs.cells == 3));
    // An element of a stump, or of another tree.
    assert_eq!(of(&[stump(1, 0)], &good), bad(2));
    assert_eq!(of(&[], &[good[0], good[0]]), bad(1));
    let malformed: [&[Node]; 8] = [
        &[],
        &[split(0, 2), leaf],
        &[split(0, 1), leaf, leaf],
        &[split(0, 3), leaf, leaf],
        &[leaf, leaf],
        &[split(0, 2), leaf, leaf, leaf],
        &[split(0, u32::MAX), leaf, leaf],
        &[split(0, 0), split(0, 0)],
    ];
    for tree in malformed {
        assert_eq!(of(&[], &[tree]), bad(0), "{tree:?}");
    }
    let mut deep: Vec<Node> = (0..33).map(|i| split(0, 66 - i)).collect();
    deep.extend([leaf; 34]);
    assert_eq!(of(&[], &[&deep]), bad(0));
    let mut fine: Vec<Node> = (0..32).map(|i| split(0, 64 - i)).collect();
    fine.extend([leaf; 33]);
    assert!(of(&[], &[&fine]).is_ok_and(|needs| needs.cells == 33));

    let stumps = [stump(0, 0), stump(4, 0)];
    let ensemble = Ensemble::new(&stumps, &[], 0).expect("in order");
    let run = |input: &[i16], noise, scores: usize, cells: usize| {
        let (mut scores, mut cells) = (vec![0.0; scores], vec![Cell::default(); cells]);
        let memory = Memory { scores: &mut scores, cells: &mut cells };
        ensemble.certify(&Clean::I16(input), &GRID, noise, memory).err()
    };
    let gaussian = Smoothing::Gaussian(sigma(1, 1));
    assert_eq!(run(&[0; 5], gaussian, 3, 2), None);
    assert_eq!(run(&[0; 4], gaussian, 3, 2), Some(CertError::Length));
    assert_eq!(run(&[9; 5], gaussian, 3, 2), Some(CertError::OutOfRange { index: 0 }));
    assert_eq!(run(&[0; 5], gaussian, 2, 2), Some(CertError::Buffer { needed: 3 }));
    assert_eq!(run(&[0; 5], gaussian, 3, 1), Some(CertError::Buffer { needed: 2 }));
    assert_eq!(run(&[0; 5], Smoothing::Uniform { half: 1 << 30 }, 3, 2), Some(CertError::Sigma));
    let zero = selvedge_noise::Sigma { numerator: 0, denominator: 1 };
    assert_eq!(run(&[0; 5], Smoothing::Gaussian(zero), 3, 2), Some(CertError::Sigma));
    // Scores of any size: more than can be addressed is refused where memory is asked for.
    let huge = [Stump { feature: 0, threshold: 0, low: i32::MIN, high: i32::MAX }];
    let huge = Ensemble::new(&huge, &[], i64::MIN);
    if usize::BITS == 32 {
        assert_eq!(huge.err(), Some(CertError::Length));
        return;
    }
    let huge = huge.expect("a stump");
    assert_eq!(huge.needs().scores as u64, 1 << 32);
    let memory = Memory { scores: &mut [0.0; 3], cells: &mut [Cell::default(); 2] };
    let refused = huge.certify(&Clean::I16(&[0]), &GRID, gaussian, memory).err();
    assert_eq!(refused, Some(CertError::Buffer { needed: u32::MAX }));
}
