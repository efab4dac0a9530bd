//! Sessions whose weights are read step by step, from memory that cannot be addressed.

use core::ops::Range;

use selvedge_core::artifact::{Digester, HEADER_BYTES, StageRecord};
use selvedge_core::{Artifact, Error, ErrorKind};
use selvedge_kernels::IsaKind;

use crate::session::Unprobed;
use crate::{Cpu, InputMut, OpEntry, Output, Probe, Progress, Regions, Session, StepCtx, StepOutputs, validate};

/// Where a weights file is read from: a driver of a serial flash, a card, a file.
pub trait WeightSource {
    /// Fills `to` with the bytes of the weights file from `offset` on.
    ///
    /// # Errors
    /// [`ErrorKind::WeightSource`], with a detail of the source's own.
    fn read(&mut self, offset: usize, to: &mut [u8]) -> Result<(), Error>;
}

/// A weights file in memory.
impl WeightSource for &[u8] {
    fn read(&mut self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        let missing = Error::new(ErrorKind::WeightSource).with(offset);
        to.copy_from_slice(self.get(offset..).and_then(|bytes| bytes.get(..to.len())).ok_or(missing)?);
        Ok(())
    }
}

impl<S: WeightSource> WeightSource for &mut S {
    fn read(&mut self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        S::read(self, offset, to)
    }
}

/// A model whose weights are never in memory as a whole.
///
/// Before a step runs, the weights it reads are copied from the source into a place in the arena
/// that the compiler planned (`--stage-weights`). Those bytes are proved each time they were
/// read, so that a source which changes can give wrong numbers or an error, and no more.
#[derive(Debug)]
pub struct StagedSession<'a, S> {
    session: Session<'a>,
    stages: &'a [StageRecord],
    source: S,
}

impl<'a, S: WeightSource> StagedSession<'a, S> {
    /// A session on the head of an artifact ([`Artifact::parse_head`]), with its weights file
    /// in `source`. Reads all weights once. The regions are those of [`Session::with_regions`].
    ///
    /// # Errors
    /// As [`Session::with_regions`]; [`ErrorKind::NotStaged`] for an artifact compiled without
    /// `--stage-weights`, [`ErrorKind::WeightsMismatch`] where the source holds other weights, and
    /// those of the source.
    pub fn new(
        artifact: Artifact<'a>,
        [first, second]: [&'a mut [u8]; 2],
        table: &'static [OpEntry],
        mut source: S,
    ) -> Result<Self, Error> {
        let stages = artifact.stages()?.ok_or(ErrorKind::NotStaged)?;
        let mut front = [0; HEADER_BYTES];
        source.read(0, &mut front)?;
        artifact.check_weights(&front)?;
        validate::stateless(&artifact)?;
        let mut arena = validate::regions(&artifact, first, second)?;
        let cpu = Cpu::new(table)?;
        let weights_bytes = artifact.weights_bytes();
        let constant = |&&t: &&u16| artifact.tensor(t as usize).is_ok_and(|tensor| tensor.is_const());
        if let Some(&index) = artifact.outputs().iter().find(constant) {
            return Err(Error::new(ErrorKind::OutOfBounds).with(index as usize));
        }
        validate::records(&artifact, weights_bytes, |ctx, live| {
            let stage = *stages.get(ctx.index()).ok_or(ctx.bad())?;
            live.prove_stage(ctx, &stage, weights_bytes)?;
            staged(&artifact, ctx.index(), &stage, &mut source, &mut arena, |step, _| cpu.validate(step))
        })?;
        Ok(StagedSession { session: Session { artifact, arena, cpu, next: None }, stages, source })
    }

    /// The same session on a given instruction set. All compute the same bits.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchIsa`] where this build or CPU lacks it.
    pub fn with_isa(self, kind: IsaKind) -> Result<Self, Error> {
        Ok(StagedSession { session: self.session.with_isa(kind)?, ..self })
    }

    /// The head of the artifact.
    pub fn artifact(&self) -> &Artifact<'a> {
        self.session.artifact()
    }

    /// Input `i`, to be written before each run.
    ///
    /// # Errors
    /// As [`Session::input`].
    pub fn input(&mut self, i: usize) -> Result<InputMut<'_>, Error> {
        self.session.input(i)
    }

    /// Output `i` of the last run.
    ///
    /// # Errors
    /// As [`Session::output`].
    pub fn output(&self, i: usize) -> Result<Output<'_>, Error> {
        self.session.output(i)
    }

    /// Compares the stored digest with that of the head and of all weights, read once.
    ///
    /// # Errors
    /// [`ErrorKind::DigestMismatch`], and those of the source.
    pub fn verify_digest(&mut self) -> Result<(), Error> {
        let artifact = self.session.artifact();
        let mut digest = Digester::new(artifact.head());
        let (mut chunk, end) = ([0u8; 256], HEADER_BYTES + artifact.weights_bytes());
        for at in (HEADER_BYTES..end).step_by(chunk.len()) {
            let piece = chunk.get_mut(..(end - at).min(256)).unwrap_or(&mut []);
            self.source.read(at, piece)?;
            digest = digest.then(piece);
        }
        if digest.finish() == artifact.header().digest { Ok(()) } else { Err(ErrorKind::DigestMismatch.into()) }
    }

    /// Runs all steps.
    ///
    /// # Errors
    /// As [`Session::run`]; those of the source and [`ErrorKind::BadStep`] for bytes that its
    /// step cannot take, at their step.
    pub fn run(&mut self) -> Result<(), Error> {
        self.run_probed(&mut Unprobed)
    }

    /// Runs all steps and shows each to the probe, which may overwrite its outputs.
    ///
    /// # Errors
    /// As [`StagedSession::run`].
    pub fn run_probed(&mut self, probe: &mut impl Probe) -> Result<(), Error> {
        self.session.idle()?;
        self.steps(0..self.stages.len(), probe)
    }

    /// Runs at most `budget` steps of a run that may be spread over many calls.
    ///
    /// # Errors
    /// As [`StagedSession::run`]; an error ends the stepped run.
    pub fn run_steps(&mut self, budget: usize) -> Result<Progress, Error> {
        let first = self.session.next.take().unwrap_or(0);
        let last = first.saturating_add(budget).min(self.stages.len());
        self.steps(first..last, &mut Unprobed)?;
        if last == self.stages.len() {
            return Ok(Progress::Done);
        }
        self.session.next = Some(last);
        Ok(Progress::Running(last))
    }

    /// Gives up a stepped run.
    pub fn reset(&mut self) {
        self.session.reset();
    }

    fn steps(&mut self, steps: Range<usize>, probe: &mut impl Probe) -> Result<(), Error> {
        let Session { artifact, arena, cpu, .. } = &mut self.session;
        for (index, stage) in self.stages.iter().enumerate().take(steps.end).skip(steps.start) {
            staged(artifact, index, stage, &mut self.source, arena, |step, arena| {
                probe.before_step(step);
                cpu.validate(step)?;
                cpu.run(step, arena)?;
                probe.after_step(step, &mut StepOutputs::new(*step, arena.reborrow()));
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Reads the weights of a step and lends the step that sees them, with the rest of the arena.
fn staged(
    artifact: &Artifact<'_>,
    index: usize,
    stage: &StageRecord,
    source: &mut impl WeightSource,
    arena: &mut Regions<'_>,
    f: impl FnOnce(&StepCtx<'_>, &mut Regions<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let (base, bytes, at) = (stage.weights as usize, stage.bytes as usize, stage.arena as usize);
    if bytes == 0 {
        return f(&StepCtx::with_weights(artifact, index, &[], 0)?, arena);
    }
    let bad = Error::new(ErrorKind::OutOfBounds).at_step(index);
    let (place, mut rest) = arena.without(at..at.saturating_add(bytes)).ok_or(bad)?;
    source.read(HEADER_BYTES + base, place).map_err(|e| e.at_step(index))?;
    f(&StepCtx::with_weights(artifact, index, place, base)?, &mut rest)
}
