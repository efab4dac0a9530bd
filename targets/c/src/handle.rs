//! The session in the caller's memory.

use core::mem::MaybeUninit;
use core::ops::Range;

use selvedge::Session;

use crate::status::Failure;
use crate::{Status, memory};

/// Words of a session.
pub const SESSION_WORDS: usize = 56;

/// Memory for a session: `selvedge_session` in C.
#[derive(Debug)]
#[repr(C)]
pub struct SelvedgeSession {
    reserved: [usize; SESSION_WORDS],
}

/// The last failure of a session: `selvedge_error` in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SelvedgeError {
    /// The status returned.
    pub status: Status,
    /// Step of the model, or −1.
    pub step: i32,
    /// Code of the step's op, or 0.
    pub op: u32,
    /// Code of the step's format.
    pub format: u32,
    /// Bytes needed, tensor index, section kind: the header tells by status.
    pub detail: u32,
}

impl SelvedgeError {
    pub(crate) const NONE: Self = SelvedgeError { status: Status::OK, step: -1, op: 0, format: 0, detail: 0 };

    pub(crate) fn new(failure: Failure, artifact: Option<&selvedge::Artifact<'_>>) -> Self {
        let step = failure.step.and_then(|index| artifact?.step(index).ok());
        SelvedgeError {
            status: failure.status,
            step: failure.step.map_or(-1, |step| step as i32),
            op: step.map_or(0, |s| s.record.op.into()),
            format: step.map_or(0, |s| s.record.format.into()),
            detail: failure.detail,
        }
    }
}

impl From<Failure> for SelvedgeError {
    fn from(failure: Failure) -> Self {
        SelvedgeError::new(failure, None)
    }
}

/// What a session keeps beside the runtime's own.
pub(crate) struct Fields {
    /// Addresses of the session itself.
    place: Range<usize>,
    /// Addresses of the arena's regions; the second is empty where the arena is one.
    arena: [Range<usize>; 2],
    /// A bit for each of the first 32 inputs: written since the last run began.
    written: u32,
    /// Whether the outputs are those of the inputs last written.
    pub outputs_valid: bool,
    /// Whether a stepped run is under way.
    pub stepping: bool,
    error: SelvedgeError,
}

impl Fields {
    /// Notes that an input is written.
    pub fn input_written(&mut self, index: u32) {
        self.written |= 1u32.checked_shl(index).unwrap_or(0);
        self.outputs_valid = false;
    }

    /// Begins a run, which uses up the inputs; refuses one that lacks an input.
    pub fn begin_run(&mut self, inputs: usize) -> Result<(), Failure> {
        let lacking = self.written.trailing_ones() as usize;
        if lacking < inputs.min(u32::BITS as usize) {
            return Err(Failure::with(Status::NOT_WRITTEN, lacking));
        }
        self.written = 0;
        self.outputs_valid = false;
        Ok(())
    }

    /// Refuses memory of the caller that lies in the arena or in the session itself.
    pub fn apart(&self, memory: &Range<usize>) -> Result<(), Failure> {
        memory::disjoint(memory, &self.arena[0])?;
        memory::disjoint(memory, &self.arena[1])?;
        memory::disjoint(memory, &self.place)
    }
}

/// What lies in a [`SelvedgeSession`].
#[repr(C)]
struct Handle {
    /// The state, sealed.
    head: usize,
    fields: Fields,
    /// Initialized in the states [`READY`] and [`BUSY`].
    session: MaybeUninit<Session<'static>>,
    /// [`END`], sealed.
    tail: usize,
}

const _: () = assert!(size_of::<Handle>() <= size_of::<SelvedgeSession>());
const _: () = assert!(align_of::<Handle>() <= align_of::<SelvedgeSession>());

/// A session that may be called.
const READY: usize = 0x5e1f_ed6e;
/// A call is at work.
const BUSY: usize = 0xb051_7ca1;
/// Init has failed or the session was ended; the last error can be read.
const CLOSED: usize = 0xc105_ed00;
/// The last word of a handle, in every state.
const END: usize = 0x3a9d_11e5;

/// A mark for one address, so that the copy of a session is told from the session.
fn seal(handle: *const Handle, state: usize) -> usize {
    handle.addr() ^ state
}

/// Enters a state: one volatile write, so that an interrupt sees one state or the other.
///
/// # Safety
/// `handle` comes from [`locate`] and may be written.
unsafe fn set_state(handle: *mut Handle, state: usize) {
    // SAFETY: as the caller promises.
    unsafe { (&raw mut (*handle).head).write_volatile(seal(handle, state)) };
}

/// The handle behind a pointer that is neither null nor misaligned.
fn locate(session: *mut SelvedgeSession) -> Result<*mut Handle, Status> {
    if session.is_null() {
        Err(Status::NULL_POINTER)
    } else if !session.is_aligned() {
        Err(Status::MISALIGNED_SESSION)
    } else {
        Ok(session.cast())
    }
}

/// The state of a handle that is whole.
///
/// # Safety
/// `handle` comes from [`locate`] and may be read.
unsafe fn state(handle: *const Handle) -> Result<usize, Status> {
    // SAFETY: as the caller promises.
    let head = unsafe { (&raw const (*handle).head).read_volatile() };
    // SAFETY: as the caller promises.
    let tail = unsafe { (&raw const (*handle).tail).read_volatile() };
    match seal(handle, head) {
        state @ (READY | BUSY | CLOSED) if tail == seal(handle, END) => Ok(state),
        _ if head == 0 && tail == 0 => Err(Status::NOT_INITIALIZED),
        _ => Err(Status::BAD_SESSION),
    }
}

/// The handle of a ready session, marked as busy.
///
/// # Safety
/// `session` is null, misaligned (both are refused) or points to memory of a session that nobody
/// else touches during the call.
#[inline(never)]
unsafe fn acquire(session: *mut SelvedgeSession) -> Result<*mut Handle, Status> {
    let handle = locate(session)?;
    // SAFETY: as the caller promises.
    match unsafe { state(handle) }? {
        READY => {}
        BUSY => return Err(Status::IN_USE),
        _ => return Err(Status::NOT_INITIALIZED),
    }
    // SAFETY: as the caller promises.
    unsafe { set_state(handle, BUSY) };
    Ok(handle)
}

/// Records a failure and leaves a busy session in state `after`.
///
/// # Safety
/// `handle` comes from [`acquire`], and no reference into it is left.
#[inline(never)]
unsafe fn release(handle: *mut Handle, after: usize, result: Result<(), Failure>) -> Status {
    if let Err(failure) = result {
        // SAFETY: acquired: complete, and nobody else touches it.
        let Handle { fields, session, .. } = unsafe { &mut *handle };
        // SAFETY: initialized in this state.
        let session = unsafe { session.assume_init_ref() };
        fields.error = SelvedgeError::new(failure, Some(session.artifact()));
    }
    // SAFETY: as the caller promises.
    unsafe { set_state(handle, after) };
    result.into()
}

/// Runs `body` on a ready session and records its failure.
///
/// # Safety
/// As [`acquire`].
pub(crate) unsafe fn with(
    session: *mut SelvedgeSession,
    body: impl FnOnce(&mut Fields, &mut Session<'static>) -> Result<(), Failure>,
) -> Status {
    // SAFETY: as the caller promises.
    let handle = match unsafe { acquire(session) } {
        Ok(handle) => handle,
        Err(status) => return status,
    };
    // SAFETY: acquired: complete, and nobody else touches it.
    let Handle { fields, session, .. } = unsafe { &mut *handle };
    // SAFETY: initialized in this state.
    let result = body(fields, unsafe { session.assume_init_mut() });
    // SAFETY: the references have ended.
    unsafe { release(handle, READY, result) }
}

/// Closes a ready session. It holds borrows only: there is nothing to drop.
///
/// # Safety
/// As [`acquire`].
pub(crate) unsafe fn close(session: *mut SelvedgeSession) -> Status {
    // SAFETY: as the caller promises.
    match unsafe { acquire(session) } {
        // SAFETY: acquired just now.
        Ok(handle) => unsafe { release(handle, CLOSED, Ok(())) },
        Err(status) => status,
    }
}

/// Makes a closed session of any memory and a ready one of it when `body` gives its parts.
///
/// # Safety
/// As [`acquire`]; the memory may hold anything.
pub(crate) unsafe fn open(
    session: *mut SelvedgeSession,
    body: impl FnOnce(&Range<usize>) -> Result<(Session<'static>, [Range<usize>; 2]), SelvedgeError>,
) -> Status {
    let handle = match locate(session) {
        Ok(handle) => handle,
        Err(status) => return status,
    };
    let place = session.addr()..session.addr() + size_of::<SelvedgeSession>();
    let fields = Fields {
        place,
        arena: [0..0, 0..0],
        written: 0,
        outputs_valid: false,
        stepping: false,
        error: SelvedgeError::NONE,
    };
    let closed = Handle { head: 0, fields, session: MaybeUninit::uninit(), tail: seal(handle, END) };
    // SAFETY: aligned memory of a session's size, as the caller promises.
    unsafe { handle.write(closed) };
    // SAFETY: as the caller promises.
    unsafe { set_state(handle, CLOSED) };
    // SAFETY: written just now; nobody else touches it, as the caller promises.
    let Handle { fields, session, .. } = unsafe { &mut *handle };
    match body(&fields.place) {
        Ok((ready, arena)) => {
            session.write(ready);
            fields.arena = arena;
            // SAFETY: as the caller promises.
            unsafe { set_state(handle, READY) };
            Status::OK
        }
        Err(error) => {
            fields.error = error;
            error.status
        }
    }
}

/// The last failure; also of a session that is closed.
///
/// # Safety
/// As [`acquire`].
pub(crate) unsafe fn last_error(session: *mut SelvedgeSession) -> Result<SelvedgeError, Failure> {
    let handle = locate(session)?;
    // SAFETY: as the caller promises.
    match unsafe { state(handle) }? {
        BUSY => Err(Status::IN_USE.into()),
        // SAFETY: every state stands on a complete handle.
        _ => Ok(unsafe { (*handle).fields.error }),
    }
}
