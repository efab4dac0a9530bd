//! Decoding of ONNX tensors of every type the importer reads.
//!
//! `raw_data` is little-endian whatever the host. 4- and 2-bit types are packed
//! with the low bits first, in `raw_data` or one packed byte per `int32_data`.
use half::{bf16, f16};
use tract_onnx::pb::TensorProto;

use super::error::{ImportError, Result, invalid, refused};
use crate::graph::{Constant, DType, QuantCodes};

/// Element type of a decoded tensor. All floating types are f32 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elem {
    F32,
    Bool,
    Int { bits: u8, signed: bool },
}

impl Elem {
    /// From the code of `TensorProto.DataType`.
    pub(crate) fn from_code(code: i32) -> Option<Elem> {
        let int = |bits, signed| Some(Elem::Int { bits, signed });
        match code {
            1 | 10 | 11 | 16 => Some(Elem::F32),
            2 => int(8, false),
            3 => int(8, true),
            4 => int(16, false),
            5 => int(16, true),
            6 => int(32, true),
            7 => int(64, true),
            9 => Some(Elem::Bool),
            12 => int(32, false),
            13 => int(64, false),
            21 => int(4, false),
            22 => int(4, true),
            25 => int(2, false),
            26 => int(2, true),
            _ => None,
        }
    }

    /// Least and greatest value of an integer type of up to 32 bits.
    pub(crate) fn range(self) -> (i64, i64) {
        match self {
            Elem::Int { bits, signed: true } if bits <= 32 => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
            Elem::Int { bits, signed: false } if bits <= 32 => (0, (1 << bits) - 1),
            _ => (i64::MIN, i64::MAX),
        }
    }

    /// The type that holds codes of this one as whole bytes.
    pub(crate) fn whole_bytes(self) -> Elem {
        match self {
            Elem::Int { bits: ..8, signed } => Elem::Int { bits: 8, signed },
            other => other,
        }
    }

    /// The graph's element type, for types a computed value can have.
    pub(crate) fn dtype(self) -> Option<DType> {
        Some(match self {
            Elem::F32 => DType::F32,
            Elem::Bool => DType::Bool,
            Elem::Int { bits: 8, signed: true } => DType::I8,
            Elem::Int { bits: 8, signed: false } => DType::U8,
            Elem::Int { bits: 16, signed: true } => DType::I16,
            Elem::Int { bits: 16, signed: false } => DType::U16,
            Elem::Int { bits: 32, signed: true } => DType::I32,
            Elem::Int { bits: 64, signed: true } => DType::I64,
            Elem::Int { bits: 32, signed: false } => DType::U32,
            Elem::Int { bits: 64, signed: false } => DType::U64,
            Elem::Int { .. } => return None,
        })
    }

    fn bytes(self) -> u128 {
        match self {
            Elem::F32 => 4,
            Elem::Bool => 1,
            Elem::Int { bits, .. } => (bits as u128).div_ceil(8),
        }
    }
}

/// Elements of a tensor. Integers of 64 bits and unsigned ones of 32 are `I64`; unsigned ones of 64 bits wrap.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    F32(Vec<f32>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
}

#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub dims: Vec<usize>,
    pub elem: Elem,
    pub data: Data,
    /// Set on f32 tensors that the file holds as integer codes.
    pub codes: Option<QuantCodes>,
}

impl Tensor {
    pub(crate) fn f32(dims: Vec<usize>, data: Vec<f32>) -> Self {
        Tensor { dims, elem: Elem::F32, data: Data::F32(data), codes: None }
    }

    pub(crate) fn i64(dims: Vec<usize>, data: Vec<i64>) -> Self {
        Tensor { dims, elem: Elem::Int { bits: 64, signed: true }, data: Data::I64(data), codes: None }
    }

    pub(crate) fn from_constant(dims: Vec<usize>, data: &Constant) -> Self {
        let narrow = |bits, signed, v| (Elem::Int { bits, signed }, Data::I32(v));
        let wide = |bits, v| (Elem::Int { bits, signed: false }, Data::I64(v));
        let (elem, data) = match data {
            Constant::F32(v) => (Elem::F32, Data::F32(v.clone())),
            Constant::Bool(v) => (Elem::Bool, Data::Bool(v.clone())),
            Constant::I64(v) => (Elem::Int { bits: 64, signed: true }, Data::I64(v.clone())),
            Constant::I32(v) => narrow(32, true, v.clone()),
            Constant::I8(v) => narrow(8, true, v.iter().map(|&x| x.into()).collect()),
            Constant::U8(v) => narrow(8, false, v.iter().map(|&x| x.into()).collect()),
            Constant::I16(v) => narrow(16, true, v.iter().map(|&x| x.into()).collect()),
            Constant::U16(v) => narrow(16, false, v.iter().map(|&x| x.into()).collect()),
            Constant::U32(v) => wide(32, v.iter().map(|&x| x.into()).collect()),
            Constant::U64(v) => wide(64, v.iter().map(|&x| x as i64).collect()),
        };
        Tensor { dims, elem, data, codes: None }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.data {
            Data::F32(v) => v.len(),
            Data::I32(v) => v.len(),
            Data::I64(v) => v.len(),
            Data::Bool(v) => v.len(),
        }
    }

    pub(crate) fn f32s(&self) -> Option<&[f32]> {
        if let Data::F32(v) = &self.data { Some(v) } else { None }
    }

    /// Codes of an integer tensor of up to 32 bits.
    pub(crate) fn i32s(&self) -> Option<&[i32]> {
        if let Data::I32(v) = &self.data { Some(v) } else { None }
    }

    /// The graph's constant; types the graph does not have are widened.
    pub(crate) fn constant(&self) -> Constant {
        match (&self.data, self.elem) {
            (Data::F32(v), _) => Constant::F32(v.clone()),
            (Data::I64(v), Elem::Int { bits: 32, signed: false }) => {
                Constant::U32(v.iter().map(|&x| x as u32).collect())
            }
            (Data::I64(v), Elem::Int { bits: 64, signed: false }) => {
                Constant::U64(v.iter().map(|&x| x as u64).collect())
            }
            (Data::I64(v), _) => Constant::I64(v.clone()),
            (Data::Bool(v), _) => Constant::Bool(v.clone()),
            (Data::I32(v), Elem::Int { bits: 8, signed: true }) => Constant::I8(v.iter().map(|&x| x as i8).collect()),
            (Data::I32(v), Elem::Int { bits: 8, signed: false }) => Constant::U8(v.iter().map(|&x| x as u8).collect()),
            (Data::I32(v), Elem::Int { bits: 16, signed: true }) => {
                Constant::I16(v.iter().map(|&x| x as i16).collect())
            }
            (Data::I32(v), Elem::Int { bits: 16, signed: false }) => {
                Constant::U16(v.iter().map(|&x| x as u16).collect())
            }
            (Data::I32(v), _) => Constant::I32(v.clone()),
        }
    }
}

/// Name of a type code, for messages.
pub(crate) fn type_name(code: i32) -> String {
    match code {
        25 => "UINT2".into(),
        26 => "INT2".into(),
        _ => tract_onnx::pb::tensor_proto::DataType::try_from(code)
            .map_or_else(|_| format!("type {code}"), |t| t.as_str_name().into()),
    }
}

/// Product of dimensions that may be hostile.
pub(crate) fn volume(at: &str, dims: &[i64]) -> Result<(Vec<usize>, usize)> {
    let mut n = 1usize;
    let mut out = Vec::with_capacity(dims.len());
    for &d in dims {
        let Ok(d) = usize::try_from(d) else { return invalid(at, format!("negative dimension in {dims:?}")) };
        let Some(p) = n.checked_mul(d) else { return invalid(at, format!("the product of {dims:?} overflows")) };
        n = p;
        out.push(d);
    }
    Ok((out, n))
}

/// Decodes `t`; `limit` bounds the decoded size in bytes.
pub(crate) fn decode(t: &TensorProto, at: &str, limit: u128) -> Result<Tensor> {
    if t.data_location == Some(1) || !t.external_data.is_empty() {
        return refused(
            at,
            "its data is in an external file, which is read for initializers only",
            "save the model with its data inside",
        );
    }
    if t.segment.is_some() {
        return refused(at, "it is segmented", "store it in one piece");
    }
    let Some(elem) = Elem::from_code(t.data_type) else {
        let reason = format!("element type {}", type_name(t.data_type));
        return refused(at, reason, "store it as a float or integer type of 2 to 64 bits");
    };
    let (dims, n) = volume(at, &t.dims)?;
    let bytes = n as u128 * elem.bytes();
    if bytes > limit {
        return Err(ImportError::TooLarge { at: at.into(), bytes, limit });
    }
    let counts = [
        ("raw_data", t.raw_data.len()),
        ("float_data", t.float_data.len()),
        ("int32_data", t.int32_data.len()),
        ("int64_data", t.int64_data.len()),
        ("double_data", t.double_data.len()),
        ("uint64_data", t.uint64_data.len()),
        ("string_data", t.string_data.len()),
    ];
    let filled: Vec<&str> = counts.iter().filter(|c| c.1 > 0).map(|c| c.0).collect();
    if filled.len() > 1 {
        return invalid(at, format!("both {} are set", filled.join(" and ")));
    }
    let typed = match t.data_type {
        1 => "float_data",
        7 => "int64_data",
        11 => "double_data",
        12 | 13 => "uint64_data",
        _ => "int32_data",
    };
    if let Some(&f) = filled.first()
        && f != "raw_data"
        && f != typed
    {
        return invalid(at, format!("{} data in field {f}", type_name(t.data_type)));
    }
    let data = if t.raw_data.is_empty() { from_fields(t, elem, n, at)? } else { from_raw(t, elem, n, at)? };
    Ok(Tensor { dims, elem, data, codes: None })
}

fn expect(at: &str, dims: &[i64], unit: &str, wanted: usize, found: usize) -> Result<()> {
    if wanted == found {
        return Ok(());
    }
    invalid(at, format!("dims {dims:?} need {wanted} {unit}, the file has {found}"))
}

fn from_raw(t: &TensorProto, elem: Elem, n: usize, at: &str) -> Result<Data> {
    let raw = &t.raw_data;
    let size = match (elem, t.data_type) {
        (_, 10 | 16) => 2,
        (_, 11) => 8,
        (Elem::Int { bits, .. }, _) if bits < 8 => {
            expect(at, &t.dims, "bytes", n.div_ceil(8 / bits as usize), raw.len())?;
            return Ok(Data::I32(unpack(raw.iter().copied(), elem, n)));
        }
        (e, _) => e.bytes() as usize,
    };
    expect(at, &t.dims, "bytes", n.saturating_mul(size), raw.len())?;
    fn le<const N: usize, T>(raw: &[u8], f: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks::<N>().0.iter().map(|c| f(*c)).collect()
    }
    Ok(match t.data_type {
        1 => Data::F32(le(raw, f32::from_le_bytes)),
        10 => Data::F32(le(raw, |b| f16::from_le_bytes(b).to_f32())),
        16 => Data::F32(le(raw, |b| bf16::from_le_bytes(b).to_f32())),
        11 => Data::F32(le(raw, |b| f64::from_le_bytes(b) as f32)),
        2 => Data::I32(le(raw, |[b]| b as i32)),
        3 => Data::I32(le(raw, |[b]| b as i8 as i32)),
        4 => Data::I32(le(raw, |b| u16::from_le_bytes(b) as i32)),
        5 => Data::I32(le(raw, |b| i16::from_le_bytes(b) as i32)),
        6 => Data::I32(le(raw, i32::from_le_bytes)),
        7 => Data::I64(le(raw, i64::from_le_bytes)),
        9 => Data::Bool(le(raw, |[b]| b != 0)),
        12 => Data::I64(le(raw, |b| u32::from_le_bytes(b) as i64)),
        _ => Data::I64(le(raw, |b| u64::from_le_bytes(b) as i64)),
    })
}

fn from_fields(t: &TensorProto, elem: Elem, n: usize, at: &str) -> Result<Data> {
    let count = |found| expect(at, &t.dims, "elements", n, found);
    let fits = |lo: i64, hi: i64| match t.int32_data.iter().find(|&&v| !(lo..=hi).contains(&(v as i64))) {
        Some(v) => invalid(at, format!("{v} in int32_data is no {}", type_name(t.data_type))),
        None => Ok(()),
    };
    match (t.data_type, elem) {
        (1, _) => count(t.float_data.len()).map(|()| Data::F32(t.float_data.clone())),
        (7, _) => count(t.int64_data.len()).map(|()| Data::I64(t.int64_data.clone())),
        (11, _) => count(t.double_data.len()).map(|()| Data::F32(t.double_data.iter().map(|&v| v as f32).collect())),
        (12 | 13, _) => {
            count(t.uint64_data.len())?;
            Ok(Data::I64(t.uint64_data.iter().map(|&v| v as i64).collect()))
        }
        (_, Elem::Int { bits, .. }) if bits < 8 => {
            expect(at, &t.dims, "packed bytes", n.div_ceil(8 / bits as usize), t.int32_data.len())?;
            fits(-128, 255)?;
            Ok(Data::I32(unpack(t.int32_data.iter().map(|&v| v as u8), elem, n)))
        }
        (code, _) => {
            count(t.int32_data.len())?;
            let half = |f: fn(u16) -> f32| t.int32_data.iter().map(|&v| f(v as u16)).collect();
            match code {
                10 => fits(-32768, 65535).map(|()| Data::F32(half(|v| f16::from_bits(v).to_f32()))),
                16 => fits(-32768, 65535).map(|()| Data::F32(half(|v| bf16::from_bits(v).to_f32()))),
                9 => Ok(Data::Bool(t.int32_data.iter().map(|&v| v != 0).collect())),
                _ => fits(elem.range().0, elem.range().1).map(|()| Data::I32(t.int32_data.clone())),
            }
        }
    }
}

/// 4- or 2-bit codes, low bits of each byte first.
fn unpack(bytes: impl Iterator<Item = u8>, elem: Elem, n: usize) -> Vec<i32> {
    let Elem::Int { bits, signed } = elem else { return Vec::new() };
    let mut out = Vec::with_capacity(n);
    for byte in bytes {
        for at in (0..8).step_by(bits as usize) {
            let code = (byte >> at) & ((1 << bits) - 1);
            let sign = if signed && code >> (bits - 1) == 1 { 1 << bits } else { 0 };
            out.push(code as i32 - sign);
        }
    }
    out.truncate(n);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int32(data_type: i32, dims: &[i64], data: &[i32]) -> Vec<i32> {
        let t = TensorProto { data_type, dims: dims.to_vec(), int32_data: data.to_vec(), ..Default::default() };
        decode(&t, "t", 1 << 20).unwrap().i32s().unwrap().to_vec()
    }

    #[test]
    fn sub_byte_codes_equal_the_onnx_suite() {
        assert_eq!(int32(22, &[5], &[16, 199, 8]), [0, 1, 7, -4, -8]);
        assert_eq!(int32(26, &[4], &[180]), [0, 1, -1, -2]);
        assert_eq!(int32(21, &[3], &[0xF1, 2]), [1, 15, 2]);
        assert_eq!(int32(25, &[3], &[0b111001]), [1, 2, 3]);
    }

    #[test]
    fn half_types_widen() {
        let t = TensorProto { data_type: 10, dims: vec![2], raw_data: vec![0, 0x3c, 0, 0xc0], ..Default::default() };
        assert_eq!(decode(&t, "t", 1 << 20).unwrap().f32s().unwrap(), [1.0, -2.0]);
        let t = TensorProto { data_type: 16, dims: vec![1], int32_data: vec![0x3f80], ..Default::default() };
        assert_eq!(decode(&t, "t", 1 << 20).unwrap().f32s().unwrap(), [1.0]);
    }
}
