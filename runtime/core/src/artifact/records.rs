//! Records of tensors and steps.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Flags of a tensor record.
pub mod tensor_flags {
    /// The data lies in the weights section.
    pub const CONST: u16 = 1;
    /// `scale` and `zero_point` hold: real = (q − zero_point)·scale.
    pub const QUANTIZED: u16 = 2;
    /// The tensor keeps its value between runs.
    pub const STATE: u16 = 4;
}

/// `last_use` of a tensor that must survive the last step (an output).
pub const AFTER_LAST_STEP: u16 = u16::MAX;

/// A tensor in the arena or in the weights.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TensorRecord {
    /// Code of a [`DType`](crate::DType).
    pub dtype: u8,
    pub rank: u8,
    pub flags: u16,
    /// From the start of the arena, or of the weights section for constants. A tensor lies wholly
    /// in one region of the arena.
    pub offset: u32,
    /// In the order of memory; entries past `rank` are 0.
    pub dims: [u32; 6],
    pub scale: f32,
    pub zero_point: i16,
    /// 0 for inputs, else 1 + the index of the step that writes it.
    pub defined: u16,
    /// 1 + the index of the last step that reads it, [`AFTER_LAST_STEP`] for outputs.
    pub last_use: u16,
    pub reserved: u16,
}

impl TensorRecord {
    pub fn is_const(&self) -> bool {
        self.flags & tensor_flags::CONST != 0
    }
}

/// Flags of a step record.
pub mod step_flags {
    /// Output 0 lies exactly on the input whose index is in bits 8..16.
    pub const IN_PLACE: u16 = 1;
    /// A residual addition is fused behind the layer: the last input is the other summand.
    pub const FUSED_ADD: u16 = 2;
    /// The bias is 64 bits wide and sums are requantized in i64.
    pub const WIDE: u16 = 4;
    /// The layer's int8 sums become f32: scale of the activation (input 1) times scale of the row.
    pub const OUT_F32: u16 = 8;
    /// The layer's sums are stored as i32 (ONNX MatMulInteger and ConvInteger).
    pub const OUT_I32: u16 = 16;

    /// The input that output 0 lies on.
    pub const fn in_place_input(flags: u16) -> Option<usize> {
        if flags & IN_PLACE != 0 { Some((flags >> 8) as usize) } else { None }
    }

    pub const fn in_place(input: u8) -> u16 {
        IN_PLACE | (input as u16) << 8
    }
}

/// An operand that was left out.
pub const NO_OPERAND: u16 = u16::MAX;

/// One step of the program.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StepRecord {
    /// Code of an [`OpCode`](crate::OpCode).
    pub op: u16,
    pub flags: u16,
    /// Code of a [`Format`](crate::Format).
    pub format: u8,
    pub inputs: u8,
    pub outputs: u8,
    pub reserved: u8,
    /// Index of the first operand: inputs, then outputs.
    pub operands: u32,
    /// Byte range in the parameter section.
    pub params: u32,
    pub params_bytes: u32,
    /// Byte range in the arena.
    pub scratch: u32,
    pub scratch_bytes: u32,
}

/// A state: the input that takes what the output held after the run before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StateRecord {
    /// Tensor indices; both have the flag `STATE`.
    pub input: u16,
    pub output: u16,
    /// Offset in the weights section of the bytes before the first run; `u32::MAX`: zeros.
    pub initial: u32,
}

impl StateRecord {
    /// Marks a state that starts as zeros.
    pub const ZEROS: u32 = u32::MAX;
}

/// Where the weights of one step lie, and where they are read to. `bytes` is 0 for steps without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StageRecord {
    /// From the start of the weights section; a multiple of 16.
    pub weights: u32,
    pub bytes: u32,
    /// From the start of the arena; a multiple of 16.
    pub arena: u32,
}
