//! Segmentations. Oracles: Holm's rule as it is written, its error rate by simulation, and exact majorities of every
//! shift on Z².

mod common;

use common::{Field, Rng, noise, noisy, rounded_gaussian, sigma};
use selvedge_certify::segmentation::{Level, Passed, Pixel, Segmentation, SegmentationRequest, SegmentationRun, holm};
use selvedge_certify::{Alpha, CertError, Price, covers, open_ball};
use selvedge_noise::{NoiseTable, binomial, normal};

fn alpha(per_thousand: u32) -> Alpha {
    Alpha::ratio(per_thousand, 1000).expect("a probability")
}

fn request(pixels: u32) -> SegmentationRequest {
    SegmentationRequest { pixels, labels: 3, level: Level::Probability(0.75), selection: 20, samples: 300 }
}

/// A binomial number, by its parts.
fn drawn(rng: &mut Rng, n: u32, p: f64) -> u32 {
    (0..n).filter(|_| rng.unit() < p).count() as u32
}

#[test]
fn repeated_thresholds_are_holms_rule() {
    // Oracle: sorted p-values, one after the other.
    let mut rng = Rng(4);
    let (mut passes, mut steps) = (0, 0);
    for round in 0..300 {
        let n = 20 + rng.below(200) as u32;
        let pixels = 1 + rng.below(30);
        let votes: Vec<u32> = (0..pixels)
            .map(|_| {
                let p = 0.6 + 0.4 * rng.unit();
                drawn(&mut rng, n, p)
            })
            .collect();
        let level = alpha([1, 50, 200][round % 3]);
        let found = holm(votes.iter().copied(), n, 0.75, &level);
        let mut p_values: Vec<(f64, u32)> = votes.iter().map(|&k| (binomial::upper_tail(k, n, 0.75), k)).collect();
        p_values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let alpha = level.lower();
        let pass = |&(j, (p, _)): &(usize, &(f64, u32))| *p <= alpha / (pixels - j) as f64;
        let passed: Vec<u32> = p_values.iter().enumerate().take_while(pass).map(|(_, (_, k))| *k).collect();
        assert_eq!(found.pixels as usize, passed.len(), "{votes:?} of {n}");
        let (least, most_out) = (passed.iter().min(), votes.iter().filter(|k| !passed.contains(k)).max());
        assert!(least.is_none_or(|&k| k >= found.least) && most_out.is_none_or(|&k| k < found.least));
        passes += passed.len();
        // Bonferroni alone would have let fewer pass, often enough to tell.
        steps += usize::from(passed.iter().any(|&k| binomial::upper_tail(k, n, 0.75) > alpha / pixels as f64));
    }
    assert!(passes > 1000 && steps > 20, "{passes} {steps}");
    let none = Passed { least: u32::MAX, pixels: 0 };
    assert_eq!(holm([].into_iter(), 100, 0.75, &alpha(1)), none);
    assert_eq!(holm([0, 1].into_iter(), 0, 0.75, &alpha(1)), none);
    assert_eq!(holm([7, 7].into_iter(), 7, f64::NAN, &alpha(1)), none);
}

#[test]
fn any_false_pass_is_as_rare_as_alpha_promises() {
    // Null pixels exactly at the threshold among good ones, independent and all alike: family-wise errors of 6000.
    let mut rng = Rng(9);
    let (n, rounds) = (60, 6000u32);
    for equal in [false, true] {
        let (mut wrong, mut right) = (0u32, 0u32);
        for _ in 0..rounds {
            let common = drawn(&mut rng, n, 0.75);
            let votes: [u32; 12] = core::array::from_fn(|pixel| match (pixel < 6, equal) {
                (true, true) => common,
                (true, false) => drawn(&mut rng, n, 0.75),
                (false, _) => drawn(&mut rng, n, 0.97),
            });
            let passed = holm(votes.into_iter(), n, 0.75, &alpha(100));
            wrong += u32::from(votes[..6].iter().any(|&k| k >= passed.least));
            right += votes[6..].iter().filter(|&&k| k >= passed.least).count() as u32;
        }
        let rate = f64::from(wrong) / f64::from(rounds);
        println!("equal nulls {equal}: {rate:.4} of families have a false pass, {:.2} of good pixels pass", {
            f64::from(right) / f64::from(6 * rounds)
        });
        // α = 0.1; four standard deviations.
        assert!(rate < 0.1 + 4.0 * (0.09 / f64::from(rounds)).sqrt(), "{rate}");
        assert!(right > 3 * rounds, "{right}");
    }
}

const REACH: i32 = 12;
const PIXELS: usize = 6;

/// Labels of 6 pixels over the plane: half-planes with different borders, and mistakes.
struct Scene(Vec<u8>, [i32; PIXELS]);

impl Scene {
    fn random(rng: &mut Rng) -> Self {
        let mistakes = rng.unit() * 0.3;
        let marks = (0..61 * 61 * PIXELS).map(|_| if rng.unit() < mistakes { 1 + rng.below(2) as u8 } else { 0 });
        Scene(marks.collect(), core::array::from_fn(|_| rng.below(25) as i32 - 12))
    }

    fn at(&self, x: i32, y: i32) -> Vec<i32> {
        let place = ((y.clamp(-30, 30) + 30) * 61 + x.clamp(-30, 30) + 30) as usize * PIXELS;
        let label = |pixel: usize| {
            let side = if pixel.is_multiple_of(2) { x + y } else { x - 2 * y };
            (i32::from(side > self.1[pixel]) + i32::from(self.0[place + pixel])) % 3
        };
        (0..PIXELS).map(label).collect()
    }

    /// The probability of a label at a pixel, at least.
    fn smoothed(&self, pmf: &[f64], x: i32, y: i32, pixel: usize, label: i32) -> f64 {
        let mut p = 0.0;
        for (dy, py) in (-REACH..).zip(pmf) {
            for (dx, px) in (-REACH..).zip(pmf) {
                p += if self.at(x + dx, y + dy)[pixel] == label { px * py } else { 0.0 };
            }
        }
        p
    }
}

#[test]
fn labels_that_pass_keep_their_majority_at_every_shift() {
    let sigma = sigma(2, 1);
    let bytes = noise(sigma);
    let table = NoiseTable::parse(&bytes).expect("valid");
    let pmf = rounded_gaussian(sigma.value(), REACH);
    let mut rng = Rng(6);
    let (mut passed, mut abstained, mut shifts) = (0, 0, 0);
    for round in 0..24u8 {
        let scene = Scene::random(&mut rng);
        let input = [rng.below(5) as i16 - 2, rng.below(5) as i16 - 2];
        let level = if round % 2 == 0 { Level::Probability(0.7) } else { Level::R2(2) };
        let plan = Segmentation::new(alpha(1), SegmentationRequest { level, ..request(6) }, noisy(&input, &table))
            .expect("answerable");
        if let Level::Probability(p) = level {
            let r = sigma.value() * normal::quantile_lower(p);
            assert!((plan.r2() as f64) <= r * r && (plan.r2() as f64) > r * r - 1.0, "{} {r}", plan.r2());
            let open = open_ball(Price::new(sigma, table.tv_price(2)).radius(p));
            assert_eq!(open, Some(plan.r2()));
        }
        let mut memory = [Pixel::default(); PIXELS];
        let mut run = SegmentationRun::new(&plan, [round; 32], &mut memory).expect("fits");
        let mut model = Field::new(2, 8, |v: &[i16]| scene.at(v[0].into(), v[1].into()));
        let pixels = loop {
            if let Some(passed) = run.step(&mut model, 90).expect("runs") {
                break passed.pixels;
            }
        };
        let labels: Vec<Option<u16>> = (0..PIXELS).map(|pixel| run.label(pixel)).collect();
        assert_eq!(labels.iter().flatten().count(), pixels as usize);
        abstained += PIXELS - pixels as usize;
        for (pixel, label) in labels.iter().enumerate() {
            let Some(label) = label else { continue };
            passed += 1;
            for (dx, dy) in (-2..=2)
                .flat_map(|dx| (-2..=2).map(move |dy| (dx, dy)))
                .filter(|&(dx, dy)| covers(&[dx, dy], plan.r2()))
            {
                let p =
                    scene.smoothed(&pmf, i32::from(input[0]) + dx, i32::from(input[1]) + dy, pixel, (*label).into());
                assert!(p > 0.5, "{round}, pixel {pixel}, ({dx}, {dy}): {p}");
                shifts += 1;
            }
        }
    }
    println!("{passed} pixels passed, {abstained} abstained, {shifts} shifts, no majority lost");
    assert!(passed > 20 && abstained > 10 && shifts > 100, "{passed} {abstained} {shifts}");
}

#[test]
fn any_steps_and_interruptions_give_the_same_labels() {
    let bytes = noise(sigma(4, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let input: Vec<i16> = (0..40).map(|i| 8 * (i % 3) - 8).collect();
    let plan = Segmentation::new(alpha(1), request(40), noisy(&input, &table)).expect("answerable");
    let f = |v: &[i16]| v.iter().map(|&v| i32::from(v > -3) + i32::from(v > 3)).collect();
    let mut one = [Pixel::default(); 40];
    let mut run = SegmentationRun::new(&plan, [1; 32], &mut one).expect("fits");
    assert_eq!((run.label(0), run.passed()), (None, None));
    while run.step(&mut Field::new(40, 1, f), 1000).expect("runs").is_none() {}
    let want: Vec<Option<u16>> = (0..41).map(|pixel| run.label(pixel)).collect();
    // Outer thirds are sure, the middle is not.
    assert_eq!((want[0], want[1], want[2], want[40]), (Some(0), None, Some(2), None));
    assert_eq!(run.account().spent(), run.account().budget());
    let (mut other, mut at) = ([Pixel::default(); 40], (0, 0));
    loop {
        let mut run = SegmentationRun::resume(&plan, [1; 32], &mut other, at).expect("fits");
        if run.step(&mut Field::new(40, 16, f), 33).expect("runs").is_some() {
            assert_eq!((0..41).map(|pixel| run.label(pixel)).collect::<Vec<_>>(), want);
            break;
        }
        at = run.drawn();
    }
    let finished = SegmentationRun::resume(&plan, [1; 32], &mut other, (20, 300)).expect("fits");
    assert_eq!(finished.label(2), Some(2));
    // The test in two halves, counted apart.
    let mut third = [Pixel::default(); 40];
    let mut run = SegmentationRun::new(&plan, [1; 32], &mut third).expect("fits");
    let mut part = [Pixel::default(); 40];
    assert!(!run.ballot(&mut part));
    assert_eq!(run.merge((0, 10), &part), Err(CertError::Order));
    run.step(&mut Field::new(40, 3, f), 20).expect("runs");
    for range in [(0, 100), (100, 200)] {
        assert!(run.ballot(&mut part) && !run.ballot(&mut part[1..]));
        plan.count_range(&mut Field::new(40, 9, f), &[1; 32], range, &mut part).expect("runs");
        assert_eq!(run.merge((range.0 + 1, range.1), &part), Err(CertError::Order));
        assert_eq!(run.merge((range.0, 1), &part), Err(CertError::Output { found: 0 }));
        assert_eq!(run.merge(range, &part[1..]), Err(CertError::Buffer { needed: 40 }));
        assert_eq!(run.merge(range, &part), Ok(()));
    }
    assert_eq!((0..41).map(|pixel| run.label(pixel)).collect::<Vec<_>>(), want);
    assert_eq!(run.merge((300, 1), &part), Err(CertError::Order));
    assert!(plan.count_range(&mut Field::new(40, 9, f), &[1; 32], (0, 301), &mut part).is_err());
    // A label that there is not counts for no pixel.
    let mut run = SegmentationRun::new(&plan, [1; 32], &mut other).expect("fits");
    let bad = run.step(&mut Field::new(40, 4, |_: &[i16]| [vec![1; 39], vec![3]].concat()), 4);
    assert_eq!(bad.map_err(|error| error.to_string()), Err(CertError::Output { found: 39 }.to_string()));
    assert_eq!(run.drawn(), (0, 0));
    assert_eq!(other, [Pixel::default(); 40]);
}

#[test]
fn bad_requests_have_named_errors() {
    let bytes = noise(sigma(4, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let input = [0i16; 2];
    let new = |request| Segmentation::new(alpha(1), request, noisy(&input, &table)).err();
    assert_eq!(new(request(0)), Some(CertError::Output { found: 0 }));
    for labels in [0, (1 << 16) + 1] {
        assert_eq!(new(SegmentationRequest { labels, ..request(4) }), Some(CertError::Classes { found: labels }));
    }
    for p in [0.5, 0.4999, 1.0, f64::NAN, -3.0] {
        let level = Level::Probability(p);
        assert_eq!(new(SegmentationRequest { level, ..request(4) }), Some(CertError::Threshold), "{p}");
    }
    assert_eq!(new(SegmentationRequest { selection: 0, ..request(4) }), Some(CertError::Selection));
    // 0.75^n ≤ 0.001/4.
    let needed = Some(CertError::TooFewSamples { needed: 29 });
    assert_eq!(new(SegmentationRequest { samples: 28, ..request(4) }), needed);
    assert_eq!(new(SegmentationRequest { samples: 29, ..request(4) }), None);
    assert_eq!(new(SegmentationRequest { level: Level::R2(1 << 40), ..request(4) }), Some(CertError::Target));
    let tiny = Alpha::from_units(3).expect("not zero");
    assert_eq!(Segmentation::new(tiny, request(4), noisy(&input, &table)).err(), Some(CertError::Alpha));
    let plan = Segmentation::new(alpha(1), request(2), noisy(&input, &table)).expect("answerable");
    let mut memory = [Pixel::default(); 2];
    assert_eq!(SegmentationRun::new(&plan, [0; 32], &mut memory[..1]).err(), Some(CertError::Buffer { needed: 2 }));
    for at in [(19, 1), (21, 0), (20, 301)] {
        assert_eq!(SegmentationRun::resume(&plan, [0; 32], &mut memory, at).err(), Some(CertError::Order));
    }
    let mut run = SegmentationRun::new(&plan, [0; 32], &mut memory).expect("fits");
    run.step(&mut Field::new(2, 4, |_: &[i16]| vec![1, 2]), 7).expect("runs");
    let fewer = SegmentationRun::resume(&plan, [0; 32], &mut memory, (6, 0)).err();
    assert_eq!(fewer, Some(CertError::Output { found: 0 }));
}
