//! The verdict: a pure function of request, price and counts.

use crate::largest::{self, Schedule};
use crate::partition::Partition;
use crate::{Account, CertSpec, Counts, Price, Rule, closed_ball, open_ball};
use selvedge_noise::binomial;

/// What a run ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The smoothed classifier is constant, and equals `class`, on all grid points at a squared distance of at most
    /// `r2` steps; with probability 1 − α over the noise.
    Certified {
        /// The class.
        class: u16,
        /// Squared radius in grid steps: compare with Σδ², exactly.
        r2: u64,
    },
    /// The smoothed classifier returns `class` at the input itself; with probability 1 − α.
    Predicted {
        /// The class.
        class: u16,
    },
    /// No answer.
    Abstain(Reason),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// All draws are used and no bound or test decides.
    UndecidedAtBudget,
    /// Given up early: an answer was not to be expected.
    Futility,
    /// A radius is certified, but below the target.
    BelowTarget {
        /// Its square.
        r2: u64,
    },
    /// One sample was predicted in two ways: the model is not a function of its input.
    NonDeterministicBackend,
    /// Not finished; the run can be resumed.
    Cancelled,
}

/// A verdict and what it cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// `None`: go on.
    pub decision: Option<Decision>,
    pub account: Account,
}

/// The number of estimation draws after which the counts are judged next.
pub(crate) fn next_look(spec: &CertSpec<'_>, drawn: u32) -> Option<u32> {
    let request = spec.request();
    let samples = request.samples;
    match request.rule {
        Rule::Sequential(table) => table.samples().iter().copied().find(|&look| look > drawn && look <= samples),
        Rule::Largest { .. } => Schedule::new(samples).next(drawn),
        _ => (drawn < samples).then_some(samples),
    }
}

/// Judges the counts after their number of estimation draws; undecided where that is not a look.
///
/// `slack` is how many of them may have been counted wrongly; with any, the rules that stop early are not asked whether
/// they would, only what is proved here.
pub(crate) fn judge<const CLASSES: usize>(
    spec: &CertSpec<'_>,
    classes: usize,
    price: &Price,
    selection: &Counts<CLASSES>,
    estimate: &Counts<CLASSES>,
    slack: u32,
) -> Verdict {
    let request = spec.request();
    let drawn = u32::try_from(estimate.total()).unwrap_or(u32::MAX);
    let mut account = Account::open(spec.alpha());
    let last = next_look(spec, drawn).is_none();
    let class = selection.top();
    let hits = estimate.of(class).saturating_sub(slack);
    let decision = match request.rule {
        Rule::Sequential(table) => {
            let _ = account.spend(crate::Alpha::from_units(table.alpha_units()).unwrap_or(spec.alpha().again()));
            match table.row(drawn) {
                Some((accept, _)) if hits >= accept => {
                    closed_ball(table.radius(price)).map(|r2| answer(class, r2, spec))
                }
                Some((_, refuse)) if hits < refuse => Some(Decision::Abstain(Reason::Futility)),
                _ => None,
            }
        }
        Rule::Largest { gain } => {
            let gain = if slack == 0 { Some(gain) } else { None };
            at_look(spec, price, (class, hits, drawn), gain, &mut account)
        }
        _ if !last => None,
        Rule::Predict => {
            let (first, second) = estimate.top_two();
            let share = account.spend(spec.alpha().again());
            let most = estimate.of(first).saturating_sub(slack);
            let next = estimate.of(second).saturating_add(slack);
            let p_value = if most > next { binomial::two_sided_half(most, next) } else { 1.0 };
            (p_value <= share).then_some(Decision::Predicted { class: first as u16 })
        }
        Rule::Fixed => {
            let share = account.spend(spec.alpha().again());
            let radius = price.radius(binomial::lower_bound(hits, drawn, share));
            open_ball(radius).map(|r2| answer(class, r2, spec))
        }
        Rule::Partition => {
            let partition = Partition::of(selection, classes);
            let (lower, upper) = partition.bounds(estimate, drawn, slack, spec.alpha().again(), &mut account);
            open_ball(price.radius_two_class(lower, upper)).map(|r2| answer(class, r2, spec))
        }
    };
    let undecided = last.then_some(Decision::Abstain(Reason::UndecidedAtBudget));
    Verdict { decision: decision.or(undecided), account }
}

/// One look of [`Rule::Largest`].
fn at_look(
    spec: &CertSpec<'_>,
    price: &Price,
    (class, hits, drawn): (usize, u32, u32),
    gain: Option<u32>,
    account: &mut Account,
) -> Option<Decision> {
    let samples = spec.request().samples;
    let share = Schedule::new(samples).spend(spec.alpha(), drawn, account)?;
    let now = price.radius(binomial::lower_bound(hits, drawn, share));
    if let (Some(gain), true) = (gain, drawn < samples) {
        let best = largest::projected(samples, spec.alpha(), price, hits, drawn);
        let Some(best_r2) = open_ball(best) else { return Some(Decision::Abstain(Reason::Futility)) };
        if best_r2 < spec.request().target_r2.unwrap_or(0) {
            return Some(Decision::Abstain(Reason::Futility));
        }
        if best - now.max(0.0) > f64::from(gain) / 1000.0 * price.sigma_lower() {
            return None;
        }
    }
    open_ball(now).map(|r2| answer(class, r2, spec))
}

/// A class that is certified, if it reaches the target.
pub(crate) fn answer(class: usize, r2: u64, spec: &CertSpec<'_>) -> Decision {
    match r2 >= spec.request().target_r2.unwrap_or(0) {
        true => Decision::Certified { class: class as u16, r2 },
        false => Decision::Abstain(Reason::BelowTarget { r2 }),
    }
}
