//! What an op body runs with: the step, and disjoint borrows of the arena.

use core::ops::Range;

use bytemuck::Pod;
use selvedge_core::Error;
use selvedge_core::artifact::NO_OPERAND;

use crate::StepCtx;

/// Inputs that [`RunCtx::views`] can borrow at once.
pub const MAX_INPUTS: usize = 5;
/// Outputs of one step.
pub const MAX_OUTPUTS: usize = 3;

const SLOTS: usize = MAX_INPUTS + MAX_OUTPUTS + 1;

/// One step and the arena it runs in.
#[derive(Debug)]
pub struct RunCtx<'r> {
    /// The step.
    pub step: StepCtx<'r>,
    arena: &'r mut [u8],
}

/// Operands of one step, borrowed at once.
#[derive(Debug)]
pub struct Views<'v> {
    step: StepCtx<'v>,
    inputs: [&'v [u8]; MAX_INPUTS],
    outputs: [&'v mut [u8]; MAX_OUTPUTS],
    scratch: &'v mut [u8],
}

/// Spans of the arena to borrow; equal spans share a slot.
struct Spans {
    ranges: [Range<usize>; SLOTS],
    used: usize,
}

impl Spans {
    fn new() -> Self {
        Spans { ranges: [const { 0..0 }; SLOTS], used: 0 }
    }

    /// Slot of this span, if one is left.
    fn slot(&mut self, range: Range<usize>) -> Option<usize> {
        if let Some(found) = self.ranges.iter().take(self.used).position(|r| *r == range) {
            return Some(found);
        }
        *self.ranges.get_mut(self.used)? = range;
        self.used += 1;
        Some(self.used - 1)
    }
}

impl<'r> RunCtx<'r> {
    /// A step in its arena.
    pub fn new(step: StepCtx<'r>, arena: &'r mut [u8]) -> Self {
        RunCtx { step, arena }
    }

    /// Borrows all operands and the scratch of a step with at most [`MAX_INPUTS`] inputs.
    ///
    /// An input that the output lies on and one that was left out give empty slices; an input
    /// given twice gives the same slice twice.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`](selvedge_core::ErrorKind::BadStep) where spans overlap.
    pub fn views(&mut self) -> Result<Views<'_>, Error> {
        self.borrow(0..MAX_INPUTS)
    }

    /// Borrows input `i` alone (as input 0 of the view) with the outputs and the scratch.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`](selvedge_core::ErrorKind::BadStep) where spans overlap.
    pub fn view_of_input(&mut self, i: usize) -> Result<Views<'_>, Error> {
        self.borrow(i..i.saturating_add(1))
    }

    fn borrow(&mut self, inputs: Range<usize>) -> Result<Views<'_>, Error> {
        let step = self.step;
        let (artifact, record) = (step.artifact(), step.step());
        let bad = step.bad();
        let mut spans = Spans::new();
        let mut output_slots = [None; MAX_OUTPUTS];
        for (slot, &tensor) in output_slots.iter_mut().zip(record.outputs) {
            *slot = Some(spans.slot(artifact.tensor(tensor as usize)?.range()).ok_or(bad)?);
        }
        let replaced = step.in_place().and_then(|i| record.inputs.get(i)).copied().unwrap_or(NO_OPERAND);
        let mut inputs_seen: [&[u8]; MAX_INPUTS] = [&[]; MAX_INPUTS];
        let mut input_slots = [None; MAX_INPUTS];
        let operands = record.inputs.get(inputs.start..).unwrap_or(&[]).iter().take(inputs.len());
        for ((seen, slot), &tensor) in inputs_seen.iter_mut().zip(&mut input_slots).zip(operands) {
            if tensor == NO_OPERAND || tensor == replaced {
                continue;
            }
            let view = artifact.tensor(tensor as usize)?;
            if view.is_const() {
                *seen = artifact.weights().get(view.range()).ok_or(bad)?;
            } else {
                *slot = Some(spans.slot(view.range()).ok_or(bad)?);
            }
        }
        let scratch = record.record.scratch as usize;
        let scratch_bytes = record.record.scratch_bytes as usize;
        let scratch_slot = match scratch_bytes {
            0 => None,
            n => Some(spans.slot(scratch..scratch.saturating_add(n)).ok_or(bad)?),
        };

        let mut slices = self.arena.get_disjoint_mut(spans.ranges).map_err(|_| bad)?.map(Some);
        let mut outputs: [&mut [u8]; MAX_OUTPUTS] = [&mut [], &mut [], &mut []];
        for (out, slot) in outputs.iter_mut().zip(output_slots) {
            if let Some(slot) = slot {
                *out = slices.get_mut(slot).and_then(Option::take).ok_or(bad)?;
            }
        }
        let scratch = match scratch_slot {
            None => &mut [][..],
            Some(slot) => slices.get_mut(slot).and_then(Option::take).ok_or(bad)?,
        };
        // What is left is only read.
        let shared = slices.map(|s| s.map(|s| &*s));
        for (seen, slot) in inputs_seen.iter_mut().zip(input_slots) {
            if let Some(slot) = slot {
                *seen = shared.get(slot).copied().flatten().ok_or(bad)?;
            }
        }
        Ok(Views { step, inputs: inputs_seen, outputs, scratch })
    }
}

impl<'v> Views<'v> {
    /// Elements of input `i`.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`](selvedge_core::ErrorKind::BadStep) for a wrong element size.
    pub fn input<T: Pod>(&self, i: usize) -> Result<&'v [T], Error> {
        let bytes = self.inputs.get(i).copied().ok_or(self.step.bad())?;
        if bytes.is_empty() {
            // Nothing was borrowed, so nothing is aligned.
            return Ok(&[]);
        }
        bytemuck::try_cast_slice(bytes).map_err(|_| self.step.bad())
    }

    /// Elements of output `i`; given out once.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`](selvedge_core::ErrorKind::BadStep) for a wrong element size.
    pub fn output<T: Pod>(&mut self, i: usize) -> Result<&'v mut [T], Error> {
        let bad = self.step.bad();
        let bytes = self.outputs.get_mut(i).map(core::mem::take).ok_or(bad)?;
        bytemuck::try_cast_slice_mut(bytes).map_err(|_| bad)
    }

    /// The first bytes of the step's scratch; given out once.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`](selvedge_core::ErrorKind::BadStep) where the plan gave the step less.
    pub fn scratch(&mut self, bytes: usize) -> Result<&'v mut [u8], Error> {
        core::mem::take(&mut self.scratch).get_mut(..bytes).ok_or(self.step.bad())
    }
}
