//! Oracle: tables of exact values (mpmath, 50 digits) in `certify_reference.json`. Bounds have to be within 1e-12
//! of them, and never on the side that would make a certificate false.

use selvedge_noise::{Sigma, binomial, bounds, build_table, normal};
use serde_json::Value;

/// The reference tables; says aloud where they are absent.
fn tables() -> Option<Value> {
    let root = std::env::var_os("SELVEDGE_DATA").map_or_else(|| "../../../shared".into(), std::path::PathBuf::from);
    let path = root.join("reference/certify_reference.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).expect("JSON")),
        Err(error) => {
            eprintln!("not tested: {}: {error} (set SELVEDGE_DATA)", path.display());
            None
        }
    }
}

fn real(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().expect("a number"),
        value => value.as_f64().expect("a number"),
    }
}

fn int(value: &Value) -> u32 {
    value.as_u64().expect("an integer") as u32
}

#[test]
fn normal_distribution_is_bracketed_within_1e_12() {
    let Some(tables) = tables() else { return };
    for row in tables["normal_cdf"].as_array().expect("rows") {
        let (z, exact, complement) = (real(&row["z"]), real(&row["Phi"]), real(&row["one_minus_Phi"]));
        let (lower, upper) = (normal::cdf_lower(z), normal::cdf_upper(z));
        assert!(lower <= exact && exact <= upper, "Φ({z}): {lower} {exact} {upper}");
        assert!(upper - lower <= 1e-12 * exact.max(1e-290), "Φ({z}): {lower} {upper}");
        assert!(normal::cdf_lower(-z) <= complement && complement <= normal::cdf_upper(-z));
    }
    for row in tables["normal_quantile"].as_array().expect("rows") {
        let (p, exact) = (real(&row["p"]), real(&row["z"]));
        let (lower, upper) = (normal::quantile_lower(p), normal::quantile_upper(p));
        // The argument itself is a rounded decimal: half an ulp of p, by the slope 1/φ.
        let slope = (0.5 * exact * exact).exp() * 2.5066282746310002;
        let rounding = p * f64::EPSILON * slope;
        assert!(lower <= exact + rounding && exact - rounding <= upper, "Φ⁻¹({p}): {lower} {exact} {upper}");
        if (1e-290..=0.9999).contains(&p) {
            assert!(upper - lower < 1e-11 * exact.abs().max(1.0), "Φ⁻¹({p}): {lower} {upper}");
        }
    }
}

#[test]
fn clopper_pearson_bounds_are_within_1e_12_and_on_the_safe_side() {
    let Some(tables) = tables() else { return };
    let mut worst = 0f64;
    let rows = tables["clopper_pearson_one_sided"].as_array().expect("rows");
    for row in rows {
        let (k, n, alpha) = (int(&row["k"]), int(&row["n"]), real(&row["alpha"]));
        let (exact, exact_upper) = (real(&row["lower"]), real(&row["upper"]));
        let (lower, upper) = (binomial::lower_bound(k, n, alpha), binomial::upper_bound(k, n, alpha));
        assert!(lower <= exact && upper >= exact_upper, "{k}/{n}, {alpha}: {lower} {exact}, {upper} {exact_upper}");
        assert!(exact - lower <= 1e-12 && upper - exact_upper <= 1e-12, "{k}/{n}, {alpha}: {lower} {exact}");
        worst = worst.max(exact - lower);
        let (quick, robbins) = (binomial::lower_bound_quick(k, n, alpha), real(&row["lower_robbins_geometric"]));
        assert!(quick <= exact, "{k}/{n}, {alpha}: {quick} {exact}");
        // The quick bound has the later terms of Stirling's series: not looser than Robbins' alone.
        assert!(quick >= robbins - 1e-12, "{k}/{n}, {alpha}: {quick} {robbins}");
        if row["r_over_sigma"].as_str() != Some("abstain") {
            let radius = normal::quantile_lower(lower);
            let exact = real(&row["r_over_sigma"]);
            assert!(radius <= exact && exact - radius < 1e-9, "{k}/{n}: {radius} {exact}");
        }
    }
    println!("{} bounds, at most {worst:.1e} below the exact ones", rows.len());
}

#[test]
fn counts_and_tests_equal_the_exact_ones() {
    let Some(tables) = tables() else { return };
    for row in tables["max_radius_and_min_count"].as_array().expect("rows") {
        let (n, alpha) = (int(&row["n"]), real(&row["alpha"]));
        let p_max = binomial::lower_bound(n, n, alpha);
        assert!(p_max <= real(&row["p_max"]) && real(&row["p_max"]) - p_max < 1e-12);
        // The largest n have no entry.
        let Some(want) = row["k_min_not_abstain"].as_u64().map(|k| Some(k as u32)) else { continue };
        assert_eq!(binomial::min_count(n, 0.5, alpha), want, "{n} {alpha}");
    }
    for row in tables["predict_two_sided_binomial"].as_array().expect("rows") {
        let p = binomial::two_sided_half(int(&row["n1"]), int(&row["n2"]));
        let exact = real(&row["p_two_sided"]);
        assert!(p >= exact && p - exact <= 1e-11 * exact, "{p} {exact}");
    }
    for row in tables["predict_min_top_count"].as_array().expect("rows") {
        let n = int(&row["n1_plus_n2"]);
        for alpha in ["0.05", "0.01", "0.001"] {
            let want = row[format!("min_n1_alpha_{alpha}")].as_u64().map(|k| k as u32);
            let alpha: f64 = alpha.parse().expect("a number");
            let found = (n / 2 + 1..=n).find(|&k| binomial::two_sided_half(k, n - k) <= alpha);
            assert_eq!(found, want, "{n} {alpha}");
        }
    }
}

#[test]
fn shifts_of_means_are_rounded_up() {
    let Some(tables) = tables() else { return };
    let close = |found: f64, exact: f64| assert!(found >= exact && found <= exact * (1.0 + 1e-12), "{found} {exact}");
    for row in tables["empirical_bernstein"].as_array().expect("rows") {
        let (n, variance, delta) = (int(&row["n"]), real(&row["sample_variance"]), real(&row["delta"]));
        close(bounds::empirical_bernstein(n, variance, delta), real(&row["maurer_pontil_one_sided"]));
        close(bounds::hoeffding(n, delta), real(&row["hoeffding_one_sided"]));
    }
    for row in tables["dkw"].as_array().expect("rows") {
        let (n, alpha) = (int(&row["n"]), real(&row["alpha"]));
        close(bounds::dkw_two_sided(n, alpha), real(&row["two_sided"]));
        close(bounds::dkw_one_sided(n, alpha), real(&row["one_sided"]));
    }
}

#[test]
fn thresholds_have_all_their_64_bits() {
    let Some(tables) = tables() else { return };
    let mut checked = 0;
    for row in tables["rounded_gaussian_thresholds_u64"].as_array().expect("rows") {
        let sigma = row["sigma_grid"].as_str().expect("decimal");
        let (whole, fraction) = sigma.split_once('.').unwrap_or((sigma, ""));
        let denominator = 10u32.pow(fraction.len() as u32);
        let numerator = format!("{whole}{fraction}").parse().expect("digits");
        let bytes = build_table(Sigma::new(numerator, denominator).expect("not zero")).expect("builds");
        let count = (bytes.len() - 24) / 8;
        let half = |i: usize, at: usize| u64::from(u32::from_le_bytes(*bytes[at + i * 4..].first_chunk().expect("4")));
        let stored = |i: usize| half(i, 24) << 32 | half(i, 24 + count * 4);
        for (key, want) in row["T_i=floor(2^64*Phi((i+0.5)/sigma_grid))"].as_object().expect("thresholds") {
            let (i, want): (i64, u128) = (key.parse().expect("i"), want.as_str().expect("T").parse().expect("T"));
            let found = |i: i64| if (i as usize) < count { stored(i as usize) } else { u64::MAX };
            let found = if i >= 0 { found(i) } else { u64::MAX - found(-1 - i) };
            // The last thresholds round to 2^64, which 64 bits cannot hold: no u reaches them.
            assert_eq!(u128::from(found), want.min(u128::from(u64::MAX)), "σ = {sigma}, i = {i}");
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked}");
}
