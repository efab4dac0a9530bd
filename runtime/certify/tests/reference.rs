//! Oracle: exact values (mpmath) in `certify_reference.json` and `certify_looks.json`. No radius may be above the exact
//! one, no look may pass with fewer draws.

mod common;
use common::{IDENTITY, parse, real, reference, table_bytes};
use selvedge_certify::{
    Alpha, Certifier, Decision, Input, LOOK_COUNTS, Look, Looks, Plan, PlanError, Prediction, Rule, e_value, look_at,
    predict, probability_for, radius, radius_squared,
};
use selvedge_noise::{Sigma, binomial};

#[test]
fn radii_equal_the_exact_ones_and_are_never_above() {
    let Some(tables) = reference("certify_reference.json") else { return };
    for row in tables["cohen_radius"].as_array().expect("rows") {
        let sigma = row["sigma"].as_str().expect("decimal");
        let (whole, fraction) = sigma.split_once('.').unwrap_or((sigma, ""));
        let numerator = format!("{whole}{fraction}").parse().expect("digits");
        let sigma = Sigma::new(numerator, 10u32.pow(fraction.len() as u32)).expect("not zero");
        let (k, n) = (row["k"].as_u64().expect("k") as u32, row["n"].as_u64().expect("n") as u32);
        let found = radius(binomial::lower_bound(k, n, real(&row["alpha"])), 0.0, sigma);
        if row["abstain"] == true {
            assert_eq!(found, None);
        } else {
            let (found, exact) = (found.expect("a radius"), real(&row["radius"]));
            assert!(found <= exact && exact - found < 1e-9 * exact.max(1e-3), "{found} {exact}");
        }
    }
    // The price of finite precision.
    for row in tables["finite_precision_tv_price"].as_array().expect("rows") {
        let tau = real(&row["tau"]);
        let p = binomial::lower_bound(100_000, 100_000, 0.001);
        let found = radius(p, tau, Sigma::new(1, 1).expect("not zero"));
        match row["r_over_sigma_at_pmax_with"].as_str() {
            Some("abstain") => assert_eq!(found, None, "tau {tau}"),
            _ => {
                let (found, exact) = (found.expect("a radius"), real(&row["r_over_sigma_at_pmax_with"]));
                assert!(found <= exact && exact - found < 1e-6, "tau {tau}: {found} {exact}");
            }
        }
    }
}

#[test]
fn looks_equal_the_table_checked_with_50_digits() {
    let Some(tables) = reference("certify_looks.json") else { return };
    let mut compared = 0;
    for table in tables["tables"].as_array().expect("tables") {
        let (p0, alpha) = (real(&table["p0"]), real(&table["alpha"]));
        for look in table["looks"].as_array().expect("looks") {
            let n = look[0].as_u64().expect("n") as u32;
            // A look that cannot pass is written with a count above n.
            let want = look[1].as_u64().map(|k| k as u32).filter(|&k| k <= n);
            let found = look_at(n, p0, alpha);
            assert_eq!(Some(found.pass).filter(|&k| k != u32::MAX), want, "p0 = {p0}, n = {n}");
            assert!(found.fail.is_none_or(|fail| fail < found.pass && f64::from(fail) < f64::from(n) * p0));
            compared += 1;
        }
    }
    assert_eq!(compared, 9 * LOOK_COUNTS.len());
    let Some(tables) = reference("certify_reference.json") else { return };
    for row in tables["anytime_boundary"].as_array().expect("rows") {
        let (n, p0, alpha) = (row["n"].as_u64().expect("n") as u32, real(&row["p0"]), real(&row["alpha"]));
        let Some(k) = row["k_min_eprocess_jeffreys_truncated"].as_u64() else { continue };
        assert_eq!(look_at(n, p0, alpha).pass, k as u32, "{n} {p0}");
        let exact = real(&row["log_e_at_kmin"]);
        let found = e_value(k as u32, n, p0);
        assert!(found <= exact && exact - found < 1e-3, "{found} {exact}");
    }
}

#[test]
fn predictions_abstain_as_the_test_says() {
    let Some(tables) = reference("certify_reference.json") else { return };
    for row in tables["predict_two_sided_binomial"].as_array().expect("rows") {
        let counts = [&row["n2"], &row["n1"]].map(|count| count.as_u64().expect("count") as u32);
        for (alpha, key) in [(0.001, "abstain_alpha_0.001"), (0.05, "abstain_alpha_0.05")] {
            let found = predict(&counts, Alpha::new(alpha).expect("a share"));
            assert_eq!(found == Prediction::Abstain, row[key] == true, "{counts:?} {alpha}");
            if found != Prediction::Abstain {
                assert_eq!(found, Prediction::Class(u16::from(counts[1] > counts[0])));
            }
        }
    }
    assert_eq!(predict(&[], Alpha::new(0.5).expect("a share")), Prediction::Abstain);
}

#[test]
fn plans_that_can_never_answer_are_refused_with_what_could() {
    let bytes = table_bytes(10, 1);
    let table = parse(&bytes);
    let alpha = |a| Alpha::new(a).expect("a share");
    let fixed = |n, a| Plan::new(&table, 4, 2, 10, Rule::Fixed { n }, alpha(a)).map(|_| ());
    // The user's case: n = 10 with alpha = 0.001 abstains whatever happens at p = 1/2 and above it hardly.
    assert_eq!(fixed(9, 0.001), Err(PlanError::TooFewDraws { least: 10 }));
    assert_eq!(fixed(10, 0.001), Ok(()));
    assert_eq!(fixed(4, 0.05), Err(PlanError::TooFewDraws { least: 5 }));
    assert_eq!(
        Plan::new(&table, 0, 2, 10, Rule::Fixed { n: 100 }, alpha(0.01)).map(|_| ()),
        Err(PlanError::Dimensions)
    );
    assert_eq!(Plan::new(&table, 4, 1, 10, Rule::Fixed { n: 100 }, alpha(0.01)).map(|_| ()), Err(PlanError::Classes));
    assert_eq!(Plan::new(&table, 4, 2, 0, Rule::Fixed { n: 100 }, alpha(0.01)).map(|_| ()), Err(PlanError::Selection));
    let p0 = probability_for(30.0, table.tv_price(4), table.sigma()).expect("a target");
    let looks: Vec<Look> = [100, 1000].map(|n| look_at(n, p0, 0.001)).to_vec();
    let sequential = |looks: &[Look], made_for: f64, p0: f64| {
        let rule = Rule::Sequential(Looks { p0, alpha: made_for, looks });
        Plan::new(&table, 4, 2, 10, rule, alpha(0.001)).map(|_| ())
    };
    assert!(matches!(sequential(&looks, 0.001, p0), Err(PlanError::TooFewDraws { least: 1001.. })));
    let p0 = probability_for(10.0, table.tv_price(4), table.sigma()).expect("a target");
    let looks: Vec<Look> = [100, 1000].map(|n| look_at(n, p0, 0.001)).to_vec();
    assert_eq!(sequential(&looks, 0.001, p0), Ok(()));
    // Looks made for a larger alpha than the plan has would spend more than there is.
    assert_eq!(sequential(&looks, 0.01, p0), Err(PlanError::Looks));
    assert_eq!(sequential(&[], 0.001, p0), Err(PlanError::Looks));
    assert_eq!(sequential(&[looks[1], looks[0]], 0.001, p0), Err(PlanError::Looks));
    assert_eq!(sequential(&looks, 0.001, 0.5), Err(PlanError::Target));
    assert!(radius_squared(p0, table.tv_price(4), table.sigma()).is_some_and(|r2| r2 == 99 || r2 == 100));
}

#[test]
fn a_decision_carries_the_radius_of_its_bound() {
    let bytes = table_bytes(10, 1);
    let table = parse(&bytes);
    let alpha = Alpha::new(0.001).expect("a share");
    let plan = Plan::new(&table, 1, 2, 10, Rule::Fixed { n: 1000 }, alpha).expect("a plan");
    let mut certifier = Certifier::<2>::new(&plan, Input::I8(&[0]), &IDENTITY).expect("fits");
    let draws = certifier.pending(100).expect("pending");
    certifier.add(&draws, &[10, 0]).expect("added");
    let draws = certifier.pending(5000).expect("pending");
    certifier.add(&draws, &[990, 10]).expect("added");
    // 990 of 1000: p = 0.976036…, 1.978010σ.
    let square = (1.978_010f64 * 10.0).powi(2);
    let Some(Decision::Certified { class: 0, radius_squared }) = certifier.decision() else { panic!("no certificate") };
    assert_eq!(radius_squared, square as u64);
    assert_eq!(certifier.pending(1), None);
}
