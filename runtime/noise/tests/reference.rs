//! Oracle: tables of exact values (mpmath, 50 digits) in `certify_reference.json`. Bounds have to be within 1e-12
//! of them, and never on the side that would make a certificate false.

mod common;
use common::{fraction, int, real, rows, tables, thresholds};
use selvedge_noise::{NoiseTable, Sigma, binomial, bounds, build_table, normal};

#[test]
fn normal_distribution_is_bracketed_within_1e_12() {
    let Some(tables) = tables("normal distribution") else { return };
    for row in rows(&tables, "normal_cdf") {
        let (z, exact, complement) = (real(&row["z"]), real(&row["Phi"]), real(&row["one_minus_Phi"]));
        let (lower, upper) = (normal::cdf_lower(z), normal::cdf_upper(z));
        assert!(lower <= exact && exact <= upper, "Φ({z}): {lower} {exact} {upper}");
        assert!(upper - lower <= 1e-12 * exact.max(1e-290), "Φ({z}): {lower} {upper}");
        assert!(normal::cdf_lower(-z) <= complement && complement <= normal::cdf_upper(-z));
    }
    for row in rows(&tables, "normal_quantile") {
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
    let Some(tables) = tables("binomial bounds") else { return };
    let mut worst = 0f64;
    let bounds = rows(&tables, "clopper_pearson_one_sided");
    for row in bounds {
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
    println!("{} bounds, at most {worst:.1e} below the exact ones", bounds.len());
}

#[test]
fn counts_and_tests_equal_the_exact_ones() {
    let Some(tables) = tables("counts and binomial tests") else { return };
    for row in rows(&tables, "max_radius_and_min_count") {
        let (n, alpha) = (int(&row["n"]), real(&row["alpha"]));
        let p_max = binomial::lower_bound(n, n, alpha);
        assert!(p_max <= real(&row["p_max"]) && real(&row["p_max"]) - p_max < 1e-12);
        // The largest n have no entry.
        let Some(want) = row["k_min_not_abstain"].as_u64().map(|k| Some(k as u32)) else { continue };
        assert_eq!(binomial::min_count(n, 0.5, alpha), want, "{n} {alpha}");
    }
    for row in rows(&tables, "predict_two_sided_binomial") {
        let p = binomial::two_sided_half(int(&row["n1"]), int(&row["n2"]));
        let exact = real(&row["p_two_sided"]);
        assert!(p >= exact && p - exact <= 1e-11 * exact, "{p} {exact}");
    }
    for row in rows(&tables, "predict_min_top_count") {
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
    let Some(tables) = tables("shifts of means") else { return };
    let close = |found: f64, exact: f64| assert!(found >= exact && found <= exact * (1.0 + 1e-12), "{found} {exact}");
    for row in rows(&tables, "empirical_bernstein") {
        let (n, variance, delta) = (int(&row["n"]), real(&row["sample_variance"]), real(&row["delta"]));
        close(bounds::empirical_bernstein(n, variance, delta), real(&row["maurer_pontil_one_sided"]));
        close(bounds::hoeffding(n, delta), real(&row["hoeffding_one_sided"]));
    }
    for row in rows(&tables, "dkw") {
        let (n, alpha) = (int(&row["n"]), real(&row["alpha"]));
        close(bounds::dkw_two_sided(n, alpha), real(&row["two_sided"]));
        close(bounds::dkw_one_sided(n, alpha), real(&row["one_sided"]));
    }
}

#[test]
fn thresholds_have_all_their_64_bits() {
    let Some(tables) = tables("thresholds") else { return };
    let mut checked = 0;
    for row in rows(&tables, "rounded_gaussian_thresholds_u64") {
        let sigma = row["sigma_grid"].as_str().expect("decimal");
        let stored = thresholds(fraction(sigma));
        assert_eq!(stored.len(), int(&row["support_half_width_64bit"]) as usize, "σ = {sigma}");
        for (key, want) in row["T_i=floor(2^64*Phi((i+0.5)/sigma_grid))"].as_object().expect("thresholds") {
            let (i, want): (i64, u128) = (key.parse().expect("i"), want.as_str().expect("T").parse().expect("T"));
            let found = |i: i64| stored.get(i as usize).copied().unwrap_or(u64::MAX);
            let found = if i >= 0 { found(i) } else { u64::MAX - found(-1 - i) };
            // The last thresholds round to 2^64, which 64 bits cannot hold: no u reaches them.
            assert_eq!(u128::from(found), want.min(u128::from(u64::MAX)), "σ = {sigma}, i = {i}");
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked}");
}

#[test]
fn bounds_of_several_classes_and_order_statistics_equal_the_exact_ones() {
    let Some(tables) = tables("bounds of several classes") else { return };
    for row in rows(&tables, "incremental_irs") {
        // Half of 0.001 for each.
        let (k, n, exact) = (int(&row["k"]), int(&row["n"]), real(&row["p_lower"]));
        let lower = binomial::lower_bound(k, n, 0.0005);
        assert!(lower <= exact && exact - lower <= 1e-12, "{lower} {exact}");
        let exact = real(&row["zeta_upper"]);
        let upper = binomial::upper_bound(int(&row["disagree"]), int(&row["n_p"]), 0.0005);
        assert!(upper >= exact && upper - exact <= 1e-12, "{upper} {exact}");
    }
    for row in rows(&tables, "multiclass_cpm") {
        let counts: Vec<u32> = row["counts"].as_array().expect("counts").iter().map(int).collect();
        let buckets = row["buckets"].as_array().expect("buckets");
        let (n, alpha) = (counts.iter().sum(), real(&row["alpha"]) / buckets.len() as f64);
        let lower = binomial::lower_bound(counts[0], n, alpha);
        let others = buckets.iter().map(|bucket| bucket.as_array().expect("classes"));
        let others = others.map(|classes| classes.iter().map(|class| counts[int(class) as usize]).sum::<u32>());
        let upper = others.skip(1).map(|count| binomial::upper_bound(count, n, alpha)).fold(0.0, f64::max);
        let (exact_lower, exact_upper) = (real(&row["cpm_pA"]), real(&row["cpm_pB"]));
        assert!(lower <= exact_lower && exact_lower - lower <= 1e-12, "{lower} {exact_lower}");
        assert!(upper >= exact_upper && upper - exact_upper <= 1e-12, "{upper} {exact_upper}");
    }
    for row in rows(&tables, "median_smoothing_order_stats") {
        let (n, alpha) = (int(&row["n"]), real(&row["alpha_each_side"]));
        // The smallest u with P(Bin(n, p_high) ≥ u) ≤ α; the lower index is its mirror image.
        let upper = binomial::min_count(n, normal::cdf_upper(real(&row["eps_over_sigma"])), alpha);
        assert_eq!(upper, Some(int(&row["upper_order_stat_index_1based"])));
        assert_eq!(upper.map(|u| n + 1 - u), Some(int(&row["lower_order_stat_index_1based"])));
    }
}

#[test]
fn ablated_places_are_met_with_the_exact_probability() {
    let Some(tables) = tables("ablation") else { return };
    for row in rows(&tables, "l0_ablation_delta") {
        let (found, exact) =
            (bounds::ablation(int(&row["d"]), int(&row["keep"]), int(&row["rho"])), real(&row["Delta"]));
        assert!(found >= exact && found - exact <= 1e-12, "{found} {exact}");
    }
}

#[test]
fn the_law_of_the_tables_is_the_rounded_gaussian() {
    let Some(tables) = tables("the law of the tables") else { return };
    let mut of_tables = 0;
    for row in rows(&tables, "integer_gaussians") {
        let variance = real(&row["sigma2"]);
        let sigma = variance.sqrt();
        let pmf: Vec<f64> = row["rounded_pmf_0_to_5"].as_array().expect("numbers").iter().map(real).collect();
        for (z, exact) in pmf.iter().enumerate() {
            // By Φ: x = (z ± ½)/σ is off by 3 roundings, which moves Φ by at most 3·2^−53·x·φ(x) < 2^−53.
            let (below, above) = ((z as f64 - 0.5) / sigma, (z as f64 + 0.5) / sigma);
            let low = normal::cdf_lower(above) - normal::cdf_upper(below) - f64::EPSILON;
            let high = normal::cdf_upper(above) - normal::cdf_lower(below) + f64::EPSILON;
            assert!(low <= *exact && *exact <= high && high - low < 1e-14, "{low} {exact} {high}");
        }
        // Only rational σ have tables.
        if sigma * 4.0 != (sigma * 4.0).round() {
            continue;
        }
        let stored = thresholds(Sigma::new((sigma * 4.0) as u32, 4).expect("not zero"));
        let unit = 2f64.powi(-64);
        let probability = |z: usize| match z {
            0 => (2 * (stored[0] - (1 << 63))) as f64 * unit,
            z => {
                (stored.get(z).copied().unwrap_or(u64::MAX) - stored.get(z - 1).copied().unwrap_or(u64::MAX)) as f64
                    * unit
            }
        };
        for (z, exact) in pmf.iter().enumerate() {
            let found = probability(z);
            assert!((found - exact).abs() <= 1e-15 * exact + 2.0 * unit, "σ² = {variance}, z = {z}: {found} {exact}");
        }
        let found: f64 = (1..stored.len()).map(|z| 2.0 * (z * z) as f64 * probability(z)).sum();
        let exact = real(&row["rounded_variance"]);
        assert!((found / exact - 1.0).abs() < 1e-13, "σ² = {variance}: {found} {exact}");
        of_tables += 1;
    }
    assert_eq!(of_tables, 6);
}

#[test]
fn the_price_of_64_bits_is_the_exact_one() {
    let Some(tables) = tables("the price of 64 bits") else { return };
    for row in rows(&tables, "rounded_gaussian_thresholds_u64") {
        let bytes = build_table(fraction(row["sigma_grid"].as_str().expect("decimal"))).expect("builds");
        let table = NoiseTable::parse(&bytes).expect("valid");
        let (found, exact) = (table.tv_price(1), real(&row["tv_per_coordinate_bound"]));
        assert!(found >= exact && found <= exact * (1.0 + 1e-15), "{found:e} {exact:e}");
        // The same for many dimensions is given for a support that ends where both tails are below 2^−64 together, some
        // hundredths wider than where thresholds end.
        let prices = rows(&tables, "finite_precision_tv_price").iter().filter(|price| {
            let same = real(&price["sigma"]) == real(&row["sigma_unit"]);
            same && int(&price["bits"]) == 64
        });
        for price in prices {
            let (found, wider) = (table.tv_price(int(&price["d"])), real(&price["tau"]));
            assert!(found <= wider && found > 0.98 * wider, "{found:e} {wider:e}");
        }
    }
}
