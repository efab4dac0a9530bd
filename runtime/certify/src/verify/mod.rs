//! What a second party can check of a record, and what each check proves.
//!
//! All three take the verifier's own [`Claim`] and noise table. A record is worth nothing without: the nonce has to be
//! one that the verifier chose after the commitment, and the noise table has to be the right one for its σ
//! (`selvedge_noise::build_table` makes it).
//!
//! | check | runs | proves |
//! |---|---|---|
//! | [`arithmetic`] | none | decision, radius and α account follow from the counts by the rule; request, shape and σ are those of the commitment. Nothing about the counts: a liar may have made them up |
//! | [`spot`] | n₀ + m | the selection is true, and fewer than a fraction η of the estimation predictions are false, where a record with more passes with probability at most (1 − η)^m over the verifier's seed. [`assured`] gives the radius that stands with so many counted against it |
//! | [`full`] | all | every count: the record is the one that an honest run makes |
//!
//! Why a spot check is sound: the root commits to each prediction and each node to the sums below it. Call a leaf bad if
//! its path does not add up, a sibling on it claims other than its size, or the prediction is not the model's. Take the
//! topmost nodes whose own sum is not that of their children or whose children claim other than their sizes: all their
//! leaves are bad, and they claim their own size. So in every class the root's count differs from the true one by at most
//! the number of bad leaves, and a bad leaf that is asked for is found. Without a tree nothing ties single predictions to
//! the counts, and rerunning some of them proves no more than a new, smaller certificate would: that is refused.

mod error;
mod spot;

use crate::judge::judge;
use crate::{Alpha, CertSpec, Certifier, Classify, Counts, Decision, Job, LookTable, Price, Tree};
use crate::{Reason, Record, Request, Rule, Terms};
pub use error::{CheckError, VerifyError};
use selvedge_noise::NoiseTable;
pub use spot::{assured, position, spot, undetected};

/// What the verifier knows by himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The nonce he chose.
    pub nonce: [u8; 32],
    /// That the nonce is not his but the record's, which has to say so: then α holds only for a prover who took the
    /// first that came.
    pub own_nonce: bool,
    /// The commitment he had before he chose it: see [`Terms::commitment`].
    pub commitment: [u8; 32],
}

/// The request and the price of a record, its hashes checked.
fn reopen<'t, const CLASSES: usize>(
    record: &Record<CLASSES>,
    table: &NoiseTable<'_>,
    looks: Option<&'t LookTable<'t>>,
) -> Result<(CertSpec<'t>, Price), VerifyError> {
    if table.hash() != record.table || table.sigma() != record.sigma {
        return Err(VerifyError::Table);
    }
    let rule = match record.rule {
        1 => Rule::Fixed,
        2 => Rule::Predict,
        3 => Rule::Sequential(looks.filter(|looks| looks.hash() == record.looks).ok_or(VerifyError::Looks)?),
        4 => Rule::Largest { gain: record.gain },
        _ => Rule::Partition,
    };
    let request = Request {
        rule,
        sigma: record.sigma,
        selection: record.selection,
        samples: record.samples,
        target_r2: record.target_r2,
    };
    let alpha = Alpha::from_units(record.alpha).map_err(VerifyError::Refused)?;
    let spec = CertSpec::new(alpha, request).map_err(VerifyError::Refused)?;
    let price = Price::new(record.sigma, table.tv_price(record.dimensions));
    spec.answerable(&price).map_err(VerifyError::Refused)?;
    Ok((spec, price))
}

/// Checks, without a model, that the record is one of what was committed to and that its decision follows.
///
/// # Errors
/// [`VerifyError`]. An abstention is confirmed like a certificate; a run that was broken off
/// ([`Reason::Cancelled`], [`Reason::NonDeterministicBackend`]) is [`VerifyError::NoClaim`].
pub fn arithmetic<const CLASSES: usize>(
    record: &Record<CLASSES>,
    claim: &Claim,
    table: &NoiseTable<'_>,
    looks: Option<&LookTable<'_>>,
) -> Result<(), VerifyError> {
    judged(record, claim, table, looks, 0).and_then(|decision| match decision == Some(record.decision) {
        true => Ok(()),
        false => Err(VerifyError::Decision),
    })
}

/// The decision that `slack` wrong predictions leave.
fn judged<const CLASSES: usize>(
    record: &Record<CLASSES>,
    claim: &Claim,
    table: &NoiseTable<'_>,
    looks: Option<&LookTable<'_>>,
    slack: u32,
) -> Result<Option<Decision>, VerifyError> {
    if (record.nonce, record.own_nonce) != (claim.nonce, claim.own_nonce) {
        return Err(VerifyError::Nonce);
    }
    let (spec, price) = reopen(record, table, looks)?;
    let params = crate::job::params_hash(&spec, record.kind, &record.grid, record.dimensions, record.classes);
    let hashes =
        crate::job::Hashes { model: record.model, input: record.input, params: record.params, table: record.table };
    if params != record.params || hashes.commitment() != claim.commitment {
        return Err(VerifyError::Commitment);
    }
    if let Decision::Abstain(Reason::Cancelled | Reason::NonDeterministicBackend) = record.decision {
        return Err(VerifyError::NoClaim);
    }
    let [selection, estimate] = &record.counts;
    // What parsing has checked, for records that were not parsed: no draws and no classes but those asked for.
    let classes = |counts: &Counts<CLASSES>| counts.as_slice().iter().skip(record.classes as usize).all(|&n| n == 0);
    if selection.total() != u64::from(record.selection)
        || estimate.total() > u64::from(record.samples)
        || !(classes(selection) && classes(estimate))
    {
        return Err(VerifyError::Counts);
    }
    let verdict = judge(&spec, record.classes as usize, &price, selection, estimate, slack);
    if (verdict.account.spent(), verdict.account.shares()) != (record.spent, record.shares) {
        return Err(VerifyError::Account);
    }
    Ok(verdict.decision)
}

/// Runs everything again and compares record with record.
///
/// # Errors
/// [`VerifyError::Terms`] for another model, input or request than the record's, [`VerifyError::Counts`] where the
/// rerun gives another record, and those of [`arithmetic`].
pub fn full<const CLASSES: usize, M: Classify>(
    record: &Record<CLASSES>,
    claim: &Claim,
    terms: &Terms<'_>,
    model: &mut M,
) -> Result<(), CheckError<M::Error>> {
    let job = same(record, claim, terms)?;
    let mut run = Certifier::<CLASSES>::new(&job).map_err(VerifyError::Refused)?;
    let mut tree = record.roots.map(|_| Tree::new(&job));
    let batch = u32::try_from(model.batch()).unwrap_or(u32::MAX);
    while run.selected() < record.selection || run.drawn() < drawn(record) {
        let left = match run.selected() < record.selection {
            true => record.selection - run.selected(),
            false => drawn(record) - run.drawn(),
        };
        let before = (run.selected(), run.drawn());
        match &mut tree {
            Some(tree) => run.step_with(model, left.min(batch), tree)?,
            None => run.step(model, left.min(batch))?,
        };
        // The rerun ended before the record did.
        if before == (run.selected(), run.drawn()) {
            return Err(VerifyError::Counts.into());
        }
    }
    let mut rerun = run.record(tree.as_ref()).map_err(VerifyError::Refused)?;
    rerun.library = record.library;
    if rerun == *record { Ok(()) } else { Err(VerifyError::Counts.into()) }
}

fn drawn<const CLASSES: usize>(record: &Record<CLASSES>) -> u32 {
    record.counts[1].total() as u32
}

/// The job of a record, if `terms` are its own and the decision follows from its counts.
fn same<'t, const CLASSES: usize>(
    record: &Record<CLASSES>,
    claim: &Claim,
    terms: &'t Terms<'t>,
) -> Result<Job<'t>, VerifyError> {
    let hashes =
        crate::job::Hashes { model: record.model, input: record.input, params: record.params, table: record.table };
    if hashes != terms.hashes {
        return Err(VerifyError::Terms);
    }
    let looks = if let Rule::Sequential(looks) = terms.spec().request().rule { Some(looks) } else { None };
    arithmetic(record, claim, terms.table(), looks)?;
    Ok(if record.own_nonce { Job::with_own_nonce(terms, record.nonce) } else { Job::new(terms, record.nonce) })
}
