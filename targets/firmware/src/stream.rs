//! Instructions of the frames of a model that keeps state.

use core::fmt::Write;

use selvedge::{Artifact, Error, Probe, StepCtx, StepOutputs, StreamSession, state_bytes};

use crate::count::{CountError, check};
use crate::{Board, Model};

/// Bytes of state that a model may keep.
pub const STATE_BYTES: usize = 128 * 1024;

/// Adds up what the steps of an op take.
struct Ops<'b, B> {
    board: &'b mut B,
    /// What an empty count reads.
    empty: u64,
    /// Name, format, steps and instructions.
    sums: [(&'static str, &'static str, u32, u64); 48],
}

impl<B: Board> Probe for Ops<'_, B> {
    fn before_step(&mut self, _: &StepCtx<'_>) {
        self.board.start();
    }

    fn after_step(&mut self, step: &StepCtx<'_>, _: &mut StepOutputs<'_>) {
        let count = self.board.stop().saturating_sub(self.empty);
        let name = step.step().op().map_or("?", |op| op.name());
        let format = step.step().format().map_or("?", |format| format.name());
        let found = self.sums.iter_mut().find(|sum| sum.2 == 0 || (sum.0, sum.1) == (name, format));
        if let Some(sum) = found {
            *sum = (name, format, sum.2 + 1, sum.3 + count);
        }
    }
}

/// Checks the counter, then runs the recorded inputs of each model as the first frames of a stream and writes a line of
/// totals, and, of one frame more, a line an op:
///
/// ```text
/// stream MODEL setup INSTRUCTIONS frame INSTRUCTIONS arena BYTES state BYTES artifact BYTES stack BYTES
/// op MODEL OP steps COUNT INSTRUCTIONS
/// ```
///
/// The frame counted is the last of those recorded, copies of its input and of the states included.
///
/// # Errors
/// [`CountError::Counter`] before anything is counted; those of the set-up and the frames.
pub fn run(
    models: &[Model],
    arena: &mut [u8],
    state: &mut [u8],
    board: &mut impl Board,
    out: &mut impl Write,
) -> Result<(), CountError> {
    let empty = check(board)?;
    for model in models {
        state.fill(0);
        board.paint_stack();
        board.start();
        let session = session(model, arena, state);
        let setup = board.stop().saturating_sub(empty);
        let (mut session, kept) = session?;
        let mut frame = 0;
        for input in model.inputs() {
            board.start();
            session.input(0)?.copy_from_bytes(input)?;
            let result = session.step();
            frame = board.stop().saturating_sub(empty);
            result?;
        }
        let (bytes, artifact, stack) = (session.artifact().arena_bytes(), model.artifact.len(), board.stack_used());
        let _ = writeln!(
            out,
            "stream {} setup {setup} frame {frame} arena {bytes} state {kept} artifact {artifact} stack {stack}",
            model.name
        );
        // A run leaves something else in an input's memory.
        if let Some(last) = model.inputs().last() {
            session.input(0)?.copy_from_bytes(last)?;
        }
        let mut ops = Ops { board, empty, sums: [("", "", 0, 0); 48] };
        session.step_probed(&mut ops)?;
        for (op, format, steps, count) in ops.sums.iter().filter(|sum| sum.2 > 0) {
            let _ = writeln!(out, "op {} {op}<{format}> steps {steps} {count}", model.name);
        }
    }
    Ok(())
}

/// What a firmware does before its first frame, and the bytes that are kept between frames.
fn session<'a>(model: &Model, arena: &'a mut [u8], state: &'a mut [u8]) -> Result<(StreamSession<'a>, usize), Error> {
    let artifact = Artifact::parse(model.artifact)?;
    let kept = state_bytes(&artifact);
    Ok((StreamSession::with_ops(artifact, arena, state, model.ops)?, kept))
}
