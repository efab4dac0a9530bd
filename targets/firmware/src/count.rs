//! Instructions of set-up, steps and whole runs; stack and memory.

use core::fmt::Write;

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

/// Instructions of an empty count.
fn empty(board: &mut impl Board) -> u64 {
    board.start();
    board.stop()
}

/// Writes, for each model, a line a step and a line of totals:
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
/// Those of the set-up and the run.
pub fn run(models: &[Model], arena: &mut [u8], board: &mut impl Board, out: &mut impl Write) -> Result<(), Error> {
    let empty = empty(board);
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
