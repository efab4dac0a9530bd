//! Arrays from files into the inputs of a session, entry by entry.

use crate::error::Failure;
use selvedge::{DType, InputMut, Session};
use selvedge_compiler::data::{Array, ArrayData};

/// An array cut into the entries of one input.
pub struct Feed {
    array: Array,
    /// Elements of one entry.
    size: usize,
    /// Where the array came from, for messages.
    source: String,
}

impl Feed {
    /// Of an array that [`fit`]s the input.
    pub fn new(source: &str, array: Array, name: &str, dims: &[u32]) -> Result<Self, Failure> {
        let array = fit(source, array, name, dims)?;
        let size = dims.iter().map(|&d| d as usize).product();
        Ok(Feed { array, size, source: source.to_string() })
    }

    pub fn entries(&self) -> usize {
        self.array.data.len() / self.size
    }

    /// Writes entry `i` to input `index`, converting real numbers to the input's grid.
    pub fn fill(&self, session: &mut Session<'_>, index: usize, i: usize) -> Result<(), Failure> {
        let input = session.input(index).map_err(|e| Failure::bad(format!("{}, entry {i}: {e}", self.source)))?;
        self.fill_input(input, i)
    }

    /// As [`Feed::fill`], an input of any session.
    pub fn fill_input(&self, input: InputMut<'_>, i: usize) -> Result<(), Failure> {
        let named = |e: selvedge::Error| Failure::bad(format!("{}, entry {i}: {e}", self.source));
        let entry = self.array.data.slice(i * self.size..(i + 1) * self.size);
        match (&entry, input.dtype()) {
            (data, wanted) if data.dtype() == wanted.into() => input.copy_from_bytes(&data.to_bytes()),
            // A picture's bytes on an int8 grid over 0..255 or 0..1.
            (ArrayData::U8(v), DType::I8) => {
                let shifted: Vec<i8> = v.iter().map(|&b| (b ^ 0x80) as i8).collect();
                input.copy_from_i8(&shifted)
            }
            (ArrayData::U8(v), DType::F32) => {
                let unit: Vec<f32> = v.iter().map(|&b| b as f32 / 255.0).collect();
                input.copy_from_f32(&unit)
            }
            (data, DType::F32) => input.copy_from_f32(&data.to_f32()),
            (ArrayData::F32(v), DType::I8 | DType::U8) => input.quantize_from_f32(v),
            (data, wanted) => {
                let (found, wanted) = (data.dtype(), wanted.name());
                return Err(Failure::bad(format!("{}: elements are {found:?}, the input takes {wanted}", self.source)));
            }
        }
        .map_err(named)
    }
}

/// Fits an array to an input of shape `dims`: the shape itself, many entries along its first axis, or a picture
/// whose channel axis stands elsewhere.
pub fn fit(source: &str, array: Array, name: &str, dims: &[u32]) -> Result<Array, Failure> {
    let dims: Vec<usize> = dims.iter().map(|&d| d as usize).collect();
    let size: usize = dims.iter().product();
    let mut array = array;
    if let (&[1, h, w, c], &[_, dc, dh, dw]) = (array.shape.as_slice(), dims.as_slice())
        && array.shape[1..] != dims[1..]
        && (h, w, c) == (dh, dw, dc)
    {
        array = channels_first(&array, h, w, c);
    }
    let tail = array.shape.get(1..);
    let fits = array.shape == dims || tail == dims.get(1..) || tail == Some(&dims) || array.shape == dims[1..];
    if size == 0 || array.data.is_empty() || !array.data.len().is_multiple_of(size) || !fits {
        let shape = &array.shape;
        return Err(Failure::bad(format!(
            "{source}: an array of shape {shape:?} does not fit input '{name}' of shape {dims:?}; \
             give that shape, or more entries along the first axis"
        )));
    }
    Ok(array)
}

fn channels_first(array: &Array, h: usize, w: usize, c: usize) -> Array {
    let order = (0..c).flat_map(|ch| (0..h * w).map(move |p| p * c + ch));
    let data = match &array.data {
        ArrayData::U8(v) => ArrayData::U8(order.map(|i| v[i]).collect()),
        other => {
            let v = other.to_f32();
            ArrayData::F32(order.map(|i| v[i]).collect())
        }
    };
    Array { shape: vec![1, c, h, w], data }
}
