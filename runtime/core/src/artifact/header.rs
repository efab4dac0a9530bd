//! Header and section table.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub const MAGIC: [u8; 4] = *b"SLVG";
/// Another major version cannot be read.
pub const VERSION_MAJOR: u16 = 1;
/// Minor versions add optional sections only.
pub const VERSION_MINOR: u16 = 0;
/// The artifact and the arena start at a multiple of this many bytes.
pub const ALIGNMENT: usize = 16;
pub const HEADER_BYTES: usize = 64;

/// The first 64 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    pub magic: [u8; 4],
    pub version_major: u16,
    pub version_minor: u16,
    /// Bit 0: f32 layers use `fast` arithmetic. Bits 8..32: bytes of the arena's first memory
    /// region in units of 16, 0 where the arena is one region. Other bits are zero.
    pub flags: u32,
    /// Length of the whole artifact.
    pub total_bytes: u32,
    /// Arena needed, inputs, outputs and scratch included, all regions together.
    pub arena_bytes: u32,
    /// What no plan of this program could undercut.
    pub arena_lower_bound: u32,
    pub inputs: u16,
    pub outputs: u16,
    /// Entries of the section table, which follows the header.
    pub sections: u32,
    /// SHA-256 of the artifact with this field zeroed.
    pub digest: [u8; 32],
}

impl Header {
    /// Bytes of the arena's regions. Offsets count through the first into the second.
    pub const fn region_bytes(&self) -> [usize; 2] {
        region_bytes(self.flags, self.arena_bytes)
    }
}

/// Regions from a header's `flags` and `arena_bytes`.
pub const fn region_bytes(flags: u32, arena_bytes: u32) -> [usize; 2] {
    let first = (flags >> REGION_SHIFT) * ALIGNMENT as u32;
    let first = if first == 0 || first > arena_bytes { arena_bytes } else { first };
    [first as usize, (arena_bytes - first) as usize]
}

/// Position of the first region's size in [`Header::flags`].
pub const REGION_SHIFT: u32 = 8;

/// Set in the kind of a section that a reader may skip.
pub const OPTIONAL: u32 = 0x8000_0000;

/// Kinds of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SectionKind {
    /// [`TensorRecord`](super::TensorRecord)s.
    Tensors = 1,
    /// [`StepRecord`](super::StepRecord)s in execution order.
    Steps = 2,
    /// `u16` tensor indices, the operands of all steps.
    Operands = 3,
    /// Parameter structs of the steps, 4-byte aligned each.
    Params = 4,
    /// Packed weights, constants and per-channel arrays; starts 64-byte aligned.
    Weights = 5,
    /// `u16` tensor indices: inputs, then outputs.
    Io = 6,
    /// [`StateRecord`](super::StateRecord)s: what the model keeps between runs.
    States = 7,
    /// `u32` offsets into the text behind them, one a tensor and one more: UTF-8 names.
    Names = OPTIONAL | 1,
    /// UTF-8 JSON: how the artifact was made.
    Meta = OPTIONAL | 2,
    /// [`StageRecord`](super::StageRecord)s, one a step: the weights may be read step by step.
    Stages = OPTIONAL | 3,
}

/// One entry of the section table.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SectionEntry {
    pub kind: u32,
    /// From the start of the artifact; a multiple of 16.
    pub offset: u32,
    pub bytes: u32,
    pub reserved: u32,
}

pub const WEIGHTS_MAGIC: [u8; 4] = *b"SLVW";

/// The first 64 bytes of a weights file, which holds the weights section of an artifact that
/// was cut in two.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WeightsHeader {
    pub magic: [u8; 4],
    pub version_major: u16,
    pub version_minor: u16,
    /// Bytes of weights that follow.
    pub bytes: u32,
    pub reserved: [u32; 5],
    /// The digest in the header of the artifact these weights belong to.
    pub digest: [u8; 32],
}
