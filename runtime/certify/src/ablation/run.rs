//! Selection, estimation, decision.

use super::{Ablation, AblationJob, largest};
use crate::{Account, CertError, Classify, Counts, Range, StepError, state};
use selvedge_noise::{Domain, binomial};

/// What a run ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L0Decision {
    /// The smoothed classifier returns `class` wherever at most `rho` positions are changed; with probability 1 − α.
    Certified {
        /// The class.
        class: u16,
        /// Positions.
        rho: u32,
    },
    /// No class has a proved majority, or fewer positions are certified than asked for.
    Abstain,
}

/// A resumable run with room for `CLASSES` classes.
#[derive(Clone, Debug)]
pub struct AblationRun<'a, const CLASSES: usize> {
    job: &'a AblationJob<'a>,
    selection: Counts<CLASSES>,
    estimate: Counts<CLASSES>,
}

impl<'a, const CLASSES: usize> AblationRun<'a, CLASSES> {
    /// A run at its beginning.
    ///
    /// # Errors
    /// [`CertError::Classes`] where the model has more classes than there is room for.
    pub fn new(job: &'a AblationJob<'a>) -> Result<Self, CertError> {
        match job.ablation.subject.classes {
            found if found as usize > CLASSES => Err(CertError::Classes { found }),
            _ => Ok(AblationRun { job, selection: Counts::default(), estimate: Counts::default() }),
        }
    }

    /// Draws at most `most` samples, at least one, and returns the decision after the last one.
    ///
    /// # Errors
    /// Those of [`AblationJob::count_range`]; samples of the failed call are not counted.
    pub fn step<M: Classify>(&mut self, model: &mut M, most: u32) -> Result<Option<L0Decision>, StepError<M::Error>> {
        if let Some(range) = self.next_range(most) {
            let counts = self.job.count_range(model, range)?;
            self.merge(range, &counts)?;
        }
        Ok(self.decision())
    }

    /// The samples that come next, at most `most` and at least one. `None` when done.
    pub fn next_range(&self, most: u32) -> Option<Range> {
        let request = &self.job.ablation.request;
        let selected = self.selection.total() as u32;
        let (domain, first, end) = match selected < request.selection {
            true => (Domain::Select, selected, request.selection),
            false => (Domain::Estimate, self.estimate.total() as u32, request.samples),
        };
        (first < end).then(|| Range { domain, first, len: most.max(1).min(end - first) })
    }

    /// Adds the counts of the samples of [`AblationRun::next_range`], or of the first of them.
    ///
    /// # Errors
    /// [`CertError::Order`] for other samples, and counts whose sum is not their number.
    pub fn merge(&mut self, range: Range, counts: &Counts<CLASSES>) -> Result<(), CertError> {
        if self.next_range(range.len) != Some(range) || counts.total() != u64::from(range.len) {
            return Err(CertError::Order);
        }
        match range.domain {
            Domain::Select => self.selection.merge(counts),
            _ => self.estimate.merge(counts),
        }
        Ok(())
    }

    /// The decision, once all samples are drawn.
    pub fn decision(&self) -> Option<L0Decision> {
        let (decision, _) = self.judge()?;
        Some(decision)
    }

    /// What the decision cost: one bound.
    pub fn account(&self) -> Option<Account> {
        self.judge().map(|(_, account)| account)
    }

    fn judge(&self) -> Option<(L0Decision, Account)> {
        if self.next_range(1).is_some() {
            return None;
        }
        let Ablation { alpha, request, positions, .. } = self.job.ablation;
        let mut account = Account::open(alpha);
        let class = self.selection.top();
        let lower = binomial::lower_bound(self.estimate.of(class), request.samples, account.spend(alpha.again()));
        let rho = largest(*positions, request.keep, lower).filter(|&rho| rho >= request.target);
        let certified = rho.map(|rho| L0Decision::Certified { class: class as u16, rho });
        Some((certified.unwrap_or(L0Decision::Abstain), account))
    }

    /// Predictions of the selection and the estimation draws.
    pub fn counts(&self) -> [&Counts<CLASSES>; 2] {
        [&self.selection, &self.estimate]
    }

    /// Writes the state, [`crate::state_bytes`], to the front of `to`; returns its length.
    ///
    /// # Errors
    /// [`CertError::Buffer`] with the bytes needed.
    pub fn save(&self, to: &mut [u8]) -> Result<usize, CertError> {
        state::write(to, &self.job.binding, self.job.ablation.subject.classes, 0, self.counts())
    }

    /// Goes on from a saved state of the same job.
    ///
    /// # Errors
    /// Those of [`crate::Certifier::resume`].
    pub fn resume(job: &'a AblationJob<'a>, bytes: &[u8]) -> Result<Self, CertError> {
        let mut this = Self::new(job)?;
        let request = &job.ablation.request;
        ([this.selection, this.estimate], _) = state::read(bytes, &job.binding, job.ablation.subject.classes, 0)?;
        state::check_phases(&this.selection, &this.estimate, request.selection, request.samples)?;
        Ok(this)
    }
}
