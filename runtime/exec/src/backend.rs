//! Who runs a step: the CPU, or an accelerator that claims some.

use selvedge_core::{Artifact, Error, ErrorKind};
use selvedge_kernels::IsaKind;

use crate::{OpEntry, Regions, RunCtx, StepCtx, dispatch};

/// Runs steps it claims; the session gives the others to the [`Cpu`].
pub trait Backend {
    /// Whether this backend runs the step. Asked at every run; the answer must not change.
    fn claims(&self, step: &StepCtx<'_>) -> bool;

    /// Runs a claimed step on the arena, which may be in two memories.
    ///
    /// # Errors
    /// Those of the op, or the backend's own.
    fn run_step(&mut self, step: &StepCtx<'_>, arena: &mut Regions<'_>) -> Result<(), Error>;

    /// Brings the arena up to date. Called before a step runs elsewhere and after the last step,
    /// for backends that keep tensors in memory of their own.
    ///
    /// # Errors
    /// The backend's own.
    fn flush(&mut self, artifact: &Artifact<'_>, arena: &mut Regions<'_>) -> Result<(), Error> {
        let _ = (artifact, arena);
        Ok(())
    }
}

/// The CPU: an op table and an instruction set.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    table: &'static [OpEntry],
    isa: IsaKind,
}

impl Cpu {
    /// The ops of `table` on the instruction set that `SELVEDGE_ISA` names (with `std`), else on
    /// the best of this CPU.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchIsa`] where `SELVEDGE_ISA` names another.
    pub fn new(table: &'static [OpEntry]) -> Result<Self, Error> {
        Ok(Cpu { table, isa: dispatch::best()? })
    }

    /// The same ops on a given instruction set.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchIsa`] where this build or CPU lacks it.
    pub fn with_isa(self, kind: IsaKind) -> Result<Self, Error> {
        if dispatch::available(kind) { Ok(Cpu { isa: kind, ..self }) } else { Err(ErrorKind::NoSuchIsa.into()) }
    }

    /// The instruction set steps run on.
    pub fn isa(&self) -> IsaKind {
        self.isa
    }

    pub(crate) fn entry(&self, step: &StepCtx<'_>) -> Option<&'static OpEntry> {
        let record = step.step().record;
        OpEntry::find(self.table, record.op, record.format)
    }

    pub(crate) fn validate(&self, step: &StepCtx<'_>) -> Result<(), Error> {
        let entry = self.entry(step).ok_or_else(|| step.error(ErrorKind::OpNotLinked))?;
        (entry.validate)(step)
    }

    pub(crate) fn run(&self, step: &StepCtx<'_>, arena: &mut Regions<'_>) -> Result<(), Error> {
        let entry = self.entry(step).ok_or_else(|| step.error(ErrorKind::OpNotLinked))?;
        entry.runs.run(self.isa, &mut RunCtx::new(*step, arena.reborrow()))
    }
}

impl Backend for Cpu {
    fn claims(&self, step: &StepCtx<'_>) -> bool {
        self.entry(step).is_some()
    }

    fn run_step(&mut self, step: &StepCtx<'_>, arena: &mut Regions<'_>) -> Result<(), Error> {
        self.run(step, arena)
    }
}
