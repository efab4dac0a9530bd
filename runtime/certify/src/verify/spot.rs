//! Checks of single samples, and what they leave of an answer.

use super::{CheckError, Claim, VerifyError, arithmetic, drawn, judged, same};
use crate::merkle::{Proof, empty_root};
use crate::{Classify, Decision, LookTable, Record, Terms};
use selvedge_noise::{Domain, NoiseTable};
use sha2::{Digest, Sha256};

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
/// selection, and those of [`super::full`].
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
