//! One fuzz execution: load, validate, fill the inputs, run, read the outputs.

use selvedge::{Artifact, Session};

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
    let Ok(mut session) = Session::new(artifact, arena) else { return Reached::Parsed };
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
