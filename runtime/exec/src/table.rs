//! The op table: what a session can run.

use selvedge_core::{Error, Format, OpCode};
use selvedge_kernels::Isa;

use crate::dispatch::Runs;
use crate::{RunCtx, StepCtx};

/// One operator in one format.
pub trait Op: 'static {
    /// Its code in the artifact.
    const CODE: OpCode;
    /// The format it computes in.
    const FORMAT: Format;

    /// Proves everything `run` relies on that is not proved for every step: operand counts,
    /// types, shapes, parameters, spans of weights, scratch.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`](selvedge_core::ErrorKind::BadStep) at the step.
    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error>;

    /// Runs a validated step.
    ///
    /// # Errors
    /// Those of the data: [`ErrorKind::NotANumber`](selvedge_core::ErrorKind::NotANumber),
    /// [`ErrorKind::IndexOutOfRange`](selvedge_core::ErrorKind::IndexOutOfRange).
    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error>;
}

/// An entry of the op table: an [`Op`], monomorphised for each instruction set of the build.
#[derive(Clone, Copy, Debug)]
pub struct OpEntry {
    /// Code of the operator.
    pub code: OpCode,
    /// Format it computes in.
    pub format: Format,
    pub(crate) validate: fn(&StepCtx<'_>) -> Result<(), Error>,
    pub(crate) runs: Runs,
}

impl OpEntry {
    /// The entry of an op.
    pub const fn of<O: Op>() -> Self {
        OpEntry { code: O::CODE, format: O::FORMAT, validate: O::validate, runs: Runs::of::<O>() }
    }

    /// The entry for a step.
    pub(crate) fn find(table: &'static [OpEntry], op: u16, format: u8) -> Option<&'static OpEntry> {
        table.iter().find(|entry| entry.code as u16 == op && entry.format as u8 == format)
    }
}
