//! Median intervals. Oracles: the reference's order statistics, and exact medians of every shift on Z².

mod common;

use common::{Field, Rng, int, noise, noisy, real, reference, rounded_gaussian, rows, sigma};
use selvedge_certify::median::{Histogram, Interval, Median, MedianRequest, MedianRun, ranks};
use selvedge_certify::{Alpha, CertError, Price, covers};
use selvedge_noise::NoiseTable;

const REACH: i32 = 12;

fn alpha() -> Alpha {
    Alpha::ratio(1, 1000).expect("a probability")
}

#[test]
fn ranks_are_the_exact_ones_and_probabilities_are_within_1e_12_and_never_below() {
    let Some(tables) = reference("certify_reference.json") else { return };
    for row in rows(&tables, "median_smoothing_order_stats") {
        // σ = 20 steps makes every ε a whole number of steps.
        let steps = (20.0 * real(&row["eps_over_sigma"])).round() as u64;
        let p_high = Price::new(sigma(20, 1), 0.0).null_probability(steps * steps);
        let exact = real(&row["p_high"]);
        assert!(p_high >= exact && p_high - exact < 1e-12, "{row}: {p_high}");
        let share = Alpha::from_f64(real(&row["alpha_each_side"])).expect("a probability");
        let want = (int(&row["lower_order_stat_index_1based"]), int(&row["upper_order_stat_index_1based"]));
        assert_eq!(ranks(int(&row["n"]), p_high, share.lower()), Some(want), "{row}");
    }
}

/// Two rough functions of the plane: a slope with jumps, and a step.
struct Rough {
    table: Vec<i32>,
    slope: i32,
}

const SIDE: i32 = 61;

impl Rough {
    fn random(rng: &mut Rng) -> Self {
        let jumps = 1 + rng.below(40);
        let table = (0..SIDE * SIDE).map(|_| rng.below(jumps) as i32).collect();
        Rough { table, slope: rng.below(9) as i32 - 4 }
    }

    fn at(&self, x: i32, y: i32) -> Vec<i32> {
        let (u, v) = (x.clamp(-30, 30), y.clamp(-30, 30));
        let rough = self.table[((v + 30) * SIDE + u + 30) as usize];
        let slope = (self.slope * x + 2 * y + rough - 20).clamp(-128, 127);
        vec![slope, if x + y + rough / 16 > 1 { 100 } else { -100 }]
    }

    /// The smallest and the largest median of every output under the exact law, with what is cut off given to either.
    fn medians(&self, pmf: &[f64], x: i32, y: i32) -> Vec<(i32, i32)> {
        let mut laws = vec![[0.0; 256]; 2];
        for (dy, py) in (-REACH..).zip(pmf) {
            for (dx, px) in (-REACH..).zip(pmf) {
                for (law, value) in laws.iter_mut().zip(self.at(x + dx, y + dy)) {
                    law[(value + 128) as usize] += px * py;
                }
            }
        }
        let median = |law: &[f64; 256], half: f64| {
            let mut sum = 0.0;
            law.iter().position(|p| {
                sum += p;
                sum >= half
            })
        };
        laws.iter()
            .map(|law| (median(law, 0.5 - 1e-9), median(law, 0.5 + 1e-9)))
            .map(|(low, high)| (low.expect("a median") as i32 - 128, high.expect("a median") as i32 - 128))
            .collect()
    }
}

#[test]
fn medians_of_all_shifts_lie_in_the_interval_and_a_slope_fills_it() {
    let sigma = sigma(13, 10);
    let bytes = noise(sigma);
    let table = NoiseTable::parse(&bytes).expect("valid");
    let pmf = rounded_gaussian(sigma.value(), REACH);
    let mut rng = Rng(2);
    let (mut shifts, mut moved, mut share) = (0u32, 0u32, 0.0f64);
    for round in 0..24u8 {
        let rough = Rough::random(&mut rng);
        let input = [rng.below(5) as i16 - 2, rng.below(5) as i16 - 2];
        let r2 = [1, 2, 4, 8][usize::from(round) % 4];
        let request = MedianRequest { outputs: 2, r2, samples: 1500 };
        let median = Median::new(alpha(), request, noisy(&input, &table)).expect("answerable");
        let mut memory = [[0; 256]; 2];
        let mut run = MedianRun::new(&median, [round; 32], &mut memory).expect("fits");
        let mut model = Field::new(2, 8, |v: &[i16]| rough.at(v[0].into(), v[1].into()));
        while !run.step(&mut model, 400).expect("runs") {}
        let intervals = [0, 1].map(|output| run.interval(output).expect("done"));
        let here = rough.medians(&pmf, input[0].into(), input[1].into());
        let (mut least, mut most) = (i32::MAX, i32::MIN);
        for (dx, dy) in
            (-3..=3).flat_map(|dx| (-3..=3).map(move |dy| (dx, dy))).filter(|&(dx, dy)| covers(&[dx, dy], r2))
        {
            let there = rough.medians(&pmf, i32::from(input[0]) + dx, i32::from(input[1]) + dy);
            for (interval, (low, high)) in intervals.iter().zip(&there) {
                let Interval { low: from, high: to, .. } = *interval;
                assert!(
                    i32::from(from) <= *low && *high <= i32::from(to),
                    "{round}: ({dx}, {dy}) {there:?} {interval:?}"
                );
            }
            (least, most) = (least.min(there[0].0), most.max(there[0].1));
            shifts += 1;
            moved += u32::from(there != here);
        }
        share += f64::from(most - least) / f64::from((intervals[0].high - intervals[0].low).max(1)) / 24.0;
        let account = run.account();
        assert!(account.shares() == 4 && account.spent() <= account.budget() && account.spent() + 4 > account.budget());
    }
    println!("{shifts} shifts, {moved} move a median, none out of its interval; {share:.2} of an interval is used");
    assert!(shifts > 200 && moved > 100 && share > 0.2, "{shifts} {moved} {share}");
}

#[test]
fn any_steps_and_interruptions_give_the_same_intervals() {
    let sigma = sigma(4, 1);
    let bytes = noise(sigma);
    let table = NoiseTable::parse(&bytes).expect("valid");
    let input: Vec<i16> = (0..100).map(|i| i - 50).collect();
    let request = MedianRequest { outputs: 3, r2: 4, samples: 200 };
    let median = Median::new(alpha(), request, noisy(&input, &table)).expect("answerable");
    let f = |v: &[i16]| (1..4).map(|k| i32::from(v[7 * k] + v[9 * k])).collect();
    let mut one: [Histogram; 3] = [[7; 256]; 3];
    let mut run = MedianRun::new(&median, [1; 32], &mut one).expect("fits");
    assert_eq!(run.interval(0), None);
    assert!(run.step(&mut Field::new(100, 1, f), u32::MAX).expect("runs"));
    let want: Vec<Option<Interval>> = (0..4).map(|output| run.interval(output)).collect();
    assert!(want[2].is_some_and(|i| i.low <= i.median && i.median <= i.high) && want[3].is_none());
    let mut other: [Histogram; 3] = [[0; 256]; 3];
    loop {
        let mut run = MedianRun::resume(&median, [1; 32], &mut other).expect("fits");
        if run.step(&mut Field::new(100, 16, f), 33).expect("runs") {
            assert_eq!((0..4).map(|output| run.interval(output)).collect::<Vec<_>>(), want);
            break;
        }
    }
    assert_eq!(one, other);
    // Two halves, counted apart.
    let mut run = MedianRun::new(&median, [1; 32], &mut other).expect("fits");
    for range in [(0, 90), (90, 110)] {
        let mut part: [Histogram; 3] = [[0; 256]; 3];
        median.count_range(&mut Field::new(100, 5, f), &[1; 32], range, &mut part).expect("runs");
        assert_eq!(run.merge((range.0 + 1, range.1), &part), Err(CertError::Order));
        assert_eq!(run.merge((range.0, range.1 - 1), &part), Err(CertError::Output { found: 0 }));
        assert_eq!(run.merge(range, &part[..2]), Err(CertError::Buffer { needed: 3 }));
        assert_eq!(run.merge(range, &part), Ok(()));
    }
    assert_eq!(run.merge((200, 1), &[[0; 256]; 3]), Err(CertError::Order));
    assert_eq!((0..4).map(|output| run.interval(output)).collect::<Vec<_>>(), want);
    assert!(median.count_range(&mut Field::new(100, 5, f), &[1; 32], (199, 2), &mut other).is_err());
    // A number that is no code counts for no output.
    let mut run = MedianRun::new(&median, [1; 32], &mut other).expect("fits");
    let bad = run.step(&mut Field::new(100, 4, |_: &[i16]| vec![0, 0, 128]), 4);
    assert_eq!(bad.map_err(|error| error.to_string()), Err(CertError::Output { found: 2 }.to_string()));
    assert_eq!(run.drawn(), 0);
    assert!(other.iter().flatten().all(|&count| count == 0));
}

#[test]
fn bad_requests_have_named_errors() {
    let bytes = noise(sigma(4, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let input = [0i16; 2];
    let new = |outputs, r2, samples| {
        Median::new(alpha(), MedianRequest { outputs, r2, samples }, noisy(&input, &table)).map(|median| median.ranks())
    };
    assert_eq!(new(0, 4, 1000), Err(CertError::Output { found: 0 }));
    // 0.5^n ≤ 1/2000 (r2 = 0: a little more than one half).
    assert_eq!(new(1, 0, 10), Err(CertError::TooFewSamples { needed: 11 }));
    assert_eq!(new(1, 0, 11), Ok((1, 11)));
    assert_eq!(new(1, 0, u32::MAX), Err(CertError::Selection));
    assert_eq!(new(1, 1_000_000, 1000), Err(CertError::Target));
    let far = Median::new(alpha(), MedianRequest { outputs: 1, r2: 4, samples: 100 }, noisy(&[], &table));
    assert_eq!(far.err(), Some(CertError::Length));
    let tiny = Alpha::from_units(3).expect("not zero");
    let request = MedianRequest { outputs: 2, r2: 4, samples: 100 };
    assert_eq!(Median::new(tiny, request, noisy(&input, &table)).err(), Some(CertError::Alpha));
    let median = Median::new(alpha(), request, noisy(&input, &table)).expect("answerable");
    assert_eq!(MedianRun::new(&median, [0; 32], &mut []).err(), Some(CertError::Buffer { needed: 2 }));
    let mut uneven = [[0; 256], [0; 256]];
    uneven[1][3] = 1;
    assert_eq!(MedianRun::resume(&median, [0; 32], &mut uneven).err(), Some(CertError::Output { found: 1 }));
    uneven = [[1; 256]; 2];
    assert_eq!(MedianRun::resume(&median, [0; 32], &mut uneven).err(), Some(CertError::Output { found: 0 }));
    assert_eq!(ranks(100, f64::NAN, 0.001), None);
    assert_eq!(ranks(0, 0.6, 0.001), None);
}
