//! A typed array with a shape.

use crate::graph::DType;

/// A dense row-major array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: ArrayData,
}

/// Elements of an [`Array`]. Doubles are narrowed to f32 when read.
#[derive(Clone, Debug, PartialEq)]
pub enum ArrayData {
    F32(Vec<f32>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
    U32(Vec<u32>),
    U64(Vec<u64>),
}

macro_rules! each {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            ArrayData::F32($v) => $body,
            ArrayData::I8($v) => $body,
            ArrayData::U8($v) => $body,
            ArrayData::I16($v) => $body,
            ArrayData::U16($v) => $body,
            ArrayData::I32($v) => $body,
            ArrayData::I64($v) => $body,
            ArrayData::Bool($v) => $body,
            ArrayData::U32($v) => $body,
            ArrayData::U64($v) => $body,
        }
    };
}

impl ArrayData {
    pub fn len(&self) -> usize {
        each!(self, v => v.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn dtype(&self) -> DType {
        match self {
            ArrayData::F32(_) => DType::F32,
            ArrayData::I8(_) => DType::I8,
            ArrayData::U8(_) => DType::U8,
            ArrayData::I16(_) => DType::I16,
            ArrayData::U16(_) => DType::U16,
            ArrayData::I32(_) => DType::I32,
            ArrayData::I64(_) => DType::I64,
            ArrayData::Bool(_) => DType::Bool,
            ArrayData::U32(_) => DType::U32,
            ArrayData::U64(_) => DType::U64,
        }
    }

    /// Elements `range`, copied.
    pub fn slice(&self, range: std::ops::Range<usize>) -> ArrayData {
        match self {
            ArrayData::F32(v) => ArrayData::F32(v[range].to_vec()),
            ArrayData::I8(v) => ArrayData::I8(v[range].to_vec()),
            ArrayData::U8(v) => ArrayData::U8(v[range].to_vec()),
            ArrayData::I16(v) => ArrayData::I16(v[range].to_vec()),
            ArrayData::U16(v) => ArrayData::U16(v[range].to_vec()),
            ArrayData::I32(v) => ArrayData::I32(v[range].to_vec()),
            ArrayData::I64(v) => ArrayData::I64(v[range].to_vec()),
            ArrayData::Bool(v) => ArrayData::Bool(v[range].to_vec()),
            ArrayData::U32(v) => ArrayData::U32(v[range].to_vec()),
            ArrayData::U64(v) => ArrayData::U64(v[range].to_vec()),
        }
    }

    /// Little-endian bytes of the elements.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            ArrayData::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            ArrayData::I8(v) => v.iter().map(|&x| x as u8).collect(),
            ArrayData::U8(v) => v.clone(),
            ArrayData::I16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            ArrayData::U16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            ArrayData::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            ArrayData::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            ArrayData::Bool(v) => v.iter().map(|&x| x as u8).collect(),
            ArrayData::U32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            ArrayData::U64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    /// Elements from little-endian bytes; `None` where the length is no multiple of the size.
    pub fn from_bytes(dtype: DType, bytes: &[u8]) -> Option<ArrayData> {
        fn all<const N: usize, T>(bytes: &[u8], f: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
            let (chunks, rest) = bytes.as_chunks::<N>();
            rest.is_empty().then(|| chunks.iter().map(|&c| f(c)).collect())
        }
        Some(match dtype {
            DType::F32 => ArrayData::F32(all(bytes, f32::from_le_bytes)?),
            DType::I8 => ArrayData::I8(bytes.iter().map(|&b| b as i8).collect()),
            DType::U8 => ArrayData::U8(bytes.to_vec()),
            DType::I16 => ArrayData::I16(all(bytes, i16::from_le_bytes)?),
            DType::I32 => ArrayData::I32(all(bytes, i32::from_le_bytes)?),
            DType::I64 => ArrayData::I64(all(bytes, i64::from_le_bytes)?),
            DType::Bool => ArrayData::Bool(bytes.iter().map(|&b| b != 0).collect()),
            DType::U16 => ArrayData::U16(all(bytes, u16::from_le_bytes)?),
            DType::U32 => ArrayData::U32(all(bytes, u32::from_le_bytes)?),
            DType::U64 => ArrayData::U64(all(bytes, u64::from_le_bytes)?),
        })
    }

    /// Elements as i64, those of u64 wrapped; `None` for floats.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        Some(match self {
            ArrayData::F32(_) => return None,
            ArrayData::I8(v) => v.iter().map(|&x| x.into()).collect(),
            ArrayData::U8(v) => v.iter().map(|&x| x.into()).collect(),
            ArrayData::I16(v) => v.iter().map(|&x| x.into()).collect(),
            ArrayData::U16(v) => v.iter().map(|&x| x.into()).collect(),
            ArrayData::I32(v) => v.iter().map(|&x| x.into()).collect(),
            ArrayData::I64(v) => v.clone(),
            ArrayData::Bool(v) => v.iter().map(|&x| x.into()).collect(),
            ArrayData::U32(v) => v.iter().map(|&x| x.into()).collect(),
            ArrayData::U64(v) => v.iter().map(|&x| x as i64).collect(),
        })
    }

    /// Elements as f32 (integers converted, not dequantized).
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            ArrayData::F32(v) => v.clone(),
            ArrayData::I8(v) => v.iter().map(|&x| x as f32).collect(),
            ArrayData::U8(v) => v.iter().map(|&x| x as f32).collect(),
            ArrayData::I16(v) => v.iter().map(|&x| x as f32).collect(),
            ArrayData::U16(v) => v.iter().map(|&x| x as f32).collect(),
            ArrayData::I32(v) => v.iter().map(|&x| x as f32).collect(),
            ArrayData::I64(v) => v.iter().map(|&x| x as f32).collect(),
            ArrayData::Bool(v) => v.iter().map(|&x| x as u8 as f32).collect(),
            ArrayData::U32(v) => v.iter().map(|&x| x as f32).collect(),
            ArrayData::U64(v) => v.iter().map(|&x| x as f32).collect(),
        }
    }
}

impl Array {
    pub fn f32(shape: Vec<usize>, data: Vec<f32>) -> Self {
        Array { shape, data: ArrayData::F32(data) }
    }
}
