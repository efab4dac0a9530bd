//! Mixing an accurate classifier with a robust one (Bai et al. 2024, "adaptive smoothing").
//!
//! The mixture is the class with the largest `(1 − a)·s_c(x) + a·h_c(x)`: s any scores in 0 to 1, the softmax of a network
//! that nothing is known about, h the class probabilities of a smoothed classifier, a the share of the robust one.
//! (Its logarithm, as published, has the same largest class.) Whatever s says, it moves a difference of two classes by at
//! most 1 − a; so A is the mixture's class wherever `h_A − h_B > μ = (1 − a)/a` for every other class B. For a ≤ ½ that is
//! nowhere, and such shares are refused. Where the share depends on the input, the certificate holds with a lower
//! bound of it, `a_min`: μ falls with a.
//!
//! **Radius.** With `h_A ≥ p_A` and `h_B ≤ p_B` at x, at distance r at least Φ(Φ⁻¹(p_A) − r/σ) and at most
//! Φ(Φ⁻¹(p_B) + r/σ) (Cohen et al. 2019; data processing for the grid). [`Mixing::radius`] is the distance at which these
//! differ by μ; half-spaces attain both, so from the two numbers nothing larger follows. Two published forms are never
//! larger and are kept to compare with:
//! - [`Mixing::radius_scaled`] `σ/2·(Φ⁻¹(p_A/(1 + μ)) − Φ⁻¹((p_B + μ)/(1 + μ)))`, from p_A/(1 + μ) and (p_B + μ)/(1 + μ)
//!   being smoothed functions with values in 0 to 1;
//! - [`Mixing::radius_lipschitz`] `σ·√(π/2)·(p_A − p_B − μ)`: the difference of two classes is Lipschitz with √(2/π)/σ.
//!   (Published code has half of it: the constant for each class twice.)
//!
//! **α.** The bounds are those of the robust classifier's run, the event in which they fail is the same: a mixture costs
//! nothing more. **Memory**: none. What is certified is the mixture with the smoothed probabilities themselves; a
//! prediction made from counted ones can still be wrong, as any prediction of a smoothed classifier.

use crate::judge::answer;
use crate::partition::Partition;
use crate::{Account, CertError, Certifier, Decision, Price, Reason, Rule, open_ball};
use selvedge_noise::{binomial, normal};

/// The share a of the robust classifier, or a lower bound of it for all inputs.
///
/// ```
/// use selvedge_certify::{CertError, Mixing, Price};
/// use selvedge_noise::Sigma;
/// let price = Price::new(Sigma::new(64, 1).expect("not zero"), 0.0);
/// let radius = Mixing::new(9, 10)?.radius(&price, 0.9, 0.05);
/// assert!(radius > 63.0 && radius < price.radius_two_class(0.9, 0.05));
/// assert_eq!(Mixing::new(1, 2), Err(CertError::Mixing));
/// # Ok::<(), CertError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mixing {
    numerator: u32,
    denominator: u32,
}

impl Mixing {
    /// `a = numerator/denominator`.
    ///
    /// # Errors
    /// [`CertError::Mixing`] unless ½ < a ≤ 1.
    pub const fn new(numerator: u32, denominator: u32) -> Result<Self, CertError> {
        match numerator <= denominator && numerator > denominator / 2 && numerator > denominator - numerator {
            true => Ok(Mixing { numerator, denominator }),
            false => Err(CertError::Mixing),
        }
    }

    /// The mixture's score of a class, times the denominator: exact. `standard` and `robust` have the same scale.
    pub fn mix(&self, standard: u32, robust: u32) -> u64 {
        let rest = u64::from(self.denominator - self.numerator);
        // At most 2^32·2^32 − 2^32: the weights add up to the denominator.
        rest * u64::from(standard) + u64::from(self.numerator) * u64::from(robust)
    }

    /// A number not below μ = (1 − a)/a, below 1 or the next one above.
    pub(crate) fn lead(&self) -> f64 {
        match self.denominator - self.numerator {
            0 => 0.0,
            rest => (f64::from(rest) / f64::from(self.numerator)).next_up(),
        }
    }

    /// The largest number of grid steps at which the classes' bounds are seen to differ by more than μ, for a lower bound
    /// of class A and an upper bound of every other one at x. 0 or less: no certificate.
    ///
    /// With the price of finite precision: p_A − τ and p_B + τ at x, and a difference of more than μ + 2τ. That the
    /// number returned is one is tested, not computed, as the two terms fall with the distance.
    pub fn radius(&self, price: &Price, a_lower: f64, b_upper: f64) -> f64 {
        let a = price.standing(a_lower);
        let b = normal::quantile_upper((b_upper + price.tau()).next_up());
        let lead = (self.lead() + 2.0 * price.tau()).next_up();
        let leads = |r: f64| {
            let difference = normal::cdf_lower((a - r).next_down()) - normal::cdf_upper((b + r).next_up());
            difference.next_down() > lead
        };
        // Where nobody else has a probability b is −∞, and so is b + r: the bound for A decides alone.
        if !a.is_finite() || b.is_nan() || !leads(0.0) {
            return f64::NEG_INFINITY;
        }
        let (mut low, mut high) = (0.0, a + 38.0);
        loop {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                return price.steps(low);
            }
            if leads(middle) { low = middle } else { high = middle }
        }
    }

    /// `σ/2·(Φ⁻¹(a·p_A) − Φ⁻¹(a·p_B + 1 − a))`, rounded down: never above [`Mixing::radius`] by more than rounding.
    pub fn radius_scaled(&self, price: &Price, a_lower: f64, b_upper: f64) -> f64 {
        let (numerator, denominator) = (f64::from(self.numerator), f64::from(self.denominator));
        let part = (numerator * a_lower).next_down() / denominator;
        let rest = ((numerator * b_upper).next_up() + (denominator - numerator)).next_up() / denominator;
        price.radius_two_class(part.next_down(), rest.next_up())
    }

    /// `σ·√(π/2)·(p_A − p_B − μ)`, rounded down: never above [`Mixing::radius`] by more than rounding.
    pub fn radius_lipschitz(&self, price: &Price, a_lower: f64, b_upper: f64) -> f64 {
        price.radius_margin(((a_lower - b_upper).next_down() - self.lead()).next_down())
    }

    /// The verdict about the mixture from the run of its robust classifier, by [`Rule::Fixed`] or [`Rule::Partition`].
    /// `None` while that is not done. No radius is larger than the run's own.
    ///
    /// # Errors
    /// [`CertError::Rule`] for other rules.
    pub fn verdict<const CLASSES: usize>(&self, run: &Certifier<'_, CLASSES>) -> Result<Option<Decision>, CertError> {
        let terms = run.job.terms();
        let spec = terms.spec();
        let rule = spec.request().rule;
        if !matches!(rule, Rule::Fixed | Rule::Partition) {
            return Err(CertError::Rule);
        }
        match run.decision() {
            None => return Ok(None),
            Some(Decision::Abstain(Reason::NonDeterministicBackend)) => return Ok(run.decision()),
            Some(_) => {}
        }
        // The bounds of the run's own verdict, worked out again.
        let (class, drawn, alpha) = (run.selection.top(), run.drawn(), spec.alpha().again());
        let (lower, upper) = match rule {
            Rule::Partition => {
                let partition = Partition::of(&run.selection, terms.subject().classes as usize);
                partition.bounds(&run.estimate, drawn, 0, alpha, &mut Account::open(spec.alpha()))
            }
            _ => {
                let lower = binomial::lower_bound(run.estimate.of(class), drawn, alpha.lower());
                (lower, (1.0 - lower).next_up())
            }
        };
        let decision = open_ball(self.radius(terms.price(), lower, upper)).map(|r2| answer(class, r2, spec));
        Ok(Some(decision.unwrap_or(Decision::Abstain(Reason::UndecidedAtBudget))))
    }
}
