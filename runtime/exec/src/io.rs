//! Inputs and outputs of a session.

use bytemuck::Pod;
use selvedge_core::artifact::TensorView;
use selvedge_core::{DType, Error, ErrorKind, arith};

/// An input tensor, to be written.
#[derive(Debug)]
pub struct InputMut<'s> {
    tensor: TensorView<'s>,
    bytes: &'s mut [u8],
}

/// An output tensor, to be read.
#[derive(Clone, Copy, Debug)]
pub struct Output<'s> {
    tensor: TensorView<'s>,
    bytes: &'s [u8],
}

macro_rules! describe {
    () => {
        /// Shape, in the order of memory.
        pub fn dims(&self) -> &'s [u32] {
            self.tensor.dims
        }

        /// Element type.
        pub fn dtype(&self) -> DType {
            self.tensor.dtype
        }

        /// Number of elements.
        pub fn elements(&self) -> usize {
            self.tensor.elements
        }

        /// Scale and zero point of an integer grid: real = (q − zero point)·scale.
        pub fn quantization(&self) -> Option<(f32, i32)> {
            self.tensor.quantization()
        }
    };
}

impl<'s> InputMut<'s> {
    pub(crate) fn new(tensor: TensorView<'s>, bytes: &'s mut [u8]) -> Self {
        InputMut { tensor, bytes }
    }

    describe!();

    fn copy<T: Pod>(self, dtype: DType, data: &[T]) -> Result<(), Error> {
        if self.tensor.dtype != dtype {
            return Err(ErrorKind::WrongType.into());
        }
        self.copy_from_bytes(bytemuck::cast_slice(data))
    }

    /// Writes an int8 tensor.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`], [`ErrorKind::WrongLength`] (detail: bytes of the tensor).
    pub fn copy_from_i8(self, data: &[i8]) -> Result<(), Error> {
        self.copy(DType::I8, data)
    }

    /// Writes a uint8 tensor.
    ///
    /// # Errors
    /// As [`InputMut::copy_from_i8`].
    pub fn copy_from_u8(self, data: &[u8]) -> Result<(), Error> {
        self.copy(DType::U8, data)
    }

    /// Writes an f32 tensor.
    ///
    /// # Errors
    /// As [`InputMut::copy_from_i8`].
    pub fn copy_from_f32(self, data: &[f32]) -> Result<(), Error> {
        self.copy(DType::F32, data)
    }

    /// Writes an i32 tensor.
    ///
    /// # Errors
    /// As [`InputMut::copy_from_i8`].
    pub fn copy_from_i32(self, data: &[i32]) -> Result<(), Error> {
        self.copy(DType::I32, data)
    }

    /// Writes an i64 tensor.
    ///
    /// # Errors
    /// As [`InputMut::copy_from_i8`].
    pub fn copy_from_i64(self, data: &[i64]) -> Result<(), Error> {
        self.copy(DType::I64, data)
    }

    /// Writes a tensor of any type from its little-endian bytes.
    ///
    /// # Errors
    /// [`ErrorKind::WrongLength`] (detail: bytes of the tensor).
    pub fn copy_from_bytes(self, data: &[u8]) -> Result<(), Error> {
        if data.len() != self.bytes.len() {
            return Err(Error::new(ErrorKind::WrongLength).with(self.bytes.len()));
        }
        self.bytes.copy_from_slice(data);
        Ok(())
    }

    /// Quantizes real values to the tensor's int8 or uint8 grid (ONNX QuantizeLinear); an f32
    /// tensor takes them as they are.
    ///
    /// # Errors
    /// [`ErrorKind::NotANumber`] (detail: index of the NaN), [`ErrorKind::WrongLength`],
    /// [`ErrorKind::WrongType`] where the tensor has no such grid.
    pub fn quantize_from_f32(self, data: &[f32]) -> Result<(), Error> {
        // A uint8 grid is the int8 grid shifted by 128: the top bit differs.
        let (shift, flip) = match self.tensor.dtype {
            DType::F32 => return self.copy_from_f32(data),
            DType::I8 => (0, 0),
            DType::U8 => (128, 0x80),
            _ => return Err(ErrorKind::WrongType.into()),
        };
        let (scale, zero_point) = self.quantization().ok_or(ErrorKind::WrongType)?;
        if data.len() != self.bytes.len() {
            return Err(Error::new(ErrorKind::WrongLength).with(self.bytes.len()));
        }
        for (i, (q, &x)) in self.bytes.iter_mut().zip(data).enumerate() {
            let value = arith::quantize(x, scale, zero_point - shift);
            *q = value.ok_or(Error::new(ErrorKind::NotANumber).with(i))? as u8 ^ flip;
        }
        Ok(())
    }

    /// The tensor's little-endian bytes, to be written in place.
    pub fn into_bytes(self) -> &'s mut [u8] {
        self.bytes
    }
}

impl<'s> Output<'s> {
    pub(crate) fn new(tensor: TensorView<'s>, bytes: &'s [u8]) -> Self {
        Output { tensor, bytes }
    }

    describe!();

    /// The tensor's little-endian bytes.
    pub fn bytes(&self) -> &'s [u8] {
        self.bytes
    }

    fn view<T: Pod>(&self, dtype: DType) -> Result<&'s [T], Error> {
        if self.tensor.dtype != dtype {
            return Err(ErrorKind::WrongType.into());
        }
        bytemuck::try_cast_slice(self.bytes).map_err(|_| ErrorKind::WrongType.into())
    }

    /// Elements of an int8 tensor.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`].
    pub fn as_i8(&self) -> Result<&'s [i8], Error> {
        self.view(DType::I8)
    }

    /// Elements of a uint8 tensor.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`].
    pub fn as_u8(&self) -> Result<&'s [u8], Error> {
        self.view(DType::U8)
    }

    /// Elements of an f32 tensor.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`].
    pub fn as_f32(&self) -> Result<&'s [f32], Error> {
        self.view(DType::F32)
    }

    /// Elements of an i32 tensor.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`].
    pub fn as_i32(&self) -> Result<&'s [i32], Error> {
        self.view(DType::I32)
    }

    /// Elements of an i64 tensor.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`].
    pub fn as_i64(&self) -> Result<&'s [i64], Error> {
        self.view(DType::I64)
    }

    /// Writes the real values: `(q − zero point)·scale` of a grid, plain numbers otherwise.
    ///
    /// # Errors
    /// [`ErrorKind::WrongLength`] (detail: elements of the tensor).
    pub fn dequantize_into(&self, out: &mut [f32]) -> Result<(), Error> {
        if out.len() != self.elements() {
            return Err(Error::new(ErrorKind::WrongLength).with(self.elements()));
        }
        let grid = self.quantization();
        for (i, y) in out.iter_mut().enumerate() {
            *y = match (self.element(i), grid) {
                (Element::Real(x), _) => x,
                (Element::Unsigned(x), _) => x as f32,
                (Element::Integer(q), None) => q as f32,
                (Element::Integer(q), Some((scale, zp))) => (q.saturating_sub(zp as i64)) as f32 * scale,
            };
        }
        Ok(())
    }

    /// Index of the greatest element; of equal ones the first. NaN is never the greatest.
    pub fn argmax(&self) -> usize {
        self.argmax_of(0, self.elements())
    }

    /// The same of the elements `first..first + len`, counted from `first`; of those that exist.
    pub fn argmax_of(&self, first: usize, len: usize) -> usize {
        let mut best: Option<(usize, Element)> = None;
        for i in 0..len.min(self.elements().saturating_sub(first)) {
            let x = self.element(first + i);
            if best.is_none_or(|(_, b)| x.exceeds(b)) {
                best = Some((i, x));
            }
        }
        best.map_or(0, |(i, _)| i)
    }

    fn element(&self, i: usize) -> Element {
        fn at<const N: usize>(bytes: &[u8], i: usize) -> [u8; N] {
            let found = i.checked_mul(N).and_then(|start| bytes.get(start..)?.first_chunk::<N>());
            found.copied().unwrap_or([0; N])
        }
        match self.tensor.dtype {
            DType::F32 => Element::Real(f32::from_le_bytes(at(self.bytes, i))),
            DType::I8 => Element::Integer(i8::from_le_bytes(at(self.bytes, i)) as i64),
            DType::U8 | DType::Bool => Element::Integer(u8::from_le_bytes(at(self.bytes, i)) as i64),
            DType::I16 => Element::Integer(i16::from_le_bytes(at(self.bytes, i)) as i64),
            DType::I32 => Element::Integer(i32::from_le_bytes(at(self.bytes, i)) as i64),
            DType::I64 => Element::Integer(i64::from_le_bytes(at(self.bytes, i))),
            DType::U16 => Element::Integer(u16::from_le_bytes(at(self.bytes, i)) as i64),
            DType::U32 => Element::Integer(u32::from_le_bytes(at(self.bytes, i)) as i64),
            DType::U64 => Element::Unsigned(u64::from_le_bytes(at(self.bytes, i))),
        }
    }
}

#[derive(Clone, Copy)]
enum Element {
    Real(f32),
    Integer(i64),
    Unsigned(u64),
}

impl Element {
    /// Greater than `other`, or a number where `other` is NaN.
    fn exceeds(self, other: Element) -> bool {
        match (self, other) {
            (Element::Real(a), Element::Real(b)) => a > b || (b.is_nan() && !a.is_nan()),
            (Element::Integer(a), Element::Integer(b)) => a > b,
            (Element::Unsigned(a), Element::Unsigned(b)) => a > b,
            _ => false,
        }
    }
}
