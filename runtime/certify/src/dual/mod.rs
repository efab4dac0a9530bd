//! Dual randomized smoothing (Xia et al., ICLR 2024): two halves of an input, two classifiers, two noises.
//!
//! Let l and r be the elements of the two halves, f_l and f_r classifiers of one half each, and g_l, g_r the vectors of
//! class probabilities under the rounded Gaussian of σ_l and σ_r. The smoothed classifier is the class with the largest
//! mean vote `½·(g_l + g_r)`. Each half has half as many dimensions, so each can be right under more noise.
//!
//! **Radius.** Let `P(f_l = A) ≥ p_l` and `P(f_r = A) ≥ p_r`, z = Φ⁻¹(p). A perturbation with parts of lengths e_l and
//! e_r leaves A at least Φ(z_l − e_l/σ_l) and Φ(z_r − e_r/σ_r) (Cohen et al. 2019, with data processing for the grid).
//! Their sum exceeds 1, so that A has more than half of the mean vote, exactly where `z_l + z_r > e_l/σ_l + e_r/σ_r`.
//! The right side is at most `‖e‖·√(1/σ_l² + 1/σ_r²)`, which half-spaces attain:
//!
//! `R = (z_l + z_r)/√(1/σ_l² + 1/σ_r²)`, with equal σ `σ/√2·(z_l + z_r)`.
//!
//! Negative terms stay in the sum: one half may lean the other way. There is no certificate for z_l + z_r ≤ 0. The square
//! root of the sum of both halves' squared radii, which is found in published code, is not a bound: with p_l = 0.99,
//! p_r = 0.6 it says 2.34σ, and A has lost by then; the sum says 1.82σ.
//!
//! **Finite precision.** The laws that are drawn are at most τ_l and τ_r off, so p − τ takes the place of p and the sum
//! has to exceed 1 + τ_l + τ_r. Near the border `Φ(a) + Φ(b) − 1` is the probability of the interval from −b to a, whose
//! ends lie no farther out than |z_l|, |z_r| and its length; the length at which it exceeds τ_l + τ_r is taken off.
//!
//! **α.** A is chosen from the selection draws of both halves together. One bound for each half: split α in two, one
//! request each. Noise need not be independent between the halves (union bound). The verdicts of the halves' own runs are
//! about their own classifiers, and are bounds of their own where they are about another class.
//!
//! **Memory.** Two runs, 16 bytes for each class in all; each is saved and resumed on its own. No gathered copy of the
//! input: noise is drawn for the whole input for either half, and what the other half would get is left out.

mod split;

use crate::radius::slack;
use crate::{Account, Alpha, CertError, Certifier, Classify, Counts, Decision, Price, Progress, Range, Reason, Rule};
use crate::{Step, StepError, open_ball};
use selvedge_noise::binomial;
pub use split::{Checkerboard, Half, Side};

/// A number not above `(Φ⁻¹(p_l − τ_l) + Φ⁻¹(p_r − τ_r) − s)/√(1/σ_l² + 1/σ_r²)`, in grid steps, with the s that finite
/// precision costs. Not above 0: no certificate.
pub fn dual_radius(left: &Price, left_lower: f64, right: &Price, right_lower: f64) -> f64 {
    let (a, b) = (left.standing(left_lower), right.standing(right_lower));
    if !(a.is_finite() && b.is_finite()) {
        return f64::NEG_INFINITY;
    }
    let tau = if left.tau() + right.tau() > 0.0 { (left.tau() + right.tau()).next_up() } else { 0.0 };
    let Some(slack) = slack(tau, a.abs().max(b.abs())) else { return f64::NEG_INFINITY };
    let sigmas = ((a + b).next_down() - slack).next_down();
    if sigmas.is_nan() || sigmas <= 0.0 {
        return sigmas;
    }
    let (l, r) = (left.sigma_lower(), right.sigma_lower());
    let scale = l * r / libm::sqrt(l * l + r * r);
    sigmas * scale * (1.0 - 8.0 * f64::EPSILON)
}

/// The runs of both halves.
#[derive(Clone, Debug)]
pub struct Dual<'a, const CLASSES: usize> {
    left: Certifier<'a, CLASSES>,
    right: Certifier<'a, CLASSES>,
}

impl<'a, const CLASSES: usize> Dual<'a, CLASSES> {
    /// Two runs, new or resumed, by [`Rule::Fixed`] for the same clean input; the models are a [`Half`] each.
    ///
    /// # Errors
    /// [`CertError::Rule`], [`CertError::Halves`].
    pub fn new(left: Certifier<'a, CLASSES>, right: Certifier<'a, CLASSES>) -> Result<Self, CertError> {
        let (l, r) = (left.job.terms(), right.job.terms());
        if [l, r].iter().any(|terms| terms.spec().request().rule != Rule::Fixed) {
            return Err(CertError::Rule);
        }
        if (l.hashes.input, l.subject().grid, l.subject().classes)
            != (r.hashes.input, r.subject().grid, r.subject().classes)
        {
            return Err(CertError::Halves);
        }
        Ok(Dual { left, right })
    }

    /// Draws at most `most` samples of each half and says where the runs stand.
    ///
    /// # Errors
    /// Those of [`Certifier::step`].
    pub fn step<L: Classify, R: Classify<Error = L::Error>>(
        &mut self,
        left: &mut L,
        right: &mut R,
        most: u32,
    ) -> Result<Step, StepError<L::Error>> {
        self.left.step(left, most)?;
        self.right.step(right, most)?;
        Ok(self.status())
    }

    /// Where the runs stand: draws of both halves together.
    pub fn status(&self) -> Step {
        if let Some((decision, _)) = self.verdict() {
            return Step::Done(decision);
        }
        let class = self.class();
        let half = |run: &Certifier<'a, CLASSES>| {
            (run.drawn(), run.job.terms().spec().request().samples, run.estimate.of(class))
        };
        let (l, r) = (half(&self.left), half(&self.right));
        Step::Progress(Progress {
            drawn: l.0.saturating_add(r.0),
            samples: l.1.saturating_add(r.1),
            hits: l.2.saturating_add(r.2),
        })
    }

    /// The run of a half, to save, or for its counts and next range.
    pub fn half(&self, side: Side) -> &Certifier<'a, CLASSES> {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    /// [`Certifier::merge`] of a half, for callers that count by themselves.
    ///
    /// # Errors
    /// [`CertError::Order`].
    pub fn merge(&mut self, side: Side, range: Range, counts: &Counts<CLASSES>) -> Result<(), CertError> {
        match side {
            Side::Left => self.left.merge(range, counts),
            Side::Right => self.right.merge(range, counts),
        }
    }

    /// The verdict about the mean vote and its account over both shares of α; `None` while a half is not done.
    pub fn verdict(&self) -> Option<(Decision, Account)> {
        let done = [self.left.decision()?, self.right.decision()?];
        let alpha = |run: &Certifier<'a, CLASSES>| run.job.terms().spec().alpha().again();
        let (l, r) = (alpha(&self.left), alpha(&self.right));
        let whole = Alpha::from_units(l.units().saturating_add(r.units())).ok()?;
        let mut account = Account::open(&whole);
        let failed = Decision::Abstain(Reason::NonDeterministicBackend);
        if done.contains(&failed) {
            return Some((failed, account));
        }
        let class = self.class();
        let mut lower = |run: &Certifier<'a, CLASSES>, share: Alpha| {
            binomial::lower_bound(run.estimate.of(class), run.drawn(), account.spend(share))
        };
        let (left, right) = (lower(&self.left, l), lower(&self.right, r));
        let (l, r) = (self.left.job.terms().price(), self.right.job.terms().price());
        let certified = open_ball(dual_radius(l, left, r, right));
        let certified = certified.map(|r2| Decision::Certified { class: class as u16, r2 });
        Some((certified.unwrap_or(Decision::Abstain(Reason::UndecidedAtBudget)), account))
    }

    /// The class with the most selection draws of both halves.
    fn class(&self) -> usize {
        let mut selection = self.left.selection;
        selection.merge(&self.right.selection);
        selection.top()
    }
}
