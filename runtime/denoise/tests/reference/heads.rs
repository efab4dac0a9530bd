//! Heads and small operators, f64 at 1e-12.

use crate::support::{case, narrow, same, wide};
use selvedge_denoise::heads::*;
use selvedge_denoise::transport::Moments;

#[test]
fn stablemax_and_the_collapse_of_softmax_are_the_reference_ones() {
    let Some(case) = case("stablemax") else { return };
    let logits = case.list("inputs.logits");
    case.same("expected.s", &logits.iter().map(|&x| stable_score(x)).collect::<Vec<f64>>(), 1e-12);
    let mut p = logits.clone();
    stable_max(&mut p).expect("finite");
    case.same("expected.stablemax", &p, 1e-12);
    case.same("expected.log_stablemax", &p.iter().map(|p| p.ln()).collect::<Vec<f64>>(), 1e-12);
    let mut p = narrow(&logits);
    stable_max(&mut p).expect("finite");
    case.same("expected.stablemax", &wide(&p), 2e-6);
    let mut p = logits.clone();
    soft_max(&mut p, 1.0).expect("finite");
    // Down to 4e-31: each on its own scale.
    case.list("expected.softmax").iter().zip(&p).for_each(|(e, f)| same(&[*e], &[*f], 1e-12, "softmax"));
    // The least gap on a grid of quarters.
    let first = |collapsed: &dyn Fn(f64) -> bool| (0..400).map(|i| 0.25 * f64::from(i)).find(|&gap| collapsed(gap));
    assert_eq!(first(&|gap| collapsed(&[gap, 0.0])), Some(case.number("expected.collapse_gap_f64_2class")));
    let f32_gap = Some(case.number("expected.collapse_gap_f32_2class"));
    assert_eq!(first(&|gap| collapsed(&[gap as f32, 0.0])), f32_gap);
    for (bits, path) in [(11, "f16"), (24, "f32"), (53, "f64")] {
        let expected = case.number(&format!("expected.collapse_gap_{path}_2class"));
        assert_eq!(first(&|gap| gap >= collapse_gap(bits)), Some(expected));
    }
}

#[test]
fn sparsemax_is_the_reference_one() {
    let Some(case) = case("sparsemax") else { return };
    let mut p = case.list("inputs.logits");
    let threshold = sparse_max(&mut p).expect("finite");
    case.same("expected.p", &p, 1e-12);
    same(&[case.number("expected.tau")], &[threshold], 1e-12, "threshold");
}

#[test]
fn softmax_with_temperature_and_counts_is_the_reference_one() {
    let Some(losses) = case("loss_resampling") else { return };
    let mut p: Vec<f64> = losses.list("inputs.losses").iter().map(|l| -l).collect();
    soft_max(&mut p, losses.number("params.tau")).expect("finite");
    losses.same("expected.prob", &p, 1e-12);
    let confidence = case("calibrated_confidence").expect("the same file");
    let mut p = confidence.list("inputs.loglik");
    let counts: Vec<u32> = confidence.list("inputs.counts").iter().map(|&c| c as u32).collect();
    weighted_soft_max(&mut p, &counts).expect("finite");
    confidence.same("expected.conf", &p, 1e-12);
}

#[test]
fn z_loss_needs_one_class_only() {
    let Some(case) = case("z_loss") else { return };
    let (rows, h) = (case.rows("inputs.W"), case.list("inputs.h"));
    let scores: Vec<f64> = rows.iter().map(|row| row.iter().zip(&h).map(|(w, h)| w * h).sum()).collect();
    case.same("expected.o", &scores, 1e-12);
    let full = Standardized::of_scores(&scores).expect("a spread");
    same(&[case.number("expected.mean")], &[full.mean()], 1e-12, "mean");
    same(&[case.number("expected.std_pop")], &[full.deviation()], 1e-12, "deviation");
    case.same("expected.z", &scores.iter().map(|&o| full.score(o)).collect::<Vec<_>>(), 1e-12);
    let mean: Vec<f64> = (0..4).map(|j| rows.iter().map(|row| row[j]).sum::<f64>() / 9.0).collect();
    let gram: Vec<f64> = (0..16).map(|at| rows.iter().map(|row| row[at / 4] * row[at % 4]).sum()).collect();
    let cheap = Standardized::of_hidden(&h, &mean, &gram, 9).expect("a spread");
    let (target, a, b) = (case.integer("params.target"), case.number("params.a"), case.number("params.b"));
    let z = cheap.score(scores[target]);
    same(&[case.number("expected.z_target_via_O_d2")], &[z], 1e-12, "one class");
    same(&[case.number("expected.sum_via_wbar")], &[cheap.mean() * 9.0], 1e-12, "sum");
    same(&[case.number("expected.loss")], &[z_loss(z, a, b).expect("finite")], 1e-12, "loss");
    let mut gradient = [0.0; 9];
    z_loss_gradient(&scores, target, a, b, &mut gradient).expect("fits");
    case.same("expected.grad", &gradient, 1e-11);
}

#[test]
fn comp_sum_losses_are_the_reference_ones() {
    let Some(case) = case("comp_sum_losses") else { return };
    let (logits, target) = (case.list("inputs.logits"), case.integer("params.target"));
    for (tau, key) in [(0.0, "tau0"), (0.5, "tau0.5"), (1.0, "tau1"), (1.5, "tau1.5"), (2.0, "tau2")] {
        let expected = case.value("expected")[key].as_f64().expect("a number");
        same(&[expected], &[comp_sum_loss(&logits, target, tau).expect("finite")], 1e-12, key);
    }
}

#[test]
fn gaussian_heads_are_fitted_as_the_reference_fits_them() {
    let Some(case) = case("naive_bayes_head") else { return };
    let labels = case.steps("inputs.y");
    let mut buffers = [[0.0; Moments::len(3)]; 3];
    let mut classes = buffers.each_mut().map(|buffer| Moments::new(3, buffer).expect("room"));
    case.rows("inputs.X").iter().zip(&labels).for_each(|(x, &y)| classes[y].push(x).expect("finite"));
    let prior: Vec<f64> = classes.iter().map(|c| c.count() as f64 / 24.0).collect();
    case.same("expected.prior", &prior, 1e-12);
    case.same("expected.mean", &classes.iter().flat_map(|c| c.mean().to_vec()).collect::<Vec<_>>(), 1e-12);
    let mut buffer = [0.0; GaussianHead::len(3, 3)];
    let queries = case.rows("inputs.query");
    let scores = |head: &GaussianHead<'_>| {
        let mut all = vec![];
        for query in &queries {
            let mut out = [0.0; 3];
            head.scores(query, &mut out).expect("fits");
            all.extend(out);
        }
        all
    };
    let head = GaussianHead::naive_bayes(&classes, &mut buffer).expect("fits");
    case.same("expected.linear_W", head.weights(), 1e-12);
    case.same("expected.linear_b", head.bias(), 1e-12);
    case.same("expected.scores", &scores(&head), 1e-12);
    let found: Vec<f64> = queries.iter().map(|query| head.class(query).expect("fits") as f64).collect();
    case.same("expected.argmax", &found, 0.0);
    let head = GaussianHead::linear_discriminant(&classes, &mut [0.0; 18], &mut buffer).expect("fits");
    case.same("expected.lda_W", head.weights(), 1e-12);
    case.same("expected.lda_b", head.bias(), 1e-12);
    case.same("expected.scores_lda", &scores(&head), 1e-12);
}

#[test]
fn ridge_heads_of_bags_and_distilled_rows_are_the_reference_ones() {
    let Some(bags) = case("aggregate_interpolated") else { return };
    let (x, bag, means) = (bags.rows("inputs.X"), bags.steps("inputs.bag"), bags.list("inputs.bag_mean"));
    // Means of bags count 1 − ρ, instances with their bag's mean ρ.
    for (rho, path) in
        [(bags.number("params.rho"), "expected.theta"), (0.0, "expected.bag_only"), (1.0, "expected.instance_only")]
    {
        let mut of_bags = NormalEquations::<2>::new();
        for (number, &y) in means.iter().enumerate() {
            let own: Vec<&Vec<f64>> = x.iter().zip(&bag).filter(|&(_, &b)| b == number).map(|(x, _)| x).collect();
            let mean = [0, 1].map(|j| own.iter().map(|x| x[j]).sum::<f64>() / own.len() as f64);
            of_bags.push(&mean, y, (1.0 - rho) / 4.0).expect("finite");
        }
        let mut of_instances = NormalEquations::<2>::new();
        x.iter().zip(&bag).for_each(|(x, &b)| of_instances.push(&[x[0], x[1]], means[b], rho / 8.0).expect("finite"));
        of_bags.merge(&of_instances);
        bags.same(path, &of_bags.solve(0.0).expect("determined"), 1e-12);
    }
    let ridge = case("distilled_ridge").expect("the same file");
    let lambda = ridge.number("params.lam");
    let mut all = NormalEquations::<3>::new();
    let y = ridge.list("inputs.y");
    ridge.rows("inputs.X").iter().zip(&y).for_each(|(x, &y)| all.push(&[x[0], x[1], x[2]], y, 1.0).expect("finite"));
    ridge.same("expected.theta_full", &all.solve(lambda).expect("determined"), 1e-12);
    let mut few = NormalEquations::<3>::new();
    ridge
        .rows("expected.distilled_rows")
        .iter()
        .for_each(|r| few.push(&[r[0], r[1], r[2]], r[3], 1.0).expect("finite"));
    ridge.same("expected.theta_distilled", &few.solve(lambda).expect("determined"), 1e-12);
    // ½‖Ax − t‖² + 0.05‖x‖².
    let bilevel = case("bilevel_normalized_momentum").expect("the same file");
    let mut upper = NormalEquations::<2>::new();
    let targets = bilevel.list("inputs.t");
    bilevel
        .rows("inputs.A")
        .iter()
        .zip(&targets)
        .for_each(|(a, &t)| upper.push(&[a[0], a[1]], t, 1.0).expect("finite"));
    bilevel.same("expected.optimum", &upper.solve(0.1).expect("determined"), 1e-12);
    assert!(NormalEquations::<2>::new().solve(0.0).is_err(), "nothing determines it");
}

#[test]
fn a_forest_smooths_as_the_reference_does() {
    let Some(case) = case("forest_smoother") else { return };
    let words = |path: &str| -> Vec<Vec<u16>> {
        case.rows(path).iter().map(|row| row.iter().map(|&x| x as u16).collect()).collect()
    };
    let (leaves, counts) = (words("inputs.leaf_of_train"), words("inputs.bootstrap_counts"));
    let trees: Vec<Tree<'_>> = leaves.iter().zip(&counts).map(|(leaves, counts)| Tree { leaves, counts }).collect();
    let y = case.list("inputs.y_train");
    let (mut weights, mut norms, mut predictions) = (vec![], vec![], vec![]);
    for query in words("inputs.leaf_of_query") {
        let mut s = [0.0; 6];
        norms.push(forest_weights(&trees, &query, &mut s).expect("examples"));
        predictions.push(s.iter().zip(&y).map(|(s, y)| s * y).sum());
        weights.extend(s);
        // The same from what leaves share.
        let in_leaf = |b: usize, i: usize| f64::from(counts[b][i]) * f64::from(u8::from(leaves[b][i] == query[b]));
        let overlaps: Vec<f64> =
            (0..4).map(|at| (0..6).map(|i| in_leaf(at / 2, i) * in_leaf(at % 2, i)).sum()).collect();
        let totals: Vec<f64> = (0..2).map(|b| (0..6).map(|i| in_leaf(b, i)).sum()).collect();
        let norm = support_overlap(&overlaps, &totals).expect("examples");
        assert!((norm - norms[norms.len() - 1]).abs() < 1e-12);
    }
    case.same("expected.weights", &weights, 1e-12);
    case.same("expected.per_query_norm2", &norms, 1e-12);
    case.same("expected.pred", &predictions, 1e-12);
    let effective = 6.0 / 4.0 * norms.iter().sum::<f64>();
    same(&[case.number("expected.eff_params_test")], &[effective], 1e-12, "effective");
    let mut own = vec![];
    for (&first, &second) in leaves[0].iter().zip(&leaves[1]) {
        let mut s = [0.0; 6];
        forest_weights(&trees, &[first, second], &mut s).expect("examples");
        own.extend(s);
    }
    case.same("expected.train_weights", &own, 1e-12);
    let trained = own.iter().map(|s| s * s).sum::<f64>();
    same(&[case.number("expected.eff_params_train")], &[trained], 1e-12, "trained");
    let single: Vec<f64> = (0..2)
        .map(|b| {
            let norm = |q: &Vec<u16>| forest_weights(&trees[b..=b], &q[b..=b], &mut [0.0; 6]).expect("examples");
            1.5 * words("inputs.leaf_of_query").iter().map(norm).sum::<f64>()
        })
        .collect();
    case.same("expected.per_tree_eff_params_test", &single, 1e-12);
}

#[test]
fn norms_styles_and_projections_are_the_reference_ones() {
    let Some(norm) = case("nonscaling_layernorm") else { return };
    let mut x = norm.list("inputs.x");
    layer_norm_unscaled(&mut x, &norm.list("inputs.beta"), norm.number("params.eps")).expect("fits");
    norm.same("expected.nonscaling", &x, 1e-12);
    let style = case("adain_style").expect("the same file");
    let (means, deviations) = (style.list("inputs.new_mean"), style.list("inputs.new_std"));
    let mut found = vec![];
    for (i, mut row) in style.rows("inputs.x").into_iter().enumerate() {
        restyle(&mut row, means[i], deviations[i], style.number("params.eps")).expect("finite");
        found.extend(row);
    }
    style.same("expected.y", &found, 1e-12);
    let gradient = case("perp_grad").expect("the same file");
    for (keep, path) in [(false, "expected.orthogonal"), (true, "expected.rescaled")] {
        let mut g = gradient.list("inputs.g");
        project_out(&gradient.list("inputs.w"), &mut g, keep).expect("fits");
        gradient.same(path, &g, 1e-12);
    }
}

#[test]
fn a_latent_path_deviates_as_the_reference_says() {
    let Some(case) = case("istd_metric") else { return };
    let (a, b) = (case.list("inputs.z_a"), case.list("inputs.z_b"));
    let matrix = [[1.0, 0.5, -0.3, 2.0], [0.2, -1.0, 0.7, 0.0], [1.5, 0.0, 0.4, -0.6]];
    let mut frames = vec![];
    let mut middle = vec![];
    for i in 0..11 {
        let mut z = [0.0; 4];
        slerp(&a, &b, f64::from(i) / 10.0, &mut z).expect("not zero");
        if i == 5 {
            middle = z.to_vec();
        }
        frames.extend(matrix.iter().map(|row| row.iter().zip(&z).map(|(m, z)| m * z).sum::<f64>().tanh()));
    }
    case.same("expected.slerp_mid", &middle, 1e-12);
    let deviation = path_deviation(&frames, 3).expect("eleven frames");
    same(&[case.number("expected.istd_pop")], &[deviation], 1e-12, "deviation");
}

#[test]
fn an_implicit_field_refines_itself_as_the_reference_does() {
    let Some(case) = case("orex_tiny_forward") else { return };
    let lists = ["W1", "b1", "W2", "b2", "cos_freq", "sin_freq", "h0"].map(|key| case.list(&format!("inputs.{key}")));
    let layers = [Dense { weights: &lists[0][..], bias: &lists[1] }, Dense { weights: &lists[2], bias: &lists[3] }];
    let field = Implicit::new(Encoding { cosines: &lists[4], sines: &lists[5] }, &layers, 0.01).expect("fits");
    let start = (case.list("inputs.logit0")[0], &lists[6][..]);
    let (mut work, mut found) = (vec![0.0; field.work_len()], vec![]);
    for point in case.rows("inputs.points") {
        let point = [point[0], point[1], point[2]];
        field.evaluate(&point, start, 3, &mut work, |logit| found.push(logit)).expect("fits");
    }
    case.same("expected.logits", &found, 1e-12);
}
