//! A session's beginning and end.

use core::ffi::c_void;
use core::ops::Range;
use core::ptr::null_mut;

use selvedge::Session;
use selvedge::artifact::ALIGNMENT;

use crate::handle::{self, SelvedgeError, SelvedgeSession};
use crate::status::Failure;
use crate::{Status, artifact, memory};

include!(concat!(env!("OUT_DIR"), "/table.rs"));

/// Memory that C hands over: where it starts and its bytes.
type Memory = (*const c_void, usize);
/// Memory of the arena.
type Region = (*mut u8, usize);

/// What a session is made of.
struct Parts {
    /// The artifact, or its head.
    artifact: Memory,
    /// The weights file, where the artifact is a head.
    weights: Option<Memory>,
    /// The arena, or its first region.
    fast: Region,
    /// The second region; the arena is one without.
    slow: Option<Region>,
}

/// Addresses of a region, which may be null where it has no bytes.
fn region((start, bytes): Region, may_lack: bool) -> Result<Range<usize>, Failure> {
    if may_lack && bytes == 0 {
        return Ok(0..0);
    }
    let addresses = memory::elements(start, bytes)?;
    if addresses.start.is_multiple_of(ALIGNMENT) { Ok(addresses) } else { Err(Status::MISALIGNED_ARENA.into()) }
}

/// Zeroes the part of a region that a model uses.
///
/// # Safety
/// `region` has passed [`region`]; its memory is the caller's to lend until the session ends.
unsafe fn zeroed((start, bytes): Region, used: usize) -> Result<&'static mut [u8], Failure> {
    let bytes = bytes.min(used);
    if bytes == 0 {
        return Ok(&mut []);
    }
    // SAFETY: `bytes` is at most what the caller gave; C may not have written it before.
    unsafe { start.write_bytes(0, bytes) };
    // SAFETY: initialized just now; the caller leaves it to the session until that ends.
    unsafe { memory::slice_mut(start, bytes) }
}

/// Validates an artifact on a zeroed arena; `place` is where the session will lie.
///
/// # Safety
/// As `selvedge_session_init` in `selvedge.h`.
unsafe fn validate(
    place: &Range<usize>,
    parts: &Parts,
) -> Result<(Session<'static>, [Range<usize>; 2]), SelvedgeError> {
    let (artifact, artifact_bytes) = parts.artifact;
    let of_artifact = memory::elements(artifact.cast::<u8>(), artifact_bytes)?;
    let of_weights = match parts.weights {
        Some((weights, bytes)) => memory::elements(weights.cast::<u8>(), bytes)?,
        None => 0..0,
    };
    let arena = [region(parts.fast, false)?, region(parts.slow.unwrap_or((null_mut(), 0)), true)?];
    for memory in arena.iter().chain([&of_artifact, &of_weights]) {
        memory::disjoint(place, memory)?;
    }
    for region in &arena {
        memory::disjoint(&of_artifact, region)?;
        memory::disjoint(&of_weights, region)?;
    }
    memory::disjoint(&arena[0], &arena[1])?;
    let artifact = match parts.weights {
        // SAFETY: the caller leaves both unchanged until the session ends.
        Some(weights) => unsafe { artifact::parse_split(parts.artifact, weights) },
        // SAFETY: the caller leaves it unchanged until the session ends.
        None => unsafe { artifact::parse(artifact, artifact_bytes) },
    }?;
    let [fast_bytes, slow_bytes] = match parts.slow {
        Some(_) => artifact.region_bytes(),
        None => [artifact.arena_bytes(), 0],
    };
    // SAFETY: checked above; lent as the caller promises.
    let fast = unsafe { zeroed(parts.fast, fast_bytes) }?;
    let session = match parts.slow {
        None => Session::with_ops(artifact, fast, TABLE),
        Some(slow) => {
            // SAFETY: checked above, apart from the first; lent as the caller promises.
            let slow = unsafe { zeroed(slow, slow_bytes) }?;
            Session::with_regions(artifact, [fast, slow], TABLE)
        }
    };
    match session {
        Ok(session) => Ok((session, arena)),
        Err(error) => Err(SelvedgeError::new(error.into(), Some(&artifact))),
    }
}

/// Makes a session of its parts.
///
/// # Safety
/// As `selvedge_session_init` in `selvedge.h`.
unsafe fn init(session: *mut SelvedgeSession, session_bytes: usize, parts: &Parts) -> Status {
    if !session.is_null() && session_bytes != size_of::<SelvedgeSession>() {
        return Status::SESSION_SIZE;
    }
    // SAFETY: as the caller promises.
    let body = |place: &Range<usize>| unsafe { validate(place, parts) };
    // SAFETY: as the caller promises.
    unsafe { handle::open(session, body) }
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
    let parts =
        Parts { artifact: (artifact, artifact_bytes), weights: None, fast: (arena.cast(), arena_bytes), slow: None };
    // SAFETY: as the caller promises.
    unsafe { init(session, session_bytes, &parts) }
}

/// The same with an arena in two memories.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)] // Three pieces of memory and the session.
pub unsafe extern "C" fn selvedge_session_init_regions(
    session: *mut SelvedgeSession,
    session_bytes: usize,
    artifact: *const c_void,
    artifact_bytes: usize,
    fast: *mut c_void,
    fast_bytes: usize,
    slow: *mut c_void,
    slow_bytes: usize,
) -> Status {
    let parts = Parts {
        artifact: (artifact, artifact_bytes),
        weights: None,
        fast: (fast.cast(), fast_bytes),
        slow: Some((slow.cast(), slow_bytes)),
    };
    // SAFETY: as the caller promises.
    unsafe { init(session, session_bytes, &parts) }
}

/// The same with the weights in a memory of their own.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)] // Four pieces of memory and the session.
pub unsafe extern "C" fn selvedge_session_init_split(
    session: *mut SelvedgeSession,
    session_bytes: usize,
    head: *const c_void,
    head_bytes: usize,
    weights: *const c_void,
    weights_bytes: usize,
    fast: *mut c_void,
    fast_bytes: usize,
    slow: *mut c_void,
    slow_bytes: usize,
) -> Status {
    let parts = Parts {
        artifact: (head, head_bytes),
        weights: Some((weights, weights_bytes)),
        fast: (fast.cast(), fast_bytes),
        slow: Some((slow.cast(), slow_bytes)),
    };
    // SAFETY: as the caller promises.
    unsafe { init(session, session_bytes, &parts) }
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
