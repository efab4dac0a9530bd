//! The one error type of everything that runs on a device.

use core::fmt;

/// What went wrong. The numbers are stable: firmware may log them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum ErrorKind {
    /// The bytes are shorter than the header or than the length it states.
    Truncated = 1,
    /// The first four bytes are not `SLVG`.
    BadMagic = 2,
    /// The artifact was made for another major version of the format.
    BadVersion = 3,
    /// The artifact's first byte is not 16-byte aligned in memory.
    MisalignedArtifact = 4,
    /// A section, record or index lies outside of its container.
    OutOfBounds = 5,
    /// A required section is missing, unknown or given twice.
    BadSection = 6,
    /// The stored digest differs from that of the bytes.
    DigestMismatch = 7,
    /// A tensor's type, rank or size is not valid.
    BadTensor = 8,
    /// The arena is smaller than the artifact asks for.
    ArenaTooSmall = 9,
    /// The arena's first byte is not 16-byte aligned.
    MisalignedArena = 10,
    /// Two tensors that are alive at the same step share memory.
    Overlap = 11,
    /// A step reads a tensor before it is written or after its memory was given up.
    BadLifetime = 12,
    /// More tensors are alive at one step than the runtime tracks.
    TooManyLive = 13,
    /// The op (and weight format) of a step is not in the op table of this session.
    OpNotLinked = 14,
    /// The step's operands do not fit its op: count, type, shape or parameters.
    BadStep = 15,
    /// The artifact holds streaming state; build a `StreamSession`.
    HasState = 16,
    /// There is no input or output with this index.
    NoSuchIo = 17,
    /// The data given for an input has another length than the tensor.
    WrongLength = 18,
    /// The tensor holds another element type.
    WrongType = 19,
    /// A value that must be quantized is NaN.
    NotANumber = 20,
    /// An index computed by the model lies outside of the tensor it points into.
    IndexOutOfRange = 21,
    /// `run` was called while a stepped run was under way, or the reverse.
    Busy = 22,
    /// The instruction set asked for is not one of this build on this CPU.
    NoSuchIsa = 23,
    /// The weights file belongs to another artifact.
    WeightsMismatch = 24,
    /// The artifact was not compiled to have its weights read step by step.
    NotStaged = 25,
    /// The source of the weights failed to read (detail: the source's own).
    WeightSource = 26,
    /// The memory for the streaming state is smaller than the model asks for (detail: bytes needed).
    StateTooSmall = 27,
    /// The streaming state was written by another model, or is damaged.
    StateMismatch = 28,
}

/// An error on the device: a kind, and where (8 bytes, `Copy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    /// Step index, or `u16::MAX` where no step is concerned.
    step: u16,
    /// Meaning by kind: op code, tensor index, section kind, needed kilobytes.
    detail: u32,
}

impl Error {
    pub const fn new(kind: ErrorKind) -> Self {
        Error { kind, step: u16::MAX, detail: 0 }
    }

    /// At a step.
    #[must_use]
    pub const fn at_step(self, step: usize) -> Self {
        let step = if step >= u16::MAX as usize { u16::MAX - 1 } else { step as u16 };
        Error { step, ..self }
    }

    /// With a detail: op code, tensor index, section kind or byte count.
    #[must_use]
    pub const fn with(self, detail: usize) -> Self {
        Error { detail: detail as u32, ..self }
    }

    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Index of the step concerned.
    pub const fn step(&self) -> Option<usize> {
        if self.step == u16::MAX { None } else { Some(self.step as usize) }
    }

    pub const fn detail(&self) -> u32 {
        self.detail
    }

    /// The stable number of the kind.
    pub const fn code(&self) -> u8 {
        self.kind as u8
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Error::new(kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.kind {
            ErrorKind::Truncated => "the artifact is truncated: copy the whole file",
            ErrorKind::BadMagic => "not a selvedge artifact: compile the model with `selvedge compile`",
            ErrorKind::BadVersion => "the artifact has another format version: compile the model again",
            ErrorKind::MisalignedArtifact => "the artifact must start at a 16-byte boundary: embed it with `model!`",
            ErrorKind::OutOfBounds => "the artifact points outside of itself: it is damaged",
            ErrorKind::BadSection => "a section of the artifact is missing or unknown",
            ErrorKind::DigestMismatch => "the artifact's digest does not match: it is damaged",
            ErrorKind::BadTensor => "a tensor record is not valid",
            ErrorKind::ArenaTooSmall => "the arena is too small for this model",
            ErrorKind::MisalignedArena => "the arena must start at a 16-byte boundary: use the `Arena` type",
            ErrorKind::Overlap => "two live tensors share memory: the artifact is damaged",
            ErrorKind::BadLifetime => "a step reads a tensor outside of its lifetime: the artifact is damaged",
            ErrorKind::TooManyLive => "too many tensors are alive at once",
            ErrorKind::OpNotLinked => "the model needs an op that is not linked: add it to `ops![]`",
            ErrorKind::BadStep => "a step's operands do not fit its op: the artifact is damaged",
            ErrorKind::HasState => "the model keeps state: use `StreamSession`",
            ErrorKind::NoSuchIo => "there is no such input or output",
            ErrorKind::WrongLength => "the data has another length than the tensor",
            ErrorKind::WrongType => "the tensor holds another element type",
            ErrorKind::NotANumber => "NaN cannot be quantized: check the input",
            ErrorKind::IndexOutOfRange => "an index computed by the model is out of range",
            ErrorKind::NoSuchIsa => "this build or CPU lacks the instruction set asked for: see SELVEDGE_ISA",
            ErrorKind::WeightsMismatch => {
                "the weights file belongs to another model: write both files from one compile"
            }
            ErrorKind::NotStaged => {
                "the model is not made for weights read step by step: compile it with `--stage-weights`"
            }
            ErrorKind::WeightSource => "reading the weights failed",
            ErrorKind::StateTooSmall => "the memory for the streaming state is too small for this model",
            ErrorKind::StateMismatch => "the streaming state belongs to another model: start with a new one",
            ErrorKind::Busy => "a stepped run is under way: finish or reset it first",
        };
        write!(f, "{text} (code {}", self.code())?;
        if let Some(step) = self.step() {
            write!(f, ", step {step}")?;
        }
        if self.detail != 0 {
            write!(f, ", detail {}", self.detail)?;
        }
        f.write_str(")")
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Error {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{} (code {=u8}", self.kind, self.code());
        if let Some(step) = self.step() {
            defmt::write!(f, ", step {=usize}", step);
        }
        if self.detail != 0 {
            defmt::write!(f, ", detail {=u32}", self.detail);
        }
        defmt::write!(f, ")");
    }
}

impl core::error::Error for Error {}
