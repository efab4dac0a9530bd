//! How many draws, by which rule.

use crate::alpha::Alpha;
use crate::decision::{Decision, Reason};
use crate::error::PlanError;
use crate::looks::{Looks, e_value};
use crate::radius::{radius, radius_squared};
use crate::record::MOST_CLASSES;
use selvedge_noise::{NoiseTable, binomial};
use sha2::{Digest, Sha256};

/// When draws end, and what follows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rule<'a> {
    /// The procedure CERTIFY of Cohen et al.: `n` draws, the Clopper–Pearson bound of the chosen class's
    /// probability, the radius that follows.
    Fixed {
        /// Draws.
        n: u32,
    },
    /// A target radius, decided as soon as the draws say so: see [`e_value`].
    Sequential(Looks<'a>),
}

/// A validated plan.
#[derive(Debug)]
pub struct Plan<'a> {
    table: &'a NoiseTable<'a>,
    dimensions: u32,
    classes: u16,
    selection: u32,
    rule: Rule<'a>,
    /// Spent whole on the one bound of the rule; the selection costs nothing, as its draws are not used again.
    alpha: f64,
    tv: f64,
}

impl<'a> Plan<'a> {
    /// For inputs of `dimensions` codes and `classes` classes; `selection` draws choose the class.
    ///
    /// # Errors
    /// [`PlanError`]: sizes, and numbers of draws with which no outcome could be a certificate.
    pub fn new(
        table: &'a NoiseTable<'a>,
        dimensions: usize,
        classes: usize,
        selection: u32,
        rule: Rule<'a>,
        alpha: Alpha,
    ) -> Result<Self, PlanError> {
        let dimensions = u32::try_from(dimensions).ok().filter(|d| (1..=1 << 31).contains(d));
        let dimensions = dimensions.ok_or(PlanError::Dimensions)?;
        if !(2..=MOST_CLASSES).contains(&classes) {
            return Err(PlanError::Classes);
        }
        if selection == 0 {
            return Err(PlanError::Selection);
        }
        let tv = table.tv_price(dimensions);
        let alpha = alpha.spend();
        let plan = Plan { table, dimensions, classes: classes as u16, selection, rule, alpha, tv };
        match rule {
            Rule::Fixed { n } => {
                let answers = |n: u32| radius(binomial::lower_bound(n, n, alpha), tv, table.sigma()).is_some();
                if n > i32::MAX as u32 || !answers(n) {
                    let least = (1..=4096).find(|&n| answers(n)).unwrap_or(u32::MAX);
                    return Err(PlanError::TooFewDraws { least });
                }
            }
            Rule::Sequential(looks) => {
                if radius_squared(looks.p0, tv, table.sigma()).is_none() {
                    return Err(PlanError::Target);
                }
                if !looks.valid() || looks.alpha.is_nan() || looks.alpha > alpha {
                    return Err(PlanError::Looks);
                }
                if looks.looks.iter().all(|look| look.pass == u32::MAX) {
                    return Err(PlanError::TooFewDraws { least: least_sequential(looks.p0, alpha) });
                }
            }
        }
        Ok(plan)
    }

    /// The noise.
    pub fn table(&self) -> &'a NoiseTable<'a> {
        self.table
    }

    /// Codes of an input.
    pub fn dimensions(&self) -> u32 {
        self.dimensions
    }

    /// Classes.
    pub fn classes(&self) -> u16 {
        self.classes
    }

    /// Draws that choose the class.
    pub fn selection(&self) -> u32 {
        self.selection
    }

    /// The rule.
    pub fn rule(&self) -> Rule<'a> {
        self.rule
    }

    /// The probability of a false certificate.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// Draws of the estimation at most.
    pub fn budget(&self) -> u32 {
        match self.rule {
            Rule::Fixed { n } => n,
            Rule::Sequential(looks) => looks.looks.last().map_or(0, |look| look.n),
        }
    }

    /// The number of draws, above `drawn`, after which the outcome may be decided.
    pub(crate) fn next_look(&self, drawn: u32) -> Option<u32> {
        match self.rule {
            Rule::Fixed { n } => Some(n).filter(|&n| n > drawn),
            Rule::Sequential(looks) => looks.looks.iter().map(|look| look.n).find(|&n| n > drawn),
        }
    }

    /// SHA-256 of what the draws depend on beside model, input and nonce.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"selvedge certify plan v1");
        let sigma = self.table.sigma();
        for word in [self.dimensions, u32::from(self.classes), self.selection, sigma.numerator, sigma.denominator] {
            hash.update(word.to_le_bytes());
        }
        hash.update(self.alpha.to_le_bytes());
        match self.rule {
            Rule::Fixed { n } => {
                hash.update([1]);
                hash.update(n.to_le_bytes());
            }
            Rule::Sequential(looks) => {
                hash.update([2]);
                hash.update(looks.hash());
            }
        }
        hash.finalize().into()
    }

    /// What follows from `count` of `drawn` draws of `class`; `None` while more are needed.
    pub(crate) fn decide(&self, class: u16, count: u32, drawn: u32) -> Option<Decision> {
        let certified = |p: f64| match radius_squared(p, self.tv, self.table.sigma()) {
            Some(radius_squared) => Decision::Certified { class, radius_squared },
            None => Decision::Abstain(Reason::UndecidedAtBudget),
        };
        match self.rule {
            Rule::Fixed { n } => (drawn == n).then(|| certified(binomial::lower_bound(count, n, self.alpha))),
            Rule::Sequential(looks) => {
                let look = looks.looks.iter().find(|look| look.n == drawn)?;
                if count >= look.pass {
                    Some(certified(looks.p0))
                } else if look.fail.is_some_and(|fail| count <= fail) {
                    Some(Decision::Abstain(Reason::Futile))
                } else {
                    (drawn == self.budget()).then_some(Decision::Abstain(Reason::UndecidedAtBudget))
                }
            }
        }
    }
}

/// Draws of one class that pass p0 when all of them have it.
fn least_sequential(p0: f64, alpha: f64) -> u32 {
    let passes = |n: u32| e_value(n, n, p0) >= -libm::log(alpha);
    let Some(high) = (4..24).map(|bits| 1u32 << bits).find(|&n| passes(n)) else { return u32::MAX };
    let (mut low, mut high) = (0, high);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if passes(middle) { high = middle } else { low = middle }
    }
    high
}
