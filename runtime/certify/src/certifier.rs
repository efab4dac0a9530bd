//! The state machine: selection, estimation, verdict.

use crate::judge::{judge, next_look};
use crate::{Account, CertError, Classify, Counts, Decision, Job, Reason, Rule, StepError};
use selvedge_noise::Domain;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Samples remain to be drawn.
    Progress(Progress),
    /// The verdict.
    Done(Decision),
}

/// Draws so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Estimation draws so far.
    pub drawn: u32,
    /// Estimation draws at most.
    pub samples: u32,
    /// Estimation draws that gave the class to be certified.
    pub hits: u32,
}

/// Samples of one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The domain.
    pub domain: Domain,
    /// The first sample.
    pub first: u32,
    /// How many.
    pub len: u32,
}

/// Takes every prediction in the order of the samples, selection first.
pub trait Sink {
    /// One prediction.
    ///
    /// # Errors
    /// Why it cannot be taken.
    fn take(&mut self, domain: Domain, sample: u32, class: usize) -> Result<(), CertError>;
}

/// Keeps nothing.
impl Sink for () {
    fn take(&mut self, _: Domain, _: u32, _: usize) -> Result<(), CertError> {
        Ok(())
    }
}

/// A resumable run with room for `CLASSES` classes: two counts a class, no buffers.
///
/// Whatever the batches and interruptions, samples are drawn by number and judged after the same numbers of draws, so
/// that counts, verdict and record are the same.
#[derive(Clone, Debug)]
pub struct Certifier<'a, const CLASSES: usize> {
    pub(crate) job: &'a Job<'a>,
    pub(crate) selection: Counts<CLASSES>,
    pub(crate) estimate: Counts<CLASSES>,
    pub(crate) decision: Option<Decision>,
    pub(crate) account: Account,
}

impl<'a, const CLASSES: usize> Certifier<'a, CLASSES> {
    /// A run at its beginning.
    ///
    /// # Errors
    /// [`CertError::Classes`] where the model has more classes than there is room for; [`CertError::Rule`] for
    /// [`Rule::Margin`].
    pub fn new(job: &'a Job<'a>) -> Result<Self, CertError> {
        if matches!(job.terms().spec().request().rule, Rule::Margin(_)) {
            return Err(CertError::Rule);
        }
        let found = job.terms().subject().classes;
        if found as usize > CLASSES {
            return Err(CertError::Classes { found });
        }
        let (selection, estimate) = (Counts::default(), Counts::default());
        let account = Account::open(job.terms().spec().alpha());
        Ok(Certifier { job, selection, estimate, decision: None, account })
    }

    /// Draws at most `most` samples, at least one, and says where the run stands.
    ///
    /// # Errors
    /// The model's, and those of [`Job::for_each`]; the samples of the failed call are not counted.
    pub fn step<M: Classify>(&mut self, model: &mut M, most: u32) -> Result<Step, StepError<M::Error>> {
        self.step_with(model, most, &mut ())
    }

    /// [`Certifier::step`] that hands every prediction to `sink` too, a [`crate::Tree`] for instance.
    ///
    /// # Errors
    /// Those of [`Certifier::step`] and of the sink. After an error the sink may hold predictions that were not counted:
    /// resume both from a saved state, or run without.
    pub fn step_with<M: Classify>(
        &mut self,
        model: &mut M,
        most: u32,
        sink: &mut impl Sink,
    ) -> Result<Step, StepError<M::Error>> {
        if let Some(range) = self.next_range(most) {
            let mut counts = Counts::<CLASSES>::default();
            self.job.for_each(model, range.domain, range.first, range.len, |sample, class| {
                sink.take(range.domain, sample, class)?;
                if counts.add(class) { Ok(()) } else { Err(CertError::Class { found: class as u32 }) }
            })?;
            self.merge(range, &counts)?;
        }
        Ok(self.status())
    }

    /// The samples that come next, at most `most` and at least one, never across a look. `None` when done.
    pub fn next_range(&self, most: u32) -> Option<Range> {
        if self.decision.is_some() {
            return None;
        }
        let most = most.max(1);
        let (selected, drawn) = (self.selected(), self.drawn());
        let spec = self.job.terms().spec();
        let selection = spec.request().selection;
        if selected < selection {
            return Some(Range { domain: Domain::Select, first: selected, len: most.min(selection - selected) });
        }
        let look = next_look(spec, drawn)?;
        Some(Range { domain: Domain::Estimate, first: drawn, len: most.min(look - drawn) })
    }

    /// Adds the counts of the samples of [`Certifier::next_range`], or of the first of them: for callers that count
    /// with several threads. A [`crate::Tree`] takes their predictions besides, in order.
    ///
    /// # Errors
    /// [`CertError::Order`] for other samples, and counts whose sum is not their number.
    pub fn merge(&mut self, range: Range, counts: &Counts<CLASSES>) -> Result<(), CertError> {
        let next = self.next_range(range.len).ok_or(CertError::Order)?;
        if next != range || counts.total() != u64::from(range.len) {
            return Err(CertError::Order);
        }
        match range.domain {
            Domain::Select => self.selection.merge(counts),
            _ => self.estimate.merge(counts),
        }
        self.settle();
        Ok(())
    }

    /// Judges the counts where they are those of a look, or none follows.
    pub(crate) fn settle(&mut self) {
        let terms = self.job.terms();
        let (spec, drawn) = (terms.spec(), self.drawn());
        if drawn > 0 && (next_look(spec, drawn - 1) == Some(drawn) || next_look(spec, drawn).is_none()) {
            let classes = terms.subject().classes as usize;
            let verdict = judge(spec, classes, terms.price(), &self.selection, &self.estimate, 0);
            (self.decision, self.account) = (verdict.decision, verdict.account);
        }
    }

    /// Predicts one sample twice; a difference ends the run with [`Reason::NonDeterministicBackend`].
    ///
    /// # Errors
    /// Those of [`Job::for_each`].
    pub fn probe<M: Classify>(&mut self, model: &mut M, sample: u32) -> Result<Step, StepError<M::Error>> {
        let mut classes = [0usize; 2];
        for found in &mut classes {
            self.job.for_each(model, Domain::Estimate, sample, 1, |_, class| {
                *found = class;
                Ok(())
            })?;
        }
        if classes[0] != classes[1] {
            self.decision = Some(Decision::Abstain(Reason::NonDeterministicBackend));
        }
        Ok(self.status())
    }

    /// Where the run stands.
    pub fn status(&self) -> Step {
        match self.decision {
            Some(decision) => Step::Done(decision),
            None => Step::Progress(Progress {
                drawn: self.drawn(),
                samples: self.job.terms().spec().request().samples,
                hits: self.estimate.of(self.selection.top()),
            }),
        }
    }

    /// The verdict, once there is one.
    pub fn decision(&self) -> Option<Decision> {
        self.decision
    }

    /// Selection draws so far.
    pub fn selected(&self) -> u32 {
        self.selection.total() as u32
    }

    /// Estimation draws so far.
    pub fn drawn(&self) -> u32 {
        self.estimate.total() as u32
    }

    /// Predictions of the selection draws.
    pub fn selection(&self) -> &Counts<CLASSES> {
        &self.selection
    }

    /// Predictions of the estimation draws.
    pub fn estimate(&self) -> &Counts<CLASSES> {
        &self.estimate
    }

    /// What the verdict cost.
    pub fn account(&self) -> &Account {
        &self.account
    }
}
