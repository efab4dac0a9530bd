//! Attempts to break what a certificate says.

mod common;
use common::{By, IDENTITY, Random, parse, simulate, table_bytes};
use selvedge_certify::{
    Alpha, Certifier, Decision, Identity, Input, LOOK_COUNTS, Look, Looks, Plan, Rule, covers, look_at,
    probability_for, radius_squared,
};
use selvedge_noise::{Sigma, normal};

const RUNS: u32 = 40_000;

/// 40 000·α + 3·√(40 000·α).
fn most(alpha: f64) -> u32 {
    let mean = f64::from(RUNS) * alpha;
    (mean + 3.0 * mean.sqrt()) as u32
}

fn false_certificates(plan: &Plan<'_>, p: f64, seed: u64) -> (u32, f64) {
    let mut random = Random(seed);
    let (mut certified, mut draws) = (0, 0u64);
    for _ in 0..RUNS {
        let mut certifier = Certifier::<2>::new(plan, Input::I8(&[0]), &IDENTITY).expect("fits");
        // The class is 0 for certain: what is tested is the estimation.
        let first = certifier.pending(u32::MAX).expect("selection");
        certifier.add(&first, &[plan.selection(), 0]).expect("added");
        simulate(&mut certifier, &mut random, p);
        certified += u32::from(matches!(certifier.decision(), Some(Decision::Certified { .. })));
        draws += u64::from(certifier.progress().drawn);
    }
    (certified, draws as f64 / f64::from(RUNS))
}

#[test]
fn fixed_plans_certify_a_fair_coin_at_most_as_often_as_alpha_says() {
    let bytes = table_bytes(10, 1);
    let table = parse(&bytes);
    for (n, alpha, seed) in [(200, 0.01, 5), (500, 0.001, 7)] {
        let share = Alpha::new(alpha).expect("a share");
        let plan = Plan::new(&table, 1, 2, 1, Rule::Fixed { n }, share).expect("a plan");
        let (found, _) = false_certificates(&plan, 0.5, seed);
        assert!(found <= most(alpha), "{found} of {RUNS} with n = {n}, alpha = {alpha}");
        // The test can fail: a plan with ten times the share does.
        let share = Alpha::new(10.0 * alpha).expect("a share");
        let plan = Plan::new(&table, 1, 2, 1, Rule::Fixed { n }, share).expect("a plan");
        assert!(false_certificates(&plan, 0.5, seed).0 > most(alpha));
    }
}

#[test]
fn sequential_plans_certify_the_boundary_at_most_as_often_as_alpha_says() {
    let bytes = table_bytes(10, 1);
    let table = parse(&bytes);
    for (steps, alpha, seed) in [(5.0, 0.01, 1), (10.0, 0.001, 3)] {
        let p0 = probability_for(steps, table.tv_price(1), table.sigma()).expect("a target");
        let looks: Vec<Look> = LOOK_COUNTS.iter().take_while(|&&n| n <= 1500).map(|&n| look_at(n, p0, alpha)).collect();
        let rule = Rule::Sequential(Looks { p0, alpha, looks: &looks });
        let share = Alpha::new(alpha).expect("a share");
        let plan = Plan::new(&table, 1, 2, 1, rule, share).expect("a plan");
        let (found, draws) = false_certificates(&plan, p0, seed);
        assert!(found <= most(alpha), "{found} of {RUNS} for {steps} steps, alpha = {alpha}");
        assert!(found > 0 && draws > 100.0, "{found} {draws}: nothing was tested");
    }
}

#[test]
fn no_shift_within_the_radius_changes_the_smoothed_class_on_a_plane() {
    // Oracle: exact sums over the law of the noise. Classifiers are half-planes, rings and half-planes with points
    // flipped at random.
    let sigma = Sigma::new(13, 10).expect("not zero");
    let reach = 9i32;
    let law = |z: i32| {
        let (z, s) = (f64::from(z), sigma.value());
        normal::cdf_upper((z + 0.5) / s) - normal::cdf_upper((z - 0.5) / s)
    };
    let weights: Vec<f64> = (-reach..=reach).map(law).collect();
    let mut random = Random(11);
    let (mut shifts, mut certificates) = (0, 0);
    for number in 0..60u64 {
        let angle = number as f64;
        let (a, b, c) = (angle.cos(), angle.sin(), (random.next() % 40) as f64 / 10.0 - 2.0);
        let flips = random.next();
        let class = |x: i32, y: i32| -> bool {
            let plain = match number % 3 {
                0 => a * f64::from(x) + b * f64::from(y) < c,
                1 => f64::from(x * x + y * y) < 6.0 + c,
                _ => a * f64::from(x) + b * f64::from(y) < c,
            };
            let hash = (x as u64).wrapping_mul(0x9e37_79b9).wrapping_add((y as u64).wrapping_mul(0x85eb_ca6b)) ^ flips;
            plain ^ (number % 3 == 2 && hash.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 61 == 0)
        };
        let probability = |x: i32, y: i32| -> f64 {
            let mut sum = 0.0;
            for (i, p) in (-reach..=reach).zip(&weights) {
                for (j, q) in (-reach..=reach).zip(&weights) {
                    sum += if class(x + i, y + j) { p * q } else { 0.0 };
                }
            }
            sum
        };
        for (x, y) in [(0, 0), (1, -2), (-3, 1)] {
            let p = probability(x, y);
            let (of, p) = if p >= 0.5 { (true, p) } else { (false, 1.0 - p) };
            let Some(r2) = radius_squared(p - 1e-9, 0.0, sigma) else { continue };
            certificates += 1;
            for dx in -6..=6i32 {
                for dy in -6..=6i32 {
                    if covers(r2, [dx, dy]) {
                        let there = probability(x + dx, y + dy);
                        assert!((there >= 0.5) == of, "classifier {number} at {x},{y}: flipped by {dx},{dy}");
                        shifts += 1;
                    }
                }
            }
        }
    }
    assert!(certificates > 60 && shifts > 500, "{certificates} {shifts}");
}

#[test]
fn float_noise_certifies_what_integer_noise_does_not() {
    // Float noise is added to x = 0 exactly, but to x' = 1/32 it is rounded: low bits of the sum tell the two apart.
    // A classifier that reads them is certified at 0 with a radius in which it is flipped.
    const D: usize = 1024;
    const DRAWS: u32 = 1000;
    let sigma = 0.5f64;
    let mut random = Random(77);
    let mut normal_f32 = || {
        // Box–Muller.
        let uniform = |bits: u64| ((bits >> 11) as f64 + 0.5) / 2f64.powi(53);
        let (u, v) = (uniform(random.next()), uniform(random.next()));
        (sigma * (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()) as f32
    };
    let mut votes = |x: f32| -> u32 {
        let mut class_a = 0;
        for _ in 0..DRAWS {
            let mut coarse = true;
            let mut small = 0;
            for _ in 0..D {
                let value = x + normal_f32();
                if value.abs() < 1.0 / 256.0 {
                    small += 1;
                    coarse &= (value * 2f32.powi(30)).fract() == 0.0;
                }
            }
            class_a += u32::from(small == 0 || !coarse);
        }
        class_a
    };
    let (here, there) = (votes(0.0), votes(1.0 / 32.0));
    let p = selvedge_noise::binomial::lower_bound(here, DRAWS, 0.001);
    let claimed = sigma * normal::quantile_lower(p);
    let distance = (D as f64).sqrt() / 32.0;
    assert!(claimed > distance, "the float certificate reaches {claimed}, the shift {distance}");
    assert!(there < DRAWS / 10, "the shifted input has class A in {there} of {DRAWS}");

    // The same trick on codes: low bits of the sum of a code and noise say nothing about the code.
    let bytes = table_bytes(128, 1);
    let table = parse(&bytes);
    let share = || Alpha::new(0.001).expect("a share");
    let plan = Plan::new(&table, D, 2, 50, Rule::Fixed { n: 400 }, share()).expect("a plan");
    let decide = |x: i16| {
        let input = vec![x; D];
        let mut model = By(vec![0; D], |codes: &[i16]| {
            let small: Vec<i16> = codes.iter().copied().filter(|v| v.abs() < 16).collect();
            usize::from(!small.is_empty() && small.iter().filter(|&&v| v % 4 == 0).count() * 2 > small.len())
        });
        let mut certifier = Certifier::<2>::new(&plan, Input::I16(&input), &IDENTITY).expect("fits");
        while certifier.decision().is_none() {
            certifier.step(&mut model, Input::I16(&input), 1000).expect("runs");
        }
        (certifier.decision(), certifier.counts().1.to_vec())
    };
    // 8 steps in each coordinate: as far, in σ, as above.
    let ((here, counts_here), (there, counts_there)) = (decide(0), decide(8));
    if let (Some(Decision::Certified { class: a, radius_squared }), Some(Decision::Certified { class: b, .. })) =
        (here, there)
    {
        assert!(a == b || !covers(radius_squared, vec![8; D]), "{counts_here:?} {counts_there:?}");
    }
    assert!(counts_here[0].abs_diff(counts_there[0]) < 60, "{counts_here:?} {counts_there:?}");
}

#[test]
fn another_nonce_model_or_input_draws_other_noise() {
    let bytes = table_bytes(40, 1);
    let table = parse(&bytes);
    let plan =
        Plan::new(&table, 8, 2, 200, Rule::Fixed { n: 200 }, Alpha::new(0.01).expect("a share")).expect("a plan");
    let counts = |identity: Identity, input: [i8; 8]| {
        let mut model =
            By(vec![0; 8], |codes: &[i16]| usize::from(codes.iter().map(|&c| i32::from(c)).sum::<i32>() > 3));
        let mut certifier = Certifier::<2>::new(&plan, Input::I8(&input), &identity).expect("fits");
        while certifier.decision().is_none() {
            certifier.step(&mut model, Input::I8(&input), 64).expect("runs");
        }
        (certifier.counts().0.to_vec(), certifier.counts().1.to_vec())
    };
    let first = counts(IDENTITY, [0; 8]);
    assert_eq!(first, counts(IDENTITY, [0; 8]));
    assert_ne!(first.0, first.1, "the two phases have draws of their own");
    assert_ne!(first, counts(Identity { nonce: [8; 32], ..IDENTITY }, [0; 8]));
    assert_ne!(first, counts(Identity { model: [8; 32], ..IDENTITY }, [0; 8]));
    assert_ne!(first, counts(IDENTITY, [0, 0, 0, 0, 0, 0, 1, -1]));
}
