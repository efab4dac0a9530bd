//! What goes wrong in the field gives a documented code, and the firmware goes on.

use core::fmt::{self, Write};

use selvedge::{Artifact, Error, ErrorKind, OpEntry, Session};

use crate::Model;

/// A sound model, and what is needed to spoil it.
pub struct Cases {
    pub model: Model,
    /// The artifact, one byte behind a multiple of 16.
    pub shifted: &'static [u8],
    /// The model's ops without one.
    pub ops_short: &'static [OpEntry],
    /// The class of the first input.
    pub class: usize,
}

/// What was expected and did not happen.
#[derive(Clone, Copy, Debug)]
pub enum Unexpected {
    /// The case gave another error, or none.
    Case { name: &'static str, found: Option<Error> },
    /// The sound model failed afterwards.
    Sound(Error),
    /// The sound model gave another class.
    Class(usize),
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unexpected::Case { name, found: Some(error) } => write!(f, "{name}: {error}"),
            Unexpected::Case { name, found: None } => write!(f, "{name}: accepted"),
            Unexpected::Sound(error) => write!(f, "the sound model: {error}"),
            Unexpected::Class(class) => write!(f, "the sound model: class {class}"),
        }
    }
}

impl Cases {
    fn open(&self, bytes: &[u8], arena: &mut [u8], ops: &'static [OpEntry]) -> Option<Error> {
        Artifact::parse(bytes).and_then(|artifact| Session::with_ops(artifact, arena, ops).map(|_| ())).err()
    }

    fn classify(&self, arena: &mut [u8]) -> Result<usize, Error> {
        let mut session = self.model.session(arena)?;
        session.input(0)?.copy_from_bytes(self.model.inputs().next().unwrap_or(&[]))?;
        session.run()?;
        Ok(session.output(0)?.argmax())
    }
}

/// Provokes each error, runs the sound model after each, and writes a line for it.
///
/// # Errors
/// The first thing that did not happen as documented.
pub fn run(cases: &Cases, arena: &mut [u8], out: &mut impl Write) -> Result<(), Unexpected> {
    let (bytes, ops) = (cases.model.artifact, cases.model.ops);
    let cut = bytes.get(..bytes.len() - 1).unwrap_or(&[]);
    let small = Artifact::parse(bytes).map_err(Unexpected::Sound)?.arena_bytes() - 1;
    for (name, kind, bytes, room, ops) in [
        ("an arena one byte too small", ErrorKind::ArenaTooSmall, bytes, small, ops),
        ("a misaligned model", ErrorKind::MisalignedArtifact, cases.shifted, arena.len(), ops),
        ("a truncated artifact", ErrorKind::Truncated, cut, arena.len(), ops),
        ("an op left out of ops!", ErrorKind::OpNotLinked, bytes, arena.len(), cases.ops_short),
    ] {
        let found = cases.open(bytes, arena.get_mut(..room).unwrap_or(&mut []), ops);
        let Some(error) = found.filter(|error| error.kind() == kind) else {
            return Err(Unexpected::Case { name, found });
        };
        let class = cases.classify(arena).map_err(Unexpected::Sound)?;
        if class != cases.class {
            return Err(Unexpected::Class(class));
        }
        let _ = writeln!(out, "{name}: code {}: {error}; then class {class}", error.code());
    }
    Ok(())
}
