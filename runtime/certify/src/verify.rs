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

use crate::judge::judge;
use crate::merkle::{Proof, Tree, empty_root};
use crate::{Alpha, CertError, CertSpec, Certifier, Classify, Decision, Job, LookTable, Price};
use crate::{Reason, Record, Request, Rule, StepError, Terms};
use core::fmt;
use selvedge_noise::{Domain, NoiseTable};
use sha2::{Digest, Sha256};

/// What the verifier knows by himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The nonce he chose.
    pub nonce: [u8; 32],
    /// The commitment he had before he chose it: see [`Terms::commitment`].
    pub commitment: [u8; 32],
}

/// Why a record was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// The nonce is another one.
    Nonce,
    /// Model, input, request or noise table are not those of the commitment.
    Commitment,
    /// The noise table is not that of the record.
    Table,
    /// The look table is missing or not that of the record.
    Looks,
    /// The request of the record could not have been made, or the rerun could not.
    Refused(CertError),
    /// The counts do not lead to this decision by this rule.
    Decision,
    /// The account of the failure probability is another one.
    Account,
    /// The record makes no claim that counts could support.
    NoClaim,
    /// The record has no tree of predictions.
    NoTree,
    /// The model or the input at hand is not that of the record.
    Terms,
    /// The proof for a sample is missing or does not lead to the root.
    Proof {
        /// Which sample.
        sample: u32,
    },
    /// A sample is predicted otherwise.
    Prediction {
        /// Which sample.
        sample: u32,
    },
    /// Other counts.
    Counts,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VerifyError::Nonce => f.write_str("the nonce is not the verifier's"),
            VerifyError::Commitment => f.write_str("model, input, request or noise table are not those committed to"),
            VerifyError::Table => f.write_str("the noise table is not that of the record"),
            VerifyError::Looks => f.write_str("the look table is missing or not that of the record"),
            VerifyError::Refused(error) => write!(f, "the request of the record cannot be run: {error}"),
            VerifyError::Decision => f.write_str("the decision does not follow from the counts"),
            VerifyError::Account => f.write_str("the account of alpha does not follow from the rule"),
            VerifyError::NoClaim => f.write_str("the run was broken off: there is nothing to confirm"),
            VerifyError::NoTree => {
                f.write_str("the record has no tree of predictions; only a full rerun checks counts")
            }
            VerifyError::Terms => f.write_str("the model or input at hand is not that of the record"),
            VerifyError::Proof { sample } => write!(f, "the proof of sample {sample} does not lead to the root"),
            VerifyError::Prediction { sample } => write!(f, "sample {sample} is predicted otherwise"),
            VerifyError::Counts => f.write_str("the counts are others"),
        }
    }
}

impl core::error::Error for VerifyError {}

/// The model failed, or the record was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckError<E> {
    /// The model's error.
    Model(E),
    /// The reason.
    Verify(VerifyError),
}

impl<E> From<VerifyError> for CheckError<E> {
    fn from(error: VerifyError) -> Self {
        CheckError::Verify(error)
    }
}

impl<E> From<StepError<E>> for CheckError<E> {
    fn from(error: StepError<E>) -> Self {
        match error {
            StepError::Model(error) => CheckError::Model(error),
            StepError::Cert(error) => CheckError::Verify(VerifyError::Refused(error)),
        }
    }
}

impl<E: fmt::Display> fmt::Display for CheckError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckError::Model(error) => error.fmt(f),
            CheckError::Verify(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for CheckError<E> {}

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
    if record.nonce != claim.nonce {
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
    Ok(Job::new(terms, record.nonce))
}

/// The `check`-th of the samples that a seed asks for, out of `drawn`; each is as likely as any other, but for 2^−32.
///
/// The seed has to be random and chosen after the record was handed over.
pub fn position(seed: &[u8; 32], check: u32, drawn: u32) -> u32 {
    let mut hash = Sha256::new();
    hash.update(b"selvedge spot check v1");
    hash.update(seed);
    hash.update(check.to_le_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let word = u64::from_le_bytes(*digest.first_chunk().unwrap_or(&[0; 8]));
    ((u128::from(word) * u128::from(drawn)) >> 64) as u32
}

/// Reruns the selection and the `checks` estimation draws of [`position`]; `proof` has to give the proof of each.
///
/// # Errors
/// [`VerifyError::NoTree`], [`VerifyError::Proof`], [`VerifyError::Prediction`], [`VerifyError::Counts`] for the
/// selection, and those of [`full`].
pub fn spot<const CLASSES: usize, M: Classify>(
    record: &Record<CLASSES>,
    claim: &Claim,
    terms: &Terms<'_>,
    model: &mut M,
    seed: &[u8; 32],
    checks: u32,
    mut proof: impl FnMut(u32) -> Option<Proof<CLASSES>>,
) -> Result<(), CheckError<M::Error>> {
    let job = same(record, claim, terms)?;
    let [_, root] = record.roots.ok_or(VerifyError::NoTree)?;
    let (classes, drawn) = (record.classes as usize, drawn(record));
    if job.count_range::<CLASSES, M>(model, Domain::Select, 0, record.selection)? != record.counts[0] {
        return Err(VerifyError::Counts.into());
    }
    if drawn == 0 && root != empty_root(Domain::Estimate) {
        return Err(VerifyError::Counts.into());
    }
    for check in 0..if drawn == 0 { 0 } else { checks } {
        let sample = position(seed, check, drawn);
        let proof = proof(sample).ok_or(VerifyError::Proof { sample })?;
        let top = proof.top(sample, drawn, classes).ok_or(VerifyError::Proof { sample })?;
        if top.counts != record.counts[1] || top.root(Domain::Estimate, drawn, classes) != root {
            return Err(VerifyError::Proof { sample }.into());
        }
        let mut found = None;
        job.for_each(model, Domain::Estimate, sample, 1, |_, class| {
            found = Some(class as u32);
            Ok(())
        })?;
        if found != Some(proof.class) {
            return Err(VerifyError::Prediction { sample }.into());
        }
    }
    Ok(())
}

/// A fraction η so that a record with at least a fraction η of false predictions passes `checks` checks with probability
/// at most `beta`: `1 − β^(1/m)`, rounded up. 1 for no checks and a beta outside 0 to 1.
pub fn undetected(checks: u32, beta: f64) -> f64 {
    if checks == 0 || !(beta > 0.0 && beta < 1.0) {
        return 1.0;
    }
    let fraction = -libm::expm1(libm::log(beta) / f64::from(checks)) * (1.0 + 16.0 * f64::EPSILON);
    if fraction < 1.0 { fraction } else { 1.0 }
}

/// The decision that stands after a spot check of so many samples, with a probability of error of `alpha + beta`: that
/// of the record's counts after ⌈η·n⌉ predictions were counted against it. `None` where none is left.
///
/// # Errors
/// Those of [`arithmetic`].
pub fn assured<const CLASSES: usize>(
    record: &Record<CLASSES>,
    claim: &Claim,
    table: &NoiseTable<'_>,
    looks: Option<&LookTable<'_>>,
    checks: u32,
    beta: f64,
) -> Result<Option<Decision>, VerifyError> {
    arithmetic(record, claim, table, looks)?;
    let slack = libm::ceil((undetected(checks, beta) * f64::from(drawn(record))).next_up()) as u32;
    let decision = judged(record, claim, table, looks, slack)?;
    Ok(decision.filter(|decision| !matches!(decision, Decision::Abstain(_))))
}
