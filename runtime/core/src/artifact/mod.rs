//! The artifact: one file, read in place. `runtime/README.md` is its specification.
mod digest;
mod header;
mod records;
mod view;

pub use digest::digest;
pub use header::{
    ALIGNMENT, HEADER_BYTES, Header, MAGIC, OPTIONAL, SectionEntry, SectionKind, VERSION_MAJOR, VERSION_MINOR,
};
pub use records::{AFTER_LAST_STEP, NO_OPERAND, StepRecord, TensorRecord, step_flags, tensor_flags};
pub use view::{Artifact, Step, TensorView};
