//! Inputs and outputs.

use core::ffi::c_void;

use selvedge::{Error, ErrorKind, InputMut, Output, Session, TensorView};

use crate::handle::{self, Fields, SelvedgeSession};
use crate::status::Failure;
use crate::{Status, memory};

const MAX_RANK: usize = 6;

/// Shape, type and grid of a tensor: `selvedge_tensor_info` in C.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct SelvedgeTensorInfo {
    /// Code of the element type.
    pub dtype: u32,
    /// Dimensions in use.
    pub rank: u32,
    /// Dimensions, in the order of memory; 0 behind the last.
    pub dims: [u32; MAX_RANK],
    /// Number of elements.
    pub elements: u32,
    /// Number of bytes.
    pub bytes: u32,
    /// 1 when scale and zero point hold, else 0.
    pub quantized: u32,
    /// Of the integer grid; 0 where there is none.
    pub scale: f32,
    /// Of the integer grid; 0 where there is none.
    pub zero_point: i32,
}

impl From<TensorView<'_>> for SelvedgeTensorInfo {
    fn from(tensor: TensorView<'_>) -> Self {
        let mut dims = [0; MAX_RANK];
        for (to, from) in dims.iter_mut().zip(tensor.dims) {
            *to = *from;
        }
        let (scale, zero_point) = tensor.quantization().unwrap_or((0.0, 0));
        SelvedgeTensorInfo {
            dtype: tensor.dtype as u32,
            rank: tensor.dims.len() as u32,
            dims,
            elements: tensor.elements as u32,
            bytes: tensor.bytes() as u32,
            quantized: tensor.quantization().is_some().into(),
            scale,
            zero_point,
        }
    }
}

/// Describes the tensor that `list` has at `index`.
fn describe(session: &Session<'static>, list: &[u16], index: u32) -> Result<SelvedgeTensorInfo, Failure> {
    let no_such = Error::new(ErrorKind::NoSuchIo).with(index as usize);
    let tensor = *list.get(index as usize).ok_or(no_such)?;
    Ok(session.artifact().tensor(tensor as usize)?.into())
}

/// Writes input `index` from `count` elements of the caller.
///
/// # Safety
/// `session` as in [`handle::with`], `data` as in [`memory::slice`].
unsafe fn write<T>(
    session: *mut SelvedgeSession,
    index: u32,
    (data, count): (*const T, usize),
    copy: impl FnOnce(InputMut<'_>, &[T]) -> Result<(), Error>,
) -> Status {
    let body = |fields: &mut Fields, session: &mut Session<'static>| {
        fields.apart(&memory::elements(data, count)?)?;
        let input = session.input(index as usize)?;
        // SAFETY: as the caller promises; it shares no byte with the session's memory.
        let data = unsafe { memory::slice(data, count) }?;
        copy(input, data)?;
        fields.input_written(index);
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { handle::with(session, body) }
}

/// An output of a finished run.
fn output<'s>(fields: &Fields, session: &'s Session<'static>, index: u32) -> Result<Output<'s>, Failure> {
    let output = session.output(index as usize)?;
    if fields.outputs_valid { Ok(output) } else { Err(Status::NOT_RUN.into()) }
}

/// Reads output `index` into `count` elements of the caller.
///
/// # Safety
/// `session` as in [`handle::with`], `data` as in [`memory::slice_mut`].
unsafe fn read<T>(
    session: *mut SelvedgeSession,
    index: u32,
    (data, count): (*mut T, usize),
    copy: impl FnOnce(Output<'_>, &mut [T]) -> Result<(), Failure>,
) -> Status {
    let body = |fields: &mut Fields, session: &mut Session<'static>| {
        fields.apart(&memory::elements(data, count)?)?;
        let output = output(fields, session, index)?;
        // SAFETY: as the caller promises; it shares no byte with the session's memory.
        copy(output, unsafe { memory::slice_mut(data, count) }?)
    };
    // SAFETY: as the caller promises.
    unsafe { handle::with(session, body) }
}

/// Copies what has the length of the destination.
fn copy<T: Copy>(from: &[T], to: &mut [T]) -> Result<(), Failure> {
    if from.len() != to.len() {
        return Err(Failure::with(Status::WRONG_LENGTH, size_of_val(from)));
    }
    to.copy_from_slice(from);
    Ok(())
}

/// Stores what `value` finds, at an address apart from the session's memory.
///
/// # Safety
/// `session` as in [`handle::with`], `out` as in [`memory::store`].
unsafe fn get<T>(
    session: *mut SelvedgeSession,
    out: *mut T,
    value: impl FnOnce(&mut Fields, &mut Session<'static>) -> Result<T, Failure>,
) -> Status {
    let body = |fields: &mut Fields, session: &mut Session<'static>| {
        fields.apart(&memory::elements(out, 1)?)?;
        let value = value(fields, session)?;
        // SAFETY: as the caller promises.
        unsafe { memory::store(out, value) }
    };
    // SAFETY: as the caller promises.
    unsafe { handle::with(session, body) }
}

/// Number of inputs.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_input_count(session: *mut SelvedgeSession, count: *mut u32) -> Status {
    // SAFETY: as the caller promises.
    unsafe { get(session, count, |_, session| Ok(session.input_count() as u32)) }
}

/// Number of outputs.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_output_count(session: *mut SelvedgeSession, count: *mut u32) -> Status {
    // SAFETY: as the caller promises.
    unsafe { get(session, count, |_, session| Ok(session.output_count() as u32)) }
}

/// Shape, type and grid of an input.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_input_info(
    session: *mut SelvedgeSession,
    input: u32,
    info: *mut SelvedgeTensorInfo,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { get(session, info, |_, session| describe(session, session.artifact().inputs(), input)) }
}

/// Shape, type and grid of an output.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_output_info(
    session: *mut SelvedgeSession,
    output: u32,
    info: *mut SelvedgeTensorInfo,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { get(session, info, |_, session| describe(session, session.artifact().outputs(), output)) }
}

/// Writes an int8 input.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_write_i8(
    session: *mut SelvedgeSession,
    input: u32,
    data: *const i8,
    count: usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { write(session, input, (data, count), |input, data| input.copy_from_i8(data)) }
}

/// Writes an input of any type from its bytes.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_write_bytes(
    session: *mut SelvedgeSession,
    input: u32,
    data: *const c_void,
    bytes: usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { write(session, input, (data.cast::<u8>(), bytes), |input, data| input.copy_from_bytes(data)) }
}

/// Quantizes real values to the grid of an input.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_write_f32(
    session: *mut SelvedgeSession,
    input: u32,
    data: *const f32,
    count: usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { write(session, input, (data, count), |input, data| input.quantize_from_f32(data)) }
}

/// Memory of an input, to be written in place.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_input_data(
    session: *mut SelvedgeSession,
    input: u32,
    data: *mut *mut c_void,
    bytes: *mut usize,
) -> Status {
    let place = |fields: &mut Fields, session: &mut Session<'static>| {
        fields.apart(&memory::elements(bytes, 1)?)?;
        let memory = session.input(input as usize)?.into_bytes();
        fields.input_written(input);
        // SAFETY: as the caller promises.
        unsafe { memory::store(bytes, memory.len()) }?;
        Ok(memory.as_mut_ptr().cast::<c_void>())
    };
    // SAFETY: as the caller promises.
    unsafe { get(session, data, place) }
}

/// Reads an int8 output.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_read_i8(
    session: *mut SelvedgeSession,
    output: u32,
    data: *mut i8,
    count: usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { read(session, output, (data, count), |output, data| copy(output.as_i8()?, data)) }
}

/// Reads the bytes of an output of any type.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_read_bytes(
    session: *mut SelvedgeSession,
    output: u32,
    data: *mut c_void,
    bytes: usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { read(session, output, (data.cast::<u8>(), bytes), |output, data| copy(output.bytes(), data)) }
}

/// Reads the real values of an output.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_read_f32(
    session: *mut SelvedgeSession,
    output: u32,
    data: *mut f32,
    count: usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { read(session, output, (data, count), |output, data| Ok(output.dequantize_into(data)?)) }
}

/// Index of the greatest element of an output.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_argmax(session: *mut SelvedgeSession, output: u32, index: *mut u32) -> Status {
    // SAFETY: as the caller promises.
    unsafe { get(session, index, |fields, session| Ok(self::output(fields, session, output)?.argmax() as u32)) }
}

/// Memory of an output, to be read in place.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_output_data(
    session: *mut SelvedgeSession,
    output: u32,
    data: *mut *const c_void,
    bytes: *mut usize,
) -> Status {
    let place = |fields: &mut Fields, session: &mut Session<'static>| {
        fields.apart(&memory::elements(bytes, 1)?)?;
        let memory = self::output(fields, session, output)?.bytes();
        // SAFETY: as the caller promises.
        unsafe { memory::store(bytes, memory.len()) }?;
        Ok(memory.as_ptr().cast::<c_void>())
    };
    // SAFETY: as the caller promises.
    unsafe { get(session, data, place) }
}
