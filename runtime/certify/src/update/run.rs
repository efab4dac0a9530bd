//! The pairs: both models on the same noise.

use super::{Update, carried};
use crate::judge::answer;
use crate::{CertError, Classify, Counts, Decision, Job, Reason, StepError, open_ball, state};
use selvedge_noise::Domain;

/// Pairs between which classes are kept.
const CHUNK: u32 = 64;
/// Kinds of pairs that are counted.
const KINDS: usize = 3;
/// Both say the same.
const SAME: usize = 0;
/// They differ, and the parent did not say A.
const OTHER: usize = 1;
/// The parent said A, the update did not.
const LOST: usize = 2;

/// A resumable run over the pairs.
#[derive(Debug)]
pub struct UpdateRun<'a> {
    update: &'a Update<'a>,
    job: Job<'a>,
    counts: Counts<KINDS>,
}

impl<'a> UpdateRun<'a> {
    /// A run at its beginning, with a nonce chosen after [`Update::commitment`].
    ///
    /// # Errors
    /// [`CertError::Parent`] for the parent's nonce, which was known before the update.
    pub fn new(update: &'a Update<'a>, nonce: [u8; 32]) -> Result<Self, CertError> {
        if nonce == update.parent_nonce {
            return Err(CertError::Parent);
        }
        let job = Job::extended(update.terms, update.params, nonce);
        Ok(UpdateRun { update, job, counts: Counts::default() })
    }

    /// Draws at most `most` pairs, at least one, and returns the decision after the last one.
    ///
    /// # Errors
    /// The models', and those of [`Job::for_each`]. Pairs before the error are counted, in groups of 64.
    pub fn step<M: Classify, N: Classify<Error = M::Error>>(
        &mut self,
        parent: &mut M,
        update: &mut N,
        most: u32,
    ) -> Result<Option<Decision>, StepError<M::Error>> {
        let end = self.drawn().saturating_add(most.max(1)).min(self.update.pairs);
        while self.drawn() < end {
            let first = self.drawn();
            let len = CHUNK.min(end - first);
            let mut old = [0u16; CHUNK as usize];
            self.job.for_each(parent, Domain::Extension, first, len, |sample, class| {
                if let Some(old) = old.get_mut((sample - first) as usize) {
                    *old = class as u16;
                }
                Ok(())
            })?;
            let mut counts = Counts::<KINDS>::default();
            self.job.for_each(update, Domain::Extension, first, len, |sample, new| {
                let old = old.get((sample - first) as usize).map_or(0, |&class| usize::from(class));
                let kind = match (old == new, old == self.update.class) {
                    (true, _) => SAME,
                    (false, false) => OTHER,
                    (false, true) => LOST,
                };
                if counts.add(kind) { Ok(()) } else { Err(CertError::Order) }
            })?;
            self.counts.merge(&counts);
        }
        Ok(self.decision())
    }

    /// Pairs so far.
    pub fn drawn(&self) -> u32 {
        self.counts.total() as u32
    }

    /// Pairs in which the parent said A and the update did not.
    pub fn lost(&self) -> u32 {
        self.counts.of(LOST)
    }

    /// Pairs in which the two differ.
    pub fn differ(&self) -> u32 {
        self.counts.of(LOST) + self.counts.of(OTHER)
    }

    /// The decision, once all pairs are drawn.
    pub fn decision(&self) -> Option<Decision> {
        let Update { terms, class, lower, pairs, share, .. } = self.update;
        if self.drawn() != *pairs {
            return None;
        }
        let radius = terms.price().radius(carried(*lower, self.lost(), *pairs, share.lower()));
        let undecided = Decision::Abstain(Reason::UndecidedAtBudget);
        Some(open_ball(radius).map_or(undecided, |r2| answer(*class, r2, terms.spec())))
    }

    /// Writes the state, 68 bytes, to the front of `to`; returns its length.
    ///
    /// # Errors
    /// [`CertError::Buffer`] with the bytes needed.
    pub fn save(&self, to: &mut [u8]) -> Result<usize, CertError> {
        state::write(to, self.job.binding(), KINDS as u32, 0, [&self.counts])
    }

    /// Goes on from a saved state.
    ///
    /// # Errors
    /// [`CertError::Parent`], and those of [`crate::Certifier::resume`].
    pub fn resume(update: &'a Update<'a>, nonce: [u8; 32], bytes: &[u8]) -> Result<Self, CertError> {
        let mut this = Self::new(update, nonce)?;
        ([this.counts], _) = state::read(bytes, this.job.binding(), KINDS as u32, 0)?;
        match this.counts.total() <= u64::from(update.pairs) {
            true => Ok(this),
            false => Err(CertError::Field { offset: 44 }),
        }
    }
}
