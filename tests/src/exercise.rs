//! One fuzz execution: load, validate, fill the inputs, run, read the outputs.

use selvedge::{Artifact, Session, StagedSession, op};
use selvedge_compiler::split::split_weights;

/// Largest arena an artifact under test may ask for, in bytes.
pub const ARENA_LIMIT: usize = 1 << 20;

/// How far an artifact came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// The header or the section table was refused.
    Nothing,
    /// Validation refused it.
    Parsed,
    /// It ran into an error.
    Built,
    /// It ran.
    Ran,
}

/// Loads `artifact` (16-byte aligned) and runs it once in `arena`. Any panic is a finding.
pub fn exercise(artifact: &[u8], arena: &mut [u8]) -> Reached {
    let Ok(artifact) = Artifact::parse(artifact) else { return Reached::Nothing };
    if artifact.arena_bytes() > arena.len() {
        return Reached::Nothing;
    }
    let inputs = artifact.inputs().len();
    let outputs = artifact.outputs().len();
    staged(&artifact, arena);
    // The regions that the artifact names, where it names two.
    let [first, _] = artifact.region_bytes();
    let session = match arena.split_at_mut_checked(first.next_multiple_of(64)) {
        Some((fast, slow)) => Session::with_regions(artifact, [fast, slow], op::ALL),
        None => Session::new(artifact, arena),
    };
    let Ok(mut session) = session else { return Reached::Parsed };
    for index in 0..inputs {
        if let Ok(input) = session.input(index) {
            for (i, byte) in input.into_bytes().iter_mut().enumerate() {
                *byte = (i * 37 + 11) as u8 & 0x3f;
            }
        }
    }
    if session.run().is_err() {
        return Reached::Built;
    }
    for index in 0..outputs {
        if let Ok(output) = session.output(index) {
            std::hint::black_box((output.bytes().len(), output.argmax()));
        }
    }
    Reached::Ran
}

/// Runs an artifact that has stages with its weights read step by step.
fn staged(artifact: &Artifact<'_>, arena: &mut [u8]) {
    let (Ok(Some(_)), Some((_, weights))) = (artifact.stages(), split_weights(artifact.bytes())) else { return };
    let [first, _] = artifact.region_bytes();
    let Some((fast, slow)) = arena.split_at_mut_checked(first.next_multiple_of(64)) else { return };
    if let Ok(mut session) = StagedSession::new(*artifact, [fast, slow], op::ALL, &weights[..]) {
        let _ = session.run();
    }
}
