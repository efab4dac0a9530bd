//! What an op body runs with: the step, and disjoint borrows of the arena.

use core::ops::Range;

use bytemuck::Pod;
use selvedge_core::Error;
use selvedge_core::artifact::NO_OPERAND;

use crate::{Regions, StepCtx};

/// Inputs that [`RunCtx::views`] can borrow at once.
pub const MAX_INPUTS: usize = 5;
/// Outputs of one step.
pub const MAX_OUTPUTS: usize = 3;

/// Spans of one step: inputs, scratch, outputs.
const SLOTS: usize = MAX_INPUTS + 1 + MAX_OUTPUTS;

/// One step and the arena it runs in.
#[derive(Debug)]
pub struct RunCtx<'r> {
    /// The step.
    pub step: StepCtx<'r>,
    arena: Regions<'r>,
}

/// Operands of one step, borrowed at once.
#[derive(Debug)]
pub struct Views<'v> {
    step: StepCtx<'v>,
    inputs: [&'v [u8]; MAX_INPUTS],
    outputs: [&'v mut [u8]; MAX_OUTPUTS],
    scratch: &'v mut [u8],
}

impl<'r> RunCtx<'r> {
    /// A step in its arena.
    pub fn new(step: StepCtx<'r>, arena: Regions<'r>) -> Self {
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
        let mut spans = [const { 0..0 }; SLOTS];
        let (input_spans, other_spans) = spans.split_at_mut(MAX_INPUTS);
        let (scratch_span, output_spans) = other_spans.split_at_mut(1);
        for (span, &tensor) in output_spans.iter_mut().zip(record.outputs) {
            *span = artifact.tensor(tensor as usize)?.range();
        }
        for span in scratch_span {
            let start = record.record.scratch as usize;
            *span = start..start.saturating_add(record.record.scratch_bytes as usize);
        }
        let replaced = step.in_place().and_then(|i| record.inputs.get(i)).copied().unwrap_or(NO_OPERAND);
        let operands = record.inputs.get(inputs.start..).unwrap_or(&[]);
        let operands = operands.get(..inputs.len()).unwrap_or(operands);
        // An operand given twice is borrowed once.
        let first = |tensor: u16| operands.iter().position(|&t| t == tensor).unwrap_or(0);
        let mut inputs_seen: [&[u8]; MAX_INPUTS] = [&[]; MAX_INPUTS];
        for ((i, &tensor), (seen, span)) in operands.iter().enumerate().zip(inputs_seen.iter_mut().zip(input_spans)) {
            if tensor == NO_OPERAND || tensor == replaced {
                continue;
            }
            let view = artifact.tensor(tensor as usize)?;
            let range = view.range();
            if view.is_const() {
                *seen = step.weights(range.start, view.bytes()).ok_or(bad)?;
            } else if first(tensor) == i {
                *span = range;
            }
        }
        let mut slices: [&mut [u8]; SLOTS] = Default::default();
        self.arena.disjoint(&spans, &mut slices).ok_or(bad)?;
        let [a, b, c, d, e, scratch, outputs @ ..] = slices;
        let lent: [&[u8]; MAX_INPUTS] = [a, b, c, d, e];
        for (&tensor, seen) in operands.iter().zip(&mut inputs_seen) {
            if let Some(lent) = lent.get(first(tensor)).filter(|lent| !lent.is_empty()) {
                *seen = lent;
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
