//! Values: tensors with a static shape, constant or computed.

use crate::lowbit::LowBitRows;

/// Index of a value in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

impl ValueId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Element type of a value as the model file states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    F32,
    I8,
    U8,
    I16,
    U16,
    I32,
    I64,
    Bool,
    U32,
    U64,
}

impl DType {
    /// Least and greatest value of an integer or boolean type; (0, 0) for f32.
    pub fn range(self) -> (i128, i128) {
        match self {
            DType::F32 => (0, 0),
            DType::Bool => (0, 1),
            DType::I8 => (i8::MIN.into(), i8::MAX.into()),
            DType::U8 => (0, u8::MAX.into()),
            DType::I16 => (i16::MIN.into(), i16::MAX.into()),
            DType::U16 => (0, u16::MAX.into()),
            DType::I32 => (i32::MIN.into(), i32::MAX.into()),
            DType::U32 => (0, u32::MAX.into()),
            DType::I64 => (i64::MIN.into(), i64::MAX.into()),
            DType::U64 => (0, u64::MAX.into()),
        }
    }
}

impl From<selvedge_core::DType> for DType {
    fn from(dtype: selvedge_core::DType) -> Self {
        use selvedge_core::DType as Device;
        match dtype {
            Device::F32 => DType::F32,
            Device::I8 => DType::I8,
            Device::U8 => DType::U8,
            Device::I16 => DType::I16,
            Device::I32 => DType::I32,
            Device::I64 => DType::I64,
            Device::Bool => DType::Bool,
            Device::U16 => DType::U16,
            Device::U32 => DType::U32,
            Device::U64 => DType::U64,
        }
    }
}

/// A tensor.
#[derive(Clone, Debug)]
pub struct Value {
    /// The ONNX value name, or one derived from it for values a pass made.
    pub name: String,
    /// Set when the data is stored permuted against the ONNX value of this name:
    /// stored = Transpose(ONNX value, perm). The ONNX value may lack axes of
    /// length 1 or be flattened differently: view it in the shape that `perm`
    /// turns into `shape`. Graph inputs and outputs never are.
    pub perm: Option<Vec<usize>>,
    /// Set when dead channels were removed: the channels (last axis) of what
    /// `name` and `perm` describe that are still stored.
    pub channels: Option<Vec<usize>>,
    /// Logical element type. A quantized activation is `F32` with `quant` set,
    /// also where the file holds it as an int8 graph input or output (then see
    /// [`Value::io_dtype`]).
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Integer grid of an activation: real = (q − zero_point) · scale.
    pub quant: Option<ActQuant>,
    /// Set on graph inputs and outputs which the file holds as integers of a
    /// quantized grid (int8, uint8): the type the user passes and receives.
    pub io_dtype: Option<DType>,
    /// Data of a constant; `None` for computed values and graph inputs.
    pub data: Option<Constant>,
    /// Integer codes of a constant that was quantized in the file. `data` then
    /// holds the dequantized f32 values.
    pub codes: Option<QuantCodes>,
    /// How a Conv or Dense that runs in f32 keeps these weights; `None`: in f32.
    pub stored: Option<StoredWeights>,
    /// Weights of a Conv or Dense as codes of fewer than 8 bits; `data` holds what they stand for.
    pub low_bit: Option<LowBitWeights>,
    /// The int8 weights that those of a layer were made from, in an elastic artifact.
    pub master: Option<MasterWeights>,
    /// Low-rank branches of a Dense with these weights; `data` holds the sum.
    pub branches: Vec<LowRankBranch>,
}

/// Per-tensor quantization of an activation, always kept signed: an uint8 grid
/// of the file is shifted by 128 (an uint16 grid by 32768) and marked `unsigned`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActQuant {
    pub scale: f32,
    /// In −128..=127 for 8 bits, −32768..=32767 for 16.
    pub zero_point: i32,
    /// 8 or 16; activations of fewer bits are 8 with a clamp in front (`import/narrow.rs`).
    pub bits: u8,
    /// The file's grid was unsigned.
    pub unsigned: bool,
}

impl ActQuant {
    /// Whether the device computes on the grid in int16: 16 bits around 0.
    pub fn is_wide(&self) -> bool {
        self.bits == 16 && self.zero_point == 0
    }
}

/// Codes of a quantized constant. `codes.len()` is the product of the shape;
/// unsigned codes are kept as they are (no shift), so 0..=255 fits `i16`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantCodes {
    /// 2, 3, 4, 8, 16 or 32.
    pub bits: u8,
    pub signed: bool,
    /// Axis of `scales`/`zeros` when there is more than one.
    pub axis: usize,
    /// Elements of `axis` that share a scale; 0: per tensor or one per index of `axis`.
    pub block: usize,
    pub scales: Vec<f32>,
    /// As long as `scales`; zeros where the file gave none.
    pub zeros: Vec<i32>,
    pub codes: Vec<i32>,
    /// The layer quantizes its f32 input at run time (our scheme without
    /// calibration). False for what a model file brought: such weights under an
    /// f32 input are computed in f32.
    pub dynamic: bool,
}

/// Weights of an f32 layer in fewer than 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredWeights {
    /// IEEE half; `data` holds the halves.
    F16,
    /// int8: the value's codes, symmetric, one scale an output channel.
    W8,
}

/// Weights of fewer than 8 bits. Rows are output channels; k runs over (window row, window
/// column, input channel).
#[derive(Clone, Debug, PartialEq)]
pub struct LowBitWeights {
    pub rows: LowBitRows,
    /// As [`QuantCodes::dynamic`].
    pub dynamic: bool,
    /// With `dynamic`: the layer's input is stored in 4 bits.
    pub a4: bool,
}

/// Int8 weights in the order of [`LowBitWeights`], and what makes the layer's codes of them.
#[derive(Clone, Debug, PartialEq)]
pub struct MasterWeights {
    /// `[n, k]`
    pub codes: Vec<i8>,
    /// Of each row: see `selvedge_core::arith::elastic_code`; empty where the layer has these codes.
    pub ratios: Vec<u32>,
}

/// `(up · t) << shift` in steps of a layer's sums, with `t = requantize(down · x)` in int8. Negative
/// shifts round to the right.
#[derive(Clone, Debug, PartialEq)]
pub struct LowRankBranch {
    pub rank: usize,
    /// `[rank, k]`
    pub down: Vec<i8>,
    /// Of each row of `down`: steps of `t` per step of its sums.
    pub down_scale: Vec<f64>,
    /// `[n, rank]`
    pub up: Vec<i8>,
    pub shift: i32,
}

/// Data of a constant tensor, in row-major order of the value's shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    F32(Vec<f32>),
    I64(Vec<i64>),
    I32(Vec<i32>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    Bool(Vec<bool>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
}

/// The constant of the same type that an expression makes of another's elements.
macro_rules! map_constant {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            Constant::F32($v) => Constant::F32($body),
            Constant::I64($v) => Constant::I64($body),
            Constant::I32($v) => Constant::I32($body),
            Constant::I8($v) => Constant::I8($body),
            Constant::U8($v) => Constant::U8($body),
            Constant::Bool($v) => Constant::Bool($body),
            Constant::I16($v) => Constant::I16($body),
            Constant::U16($v) => Constant::U16($body),
            Constant::U32($v) => Constant::U32($body),
            Constant::U64($v) => Constant::U64($body),
        }
    };
}
pub(crate) use map_constant;

impl Constant {
    pub fn len(&self) -> usize {
        match self {
            Constant::F32(v) => v.len(),
            Constant::I64(v) => v.len(),
            Constant::I32(v) => v.len(),
            Constant::I8(v) => v.len(),
            Constant::U8(v) => v.len(),
            Constant::Bool(v) => v.len(),
            Constant::I16(v) => v.len(),
            Constant::U16(v) => v.len(),
            Constant::U32(v) => v.len(),
            Constant::U64(v) => v.len(),
        }
    }

    /// Elements of an integer or boolean constant.
    pub fn integers(&self) -> Option<Vec<i128>> {
        fn wide<T: Copy + Into<i128>>(v: &[T]) -> Option<Vec<i128>> {
            Some(v.iter().map(|&x| x.into()).collect())
        }
        match self {
            Constant::F32(_) => None,
            Constant::I64(v) => wide(v),
            Constant::I32(v) => wide(v),
            Constant::I8(v) => wide(v),
            Constant::U8(v) => wide(v),
            Constant::Bool(v) => wide(v),
            Constant::I16(v) => wide(v),
            Constant::U16(v) => wide(v),
            Constant::U32(v) => wide(v),
            Constant::U64(v) => wide(v),
        }
    }

    /// Integers as elements of a type: wrapping, in booleans everything but zero is true, in f32 rounded.
    pub fn from_integers(v: &[i128], dtype: DType) -> Constant {
        match dtype {
            DType::F32 => Constant::F32(v.iter().map(|&x| x as f32).collect()),
            DType::I64 => Constant::I64(v.iter().map(|&x| x as i64).collect()),
            DType::I32 => Constant::I32(v.iter().map(|&x| x as i32).collect()),
            DType::I8 => Constant::I8(v.iter().map(|&x| x as i8).collect()),
            DType::U8 => Constant::U8(v.iter().map(|&x| x as u8).collect()),
            DType::Bool => Constant::Bool(v.iter().map(|&x| x != 0).collect()),
            DType::I16 => Constant::I16(v.iter().map(|&x| x as i16).collect()),
            DType::U16 => Constant::U16(v.iter().map(|&x| x as u16).collect()),
            DType::U32 => Constant::U32(v.iter().map(|&x| x as u32).collect()),
            DType::U64 => Constant::U64(v.iter().map(|&x| x as u64).collect()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn dtype(&self) -> DType {
        match self {
            Constant::F32(_) => DType::F32,
            Constant::I64(_) => DType::I64,
            Constant::I32(_) => DType::I32,
            Constant::I8(_) => DType::I8,
            Constant::U8(_) => DType::U8,
            Constant::Bool(_) => DType::Bool,
            Constant::I16(_) => DType::I16,
            Constant::U16(_) => DType::U16,
            Constant::U32(_) => DType::U32,
            Constant::U64(_) => DType::U64,
        }
    }
}

impl Value {
    /// A computed value.
    pub fn new(name: impl Into<String>, dtype: DType, shape: Vec<usize>) -> Self {
        Value {
            name: name.into(),
            perm: None,
            channels: None,
            dtype,
            shape,
            quant: None,
            io_dtype: None,
            data: None,
            codes: None,
            stored: None,
            low_bit: None,
            master: None,
            branches: Vec::new(),
        }
    }

    /// A constant.
    pub fn constant(name: impl Into<String>, shape: Vec<usize>, data: Constant) -> Self {
        Value { data: Some(data.clone()), ..Value::new(name, data.dtype(), shape) }
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_constant(&self) -> bool {
        self.data.is_some()
    }

    /// Data of an f32 constant.
    pub fn f32s(&self) -> Option<&[f32]> {
        match &self.data {
            Some(Constant::F32(v)) => Some(v),
            _ => None,
        }
    }
}
