//! Instructions of set-up, steps and whole runs; stack and memory.

use core::fmt::{self, Write};

use selvedge::{Error, Probe, StepCtx, StepOutputs};

use crate::{Board, Model};

/// Counts each step and writes a line for it.
struct Steps<'b, B, W> {
    board: &'b mut B,
    out: &'b mut W,
    /// What an empty count reads.
    empty: u64,
    model: &'static str,
}

impl<B: Board, W: Write> Probe for Steps<'_, B, W> {
    fn before_step(&mut self, _: &StepCtx<'_>) {
        self.board.start();
    }

    fn after_step(&mut self, step: &StepCtx<'_>, outputs: &mut StepOutputs<'_>) {
        let count = self.board.stop().saturating_sub(self.empty);
        let (op, format) = (step.step().op(), step.step().format());
        let _ = write!(self.out, "step {} {}", self.model, step.index());
        let _ = write!(self.out, " {}<{}>", op.map_or("?", |op| op.name()), format.map_or("?", |f| f.name()));
        let _ = write!(self.out, " {count} ");
        let dims = outputs.tensor(0).map_or(&[][..], |tensor| tensor.dims);
        for (i, dim) in dims.iter().enumerate() {
            let _ = write!(self.out, "{}{dim}", if i == 0 { "" } else { "x" });
        }
        let _ = writeln!(self.out);
    }
}

/// Why there are no counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountError {
    /// The counter is off: a loop of `expected` instructions was counted as `counted`.
    Counter { expected: u64, counted: u64 },
    /// Set-up or run of a model failed.
    Model(Error),
}

impl From<Error> for CountError {
    fn from(error: Error) -> Self {
        CountError::Model(error)
    }
}

impl fmt::Display for CountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CountError::Counter { expected, counted } => {
                write!(f, "the counter is off: {counted} for {expected} instructions; is it `qemu -icount shift=0`?")
            }
            CountError::Model(error) => error.fmt(f),
        }
    }
}

/// Instructions by which the counter may be off.
pub const TOLERANCE: u64 = 10;

/// Counts loops of known length, from shorter than a tick of any board to a large model.
fn check_counter(board: &mut impl Board, empty: u64) -> Result<(), CountError> {
    for turns in [1, 7, 50, 333, 4_000, 100_001, 1_000_000, 20_000_000] {
        let (counted, expected) = board.count_loop(turns);
        let counted = counted.saturating_sub(empty);
        if counted.abs_diff(expected) > TOLERANCE {
            return Err(CountError::Counter { expected, counted });
        }
    }
    Ok(())
}

/// Counts loops of known length; what an empty count reads.
pub(crate) fn check(board: &mut impl Board) -> Result<u64, CountError> {
    let empty = empty(board);
    check_counter(board, empty)?;
    Ok(empty)
}

/// Instructions of an empty count.
fn empty(board: &mut impl Board) -> u64 {
    board.start();
    board.stop()
}

/// Checks the counter, then writes, for each model, a line a step and a line of totals:
///
/// ```text
/// step MODEL INDEX OP INSTRUCTIONS SHAPE
/// model MODEL setup INSTRUCTIONS run INSTRUCTIONS arena BYTES artifact BYTES stack BYTES
/// ```
///
/// Set-up is [`Model::session`]; a run is one call of `run` without a probe; the stack is that
/// of set-up and run below the caller's frame.
///
/// # Errors
/// [`CountError::Counter`] before anything is counted; those of the set-up and the run.
pub fn run(models: &[Model], arena: &mut [u8], board: &mut impl Board, out: &mut impl Write) -> Result<(), CountError> {
    let empty = check(board)?;
    let mut deepest = 0;
    for model in models {
        board.paint_stack();
        board.start();
        let session = model.session(arena);
        let setup = board.stop().saturating_sub(empty);
        let mut session = session?;
        let input = model.inputs().next().unwrap_or(&[]);
        session.input(0)?.copy_from_bytes(input)?;
        board.start();
        let result = session.run();
        let run = board.stop().saturating_sub(empty);
        let stack = board.stack_used();
        result?;
        deepest = deepest.max(stack);
        let (bytes, artifact) = (session.arena_bytes(), model.artifact.len());
        session.input(0)?.copy_from_bytes(input)?;
        session.run_probed(&mut Steps { board, out, empty, model: model.name })?;
        let _ = writeln!(
            out,
            "model {} setup {setup} run {run} arena {bytes} artifact {artifact} stack {stack}",
            model.name
        );
    }
    let _ = writeln!(out, "stack {deepest}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A counter that is off by a number of instructions.
    struct Off(i64);

    impl Board for Off {
        fn start(&mut self) {}

        fn stop(&mut self) -> u64 {
            0
        }

        fn count_loop(&mut self, turns: u32) -> (u64, u64) {
            let expected = turns as u64 + 100;
            (expected.saturating_add_signed(if turns == 333 { self.0 } else { 0 }), expected)
        }

        fn paint_stack(&mut self) {}

        fn stack_used(&self) -> usize {
            0
        }
    }

    #[test]
    fn counters_off_by_more_than_10_instructions_are_refused() {
        for off in [-10, -1, 0, 10] {
            assert_eq!(check_counter(&mut Off(off), 0), Ok(()), "{off}");
        }
        for off in [-11, 11, 1000] {
            let counted = 433u64.saturating_add_signed(off);
            assert_eq!(check_counter(&mut Off(off), 0), Err(CountError::Counter { expected: 433, counted }));
        }
    }
}
