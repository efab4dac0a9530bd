//! One digest a model and input: over the output bytes of every step, in execution order.

use core::fmt::{self, Write};

use selvedge::{Error, Probe, Session, StepCtx, StepOutputs};

use crate::Model;
use crate::fnv::Fnv;

/// The digest of the output bytes of all steps that it was shown.
pub(crate) struct Digest(Fnv);

impl Digest {
    pub(crate) const fn new() -> Self {
        Digest(Fnv::new())
    }

    pub(crate) const fn value(&self) -> u64 {
        self.0.value()
    }
}

impl Probe for Digest {
    fn after_step(&mut self, _: &StepCtx<'_>, outputs: &mut StepOutputs<'_>) {
        for i in 0..outputs.len() {
            self.0.add(outputs.bytes(i));
        }
    }
}

/// Runs a session on the bytes of its one input; the digest of every step's outputs.
///
/// # Errors
/// Those of the run, and of an input of another length.
pub fn digest(session: &mut Session<'_>, input: &[u8]) -> Result<u64, Error> {
    session.input(0)?.copy_from_bytes(input)?;
    let mut digest = Digest::new();
    session.run_probed(&mut digest)?;
    Ok(digest.value())
}

/// One line of the digest file.
pub struct Line<'n> {
    pub model: &'n str,
    pub input: usize,
    pub digest: u64,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:016x}", self.model, self.input, self.digest)
    }
}

/// Writes the lines of all models and recorded inputs.
///
/// # Errors
/// Those of the set-up and the run.
pub fn run(models: &[Model], arena: &mut [u8], out: &mut impl Write) -> Result<(), Error> {
    for model in models {
        let mut session = model.session(arena)?;
        for (input, bytes) in model.inputs().enumerate() {
            let digest = digest(&mut session, bytes)?;
            let _ = writeln!(out, "{}", Line { model: model.name, input, digest });
        }
    }
    Ok(())
}
