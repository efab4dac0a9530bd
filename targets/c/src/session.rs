//! A session's beginning and end.

use core::ffi::c_void;
use core::ops::Range;

use selvedge::Session;
use selvedge::artifact::ALIGNMENT;

use crate::handle::{self, SelvedgeError, SelvedgeSession};
use crate::status::Failure;
use crate::{Status, artifact, memory};

include!(concat!(env!("OUT_DIR"), "/table.rs"));

/// Validates an artifact on a zeroed arena; `place` is where the session will lie.
///
/// # Safety
/// As `selvedge_session_init` in `selvedge.h`.
unsafe fn validate(
    place: &Range<usize>,
    (artifact, artifact_bytes): (*const c_void, usize),
    (arena, arena_bytes): (*mut u8, usize),
) -> Result<(Session<'static>, Range<usize>), SelvedgeError> {
    let of_artifact = memory::elements(artifact.cast::<u8>(), artifact_bytes)?;
    let of_arena = memory::elements(arena, arena_bytes)?;
    if !of_arena.start.is_multiple_of(ALIGNMENT) {
        return Err(Failure::from(Status::MISALIGNED_ARENA).into());
    }
    memory::disjoint(place, &of_arena)?;
    memory::disjoint(place, &of_artifact)?;
    memory::disjoint(&of_artifact, &of_arena)?;
    // SAFETY: the caller leaves the artifact unchanged until the session ends.
    let artifact = unsafe { artifact::parse(artifact, artifact_bytes) }?;
    let bytes = arena_bytes.min(artifact.arena_bytes());
    // SAFETY: `bytes` is at most what the caller gave; C may not have written it before.
    unsafe { arena.write_bytes(0, bytes) };
    // SAFETY: initialized just now; the caller leaves it to the session until that ends.
    let memory = unsafe { memory::slice_mut(arena, bytes) }?;
    match Session::with_ops(artifact, memory, TABLE) {
        Ok(session) => Ok((session, of_arena)),
        Err(error) => Err(SelvedgeError::new(error.into(), Some(&artifact))),
    }
}

/// Validates an artifact and makes a session of it.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_session_init(
    session: *mut SelvedgeSession,
    session_bytes: usize,
    artifact: *const c_void,
    artifact_bytes: usize,
    arena: *mut c_void,
    arena_bytes: usize,
) -> Status {
    if !session.is_null() && session_bytes != size_of::<SelvedgeSession>() {
        return Status::SESSION_SIZE;
    }
    let artifact = (artifact, artifact_bytes);
    let arena = (arena.cast(), arena_bytes);
    // SAFETY: as the caller promises.
    let body = |place: &Range<usize>| unsafe { validate(place, artifact, arena) };
    // SAFETY: as the caller promises.
    unsafe { handle::open(session, body) }
}

/// Ends a session: arena and artifact are the caller's again.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_session_end(session: *mut SelvedgeSession) -> Status {
    // SAFETY: as the caller promises.
    unsafe { handle::close(session) }
}

/// The last failure of a session.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_last_error(session: *mut SelvedgeSession, error: *mut SelvedgeError) -> Status {
    // SAFETY: as the caller promises.
    let found = unsafe { handle::last_error(session) };
    // SAFETY: as the caller promises.
    found.and_then(|found| unsafe { memory::store(error, found) }).into()
}
