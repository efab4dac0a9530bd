//! ℓ1 certificates by splitting noise. Oracles: the definition of the cells written down a second time, and every
//! perturbation inside the radius, tried.

mod common;

use common::{Model, Rng};
use selvedge_certify::splitting::{L1Certificate, Splitting, SplittingRun, Template, certificate};
use selvedge_certify::{CertError, Clean, Counts, Grid, Subject, covers_l0, covers_l1};
use std::collections::HashMap;

const GRID: Grid = Grid { low: -3, high: 12, scale: 1.0, zero: 0 };

fn subject(input: &[i16], classes: u32, grid: Grid) -> Subject<'_> {
    Subject { model: [3; 32], classes, input: Clean::I16(input), grid }
}

fn whole<const C: usize>(
    input: &[i16],
    grid: Grid,
    passes: u32,
    template: Template<'_>,
    f: impl FnMut(&[i16]) -> usize,
) -> L1Certificate {
    let splitting = Splitting::new(subject(input, C as u32, grid), passes, template).expect("fits");
    let mut run = SplittingRun::<C>::new(&splitting).expect("fits");
    let mut model = Model::new(input.len(), 7, f);
    run.step(&mut model, u32::MAX).expect("runs").expect("all passes")
}

/// A classifier that is as irregular as can be: a table of chance with a bias by the sum.
fn irregular(seed: u64, classes: usize, bias: f64, centre: i32) -> impl FnMut(&[i16]) -> usize {
    let mut table = HashMap::new();
    let mut rng = Rng(seed);
    move |codes: &[i16]| {
        *table.entry(codes.to_vec()).or_insert_with(|| match rng.unit() < bias {
            true => usize::from(codes.iter().map(|&code| i32::from(code)).sum::<i32>() > centre),
            false => rng.below(classes),
        })
    }
}

#[test]
fn every_perturbation_inside_the_radius_leaves_the_class_and_the_radius_falls_by_no_more_than_its_length() {
    // 3 elements of 16 codes; passes fewer than, equal to and more than the range.
    let (mut tried, mut outside, mut radii) = (0u32, 0u32, [0u32; 6]);
    for (round, passes) in [5u32, 8, 15, 16, 23, 40].into_iter().enumerate() {
        for seed in 0..6u64 {
            let mut rng = Rng(100 * seed + u64::from(passes));
            let input: Vec<i16> = (0..3).map(|_| rng.below(16) as i16 - 3).collect();
            let starts = [rng.below(99) as u32, rng.below(99) as u32, rng.below(99) as u32];
            let template = if seed % 2 == 0 { Template::PUBLIC } else { Template::Given(&starts) };
            let mut f = irregular(seed, 3, 0.85, 8 + rng.below(12) as i32);
            let here = whole::<3>(&input, GRID, passes, template, &mut f);
            radii[round] = radii[round].max(here.r1);
            let reach = here.r1 as i16 + 1;
            for a in -reach..=reach {
                for b in -reach..=reach {
                    for c in -reach..=reach {
                        let delta = [i32::from(a), i32::from(b), i32::from(c)];
                        let moved: Vec<i16> = input.iter().zip(&delta).map(|(x, d)| x + *d as i16).collect();
                        let length = delta.iter().map(|d| d.unsigned_abs()).sum::<u32>();
                        if length > here.r1 + 1 || moved.iter().any(|x| !(GRID.low..=GRID.high).contains(x)) {
                            continue;
                        }
                        let there = whole::<3>(&moved, GRID, passes, template, &mut f);
                        assert_eq!(covers_l1(&delta, here.r1), length <= here.r1);
                        if length <= here.r1 {
                            assert_eq!(there.class, here.class, "{input:?} {delta:?}, {passes} passes, r1 {}", here.r1);
                            assert!(there.r1 + length >= here.r1, "{input:?} {delta:?}");
                            tried += 1;
                        } else {
                            outside += u32::from(there.class != here.class);
                        }
                    }
                }
            }
        }
    }
    println!("{tried} perturbations inside, none flips; {outside} one step outside do; largest radii {radii:?}");
    assert!(tried > 5_000 && outside > 0, "{tried} {outside}");
}

#[test]
fn codes_are_the_middles_of_their_cells_and_one_step_changes_one_pass_at_most() {
    // Oracle: the cells by looking for thresholds on either side, in quarters of a step.
    for passes in [1i64, 2, 3, 7, 15, 16, 30, 64] {
        for start in [0u32, 1, 6, 1000] {
            let mut seen: Vec<Vec<i16>> = Vec::new();
            for value in GRID.low..=GRID.high {
                let mut codes = Vec::new();
                let mut model = Model::new(1, 1, |code: &[i16]| {
                    codes.push(code[0]);
                    0
                });
                let (input, starts) = ([value], [start]);
                let splitting =
                    Splitting::new(subject(&input, 2, GRID), passes as u32, Template::Given(&starts)).expect("fits");
                let mut run = SplittingRun::<2>::new(&splitting).expect("fits");
                while run.step(&mut model, 3).expect("runs").is_none() {}
                drop(model);
                for (pass, &code) in codes.iter().enumerate() {
                    let above = 4 * i64::from(value - GRID.low);
                    let width = 4 * i64::from(GRID.high - GRID.low);
                    let phase = 4 * ((pass as i64 + i64::from(start)) % passes) + 2;
                    let all = (-80..80).map(|m| phase + 4 * passes * m);
                    let from = all.clone().filter(|&t| t >= 0 && t < above).max().unwrap_or(0);
                    let to = all.filter(|&t| t > above && t < width).min().unwrap_or(width);
                    let want = i64::from(GRID.low) + (from + to).div_euclid(8);
                    assert_eq!(i64::from(code), want, "{value}, {passes} passes, start {start}, pass {pass}");
                }
                seen.push(codes);
            }
            for pair in seen.windows(2) {
                let changed = pair[0].iter().zip(&pair[1]).filter(|(a, b)| a != b).count();
                assert!(changed <= 1, "{passes} {start}");
            }
        }
    }
}

#[test]
fn eight_bits_give_the_features_of_the_paper() {
    // Oracle: (1[x > s] + min(s, 1))/2 for q ≥ 255, x and s in 255ths, to half a step.
    let grid = Grid { low: 0, high: 255, scale: 1.0, zero: 0 };
    for passes in [255u32, 441, 883] {
        for value in [0u8, 1, 77, 254, 255] {
            let mut codes = Vec::new();
            let mut model = Model::new(1, 1, |code: &[i16]| {
                codes.push(code[0]);
                0
            });
            let (input, starts) = ([value], [0]);
            let subject = Subject { model: [0; 32], classes: 2, input: Clean::U8(&input), grid };
            let splitting = Splitting::new(subject, passes, Template::Given(&starts)).expect("fits");
            SplittingRun::<2>::new(&splitting).expect("fits").step(&mut model, u32::MAX).expect("runs");
            drop(model);
            for (i, &code) in codes.iter().enumerate() {
                let s = (i as f64 + 0.5).min(255.0);
                let feature = (if f64::from(value) > s { 255.0 } else { 0.0 } + s) / 2.0;
                assert!((0.0..1.0).contains(&(feature - f64::from(code))), "{value} pass {i}: {code} for {feature}");
            }
        }
    }
}

#[test]
fn the_public_template_is_the_same_on_every_machine() {
    // Golden: the codes of pass 0, computed by a second implementation in Python.
    let mut codes = Vec::new();
    let mut model = Model::new(12, 1, |view: &[i16]| {
        codes.push(view.to_vec());
        0
    });
    let subject =
        Subject { model: [0; 32], classes: 2, input: Clean::U8(&[128; 12]), grid: Grid { low: 0, high: 255, ..GRID } };
    let splitting = Splitting::new(subject, 441, Template::PUBLIC).expect("fits");
    SplittingRun::<2>::new(&splitting).expect("fits").step(&mut model, 1).expect("runs");
    drop(model);
    assert_eq!(codes, [[127, 182, 85, 113, 158, 127, 127, 127, 127, 127, 80, 74]]);
}

#[test]
fn votes_prove_what_the_formula_says() {
    // Oracle: moving r votes from the winner to each other class in turn, by hand.
    let mut rng = Rng(7);
    for _ in 0..3000 {
        let votes: Vec<u32> = (0..2 + rng.below(4)).map(|_| rng.below(40) as u32).collect();
        let L1Certificate { class, r1 } = certificate(&votes).expect("votes");
        let wins = |moved: u32| {
            (0..votes.len()).filter(|&other| other != usize::from(class)).all(|other| {
                let mut after = votes.clone();
                after[usize::from(class)] = after[usize::from(class)].saturating_sub(moved);
                after[other] += moved;
                let first = (0..after.len()).rev().max_by_key(|&i| after[i]).expect("votes");
                moved <= votes[usize::from(class)] && first == usize::from(class)
            })
        };
        assert!(wins(r1) && !wins(r1 + 1), "{votes:?}: {class} {r1}");
    }
    assert_eq!(certificate(&[]), None);
    assert_eq!(certificate(&[4, 4]), Some(L1Certificate { class: 0, r1: 0 }));
    assert!(covers_l0(&[0, 5, -1], 2) && !covers_l0(&[1, 5, -1], 2) && !covers_l1(&[i32::MIN, i32::MIN], u32::MAX));
}

#[test]
fn any_steps_threads_and_interruptions_count_the_same() {
    let input: Vec<i16> = (0..150).map(|i| (i * 7 % 16) as i16 - 3).collect();
    let splitting = Splitting::new(subject(&input, 4, GRID), 31, Template::PUBLIC).expect("fits");
    let f = |codes: &[i16]| codes.iter().enumerate().map(|(i, &c)| i * c.unsigned_abs() as usize).sum::<usize>() % 4;
    let mut model = Model::new(150, 4, f);
    let mut run = SplittingRun::<4>::new(&splitting).expect("fits");
    let want = run.step(&mut model, u32::MAX).expect("runs").expect("done");
    let again = run.step(&mut model, 1).expect("done already");
    assert_eq!(again, Some(want));
    let mut resumed = SplittingRun::<4>::new(&splitting).expect("fits");
    let mut state = [0; 72];
    loop {
        assert_eq!(resumed.save(&mut state), Ok(72));
        let mut next = SplittingRun::<4>::resume(&splitting, &state).expect("own state");
        if let Some(found) = next.step(&mut model, 4).expect("runs") {
            assert_eq!((found, next.votes()), (want, run.votes()));
            break;
        }
        resumed = next;
    }
    // Two halves, counted apart.
    let mut merged = SplittingRun::<4>::new(&splitting).expect("fits");
    for (first, len) in [(0, 11), (11, 20)] {
        let counts: Counts<4> = splitting.count_range(&mut model, first, len).expect("counts");
        assert_eq!(merged.merge(first + 1, &counts), Err(CertError::Order));
        merged.merge(first, &counts).expect("the next ones");
    }
    assert_eq!(merged.certificate(), Some(want));
    // Other states are refused.
    let other = Splitting::new(subject(&input, 4, GRID), 32, Template::PUBLIC).expect("fits");
    assert_eq!(SplittingRun::<4>::resume(&other, &state).err(), Some(CertError::Foreign));
    state[50] ^= 1;
    assert_eq!(SplittingRun::<4>::resume(&splitting, &state).err(), Some(CertError::Checksum));
    assert_eq!(resumed.save(&mut [0; 71]), Err(CertError::Buffer { needed: 72 }));
}

#[test]
fn bad_inputs_have_named_errors() {
    let input = [0i16; 3];
    let new = |passes, template| Splitting::new(subject(&input, 2, GRID), passes, template).err();
    assert_eq!(new(0, Template::PUBLIC), Some(CertError::Passes));
    assert_eq!(new((1 << 24) + 1, Template::PUBLIC), Some(CertError::Passes));
    assert_eq!(new(4, Template::Given(&[1, 2])), Some(CertError::Template));
    assert_eq!(new(1 << 24, Template::Given(&[1, u32::MAX, 3])), None);
    let of = |subject| Splitting::new(subject, 4, Template::PUBLIC).err();
    assert_eq!(of(subject(&input, 1, GRID)), Some(CertError::Classes { found: 1 }));
    assert_eq!(of(subject(&[], 2, GRID)), Some(CertError::Length));
    assert_eq!(of(subject(&[0, 13], 2, GRID)), Some(CertError::OutOfRange { index: 1 }));
    let splitting = Splitting::new(subject(&input, 4, GRID), 5, Template::PUBLIC).expect("fits");
    assert_eq!(SplittingRun::<3>::new(&splitting).err(), Some(CertError::Classes { found: 4 }));
    let mut run = SplittingRun::<4>::new(&splitting).expect("fits");
    assert!(run.step(&mut Model::new(3, 1, |_: &[i16]| 4), 1).is_err());
    assert_eq!((run.next_pass(), run.certificate()), (0, None));
    assert!(splitting.count_range::<4, _>(&mut Model::new(3, 1, |_: &[i16]| 0), 3, 3).is_err());
}
