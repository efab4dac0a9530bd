//! The procedure, in steps.

use crate::decision::Decision;
use crate::draw::{Classifier, Input, count};
use crate::error::{Error, PlanError};
use crate::plan::Plan;
use core::ops::Range;
use selvedge_noise::{Domain, NoiseKey};
use sha2::{Digest, Sha256};

/// What the noise is bound to beside plan and input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// A hash of the program that runs: an artifact's digest.
    pub model: [u8; 32],
    /// Chosen by whoever shall believe the result, after model and input are fixed. Who may choose it freely can
    /// try many, and multiplies α by their number.
    pub nonce: [u8; 32],
}

/// Draws to make: numbers of samples of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draws {
    /// Whose draws.
    pub domain: Domain,
    /// Their numbers.
    pub samples: Range<u64>,
}

/// How far a certification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Draws made for the selection of a class.
    pub selected: u32,
    /// Draws made for the estimation.
    pub drawn: u32,
    /// Of them with the class.
    pub count: u32,
    /// The class, once it is chosen.
    pub class: Option<u16>,
}

/// A certification on its way: counts, and nothing that grows.
#[derive(Clone, Debug)]
pub struct Certifier<'p, const CLASSES: usize> {
    pub(crate) plan: &'p Plan<'p>,
    pub(crate) identity: Identity,
    pub(crate) input: [u8; 32],
    pub(crate) input_type: u8,
    pub(crate) key: NoiseKey,
    pub(crate) selection: [u32; CLASSES],
    pub(crate) estimate: [u32; CLASSES],
    pub(crate) selected: u32,
    pub(crate) drawn: u32,
}

impl<'p, const CLASSES: usize> Certifier<'p, CLASSES> {
    /// Begins; `CLASSES` may be more than the plan's classes.
    ///
    /// # Errors
    /// [`PlanError::Dimensions`] and [`PlanError::Classes`] where input or size do not fit the plan.
    pub fn new(plan: &'p Plan<'p>, input: Input<'_>, identity: &Identity) -> Result<Self, PlanError> {
        if input.len() != plan.dimensions() as usize {
            return Err(PlanError::Dimensions);
        }
        if usize::from(plan.classes()) > CLASSES {
            return Err(PlanError::Classes);
        }
        let hash = input.hash();
        let key = NoiseKey::derive(&identity.nonce, &identity.model, &hash, &plan.hash(), &plan.table().hash());
        Ok(Certifier {
            plan,
            identity: *identity,
            input: hash,
            input_type: input.code(),
            key,
            selection: [0; CLASSES],
            estimate: [0; CLASSES],
            selected: 0,
            drawn: 0,
        })
    }

    /// Makes up to `draws` draws, fewer where a decision lies in between. After an error nothing was counted,
    /// and the step can be tried again.
    ///
    /// # Errors
    /// [`Error`].
    pub fn step<M: Classifier>(
        &mut self,
        model: &mut M,
        input: Input<'_>,
        draws: u32,
    ) -> Result<Progress, Error<M::Error>> {
        if let Some(pending) = self.pending(draws) {
            if input.hash() != self.input {
                return Err(Error::OtherInput);
            }
            let mut counts = [0; CLASSES];
            let classes = counts.get_mut(..usize::from(self.plan.classes())).unwrap_or_default();
            let noise = (self.plan.table(), &self.key, pending.domain);
            count(model, input, noise, pending.samples.clone(), classes)?;
            self.add(&pending, &counts).map_err(|()| Error::State)?;
        }
        Ok(self.progress())
    }

    /// The next draws to make, at most `most`: for whoever makes them elsewhere ([`count`]), in parts and on
    /// several threads, and gives the counts to [`add`](Self::add). `None` once decided.
    pub fn pending(&self, most: u32) -> Option<Draws> {
        let (domain, from, to) = if self.selected < self.plan.selection() {
            (Domain::Select, self.selected, self.plan.selection())
        } else if self.decision().is_some() {
            return None;
        } else {
            (Domain::Estimate, self.drawn, self.plan.next_look(self.drawn)?)
        };
        Some(Draws { domain, samples: u64::from(from)..u64::from(to.min(from.saturating_add(most))) })
    }

    /// Adds the counts of draws that were pending, all of them.
    ///
    /// # Errors
    /// `()` where they are not the pending ones, or the counts are of another number of draws.
    #[expect(clippy::result_unit_err, reason = "there is one way to be wrong")]
    pub fn add(&mut self, draws: &Draws, counts: &[u32]) -> Result<(), ()> {
        let length = draws.samples.end.saturating_sub(draws.samples.start);
        let sum: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        if self.pending(u32::try_from(length).map_err(|_| ())?).as_ref() != Some(draws)
            || sum != length
            || counts.len() > CLASSES
        {
            return Err(());
        }
        let (to, done) = match draws.domain {
            Domain::Select => (&mut self.selection, &mut self.selected),
            _ => (&mut self.estimate, &mut self.drawn),
        };
        to.iter_mut().zip(counts).for_each(|(to, count)| *to += count);
        *done += length as u32;
        Ok(())
    }

    /// The key of the noise, for [`count`].
    pub fn key(&self) -> &NoiseKey {
        &self.key
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let class = self.class();
        let count = class.and_then(|class| self.estimate.get(usize::from(class))).copied().unwrap_or(0);
        Progress { selected: self.selected, drawn: self.drawn, count, class }
    }

    /// The class chosen: the first of the most frequent ones of the selection's draws.
    fn class(&self) -> Option<u16> {
        (self.selected == self.plan.selection()).then(|| most_frequent(self.selection.iter().copied()))
    }

    /// The outcome, once there is one.
    pub fn decision(&self) -> Option<Decision> {
        let class = self.class()?;
        self.plan.decide(class, *self.estimate.get(usize::from(class))?, self.drawn)
    }

    /// Counts of the classes: selection, estimation.
    pub fn counts(&self) -> (&[u32], &[u32]) {
        let classes = usize::from(self.plan.classes());
        (self.selection.get(..classes).unwrap_or_default(), self.estimate.get(..classes).unwrap_or_default())
    }

    /// What a saved state has to belong to.
    pub(crate) fn binding(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in
            [&self.plan.hash(), &self.plan.table().hash(), &self.identity.model, &self.identity.nonce, &self.input]
        {
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// The first of the most frequent classes.
pub(crate) fn most_frequent(counts: impl Iterator<Item = u32>) -> u16 {
    let mut best = (0u32, 0u16);
    for (class, count) in counts.enumerate() {
        if count > best.0 {
            best = (count, class as u16);
        }
    }
    best.1
}
