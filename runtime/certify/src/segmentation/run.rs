//! Proposals, votes, labels.

use super::{Passed, Pixel, Segmentation, SegmentationRequest, holm};
use crate::{Account, CertError, Evaluate, StepError};
use selvedge_noise::{Domain, NoiseKey};

/// A run: one label and one counter a pixel.
#[derive(Debug)]
pub struct SegmentationRun<'a, 'm> {
    segmentation: &'a Segmentation<'a>,
    key: NoiseKey,
    pixels: &'m mut [Pixel],
    selected: u32,
    drawn: u32,
    passed: Option<Passed>,
}

impl<'a, 'm> SegmentationRun<'a, 'm> {
    /// A run at its beginning, with a nonce chosen after [`Segmentation::commitment`]. Clears the memory.
    ///
    /// # Errors
    /// [`CertError::Buffer`] with the number of pixels, where the memory is for another.
    pub fn new(plan: &'a Segmentation<'a>, nonce: [u8; 32], memory: &'m mut [Pixel]) -> Result<Self, CertError> {
        memory.fill(Pixel::default());
        Self::resume(plan, nonce, memory, (0, 0))
    }

    /// Goes on with the pixels of the same plan and nonce after so many draws of selection and test
    /// ([`SegmentationRun::drawn`]).
    ///
    /// # Errors
    /// [`CertError::Buffer`]; [`CertError::Order`] for draws that there cannot be; [`CertError::Output`] with a pixel that
    /// has more votes than draws, or a label that there is not.
    pub fn resume(
        plan: &'a Segmentation<'a>,
        nonce: [u8; 32],
        memory: &'m mut [Pixel],
        (selected, drawn): (u32, u32),
    ) -> Result<Self, CertError> {
        let SegmentationRequest { pixels: needed, labels, selection, samples, .. } = plan.request;
        if memory.len() as u64 != u64::from(needed) {
            return Err(CertError::Buffer { needed });
        }
        if selected > selection || drawn > samples || (drawn > 0 && selected < selection) {
            return Err(CertError::Order);
        }
        let most = if selected < selection { selected } else { drawn };
        if let Some(found) = memory.iter().position(|p| p.votes > most || u32::from(p.label) >= labels) {
            return Err(CertError::Output { found: found as u32 });
        }
        let key = plan.hashes.key(&nonce);
        let mut this = SegmentationRun { segmentation: plan, key, pixels: memory, selected, drawn, passed: None };
        this.settle();
        Ok(this)
    }

    /// Draws at most `most` samples, at least one, and returns what passed after the last one.
    ///
    /// # Errors
    /// The model's; [`CertError::Output`] for a label that there is not. Samples before it are counted.
    pub fn step<M: Evaluate>(&mut self, model: &mut M, most: u32) -> Result<Option<Passed>, StepError<M::Error>> {
        let SegmentationRequest { selection, samples, .. } = self.segmentation.request;
        let selecting = self.selected < selection;
        let (domain, counter, end) = match selecting {
            true => (Domain::Select, &mut self.selected, selection),
            false => (Domain::Estimate, &mut self.drawn, samples),
        };
        let range = (*counter, most.max(1).min(end.saturating_sub(*counter)));
        self.segmentation.count(model, &self.key, domain, range, self.pixels, || *counter += 1)?;
        if selecting && self.selected == selection {
            self.pixels.iter_mut().for_each(|pixel| pixel.votes = 0);
        }
        self.settle();
        Ok(self.passed)
    }

    /// Copies the proposed labels, without votes, for [`Segmentation::count_range`]. `false` before the selection is
    /// done, or where there is not as much room.
    #[must_use]
    pub fn ballot(&self, to: &mut [Pixel]) -> bool {
        let ready = self.selected == self.segmentation.request.selection && to.len() == self.pixels.len();
        if ready {
            to.iter_mut().zip(&*self.pixels).for_each(|(to, from)| *to = Pixel { label: from.label, votes: 0 });
        }
        ready
    }

    /// Adds the votes of the test draws `first..first + len`, which have to be the next ones.
    ///
    /// # Errors
    /// [`CertError::Order`] for other draws, or more than there are, or before the selection is done;
    /// [`CertError::Buffer`]; [`CertError::Output`] with the first pixel of another label, or more votes than draws.
    pub fn merge(&mut self, (first, len): (u32, u32), votes: &[Pixel]) -> Result<(), CertError> {
        let SegmentationRequest { pixels: needed, selection, samples, .. } = self.segmentation.request;
        if self.selected != selection || first != self.drawn || len > samples - self.drawn {
            return Err(CertError::Order);
        }
        if votes.len() != self.pixels.len() {
            return Err(CertError::Buffer { needed });
        }
        let wrong = |(own, more): (&Pixel, &Pixel)| own.label != more.label || more.votes > len;
        if let Some(found) = self.pixels.iter().zip(votes).position(wrong) {
            return Err(CertError::Output { found: found as u32 });
        }
        self.pixels.iter_mut().zip(votes).for_each(|(own, more)| own.votes += more.votes);
        self.drawn += len;
        self.settle();
        Ok(())
    }

    fn settle(&mut self) {
        let Segmentation { alpha, request, threshold, .. } = self.segmentation;
        if self.passed.is_none() && self.selected == request.selection && self.drawn == request.samples {
            self.passed = Some(holm(self.pixels.iter().map(|pixel| pixel.votes), request.samples, *threshold, alpha));
        }
    }

    /// Draws of selection and test so far.
    pub fn drawn(&self) -> (u32, u32) {
        (self.selected, self.drawn)
    }

    /// What passed, once all samples are drawn.
    pub fn passed(&self) -> Option<Passed> {
        self.passed
    }

    /// The label of a pixel that passed; `None` for one that abstains, and before the end.
    pub fn label(&self, pixel: usize) -> Option<u16> {
        let least = self.passed?.least;
        self.pixels.get(pixel).filter(|pixel| pixel.votes >= least).map(|pixel| pixel.label)
    }

    /// What all tests cost together.
    pub fn account(&self) -> Account {
        let mut account = Account::open(&self.segmentation.alpha);
        let _ = account.spend(self.segmentation.alpha.again());
        account
    }
}
