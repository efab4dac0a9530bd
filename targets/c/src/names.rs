//! Names and versions.

use core::ffi::{CStr, c_char};

use selvedge::{DType, Format, OpCode};

use crate::status::Failure;
use crate::{Status, memory};

/// Version of the C interface; changes when a program must be compiled again.
pub const ABI_VERSION: u32 = 2;

/// Version of the C interface.
#[unsafe(no_mangle)]
pub extern "C" fn selvedge_abi_version() -> u32 {
    ABI_VERSION
}

/// Version of the library.
#[unsafe(no_mangle)]
pub extern "C" fn selvedge_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Name of a status.
#[unsafe(no_mangle)]
pub extern "C" fn selvedge_status_name(status: Status) -> *const c_char {
    let found = Status::ALL.iter().find(|(known, _)| *known == status);
    found.map_or(c"SELVEDGE_UNKNOWN_STATUS", |(_, name)| *name).as_ptr()
}

/// Name of an element type.
#[unsafe(no_mangle)]
pub extern "C" fn selvedge_dtype_name(dtype: u32) -> *const c_char {
    let name: &CStr = match u8::try_from(dtype).ok().and_then(DType::from_u8) {
        Some(DType::F32) => c"f32",
        Some(DType::I8) => c"i8",
        Some(DType::U8) => c"u8",
        Some(DType::I16) => c"i16",
        Some(DType::I32) => c"i32",
        Some(DType::I64) => c"i64",
        Some(DType::Bool) => c"bool",
        Some(DType::U16) => c"u16",
        Some(DType::U32) => c"u32",
        Some(DType::U64) => c"u64",
        None => c"unknown",
    };
    name.as_ptr()
}

/// Writes `Name<Format>` of an op as NUL-terminated text.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_op_name(op: u32, format: u32, text: *mut c_char, bytes: usize) -> Status {
    let write = || -> Result<(), Failure> {
        // SAFETY: as the caller promises.
        let text = unsafe { memory::slice_mut(text.cast::<u8>(), bytes) }?;
        let op = u16::try_from(op).ok().and_then(OpCode::from_code).map_or("?", OpCode::name);
        let format = u8::try_from(format).ok().and_then(Format::from_code).map_or("?", Format::name);
        let parts = [op, "<", format, ">", "\0"];
        let needed = parts.iter().map(|part| part.len()).sum();
        let whole = text.get_mut(..needed).ok_or(Failure::with(Status::WRONG_LENGTH, needed))?;
        for (to, from) in whole.iter_mut().zip(parts.iter().flat_map(|part| part.bytes())) {
            *to = from;
        }
        Ok(())
    };
    write().into()
}
