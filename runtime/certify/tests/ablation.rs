//! ℓ0 certificates by ablation. Oracles: the reference values, exact probabilities over all subsets of a small input with
//! every change tried, and the subsets themselves.

mod common;

use common::{Model, Rng, int, range, real, reference, rows};
use selvedge_certify::ablation::largest;
use selvedge_certify::ablation::{Ablated, Ablation, AblationJob, AblationRequest, AblationRun, Channels, L0Decision};
use selvedge_certify::{Alpha, CertError, Clean, Counts, Grid, Subject, covers_l0, state_bytes};
use selvedge_noise::{Domain, bounds};

const GRID: Grid = Grid { low: 0, high: 2, scale: 1.0, zero: 0 };
const GONE: i16 = -1;

fn subject(input: &[i16], classes: u32) -> Subject<'_> {
    Subject { model: [3; 32], classes, input: Clean::I16(input), grid: GRID }
}

fn request(keep: u32) -> AblationRequest {
    let (ablated, channels) = (Ablated::Code(GONE), Channels::Last(1));
    AblationRequest { keep, ablated, channels, selection: 50, samples: 2000, target: 0 }
}

fn alpha() -> Alpha {
    Alpha::ratio(1, 1000).expect("a probability")
}

#[test]
fn deltas_are_within_1e_12_of_the_exact_ones_and_never_below() {
    let Some(tables) = reference("certify_reference.json") else { return };
    for row in rows(&tables, "l0_ablation_delta") {
        let (d, k, rho) = (int(&row["d"]), int(&row["keep"]), int(&row["rho"]));
        let (delta, exact) = (bounds::ablation(d, k, rho), real(&row["Delta"]));
        // The decimal's own rounding is half an ulp.
        assert!(delta >= exact - f64::EPSILON / 4.0 && delta - exact < 1e-12, "{row}: {delta}");
        // What is needed for ρ gives ρ; a little less does not.
        let needed = real(&row["p_lower_needed"]);
        if needed < 1.0 {
            assert_eq!(largest(d, k, needed + 1e-12), Some(rho), "{row}");
            assert_eq!(largest(d, k, needed - 1e-12), rho.checked_sub(1), "{row}");
        } else {
            assert!(largest(d, k, 1.0).is_some_and(|reached| reached < rho), "{row}");
        }
    }
}

/// Classes for every view of 5 positions with codes −1 to 2.
struct Toy([u8; 1024]);

impl Toy {
    fn random(rng: &mut Rng) -> Self {
        let noise = rng.unit() * 0.5;
        let border = 1 + rng.below(3) as i32;
        Toy(core::array::from_fn(|view| {
            let sum: i32 = (0..5).map(|i| (view >> (2 * i) & 3) as i32 - 1).map(|code| code.max(0)).sum();
            match rng.unit() < noise {
                true => rng.below(3) as u8,
                false => u8::from(sum >= border),
            }
        }))
    }

    fn class(&self, codes: &[i16]) -> usize {
        let view = codes.iter().rev().fold(0, |view, &code| view << 2 | (code + 1) as usize);
        usize::from(self.0[view])
    }

    /// How many of the C(5, keep) subsets give each class.
    fn exact(&self, input: &[i16], keep: u32) -> ([u32; 3], u32) {
        let (mut counts, mut all) = ([0; 3], 0);
        for subset in (0u32..32).filter(|subset| subset.count_ones() == keep) {
            let view: Vec<i16> =
                input.iter().enumerate().map(|(i, &x)| if subset >> i & 1 == 1 { x } else { GONE }).collect();
            counts[self.class(&view)] += 1;
            all += 1;
        }
        (counts, all)
    }
}

/// All inputs of 5 positions with codes 0 to 2.
fn inputs() -> impl Iterator<Item = [i16; 5]> {
    (0..243).map(|n| core::array::from_fn(|i| (n / 3usize.pow(i as u32) % 3) as i16))
}

#[test]
fn no_change_of_certified_many_positions_takes_the_majority_away_with_exact_probabilities() {
    let mut rng = Rng(3);
    let (mut tried, mut reached, mut beyond) = (0u32, [0u32; 6], 0u32);
    for _ in 0..200 {
        let toy = Toy::random(&mut rng);
        let input = inputs().nth(rng.below(243)).expect("an input");
        for keep in 1..=3 {
            let (counts, all) = toy.exact(&input, keep);
            let class = (0..3).max_by_key(|&class| counts[class]).expect("classes");
            // The probability itself as the lower bound.
            let p = f64::from(counts[class]) / f64::from(all);
            let Some(rho) = largest(5, keep, p) else { continue };
            reached[rho as usize] += 1;
            for changed in inputs() {
                let delta: Vec<i32> = input.iter().zip(&changed).map(|(a, b)| i32::from(a - b)).collect();
                let (there, _) = toy.exact(&changed, keep);
                if covers_l0(&delta, rho) {
                    assert!(2 * there[class] > all, "{input:?} -> {changed:?}, {keep} kept, ρ = {rho}: {there:?}");
                    tried += 1;
                } else if covers_l0(&delta, rho + 1) {
                    beyond += u32::from(2 * there[class] <= all);
                }
            }
        }
    }
    println!("{tried} changes, no majority lost; {beyond} lost one position farther out; radii {reached:?}");
    assert!(tried > 1000 && beyond > 10 && reached[1] > 10, "{tried} {beyond} {reached:?}");
}

#[test]
fn certificates_from_draws_are_not_flipped_by_any_change_they_cover() {
    let mut rng = Rng(8);
    let (mut certified, mut tried) = (0, 0);
    for round in 0..40u8 {
        let toy = Toy::random(&mut rng);
        let input = inputs().nth(rng.below(243)).expect("an input");
        let ablation = Ablation::new(alpha(), request(1 + u32::from(round) % 2), subject(&input, 3)).expect("fits");
        let job = AblationJob::new(&ablation, [round; 32]);
        let mut run = AblationRun::<3>::new(&job).expect("fits");
        let mut model = Model::new(5, 16, |codes: &[i16]| toy.class(codes));
        let decision = loop {
            if let Some(decision) = run.step(&mut model, 700).expect("runs") {
                break decision;
            }
        };
        let account = run.account().expect("done");
        assert!(account.shares() == 1 && account.spent() == account.budget());
        let L0Decision::Certified { class, rho } = decision else { continue };
        certified += 1;
        for changed in inputs() {
            let delta: Vec<i32> = input.iter().zip(&changed).map(|(a, b)| i32::from(a - b)).collect();
            if covers_l0(&delta, rho) {
                let (counts, all) = toy.exact(&changed, 1 + u32::from(round) % 2);
                assert!(2 * counts[usize::from(class)] > all, "{round}");
                tried += 1;
            }
        }
    }
    println!("{certified} of 40 certified, {tried} changes, none flips");
    assert!(certified > 15, "{certified}");
}

#[test]
fn exactly_so_many_positions_are_kept_with_all_their_channels() {
    let input: Vec<i16> = (0..600).map(|i| (i * i % 3) as i16).collect();
    let layouts = [(Channels::Last(1), 600), (Channels::Last(3), 200), (Channels::First(3), 200)];
    for (channels, positions) in layouts {
        for ablated in [Ablated::Code(GONE), Ablated::Mirror] {
            let width = if ablated == Ablated::Mirror { 2 } else { 1 };
            let ablation = Ablation::new(alpha(), AblationRequest { ablated, channels, keep: 45, ..request(1) }, {
                subject(&input, 2)
            })
            .expect("fits");
            assert_eq!(ablation.positions(), positions);
            let job = AblationJob::new(&ablation, [1; 32]);
            let mut views = Vec::new();
            let mut model = Model::new(600 * width, 3, |codes: &[i16]| {
                views.push(codes.to_vec());
                0
            });
            let _: Counts<2> = job.count_range(&mut model, range(Domain::Estimate, 5, 20)).expect("runs");
            drop(model);
            for view in &views {
                let kept: Vec<bool> = view
                    .chunks(width)
                    .zip(&input)
                    .map(|(codes, &clean)| match *codes {
                        [code] => code == clean,
                        // Neither of the two is ever what the other one, or nothing, looks like.
                        [code, mirror] => {
                            assert!(code + mirror == 2 || (code, mirror) == (0, 0));
                            (code, mirror) == (clean, 2 - clean)
                        }
                        _ => panic!("one or two codes"),
                    })
                    .collect();
                let of = |position: usize, channel: usize| match channels {
                    Channels::Last(channels) => kept[position * channels as usize + channel],
                    Channels::First(_) => kept[channel * positions as usize + position],
                };
                let each = 600 / positions as usize;
                let whole = (0..positions as usize).filter(|&position| of(position, 0)).count();
                assert_eq!(whole, 45, "{channels:?} {ablated:?}");
                for position in 0..positions as usize {
                    assert!((1..each).all(|channel| of(position, channel) == of(position, 0)));
                }
            }
            assert!(views[0] != views[1]);
        }
    }
}

#[test]
fn any_steps_threads_and_interruptions_count_the_same() {
    let input: Vec<i16> = (0..130).map(|i| (i % 3) as i16).collect();
    let request = AblationRequest { selection: 9, samples: 40, ..request(30) };
    let ablation = Ablation::new(alpha(), request, subject(&input, 3)).expect("fits");
    let job = AblationJob::new(&ablation, [4; 32]);
    let f = |codes: &[i16]| codes.iter().map(|&code| i32::from(code) + 1).sum::<i32>() as usize % 3;
    let mut run = AblationRun::<3>::new(&job).expect("fits");
    while run.step(&mut Model::new(130, 1, f), 1).expect("runs").is_none() {}
    let mut other = AblationRun::<3>::new(&job).expect("fits");
    let mut state = vec![0; state_bytes(3)];
    while other.decision().is_none() {
        other.step(&mut Model::new(130, 8, f), 7).expect("runs");
        assert_eq!(other.save(&mut state), Ok(state_bytes(3)));
        other = AblationRun::resume(&job, &state).expect("own state");
    }
    assert_eq!((other.counts(), other.decision()), (run.counts(), run.decision()));
    let twin = AblationJob::new(&ablation, [5; 32]);
    assert_eq!(AblationRun::<3>::resume(&twin, &state).err(), Some(CertError::Foreign));
    let mut fresh = AblationRun::<3>::new(&job).expect("fits");
    let counts = Counts::from_slice(&[9, 0, 0]).expect("fits");
    assert_eq!(fresh.merge(range(Domain::Estimate, 0, 9), &counts), Err(CertError::Order));
    assert_eq!(fresh.merge(range(Domain::Select, 0, 8), &counts), Err(CertError::Order));
    assert_eq!(fresh.merge(range(Domain::Select, 0, 9), &counts), Ok(()));
}

#[test]
fn bad_requests_have_named_errors() {
    let input = [1i16; 6];
    let new = |request, input| Ablation::new(alpha(), request, subject(input, 2)).err();
    assert_eq!(new(request(0), &input), Some(CertError::Positions));
    assert_eq!(new(request(6), &input), Some(CertError::Positions));
    for channels in [Channels::Last(0), Channels::First(4), Channels::Last(7)] {
        assert_eq!(new(AblationRequest { channels, ..request(1) }, &input), Some(CertError::Positions));
    }
    assert_eq!(new(AblationRequest { selection: 0, ..request(1) }, &input), Some(CertError::Selection));
    // ½^10 < 1/1000.
    let needed = Some(CertError::TooFewSamples { needed: 10 });
    assert_eq!(new(AblationRequest { samples: 9, ..request(1) }, &input), needed);
    assert_eq!(new(AblationRequest { samples: 10, ..request(1) }, &input), None);
    // Two of six positions at one kept: Δ = 1/3, p = 5/6, n ≥ 38.
    let two = AblationRequest { target: 2, samples: 37, ..request(1) };
    assert_eq!(new(two, &input), Some(CertError::TooFewSamples { needed: 38 }));
    assert_eq!(new(AblationRequest { target: 3, ..two }, &input), Some(CertError::Target));
    assert_eq!(new(request(1), &[0, 3]), Some(CertError::OutOfRange { index: 1 }));
    for p in [f64::NAN, -1.0, 0.5, f64::NEG_INFINITY] {
        assert_eq!(largest(100, 10, p), None);
    }
    assert_eq!(largest(0, 0, 1.0), Some(0));
    assert_eq!(largest(u32::MAX, 1, 1.0), Some(u32::MAX / 2));
}
