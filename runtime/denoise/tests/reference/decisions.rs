//! Bandits, experts and routing.

use crate::support::{case, same};
use selvedge_denoise::heads::*;

#[test]
fn inverse_gap_weights_are_the_reference_ones() {
    let Some(case) = case("igw_bandit") else { return };
    let (losses, gamma) = (case.list("inputs.loss_pred"), case.number("params.gamma"));
    let mut out = [0.0; 4];
    inverse_gap(&losses, gamma, &mut out).expect("fits");
    case.same("expected.squarecb", &out, 1e-12);
    fast_inverse_gap(&losses, gamma, &mut out).expect("fits");
    case.same("expected.fastcb", &out, 1e-12);
    let found: Vec<f64> = (case.rows("inputs.signs").iter())
        .map(|row| {
            let signs: Vec<bool> = row.iter().map(|&sign| sign > 0.0).collect();
            let weights = (&case.list("inputs.theta")[..], &case.list("inputs.theta0")[..]);
            let width = case.integer("params.width") as u32;
            perturbed(case.number("inputs.f"), case.number("params.c_p"), width, weights, &signs).expect("fits")
        })
        .collect();
    case.same("expected.perturbed", &found, 1e-12);
    same(&[case.number("expected.perturbed_mean")], &[(found[0] + found[1]) / 2.0], 1e-12, "mean");
}

#[test]
fn optimistic_weights_play_what_the_reference_plays() {
    let Some(case) = case("optimistic_omd_simplex") else { return };
    let mut weights = OptimisticWeights::<3>::new(case.number("params.eta")).expect("above 0");
    let mut played = vec![];
    for losses in case.rows("inputs.grads") {
        played.extend(weights.play());
        weights.learn(&[losses[0], losses[1], losses[2]]).expect("finite");
    }
    case.same("expected.played", &played, 1e-12);
    case.same("expected.final_xhat", weights.weights(), 1e-12);
}

#[test]
fn the_log_barrier_has_the_reference_root() {
    let Some(case) = case("ftrl_log_barrier") else { return };
    let mut out = [0.0; 3];
    let lambda = log_barrier(&case.list("inputs.cum_loss"), case.number("params.eta"), &mut out).expect("fits");
    case.same("expected.pi", &out, 1e-12);
    same(&[case.number("expected.lagrange")], &[lambda], 1e-12, "the root");
    assert!((out.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn sparse_transport_has_the_reference_value_gradient_and_plan() {
    let Some(case) = case("sparse_ot_topk") else { return };
    let (costs, rows, columns) = (case.list("inputs.cost"), case.list("inputs.a"), case.list("inputs.b"));
    let gamma = case.number("params.gamma");
    let (mut gradient, mut plan, mut work) = ([0.0; 5], [0.0; 15], [0.0; 15]);
    let marginals = (&rows[..], &columns[..]);
    let alpha = case.list("inputs.alpha_probe");
    let value = sparse_transport(&alpha, &costs, marginals, (gamma, 2), &mut gradient, &mut plan, &mut work);
    same(&[case.number("expected.probe_k2.value")], &[value.expect("fits")], 1e-12, "value");
    case.same("expected.probe_k2.gradient", &gradient, 1e-12);
    case.same("expected.probe_k2.plan", &plan, 1e-12);
    // Where the optimum is smooth, ascent finds it and its plan; on a kink the value alone, slowly.
    for k in [3, 5] {
        let expected = |what: &str| format!("expected.solutions.k{k}.{what}");
        let mut alpha = [0.0; 5];
        let missed = ascend(&mut alpha, &costs, marginals, (gamma, k), 4000, &mut work).expect("fits");
        let value = sparse_transport(&alpha, &costs, marginals, (gamma, k), &mut gradient, &mut plan, &mut work);
        same(&[case.number(&expected("semi_dual"))], &[value.expect("fits")], 1e-9, "value");
        if case.number(&expected("max_marginal_violation")) < 1e-9 {
            assert!(missed < 1e-9, "{k}: {missed}");
            case.list(&expected("plan")).iter().zip(plan).for_each(|(e, f)| assert!((e - f).abs() < 1e-8, "{e} {f}"));
        }
    }
    // k = 1 has the value of the linear program but for the quadratic term, which is the same for every plan.
    let quadratic = gamma / 2.0 * columns.iter().map(|b| b * b).sum::<f64>();
    let mut alpha = [0.0; 5];
    let mut best = f64::NEG_INFINITY;
    for _ in 0..400 {
        ascend(&mut alpha, &costs, marginals, (gamma, 1), 10, &mut work).expect("fits");
        let value = sparse_transport(&alpha, &costs, marginals, (gamma, 1), &mut gradient, &mut [], &mut work);
        best = best.max(value.expect("fits"));
    }
    let bound = case.number("expected.lp_cost") + quadratic;
    assert!(best <= bound + 1e-12 && best > bound - 0.02, "{best} {bound}");
}
