//! A certificate for an updated model from that of its parent and a few pairs of predictions.
//!
//! After Ugare et al., "Incremental randomized smoothing certification" (ICLR 2024). The parent f had class A with
//! probability at least p̲. The update f' sees the same noise as f in n_p fresh draws; draws in which f says A and f' does
//! not are *lost*.
//!
//! **Statement.** `P(f' = A) ≥ P(f = A) − P(f = A, f' ≠ A) ≥ p̲ − ζ̄`, ζ̄ being the Clopper–Pearson bound for the
//! probability of a loss. (The paper bounds P(f ≠ f'), which is not less: a class that changes among others costs
//! nothing here.) With probability 1 − α the smoothed f' is A on all of the grid with `Σδ² ≤ r2`, r2 that of p̲ − ζ̄ at
//! the usual price of finite precision, paid once: both probabilities are under the law that is drawn.
//!
//! **α** is that of the new terms. A share of it pays ζ̄; p̲ is worked out again from the parent's counts at the rest, by
//! the union bound over both; the draws of parent and update need not be independent of each other.
//!
//! **What the parent's record has to be.** Checked by [`crate::verify::full`], or otherwise believed: its counts are
//! taken for those of f. Same input, grid, noise table, σ and number of classes as the new terms (checked here). Rules:
//! fixed and partition, all draws made: bound at the rest of α. Largest: bound of its look at that look's part of the
//! rest. Sequential: p0 of the look table, which the new terms have to name, at the table's own α, which the rest has to
//! cover; only if it was certified. Predictions, cancelled runs and models that are no function prove nothing.
//!
//! **Fresh draws.** The key depends on both models, the parent's counts and this request, and on a nonce that has to be
//! chosen after all of them are fixed ([`Update::commitment`]); the parent's nonce is refused. An update that was
//! selected for these draws would void the bound. They lie in the domain `Domain::Extension`.
//!
//! It pays where the two models seldom differ: ζ̄ is 0.0076 after 1000 pairs without a loss at α/2 = 1/2000.
//! Memory: 12 bytes of counts and 128 bytes of classes; a state has 68 bytes.

mod run;

use crate::job::Hashes;
use crate::largest::Schedule;
use crate::open_ball;
use crate::spec::{MOST, fewest};
use crate::{Account, Alpha, CertError, Decision, Reason, Record, Rule, Terms};
pub use run::UpdateRun;
use selvedge_noise::binomial;
use sha2::{Digest, Sha256};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdateRequest {
    /// Pairs of predictions.
    pub pairs: u32,
    /// The part of α that they pay, numerator and denominator; one half in the paper.
    pub share: (u32, u32),
}

/// Parent, update and request, before the nonce is known.
#[derive(Debug)]
pub struct Update<'a> {
    terms: &'a Terms<'a>,
    class: usize,
    /// p̲ at what was spent for it.
    lower: f64,
    pairs: u32,
    share: Alpha,
    account: Account,
    parent_nonce: [u8; 32],
    params: [u8; 32],
}

/// A number not above `p_lower` less the upper bound for losses.
///
/// ```
/// use selvedge_certify::{Price, update::carried};
/// use selvedge_noise::{Sigma, binomial};
/// // 99,000 of 100,000 draws, then 1000 pairs without a loss: 2.29σ becomes 2.08σ.
/// let p_lower = binomial::lower_bound(99_000, 100_000, 0.0005);
/// let price = Price::new(Sigma::new(100, 1).expect("not zero"), 0.0);
/// assert_eq!(price.radius(carried(p_lower, 0, 1000, 0.0005)).floor(), 208.0);
/// ```
pub fn carried(p_lower: f64, lost: u32, pairs: u32, alpha: f64) -> f64 {
    (p_lower - binomial::upper_bound(lost, pairs, alpha)).next_down()
}

impl<'a> Update<'a> {
    /// `terms` are those of the new model; their α is what parent and update may spend together.
    ///
    /// # Errors
    /// [`CertError::Parent`] for a record of something else, or one that proves nothing; [`CertError::Alpha`] for a
    /// share outside 0 to 1, or a look table that needs more than the rest; [`CertError::TooFewSamples`] where even
    /// without a loss nothing, or less than the target, would be left, [`CertError::Target`] where no number of pairs
    /// helps; [`CertError::Selection`] for more than 2^31 of them.
    pub fn new<const CLASSES: usize>(
        terms: &'a Terms<'a>,
        parent: &Record<CLASSES>,
        request: UpdateRequest,
    ) -> Result<Self, CertError> {
        let (numerator, denominator) = request.share;
        if numerator == 0 || numerator >= denominator {
            return Err(CertError::Alpha);
        }
        if request.pairs > MOST {
            return Err(CertError::Selection);
        }
        if !same_noise(terms, parent) {
            return Err(CertError::Parent);
        }
        let alpha = terms.spec().alpha();
        let (share, rest) = alpha.again().split_off(numerator, denominator);
        let mut account = Account::open(alpha);
        let class = parent.counts[0].top();
        let lower = parent_lower(terms, parent, class, rest, &mut account)?;
        let paid = account.spend(share.again());
        let target = terms.spec().request().target_r2.unwrap_or(0);
        let answers = |pairs| {
            let radius = terms.price().radius(carried(lower, 0, pairs, paid));
            open_ball(radius).is_some_and(|r2| r2 >= target)
        };
        if !answers(request.pairs) {
            return Err(fewest(request.pairs, answers));
        }
        let mut hash = Sha256::new();
        hash.update(b"selvedge update v1");
        hash.update(terms.hashes.params);
        hash.update(parent.model);
        hash.update(parent.params);
        hash.update(parent.nonce);
        for counts in &parent.counts {
            counts.as_slice().iter().for_each(|count| hash.update(count.to_le_bytes()));
        }
        hash.update(request.pairs.to_le_bytes());
        hash.update(share.units().to_le_bytes());
        let params = hash.finalize().into();
        let parent_nonce = parent.nonce;
        Ok(Update { terms, class, lower, pairs: request.pairs, share, account, parent_nonce, params })
    }

    /// What the prover hands over before the verifier chooses the nonce: a hash of both models, the parent's counts,
    /// input, request and table.
    pub fn commitment(&self) -> [u8; 32] {
        Hashes { params: self.params, ..self.terms.hashes }.commitment()
    }

    /// The class of the parent.
    pub fn class(&self) -> usize {
        self.class
    }

    /// The bound for the parent's probability of that class, at what is spent for it.
    pub fn parent_lower(&self) -> f64 {
        self.lower
    }

    /// What both bounds cost.
    pub fn account(&self) -> &Account {
        &self.account
    }
}

/// Whether the record's draws are of the law and the input of the terms.
fn same_noise<const CLASSES: usize>(terms: &Terms<'_>, parent: &Record<CLASSES>) -> bool {
    let (subject, hashes) = (terms.subject(), &terms.hashes);
    parent.input == hashes.input
        && parent.table == hashes.table
        && parent.grid == subject.grid
        && parent.kind == subject.input.kind()
        && parent.classes == subject.classes
        && parent.sigma == terms.spec().request().sigma
}

/// What the parent's counts prove about the probability of its class with failure probability `rest`.
fn parent_lower<const CLASSES: usize>(
    terms: &Terms<'_>,
    parent: &Record<CLASSES>,
    class: usize,
    rest: Alpha,
    account: &mut Account,
) -> Result<f64, CertError> {
    let [selection, estimate] = &parent.counts;
    let whole = selection.total() == u64::from(parent.selection) && parent.selection > 0;
    let function = parent.decision != Decision::Abstain(Reason::NonDeterministicBackend);
    if !whole || !function {
        return Err(CertError::Parent);
    }
    let hits = estimate.of(class);
    let drawn = u32::try_from(estimate.total()).map_err(|_| CertError::Parent)?;
    match parent.rule {
        1 | 5 if drawn == parent.samples => Ok(binomial::lower_bound(hits, drawn, account.spend(rest))),
        4 => {
            let share = Schedule::new(parent.samples).spend(&rest, drawn, account).ok_or(CertError::Parent)?;
            Ok(binomial::lower_bound(hits, drawn, share))
        }
        3 => {
            let Rule::Sequential(table) = terms.spec().request().rule else { return Err(CertError::Parent) };
            let accepted = table.row(drawn).is_some_and(|(accept, _)| hits >= accept);
            if table.hash() != parent.looks || !accepted {
                return Err(CertError::Parent);
            }
            if table.alpha_units() > rest.units() {
                return Err(CertError::Alpha);
            }
            let _ = account.spend(Alpha::from_units(table.alpha_units())?);
            Ok(table.p0())
        }
        _ => Err(CertError::Parent),
    }
}
