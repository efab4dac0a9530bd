//! Transport with at most k entries a column (Liu, Puigcerver and Blondel 2023): a router of tokens to experts with a
//! bound on how many share one.
//!
//! Maximized over α is ⟨α, a⟩ − Σ_j f*(α − c_j) with f*(s) = max{⟨s, t⟩ − γ/2·‖t‖² : t ≥ 0, Σt = b_j, at most k entries}.
//! Where k is small the optimum can lie on a kink: rows then miss their mass, by what the gradient says.

use crate::error::{DenoiseError, check_finite, check_len, require};

/// A column: the largest k of s = α − c, projected on the simplex of mass b after division by γ. Returns f*(s); `plan` is
/// the column, `work` as long.
fn column(s: &[f64], mass: f64, gamma: f64, k: usize, plan: &mut [f64]) -> f64 {
    // The largest first, the first of equals; `plan` marks what was taken.
    plan.fill(0.0);
    let (mut sum, mut threshold, mut taken) = (0.0, 0.0, 0);
    while taken < k.min(s.len()) {
        let mut best = None;
        for (i, &value) in s.iter().enumerate() {
            let free = plan[i] == 0.0;
            if free && best.is_none_or(|best: usize| value > s[best]) {
                best = Some(i);
            }
        }
        let Some(best) = best else { break };
        let value = s[best] / gamma;
        // An entry below the threshold ends the support: those after it are smaller.
        let next = (sum + value - mass) / (taken + 1) as f64;
        if value <= next {
            break;
        }
        sum += value;
        threshold = next;
        plan[best] = 1.0;
        taken += 1;
    }
    let mut value = 0.0;
    for (t, &s) in plan.iter_mut().zip(s) {
        if *t != 0.0 {
            *t = (s / gamma - threshold).max(0.0);
            value += s * *t - 0.5 * gamma * *t * *t;
        }
    }
    value
}

/// One column of the plan, and f*(s).
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`], [`DenoiseError::Parameter`] for a mass, γ or k that is not above 0.
pub fn sparse_column(s: &[f64], mass: f64, gamma: f64, k: usize, plan: &mut [f64]) -> Result<f64, DenoiseError> {
    check_len(plan, s.len())?;
    check_finite(s)?;
    require(mass > 0.0 && mass.is_finite() && gamma > 0.0 && gamma.is_finite() && k > 0)?;
    Ok(column(s, mass, gamma, k, plan))
}

/// The objective at α, its gradient a − Σ_j t_j and, where `plan` is not empty, the plan (rows of costs by columns).
/// `work` has twice as many elements as α.
///
/// # Errors
/// Those of [`sparse_column`]; [`DenoiseError::Buffer`].
#[allow(clippy::too_many_arguments)]
pub fn sparse_transport(
    alpha: &[f64],
    costs: &[f64],
    (rows, columns): (&[f64], &[f64]),
    (gamma, k): (f64, usize),
    gradient: &mut [f64],
    plan: &mut [f64],
    work: &mut [f64],
) -> Result<f64, DenoiseError> {
    let (m, n) = (rows.len(), columns.len());
    check_len(alpha, m)?;
    check_len(gradient, m)?;
    check_len(costs, m * n)?;
    if !plan.is_empty() {
        check_len(plan, m * n)?;
    }
    [alpha, costs, rows].into_iter().try_for_each(check_finite)?;
    let (s, one) = crate::error::part(work, 2 * m)?.split_at_mut(m);
    let mut value = crate::real::dot(alpha, rows);
    gradient.copy_from_slice(rows);
    for (j, &mass) in columns.iter().enumerate() {
        for ((s, &alpha), row) in s.iter_mut().zip(alpha).zip(costs.chunks_exact(n)) {
            *s = alpha - row[j];
        }
        value -= sparse_column(s, mass, gamma, k, one)?;
        gradient.iter_mut().zip(&*one).for_each(|(g, t)| *g -= t);
        if !plan.is_empty() {
            plan.chunks_exact_mut(n).zip(&*one).for_each(|(row, &t)| row[j] = t);
        }
    }
    Ok(value)
}

/// Steps of gradient ascent of length γ/columns, which cannot overshoot where the objective is smooth; returns the largest
/// row mass that is missed before the last step. `work` has three times as many elements as α.
///
/// # Errors
/// Those of [`sparse_transport`].
pub fn ascend(
    alpha: &mut [f64],
    costs: &[f64],
    marginals: (&[f64], &[f64]),
    (gamma, k): (f64, usize),
    steps: usize,
    work: &mut [f64],
) -> Result<f64, DenoiseError> {
    let m = alpha.len();
    let (gradient, work) = crate::error::part(work, 3 * m)?.split_at_mut(m);
    let mut missed = f64::INFINITY;
    for _ in 0..steps {
        sparse_transport(alpha, costs, marginals, (gamma, k), gradient, &mut [], work)?;
        let rate = gamma / marginals.1.len() as f64;
        missed = 0.0;
        for (alpha, g) in alpha.iter_mut().zip(&*gradient) {
            *alpha += rate * g;
            missed = g.abs().max(missed);
        }
    }
    Ok(missed)
}
