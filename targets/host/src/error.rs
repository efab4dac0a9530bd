//! How a command ends.

use std::fmt::Display;
use std::process::ExitCode;

/// Why a command did not end with 0.
#[derive(Debug)]
pub enum Failure {
    /// The answer is no: a mismatch, a gate that was not met. Exit code 1.
    No(String),
    /// Bad input. Exit code 2; the message names the file, the node and the remedy.
    Bad(String),
    /// The reader of our output went away, which is not an error.
    Closed,
}

impl Failure {
    pub fn bad(message: impl Display) -> Self {
        Failure::Bad(message.to_string())
    }

    /// The message with the name of the file concerned in front.
    pub fn prefixed(self, name: &str) -> Self {
        match self {
            Failure::No(message) => Failure::No(format!("{name}: {message}")),
            Failure::Bad(message) => Failure::Bad(format!("{name}: {message}")),
            Failure::Closed => Failure::Closed,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        if e.kind() == std::io::ErrorKind::BrokenPipe { Failure::Closed } else { Failure::bad(e) }
    }
}

impl From<selvedge_compiler::data::DataError> for Failure {
    fn from(e: selvedge_compiler::data::DataError) -> Self {
        Failure::bad(e)
    }
}

/// Prints the message and gives the exit code.
pub fn exit(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(Failure::No(message)) => {
            eprintln!("{message}");
            ExitCode::from(1)
        }
        Err(Failure::Bad(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}
