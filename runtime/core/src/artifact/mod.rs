//! The artifact: one file, read in place. `runtime/README.md` is its specification.
mod digest;
mod header;
mod records;
mod split;
mod view;

pub use digest::{Digester, digest};
pub use header::{
    ALIGNMENT, HEADER_BYTES, Header, MAGIC, OPTIONAL, REGION_SHIFT, SectionEntry, SectionKind, VERSION_MAJOR,
    VERSION_MINOR, WEIGHTS_MAGIC, WeightsHeader, region_bytes,
};
pub use records::{
    AFTER_LAST_STEP, NO_OPERAND, StageRecord, StateRecord, StepRecord, TensorRecord, step_flags, tensor_flags,
};
pub use view::{Artifact, Step, TensorView};
