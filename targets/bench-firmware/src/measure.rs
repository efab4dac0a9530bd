//! Cycles of set-up, steps and whole runs.

use selvedge::{Artifact, Error, OpEntry, Probe, Session, StepCtx, StepOutputs};
use selvedge_firmware::digest::digest;

use crate::board::counter::cycles;
use crate::stack;

/// Repetitions of every measurement.
pub const RUNS: usize = 15;

/// Counts of one thing, repeated.
#[derive(Clone, Copy)]
pub struct Series {
    counts: [u32; RUNS],
    empty: u32,
}

impl Series {
    const fn new(empty: u32) -> Self {
        Series { counts: [0; RUNS], empty }
    }

    fn set(&mut self, run: usize, begin: u32, end: u32) {
        if let Some(count) = self.counts.get_mut(run) {
            *count = end.wrapping_sub(begin).saturating_sub(self.empty);
        }
    }

    pub fn median(mut self) -> u32 {
        self.counts.sort_unstable();
        self.counts[RUNS / 2]
    }

    pub fn min(self) -> u32 {
        self.counts.into_iter().min().unwrap_or(0)
    }
}

/// Everything measured of a model of `STEPS` steps.
pub struct Measured<const STEPS: usize> {
    /// Parsing and validating the artifact.
    pub setup: Series,
    /// The first run, with cold caches.
    pub first: u32,
    pub run: Series,
    pub steps: [Series; STEPS],
    /// Bytes of stack that set-up and a run take.
    pub setup_stack: usize,
    pub run_stack: usize,
    pub digest: u64,
}

struct Steps<'m, const STEPS: usize> {
    steps: &'m mut [Series; STEPS],
    run: usize,
    begin: u32,
}

impl<const STEPS: usize> Probe for Steps<'_, STEPS> {
    fn before_step(&mut self, _: &StepCtx<'_>) {
        self.begin = cycles();
    }

    fn after_step(&mut self, step: &StepCtx<'_>, _: &mut StepOutputs<'_>) {
        let end = cycles();
        if let Some(series) = self.steps.get_mut(step.index()) {
            series.set(self.run, self.begin, end);
        }
    }
}

/// Counts of an empty measurement.
fn empty() -> u32 {
    let count = || {
        let begin = cycles();
        cycles().wrapping_sub(begin)
    };
    (0..RUNS).map(|_| count()).min().unwrap_or(0)
}

/// Measures a model on one input.
///
/// # Errors
/// Those of the set-up and of the run.
pub fn measure<const STEPS: usize>(
    artifact: &[u8],
    ops: &'static [OpEntry],
    arena: &mut [u8],
    input: &[u8],
) -> Result<Measured<STEPS>, Error> {
    let series = Series::new(empty());
    let mut measured = Measured {
        setup: series,
        first: 0,
        run: series,
        steps: [series; STEPS],
        setup_stack: 0,
        run_stack: 0,
        digest: 0,
    };
    stack::paint();
    for run in 0..RUNS {
        let begin = cycles();
        let session = Session::with_ops(Artifact::parse(artifact)?, arena, ops);
        let end = cycles();
        session?;
        measured.setup.set(run, begin, end);
    }
    measured.setup_stack = stack::used();
    let mut session = Session::with_ops(Artifact::parse(artifact)?, arena, ops)?;
    for run in 0..RUNS {
        session.input(0)?.copy_from_bytes(input)?;
        stack::paint();
        let begin = cycles();
        let result = session.run();
        let end = cycles();
        result?;
        measured.run_stack = measured.run_stack.max(stack::used());
        measured.run.set(run, begin, end);
        if run == 0 {
            measured.first = measured.run.counts[0];
        }
    }
    for run in 0..RUNS {
        session.input(0)?.copy_from_bytes(input)?;
        session.run_probed(&mut Steps { steps: &mut measured.steps, run, begin: 0 })?;
    }
    measured.digest = digest(&mut session, input)?;
    Ok(measured)
}
