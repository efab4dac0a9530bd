//! Element types of tensors in the arena.

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum DType {
    F32 = 1,
    I8 = 2,
    U8 = 3,
    I16 = 4,
    I32 = 5,
    I64 = 6,
    /// One byte, 0 or 1.
    Bool = 7,
    U16 = 8,
    U32 = 9,
    U64 = 10,
}

impl DType {
    pub const fn from_u8(code: u8) -> Option<Self> {
        Some(match code {
            1 => DType::F32,
            2 => DType::I8,
            3 => DType::U8,
            4 => DType::I16,
            5 => DType::I32,
            6 => DType::I64,
            7 => DType::Bool,
            8 => DType::U16,
            9 => DType::U32,
            10 => DType::U64,
            _ => return None,
        })
    }

    /// Bytes of one element; also the alignment of a tensor of this type.
    pub const fn size(self) -> usize {
        match self {
            DType::I8 | DType::U8 | DType::Bool => 1,
            DType::I16 | DType::U16 => 2,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::I64 | DType::U64 => 8,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::I8 => "i8",
            DType::U8 => "u8",
            DType::I16 => "i16",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::Bool => "bool",
            DType::U16 => "u16",
            DType::U32 => "u32",
            DType::U64 => "u64",
        }
    }
}
