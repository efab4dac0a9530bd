//! Checks of what C hands over before it becomes a reference.

use crate::Status;
use crate::status::Failure;
use core::ops::Range;

/// The addresses of `bytes` bytes, where they can be one object.
pub(crate) fn span(start: usize, bytes: usize) -> Result<Range<usize>, Failure> {
    let fits = bytes <= isize::MAX as usize;
    let end = start.checked_add(bytes).filter(|_| fits).ok_or(Status::WRONG_LENGTH)?;
    Ok(start..end)
}

/// Refuses memory that shares a byte with other memory.
pub(crate) fn disjoint(a: &Range<usize>, b: &Range<usize>) -> Result<(), Failure> {
    let share = !a.is_empty() && !b.is_empty() && a.start < b.end && b.start < a.end;
    if share { Err(Status::OVERLAPPING_MEMORY.into()) } else { Ok(()) }
}

/// Refuses a pointer that is null or not aligned for `T`.
pub(crate) fn pointer<T>(data: *const T) -> Result<(), Failure> {
    if data.is_null() {
        Err(Status::NULL_POINTER.into())
    } else if !data.is_aligned() {
        Err(Status::MISALIGNED_DATA.into())
    } else {
        Ok(())
    }
}

/// Addresses of `count` elements behind a good pointer.
pub(crate) fn elements<T>(data: *const T, count: usize) -> Result<Range<usize>, Failure> {
    pointer(data)?;
    span(data.addr(), count.checked_mul(size_of::<T>()).ok_or(Status::WRONG_LENGTH)?)
}

/// Writes a result through a pointer of the caller.
///
/// # Safety
/// `out` is null, misaligned (both are refused) or may be written.
pub(crate) unsafe fn store<T>(out: *mut T, value: T) -> Result<(), Failure> {
    pointer(out)?;
    // SAFETY: not null and aligned as just seen, writable as the caller promises.
    unsafe { out.write(value) };
    Ok(())
}

/// Elements the caller lends for the time of a call.
///
/// # Safety
/// `data` is null, misaligned (both are refused) or points to `count` elements that nobody
/// writes during the call.
pub(crate) unsafe fn slice<'c, T>(data: *const T, count: usize) -> Result<&'c [T], Failure> {
    elements(data, count)?;
    // SAFETY: not null, aligned and of a legal length as just seen, readable as the caller promises.
    Ok(unsafe { core::slice::from_raw_parts(data, count) })
}

/// Elements the caller lends to be written.
///
/// # Safety
/// `data` is null, misaligned (both are refused) or points to `count` elements that nobody else
/// touches during the call.
pub(crate) unsafe fn slice_mut<'c, T>(data: *mut T, count: usize) -> Result<&'c mut [T], Failure> {
    elements(data, count)?;
    // SAFETY: not null, aligned and of a legal length as just seen, exclusive as the caller promises.
    Ok(unsafe { core::slice::from_raw_parts_mut(data, count) })
}
