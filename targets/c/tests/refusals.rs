//! Oracle: the statuses `include/selvedge.h` names. Bad input leaves every session usable.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use fixture::{Fixture, name};
use selvedge::{AlignedBuf, OpCode};
use selvedge_c::*;

mod fixture;
mod support;

#[test]
fn damaged_artifacts_give_their_status() {
    let parse = |artifact: &[u8]| {
        let mut info = MaybeUninit::uninit();
        // SAFETY: the slice is what its length says.
        unsafe { selvedge_artifact_inspect(artifact.as_ptr().cast(), artifact.len(), info.as_mut_ptr()) }
    };
    let good = support::artifact();
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    assert_eq!(parse(&good[..good.len() - 1]), Status::TRUNCATED);
    assert_eq!(parse(&good[..63]), Status::TRUNCATED);
    assert_eq!(parse(&good[..0]), Status::TRUNCATED);
    assert_eq!(parse(&good[4..]), Status::MISALIGNED_ARTIFACT);
    assert_eq!(parse(&changed(0)), Status::BAD_MAGIC);
    assert_eq!(parse(&changed(4)), Status::BAD_VERSION);
    assert_eq!(parse(&changed(67)), Status::BAD_SECTION);
    assert_eq!(parse(&changed(71)), Status::OUT_OF_BOUNDS);
}

#[test]
fn init_refuses_bad_memory_and_tells_what_it_needs() {
    let mut fixture = Fixture::new();
    let needed = fixture.arena.len();
    fixture.arena = AlignedBuf::zeroed(needed - 1);
    assert_eq!(fixture.init(), Status::ARENA_TOO_SMALL);
    assert_eq!((fixture.error().detail as usize, fixture.error().step), (needed, -1));
    assert_eq!(fixture.run(), Status::NOT_INITIALIZED);

    fixture.artifact = AlignedBuf::from(&fixture.artifact[..fixture.artifact.len() - 1]);
    assert_eq!(fixture.init(), Status::TRUNCATED);
    assert_eq!(fixture.error().status, Status::TRUNCATED);

    let mut fixture = Fixture::new();
    let (artifact, artifact_bytes) = (fixture.artifact.as_ptr().cast::<c_void>(), fixture.artifact.len());
    let (arena, arena_bytes) = (fixture.arena.as_mut_ptr().cast::<c_void>(), fixture.arena.len());
    let session = fixture.session();
    let size = size_of::<SelvedgeSession>();
    // SAFETY: wrong arguments are refused before their memory is touched.
    let init = |session, size, artifact, artifact_bytes, arena, arena_bytes| unsafe {
        selvedge_session_init(session, size, artifact, artifact_bytes, arena, arena_bytes)
    };
    let misaligned = session.wrapping_byte_add(1);
    for (status, expected) in [
        (init(null_mut(), size, artifact, artifact_bytes, arena, arena_bytes), Status::NULL_POINTER),
        (init(session, size, null(), artifact_bytes, arena, arena_bytes), Status::NULL_POINTER),
        (init(session, size, artifact, artifact_bytes, null_mut(), arena_bytes), Status::NULL_POINTER),
        (init(session, size - 1, artifact, artifact_bytes, arena, arena_bytes), Status::SESSION_SIZE),
        (init(misaligned, size, artifact, artifact_bytes, arena, arena_bytes), Status::MISALIGNED_SESSION),
        (
            init(session, size, artifact, artifact_bytes, arena.wrapping_byte_add(8), arena_bytes),
            Status::MISALIGNED_ARENA,
        ),
        (init(session, size, artifact, artifact_bytes, arena, usize::MAX), Status::WRONG_LENGTH),
        (init(session, size, artifact, usize::MAX, arena, arena_bytes), Status::WRONG_LENGTH),
        (init(session, size, artifact, artifact_bytes, session.cast(), size), Status::OVERLAPPING_MEMORY),
        (
            init(session, size, artifact, artifact_bytes, artifact.cast_mut(), artifact_bytes),
            Status::OVERLAPPING_MEMORY,
        ),
        (init(session, size, session.cast(), size, arena, arena_bytes), Status::OVERLAPPING_MEMORY),
    ] {
        assert_eq!(name(status), name(expected));
        // SAFETY: a session whose init failed is refused, not used.
        assert_eq!(unsafe { selvedge_run(session) }, Status::NOT_INITIALIZED);
    }
}

#[test]
fn sessions_that_are_none_are_refused() {
    // SAFETY: null and misaligned pointers are refused before their memory is touched.
    assert_eq!(unsafe { selvedge_run(null_mut()) }, Status::NULL_POINTER);
    let mut fixture = Fixture::new();
    assert_eq!(fixture.run(), Status::NOT_INITIALIZED);
    *fixture.session = MaybeUninit::new(
        // SAFETY: an array of words of any value.
        unsafe { std::mem::transmute::<[usize; SESSION_WORDS], SelvedgeSession>([usize::MAX / 3; SESSION_WORDS]) },
    );
    assert_eq!(fixture.run(), Status::BAD_SESSION);
    assert_eq!(fixture.init(), Status::OK);
    // SAFETY: as above.
    assert_eq!(unsafe { selvedge_run(fixture.session().wrapping_byte_add(1)) }, Status::MISALIGNED_SESSION);

    // A copy of the bytes is not the session.
    let mut copy = MaybeUninit::<SelvedgeSession>::uninit();
    // SAFETY: both are memory of a session.
    unsafe { copy.as_mut_ptr().copy_from_nonoverlapping(fixture.session(), 1) };
    // SAFETY: refused, not used.
    assert_eq!(unsafe { selvedge_run(copy.as_mut_ptr()) }, Status::BAD_SESSION);

    // Overrun from the front.
    // SAFETY: the first word of a session.
    unsafe { fixture.session().cast::<usize>().write(0x4141_4141) };
    assert_eq!(fixture.run(), Status::BAD_SESSION);
    assert_eq!(fixture.init(), Status::OK);
    // Overrun from behind, into the last word in use.
    // SAFETY: the second half of a session.
    unsafe { fixture.session().cast::<usize>().add(SESSION_WORDS / 2).write_bytes(0x41, SESSION_WORDS / 2) };
    assert_eq!(fixture.run(), Status::BAD_SESSION);
    assert_eq!(fixture.init(), Status::OK);
    // SAFETY: the fixture holds the memory.
    assert_eq!(unsafe { selvedge_session_end(fixture.session()) }, Status::OK);
    assert_eq!(fixture.run(), Status::NOT_INITIALIZED);
    // SAFETY: as above.
    assert_eq!(unsafe { selvedge_session_end(fixture.session()) }, Status::NOT_INITIALIZED);
}

#[test]
fn arguments_of_inputs_and_outputs_are_checked() {
    let mut fixture = Fixture::ready();
    let session = fixture.session();
    let arena = fixture.arena.as_mut_ptr();
    let mut values = [0.0f32; 65];
    let input = values.as_mut_ptr();
    // SAFETY: wrong arguments are refused before their memory is touched.
    unsafe {
        assert_eq!(selvedge_write_f32(session, 1, input, 64), Status::NO_SUCH_IO);
        assert_eq!(fixture.error().detail, 1);
        assert_eq!(selvedge_write_f32(session, 0, input, 63), Status::WRONG_LENGTH);
        assert_eq!(selvedge_write_f32(session, 0, null(), 64), Status::NULL_POINTER);
        assert_eq!(selvedge_write_f32(session, 0, input.wrapping_byte_add(1), 64), Status::MISALIGNED_DATA);
        assert_eq!(selvedge_write_f32(session, 0, input, usize::MAX / 2), Status::WRONG_LENGTH);
        assert_eq!(selvedge_write_f32(session, 0, arena.cast(), 64), Status::OVERLAPPING_MEMORY);
        assert_eq!(selvedge_write_bytes(session, 0, input.cast(), 3), Status::WRONG_LENGTH);
        assert_eq!(selvedge_write_i8(session, 0, input.cast(), 64), Status::WRONG_TYPE);
        input.add(7).write(f32::NAN);
        assert_eq!(selvedge_write_f32(session, 0, input, 64), Status::OK);
        assert_eq!(selvedge_run(session), Status::NOT_A_NUMBER);
        assert_eq!((fixture.error().step, fixture.error().op), (0, OpCode::Quantize as u32));
        let mut integer = Fixture::of(support::artifact_i8());
        assert_eq!(integer.init(), Status::OK);
        assert_eq!(selvedge_write_f32(integer.session(), 0, input, 64), Status::NOT_A_NUMBER);
        assert_eq!(integer.error().detail, 7);
        assert_eq!(selvedge_run(integer.session()), Status::NOT_WRITTEN);
        assert_eq!(selvedge_read_i8(session, 0, input.cast(), 10), Status::NOT_RUN);
        input.add(7).write(0.0);
        assert_eq!(selvedge_write_f32(session, 0, input, 64), Status::OK);
        assert_eq!(selvedge_argmax(session, 0, &mut 0), Status::NOT_RUN);
        assert_eq!(selvedge_run(session), Status::OK);
        assert_eq!(selvedge_argmax(session, 0, null_mut()), Status::NULL_POINTER);
        assert_eq!(selvedge_argmax(session, 0, arena.cast()), Status::OVERLAPPING_MEMORY);
        assert_eq!(selvedge_argmax(session, 0, session.cast()), Status::OVERLAPPING_MEMORY);
        assert_eq!(selvedge_argmax(session, 1, &mut 0), Status::NO_SUCH_IO);
        assert_eq!(selvedge_read_i8(session, 0, input.cast(), 10), Status::WRONG_TYPE);
        assert_eq!(selvedge_read_f32(session, 0, input, 9), Status::WRONG_LENGTH);
        assert_eq!(fixture.error().detail, 10);
        assert_eq!(selvedge_read_f32(session, 0, arena.cast(), 10), Status::OVERLAPPING_MEMORY);
        assert_eq!(selvedge_read_bytes(session, 0, null_mut(), 10), Status::NULL_POINTER);
        assert_eq!(selvedge_output_data(session, 0, &mut null(), null_mut()), Status::NULL_POINTER);
        assert_eq!(selvedge_input_count(session, null_mut()), Status::NULL_POINTER);
        assert_eq!(selvedge_input_info(session, 9, MaybeUninit::uninit().as_mut_ptr()), Status::NO_SUCH_IO);
        assert_eq!(selvedge_run_steps(session, 1, null_mut()), Status::NULL_POINTER);
        assert_eq!(selvedge_last_error(session, null_mut()), Status::NULL_POINTER);
        assert_eq!(selvedge_write_f32(session, 0, input, 64), Status::OK);
        assert_eq!(selvedge_run(session), Status::OK, "none of it left the session unusable");
    }
}
