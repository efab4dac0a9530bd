//! Reading tensors as ONNX stores them beside test models (`input_0.pb`).

use super::{Array, ArrayData};
use crate::graph::Constant;
use crate::import::ImportError;

/// A tensor of a `.pb` file.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxTensor {
    pub name: String,
    /// `TensorProto.DataType` of the file.
    pub type_code: i32,
    /// Floating types are widened (doubles narrowed) to f32, codes of fewer than 8 bits to a byte each.
    pub array: Array,
}

/// Decodes a serialized `TensorProto`.
///
/// # Errors
/// [`ImportError`] for bytes that are no tensor, element types the importer does not read (strings, complex numbers,
/// floats of 8 bits and fewer), data that does not fit the dimensions, and external data.
pub fn read_tensor(bytes: &[u8]) -> Result<OnnxTensor, ImportError> {
    let (name, type_code, shape, data) = crate::import::decode_tensor(bytes)?;
    let data = match data {
        Constant::F32(v) => ArrayData::F32(v),
        Constant::I64(v) => ArrayData::I64(v),
        Constant::I8(v) => ArrayData::I8(v),
        Constant::U8(v) => ArrayData::U8(v),
        Constant::Bool(v) => ArrayData::Bool(v),
        Constant::I16(v) => ArrayData::I16(v),
        Constant::U16(v) => ArrayData::U16(v),
        Constant::U32(v) => ArrayData::U32(v),
        Constant::U64(v) => ArrayData::U64(v),
        Constant::I32(v) => match type_code {
            UINT4 | UINT2 => ArrayData::U8(v.into_iter().map(|x| x as u8).collect()),
            INT4 | INT2 => ArrayData::I8(v.into_iter().map(|x| x as i8).collect()),
            _ => ArrayData::I32(v),
        },
    };
    Ok(OnnxTensor { name, type_code, array: Array { shape, data } })
}

const UINT4: i32 = 21;
const INT4: i32 = 22;
const UINT2: i32 = 25;
const INT2: i32 = 26;
