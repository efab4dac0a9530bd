//! A validated artifact with the arena it runs in.

use selvedge_core::artifact::StepRecord;
use selvedge_core::{Artifact, Error, ErrorKind};
use selvedge_kernels::IsaKind;

use crate::{Backend, Cpu, InputMut, OpEntry, Output, Probe, Regions, StepCtx, StepOutputs, ops, validate};

/// How far a stepped run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Progress {
    /// The last step has run; outputs may be read.
    Done,
    /// The step that runs next.
    Running(usize),
}

/// A model ready to run.
///
/// `new` proves every record of the artifact; afterwards `run` cannot fail for a reason of
/// structure and cannot panic. **Write every input before each run**: the program may reuse
/// the memory of an input once it has been read.
#[derive(Debug)]
pub struct Session<'a> {
    pub(crate) artifact: Artifact<'a>,
    pub(crate) arena: Regions<'a>,
    pub(crate) cpu: Cpu,
    /// The step a stepped run goes on with.
    pub(crate) next: Option<usize>,
}

/// Passes the arena, so that the probe sees the step's outputs.
pub(crate) struct Unprobed;

impl Probe for Unprobed {
    fn after_step(&mut self, _: &StepCtx<'_>, _: &mut StepOutputs<'_>) {}
}

impl<'a> Session<'a> {
    /// A session with every op of the runtime, on the instruction set that `SELVEDGE_ISA` names
    /// (with the feature `std`), else on the best of this CPU.
    ///
    /// The arena holds at least [`Artifact::arena_bytes`] bytes and starts at a multiple of 16
    /// ([`Arena`](crate::Arena) does). An artifact compiled for two memory regions runs in one
    /// that holds both.
    ///
    /// # Errors
    /// [`ErrorKind::ArenaTooSmall`] (detail: bytes needed), [`ErrorKind::MisalignedArena`],
    /// [`ErrorKind::HasState`], [`ErrorKind::OpNotLinked`] (detail: op code); for damaged
    /// artifacts [`ErrorKind::BadTensor`], [`ErrorKind::OutOfBounds`], [`ErrorKind::Overlap`],
    /// [`ErrorKind::BadLifetime`], [`ErrorKind::TooManyLive`], [`ErrorKind::BadStep`]; on a host
    /// [`ErrorKind::NoSuchIsa`] where `SELVEDGE_ISA` names an instruction set this CPU lacks.
    pub fn new(artifact: Artifact<'a>, arena: &'a mut [u8]) -> Result<Self, Error> {
        Self::with_ops(artifact, arena, ops::ALL)
    }

    /// A session with the ops of a table, which is what the program then links.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn with_ops(artifact: Artifact<'a>, arena: &'a mut [u8], table: &'static [OpEntry]) -> Result<Self, Error> {
        validate::memory(arena, artifact.arena_bytes())?;
        Self::build(artifact, Regions::one(arena), table)
    }

    /// A session whose arena lies in two memories, such as tightly coupled RAM and SDRAM, for an
    /// artifact compiled with `--memory`. One without regions lies wholly in the first.
    ///
    /// The regions hold at least [`Artifact::region_bytes`] bytes each and start at a multiple of
    /// 16; of no bytes, the second may be empty.
    ///
    /// # Errors
    /// As [`Session::new`]; [`ErrorKind::ArenaTooSmall`] has the bytes of the region that is.
    pub fn with_regions(
        artifact: Artifact<'a>,
        [first, second]: [&'a mut [u8]; 2],
        table: &'static [OpEntry],
    ) -> Result<Self, Error> {
        let arena = validate::regions(&artifact, first, second)?;
        Self::build(artifact, arena, table)
    }

    fn build(artifact: Artifact<'a>, arena: Regions<'a>, table: &'static [OpEntry]) -> Result<Self, Error> {
        let cpu = Cpu::new(table)?;
        validate::validate(&artifact, &cpu)?;
        Ok(Session { artifact, arena, cpu, next: None })
    }

    /// The same session on a given instruction set. All compute the same bits.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchIsa`] where this build or CPU lacks it.
    pub fn with_isa(self, kind: IsaKind) -> Result<Self, Error> {
        Ok(Session { cpu: self.cpu.with_isa(kind)?, ..self })
    }

    /// The instruction set steps run on.
    pub fn isa(&self) -> IsaKind {
        self.cpu.isa()
    }

    /// The artifact.
    pub fn artifact(&self) -> &Artifact<'a> {
        &self.artifact
    }

    /// Bytes of the arena that the program uses.
    pub fn arena_bytes(&self) -> usize {
        self.artifact.arena_bytes()
    }

    /// Number of inputs.
    pub fn input_count(&self) -> usize {
        self.artifact.inputs().len()
    }

    /// Number of outputs.
    pub fn output_count(&self) -> usize {
        self.artifact.outputs().len()
    }

    /// Input `i`, to be written before each run.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchIo`], [`ErrorKind::Busy`] during a stepped run.
    pub fn input(&mut self, i: usize) -> Result<InputMut<'_>, Error> {
        self.idle()?;
        let no_such = Error::new(ErrorKind::NoSuchIo).with(i);
        let index = *self.artifact.inputs().get(i).ok_or(no_such)?;
        let tensor = self.artifact.tensor(index as usize)?;
        let bytes = self.arena.get_mut(tensor.range()).ok_or(no_such)?;
        Ok(InputMut::new(tensor, bytes))
    }

    /// Output `i` of the last run.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchIo`], [`ErrorKind::Busy`] during a stepped run.
    pub fn output(&self, i: usize) -> Result<Output<'_>, Error> {
        self.idle()?;
        let no_such = Error::new(ErrorKind::NoSuchIo).with(i);
        let index = *self.artifact.outputs().get(i).ok_or(no_such)?;
        let tensor = self.artifact.tensor(index as usize)?;
        let range = tensor.range();
        let bytes = if tensor.is_const() { self.artifact.weights().get(range) } else { self.arena.get(range) };
        let bytes = bytes.ok_or(no_such)?;
        Ok(Output::new(tensor, bytes))
    }

    /// Runs all steps.
    ///
    /// # Errors
    /// Those of the data, at their step: [`ErrorKind::NotANumber`], [`ErrorKind::IndexOutOfRange`];
    /// [`ErrorKind::Busy`] during a stepped run.
    pub fn run(&mut self) -> Result<(), Error> {
        self.run_probed(&mut Unprobed)
    }

    /// Runs all steps and shows each to the probe, which may overwrite its outputs.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_probed(&mut self, probe: &mut impl Probe) -> Result<(), Error> {
        self.idle()?;
        for index in 0..self.artifact.step_count() {
            let step = StepCtx::new(&self.artifact, index)?;
            probe.before_step(&step);
            self.cpu.run(&step, &mut self.arena)?;
            probe.after_step(&step, &mut StepOutputs::new(step, self.arena.reborrow()));
        }
        Ok(())
    }

    /// Runs at most `budget` steps of a run that may be spread over many calls.
    ///
    /// A step is never divided, so other work waits for the longest one; where that is too long,
    /// let it preempt the run instead. Until [`Progress::Done`] inputs and outputs are busy;
    /// [`Session::reset`] gives the run up, as does an error. The session keeps its place between
    /// calls: it may be held across an `await` and moved between tasks (it is [`Send`]).
    ///
    /// ```
    /// use selvedge_core::Error;
    /// use selvedge_exec::{Progress, Session};
    ///
    /// async fn classify(session: &mut Session<'_>, features: &[i8], pause: impl AsyncFn()) -> Result<usize, Error> {
    ///     session.reset(); // a future dropped half-way leaves its run behind
    ///     session.input(0)?.copy_from_i8(features)?;
    ///     while let Progress::Running(_) = session.run_steps(1)? {
    ///         pause().await; // `embassy_futures::yield_now`, a timer …
    ///     }
    ///     Ok(session.output(0)?.argmax())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Session::run`], but never [`ErrorKind::Busy`].
    pub fn run_steps(&mut self, budget: usize) -> Result<Progress, Error> {
        let first = self.next.take().unwrap_or(0);
        let last = first.saturating_add(budget).min(self.artifact.step_count());
        for index in first..last {
            let step = StepCtx::new(&self.artifact, index)?;
            self.cpu.run(&step, &mut self.arena)?;
        }
        if last == self.artifact.step_count() {
            return Ok(Progress::Done);
        }
        self.next = Some(last);
        Ok(Progress::Running(last))
    }

    /// The step that a stepped run goes on with; `None` where none is under way.
    pub fn pending_step(&self) -> Option<usize> {
        self.next
    }

    /// Gives up a stepped run. Inputs must be written again.
    pub fn reset(&mut self) {
        self.next = None;
    }

    /// Runs all steps; those the backend claims run there, the others on the CPU.
    ///
    /// # Errors
    /// As [`Session::run`], and the backend's own.
    pub fn run_on(&mut self, backend: &mut impl Backend) -> Result<(), Error> {
        self.idle()?;
        let mut away = false;
        for index in 0..self.artifact.step_count() {
            let step = StepCtx::new(&self.artifact, index)?;
            if backend.claims(&step) {
                backend.run_step(&step, &mut self.arena)?;
                away = true;
                continue;
            }
            if core::mem::take(&mut away) {
                backend.flush(&self.artifact, &mut self.arena)?;
            }
            self.cpu.run(&step, &mut self.arena)?;
        }
        if away { backend.flush(&self.artifact, &mut self.arena) } else { Ok(()) }
    }

    /// Records of the steps, in execution order.
    pub fn steps(&self) -> impl Iterator<Item = &StepRecord> {
        (0..self.artifact.step_count()).filter_map(|i| self.artifact.step(i).ok()).map(|s| s.record)
    }

    pub(crate) fn idle(&self) -> Result<(), Error> {
        match self.next {
            None => Ok(()),
            Some(step) => Err(Error::new(ErrorKind::Busy).at_step(step)),
        }
    }
}
