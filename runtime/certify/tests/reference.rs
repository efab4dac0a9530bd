//! Oracle: `certify_reference.json` and `certify_looks.json`, exact values (mpmath, 50 digits). What is reported has to
//! be near them and never above.

mod common;

use common::{int, job, noise, range, rows, subject};
use common::{real, reference};
use selvedge_certify::{
    Alpha, CertError, CertSpec, Certifier, Counts, Decision, GRID, LookTable, NEVER, Price, Reason, Request, Rule,
    SHIPPED, Step, Terms, covers, eprocess, open_ball, shipped,
};
use selvedge_noise::{Domain, NoiseTable, Sigma, binomial};

fn alpha(value: f64) -> Alpha {
    Alpha::from_f64(value).expect("a probability")
}

/// The verdict of the certifier itself on counts: no model runs.
fn verdict(
    rule: Rule<'_>,
    alpha: Alpha,
    table: &NoiseTable<'_>,
    selection: &[u32],
    counts: &[u32],
) -> Result<Decision, CertError> {
    let draws = |counts: &[u32]| counts.iter().sum::<u32>();
    let (selected, samples) = (draws(selection), draws(counts));
    let request = Request { rule, sigma: table.sigma(), selection: selected, samples, target_r2: None };
    let spec = CertSpec::new(alpha, request)?;
    let input = [0i16; 4];
    let terms = Terms::new(&spec, subject(&input, 5), table)?;
    let job = job(&terms, 1);
    let mut run = Certifier::<5>::new(&job)?;
    let all = |counts: &[u32]| Counts::from_slice(counts).expect("fits");
    if selected > 0 {
        run.merge(range(Domain::Select, 0, selected), &all(selection))?;
    }
    run.merge(range(Domain::Estimate, 0, samples), &all(counts))?;
    match run.status() {
        Step::Done(decision) => Ok(decision),
        Step::Progress(_) => panic!("all draws are counted"),
    }
}

#[test]
fn cohen_radii_are_within_1e_9_of_the_exact_ones_and_never_above() {
    let Some(tables) = reference("certify_reference.json") else { return };
    // One grid step is 1/100 of the reference's unit.
    let mut cached = std::collections::BTreeMap::new();
    for row in rows(&tables, "cohen_radius") {
        let (k, n, exact) = (int(&row["k"]), int(&row["n"]), 100.0 * real(&row["radius"]));
        let sigma = Sigma::new((real(&row["sigma"]) * 100.0).round() as u32, 1).expect("not zero");
        let price = Price::new(sigma, 0.0);
        let share = alpha(real(&row["alpha"])).lower();
        let radius = price.radius(binomial::lower_bound(k, n, share));
        if row["abstain"] == true {
            assert!(radius <= 0.0 && open_ball(radius).is_none(), "{row}");
        } else {
            assert!(radius <= exact && exact - radius < 1e-9 * exact.max(1.0), "{row}: {radius}");
        }
        // The state machine, with the price of four coordinates.
        let table = cached.entry(sigma.numerator).or_insert_with(|| noise(sigma));
        let table = NoiseTable::parse(table).expect("valid");
        let decision = verdict(Rule::Fixed, alpha(0.001), &table, &[9], &[k, n - k]);
        match (row["abstain"] == true, decision.expect("answerable")) {
            (true, decision) => assert_eq!(decision, Decision::Abstain(Reason::UndecidedAtBudget)),
            (false, Decision::Certified { class: 0, r2 }) => {
                // r2 < R² ≤ r2 + 1 but for rounding.
                assert!((r2 as f64) < exact * exact && exact * exact < r2 as f64 + 1.0 + 1e-6 * exact * exact, "{row}");
            }
            (_, decision) => panic!("{row}: {decision:?}"),
        }
    }
}

#[test]
fn smallest_counts_that_certify_are_the_exact_ones() {
    let Some(tables) = reference("certify_reference.json") else { return };
    for row in rows(&tables, "max_radius_and_min_count") {
        let (n, level) = (int(&row["n"]), real(&row["alpha"]));
        let certified = |k| binomial::lower_bound(k, n, alpha(level).lower()) > 0.5;
        match row["k_min_not_abstain"].as_u64() {
            Some(k) => assert!(certified(k as u32) && !certified(k as u32 - 1), "{row}"),
            None if row["k_min_not_abstain"].is_null() => assert!(!certified(n), "{row}"),
            None => {}
        }
        if let Some(exact) = row["r_max_over_sigma"].as_str().and_then(|text| text.parse::<f64>().ok()) {
            let price = Price::new(Sigma { numerator: 1, denominator: 1 }, 0.0);
            let radius = price.radius(binomial::lower_bound(n, n, alpha(level).lower()));
            assert!(radius <= exact && exact - radius < 1e-8, "{row}: {radius}");
        }
    }
}

#[test]
fn predictions_answer_where_the_exact_test_does() {
    let Some(tables) = reference("certify_reference.json") else { return };
    let table = noise(Sigma { numerator: 4, denominator: 1 });
    let table = NoiseTable::parse(&table).expect("valid");
    let answers = |n1, n2, level| match verdict(Rule::Predict, alpha(level), &table, &[], &[n1, n2]) {
        Ok(Decision::Predicted { class }) => Some(class),
        Ok(Decision::Abstain(Reason::UndecidedAtBudget)) => None,
        // So few draws that none can answer.
        Err(CertError::TooFewSamples { needed }) => {
            assert!(needed > n1 + n2);
            None
        }
        other => panic!("{other:?}"),
    };
    for row in rows(&tables, "predict_two_sided_binomial") {
        let (n1, n2) = (int(&row["n1"]), int(&row["n2"]));
        for (level, abstains) in [(0.001, &row["abstain_alpha_0.001"]), (0.05, &row["abstain_alpha_0.05"])] {
            assert_eq!(answers(n1, n2, level).is_none(), *abstains == true, "{row}");
            assert_eq!(answers(n2, n1, level).is_none(), *abstains == true, "{row}");
        }
    }
    for row in rows(&tables, "predict_min_top_count") {
        let n = int(&row["n1_plus_n2"]);
        for level in ["0.05", "0.01", "0.001"] {
            let smallest = (n / 2 + 1..=n).find(|&n1| answers(n1, n - n1, level.parse().expect("a number")).is_some());
            let exact = row[format!("min_n1_alpha_{level}")].as_u64().map(|k| k as u32);
            assert_eq!(smallest, exact, "{row}");
        }
    }
}

#[test]
fn class_partitions_give_the_exact_radii() {
    let Some(tables) = reference("certify_reference.json") else { return };
    let sigma = Sigma { numerator: 300, denominator: 1 };
    let table = noise(sigma);
    let table = NoiseTable::parse(&table).expect("valid");
    for row in rows(&tables, "multiclass_cpm") {
        let counts = |key: &str| row[key].as_array().expect("counts").iter().map(int).collect::<Vec<_>>();
        let (selection, counts) = (counts("n0_counts"), counts("counts"));
        let decision = verdict(Rule::Partition, alpha(0.001), &table, &selection, &counts).expect("answerable");
        let exact = 300.0 * real(&row["r_over_sigma_cpm"]);
        let Decision::Certified { class: 0, r2 } = decision else { panic!("{row}: {decision:?}") };
        assert!((r2 as f64) < exact * exact && exact - (r2 as f64).sqrt() < 0.01, "{row}: {r2} {}", exact * exact);
        // One bound for the leading class alone is worse, or abstains.
        let alone = verdict(Rule::Fixed, alpha(0.001), &table, &selection, &counts).expect("answerable");
        assert!(!matches!(alone, Decision::Certified { r2: alone, .. } if alone >= r2), "{row}");
    }
}

#[test]
fn finite_precision_costs_what_the_exact_formula_says() {
    let Some(tables) = reference("certify_reference.json") else { return };
    // The reference's σ is in units of 255 steps; its radii, in units of σ, are those of all of 100,000 at 1/1000.
    let lower = binomial::lower_bound(100_000, 100_000, alpha(0.001).lower());
    for row in rows(&tables, "finite_precision_tv_price") {
        let price = Price::new(Sigma { numerator: 1, denominator: 1 }, real(&row["tau"]));
        let radius = price.radius(lower);
        match row["r_over_sigma_at_pmax_with"].as_str() {
            Some("abstain") => assert!(radius <= 0.0, "{row}"),
            _ => {
                let exact = real(&row["r_over_sigma_at_pmax_with"]);
                assert!(radius <= exact && exact - radius < 1e-8, "{row}: {radius}");
            }
        }
        // Our own tables: 64 bits, no more dear than the reference's.
        if row["bits"] == 64 && row["d"] == 3072 {
            let sigma = Sigma::new((real(&row["sigma"]) * 1020.0).round() as u32, 4).expect("not zero");
            let bytes = noise(sigma);
            let tau = NoiseTable::parse(&bytes).expect("valid").tv_price(int(&row["d"]));
            assert!(tau < 2.0 * real(&row["tau"]), "{row}: {tau}");
        }
    }
}

#[test]
fn radii_and_null_probabilities_are_inverse_up_to_rounding() {
    // Oracle: the definition; more than the null probability certifies the whole ball, a little less does not.
    for (numerator, r2) in [(4, 16u64), (4, 15), (64, 4096), (64, 1), (255, 1_000_000)] {
        for tau in [0.0, 1e-13, 1e-6, 1e-4] {
            let price = Price::new(Sigma { numerator, denominator: 1 }, tau);
            let p0 = price.null_probability(r2);
            if p0 >= 1.0 {
                // Nothing reaches it.
                assert!(price.radius(1.0) < (r2 as f64).sqrt());
                continue;
            }
            let reached = selvedge_certify::closed_ball(price.radius(p0 + 1e-9 * (1.0 - p0)));
            assert!(reached.is_none_or(|reached| reached >= r2), "{numerator} {r2} {tau}");
            let below = selvedge_certify::closed_ball(price.radius(p0 - 1e-6 * (1.0 - p0)));
            assert!(below.is_none_or(|below| below < r2 || r2 == 0), "{numerator} {r2} {tau} {below:?}");
        }
    }
    // NaN and negative distances certify nothing.
    assert!(Price::new(Sigma { numerator: 1, denominator: 1 }, f64::NAN).radius(0.99) <= 0.0);
    assert!(Price::new(Sigma { numerator: 1, denominator: 1 }, -1.0).radius(0.99) <= 0.0);
    assert!(covers(&[3, 4], 25) && !covers(&[3, 4], 24) && !covers(&[i32::MIN; 9], u64::MAX >> 2));
}

#[test]
fn the_anytime_boundary_is_the_exact_one_and_its_e_values_are_never_above() {
    let Some(tables) = reference("certify_reference.json") else { return };
    for row in rows(&tables, "anytime_boundary") {
        let (n, p0) = (int(&row["n"]), real(&row["p0"]));
        let found = eprocess::min_count(n, p0, alpha(real(&row["alpha"])).lower());
        let exact = row["k_min_eprocess_jeffreys_truncated"].as_u64().map(|k| k as u32);
        assert_eq!(found, exact, "{row}");
        if let Some(k) = exact {
            let (lower, exact) = (eprocess::log_e_lower(k, n, p0), real(&row["log_e_at_kmin"]));
            // The JSON's p0 is a rounded decimal: half an ulp times n/(p0·(1 − p0)).
            let rounding = f64::from(n) * f64::EPSILON / (1.0 - p0);
            assert!(lower <= exact + rounding && exact - lower < 1e-5, "{row}: {lower}");
        }
    }
}

#[test]
fn shipped_tables_are_proved_and_equal_the_exact_ones() {
    // Oracle of the rows: the integral, bounded from below; of their smallness: one hit less is not proved.
    let level = Alpha::ratio(1, 1000).expect("a probability");
    for (quarters, table) in &SHIPPED {
        let again = LookTable::new(table.p0(), &level, table.samples(), table.accept(), table.refuse());
        assert_eq!(again.as_ref(), Ok(table));
        for (&n, &k) in GRID.iter().zip(table.accept()) {
            let fewer = if k == NEVER { n } else { k - 1 };
            assert!(!eprocess::rejects(fewer, n, table.p0(), level.lower()), "{quarters}: {fewer} of {n}");
        }
        // The radius is not below the nominal one, with any price up to 10⁻¹¹.
        let sigma = Sigma { numerator: 4, denominator: 1 };
        assert!(table.radius(&Price::new(sigma, 1e-11)) >= f64::from(*quarters));
        assert!(table.radius(&Price::new(sigma, 0.0)) < f64::from(*quarters) + 1e-6);
    }
    let Some(tables) = reference("certify_looks.json") else { return };
    assert_eq!(tables["tables"].as_array().expect("tables").len(), SHIPPED.len());
    for exact in rows(&tables, "tables") {
        let quarters = (4.0 * real(&exact["r_over_sigma"])) as u32;
        let table = shipped(quarters).expect("shipped");
        for (look, (&n, &k)) in rows(exact, "looks").iter().zip(GRID.iter().zip(table.accept())) {
            assert_eq!((int(&look[0]), look[1].as_u64().map(|k| k as u32)), (n, (k != NEVER).then_some(k)));
        }
    }
}

#[test]
fn the_shipped_tables_have_the_hashes_that_records_name() {
    // Oracle: the hashes when the tables were proved; a change of a table is a change of records.
    let hash = |quarters| {
        let hash = shipped(quarters).expect("shipped").hash();
        hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let all: Vec<String> = SHIPPED.iter().map(|(quarters, _)| hash(*quarters)).collect();
    assert_eq!(
        all,
        [
            "05acd3edf7075c56",
            "ee2288894835090a",
            "6ce32f99eb5def93",
            "9e9dfa68061c1b5e",
            "dc28f8ccd69ace4d",
            "655f52ca2e1c7d49",
            "028d58f396f14d90",
            "ca95f003184cfa4f",
            "44f07e841f2a9fed"
        ]
    );
}
