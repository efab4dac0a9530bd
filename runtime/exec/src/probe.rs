//! Watching a run step by step.

use selvedge_core::Error;
use selvedge_core::artifact::TensorView;

use crate::{Regions, StepCtx};

/// Sees every step of [`Session::run_probed`](crate::Session::run_probed): for calibration,
/// comparison layer by layer, time by step.
pub trait Probe {
    /// Before a step runs.
    fn before_step(&mut self, step: &StepCtx<'_>) {
        let _ = step;
    }

    /// After a step has run; its outputs may be read and overwritten.
    fn after_step(&mut self, step: &StepCtx<'_>, outputs: &mut StepOutputs<'_>);
}

/// The outputs of the step that has just run.
#[derive(Debug)]
pub struct StepOutputs<'p> {
    step: StepCtx<'p>,
    arena: Regions<'p>,
}

impl<'p> StepOutputs<'p> {
    pub(crate) fn new(step: StepCtx<'p>, arena: Regions<'p>) -> Self {
        StepOutputs { step, arena }
    }

    /// Number of outputs.
    pub fn len(&self) -> usize {
        self.step.step().outputs.len()
    }

    /// Whether the step has no output (never so in a valid artifact).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Type, shape and grid of output `i`.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`](selvedge_core::ErrorKind::BadStep) where there is no such output.
    pub fn tensor(&self, i: usize) -> Result<TensorView<'p>, Error> {
        self.step.output(i)
    }

    /// Bytes of output `i`, empty where there is no such output.
    pub fn bytes(&self, i: usize) -> &[u8] {
        self.step.output(i).ok().and_then(|t| self.arena.get(t.range())).unwrap_or(&[])
    }

    /// Bytes of output `i`, to overwrite.
    pub fn bytes_mut(&mut self, i: usize) -> &mut [u8] {
        self.step.output(i).ok().and_then(|t| self.arena.get_mut(t.range())).unwrap_or(&mut [])
    }
}
