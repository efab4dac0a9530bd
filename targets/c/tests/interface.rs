//! Oracle: the Rust façade for values, `include/selvedge.h` for statuses.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use selvedge::{AlignedBuf, OpCode};
use selvedge_c::*;
use selvedge_zoo::digits;

mod support;

/// A session with all it borrows.
struct Fixture {
    artifact: AlignedBuf,
    arena: AlignedBuf,
    session: Box<MaybeUninit<SelvedgeSession>>,
}

impl Fixture {
    /// Memory for a session on the digit classifier.
    fn new() -> Self {
        Self::of(support::artifact())
    }

    fn of(artifact: AlignedBuf) -> Self {
        let arena = AlignedBuf::zeroed(inspect(&artifact).arena_bytes as usize);
        Fixture { artifact, arena, session: Box::new(MaybeUninit::zeroed()) }
    }

    fn ready() -> Self {
        let mut fixture = Self::new();
        assert_eq!(fixture.init(), Status::OK);
        fixture
    }

    fn init(&mut self) -> Status {
        let (artifact, arena) = (self.artifact.as_ptr().cast(), self.arena.as_mut_ptr().cast());
        let (artifact_bytes, arena_bytes) = (self.artifact.len(), self.arena.len());
        // SAFETY: all three are alive as long as the fixture.
        unsafe {
            selvedge_session_init(
                self.session(),
                size_of::<SelvedgeSession>(),
                artifact,
                artifact_bytes,
                arena,
                arena_bytes,
            )
        }
    }

    fn session(&mut self) -> *mut SelvedgeSession {
        self.session.as_mut_ptr()
    }

    fn write(&mut self, image: &[f32]) -> Status {
        // SAFETY: the slice is what its length says.
        unsafe { selvedge_write_f32(self.session(), 0, image.as_ptr(), image.len()) }
    }

    fn run(&mut self) -> Status {
        // SAFETY: the fixture holds the memory.
        unsafe { selvedge_run(self.session()) }
    }

    fn output(&mut self) -> Result<Vec<u8>, Status> {
        let mut bytes = vec![0; self.output_info().bytes as usize];
        // SAFETY: the vector is what its length says.
        match unsafe { selvedge_read_bytes(self.session(), 0, bytes.as_mut_ptr().cast(), bytes.len()) } {
            Status::OK => Ok(bytes),
            status => Err(status),
        }
    }

    fn output_info(&mut self) -> SelvedgeTensorInfo {
        let mut info = MaybeUninit::uninit();
        // SAFETY: the fixture holds the memory.
        assert_eq!(unsafe { selvedge_output_info(self.session(), 0, info.as_mut_ptr()) }, Status::OK);
        // SAFETY: written, as the status says.
        unsafe { info.assume_init() }
    }

    fn input_info(&mut self) -> SelvedgeTensorInfo {
        let mut info = MaybeUninit::uninit();
        // SAFETY: the fixture holds the memory.
        assert_eq!(unsafe { selvedge_input_info(self.session(), 0, info.as_mut_ptr()) }, Status::OK);
        // SAFETY: written, as the status says.
        unsafe { info.assume_init() }
    }

    fn error(&mut self) -> SelvedgeError {
        let mut error = MaybeUninit::uninit();
        // SAFETY: the fixture holds the memory.
        assert_eq!(unsafe { selvedge_last_error(self.session(), error.as_mut_ptr()) }, Status::OK);
        // SAFETY: written, as the status says.
        unsafe { error.assume_init() }
    }
}

fn inspect(artifact: &[u8]) -> SelvedgeArtifactInfo {
    let mut info = MaybeUninit::uninit();
    // SAFETY: the slice is what its length says.
    let status = unsafe { selvedge_artifact_inspect(artifact.as_ptr().cast(), artifact.len(), info.as_mut_ptr()) };
    assert_eq!(status, Status::OK);
    // SAFETY: written, as the status says.
    unsafe { info.assume_init() }
}

fn name(status: Status) -> String {
    // SAFETY: the library gives constants that end in NUL.
    unsafe { CStr::from_ptr(selvedge_status_name(status)) }.to_str().expect("ASCII").to_string()
}

#[test]
fn classes_and_output_bytes_equal_the_facade_on_64_images() {
    for artifact in [support::artifact(), support::artifact_i8()] {
        let mut fixture = Fixture::of(artifact.clone());
        assert_eq!(fixture.init(), Status::OK);
        for (i, (class, bytes)) in support::expected(&artifact, 64).into_iter().enumerate() {
            assert_eq!(fixture.write(&digits::test_set().image(i)), Status::OK);
            assert_eq!(fixture.run(), Status::OK);
            let mut found = u32::MAX;
            // SAFETY: the fixture holds the memory.
            assert_eq!(unsafe { selvedge_argmax(fixture.session(), 0, &mut found) }, Status::OK);
            assert_eq!((found, fixture.output()), (class, Ok(bytes)), "image {i}");
        }
    }
}

#[test]
fn int8_copies_are_the_quantized_input_and_the_output_bytes() {
    let mut fixture = Fixture::of(support::artifact_i8());
    assert_eq!(fixture.init(), Status::OK);
    let info = fixture.input_info();
    assert_eq!((info.dtype, info.quantized, info.bytes), (2, 1, 64));
    let image = digits::test_set().image(7);
    let quantize = |x: f32| ((x / info.scale).round_ties_even() + info.zero_point as f32).clamp(-128.0, 127.0) as i8;
    let input = image.map(quantize);
    let mut output = [0i8; digits::CLASSES];
    // SAFETY: the arrays are what their lengths say.
    unsafe {
        assert_eq!(selvedge_write_i8(fixture.session(), 0, input.as_ptr(), input.len()), Status::OK);
        assert_eq!(fixture.run(), Status::OK);
        assert_eq!(selvedge_read_i8(fixture.session(), 0, output.as_mut_ptr(), output.len()), Status::OK);
        assert_eq!(selvedge_read_i8(fixture.session(), 0, output.as_mut_ptr(), 9), Status::WRONG_LENGTH);
    }
    assert_eq!(fixture.write(&image), Status::OK);
    assert_eq!(fixture.run(), Status::OK);
    assert_eq!(fixture.output(), Ok(output.map(|q| q as u8).to_vec()));
}

#[test]
fn a_stepped_run_gives_the_bytes_of_a_whole_one_for_budgets_1_to_4() {
    let mut fixture = Fixture::ready();
    let (_, expected) = support::expected(&support::artifact(), 1).remove(0);
    for budget in 1..=4 {
        assert_eq!(fixture.write(&digits::test_set().image(0)), Status::OK);
        let mut progress = SelvedgeProgress { done: 0, next_step: 0, steps: 0 };
        let mut calls = 0;
        while progress.done == 0 {
            // SAFETY: the fixture holds the memory.
            assert_eq!(unsafe { selvedge_run_steps(fixture.session(), budget, &mut progress) }, Status::OK);
            calls += 1;
            assert_eq!(progress.next_step, progress.steps.min(calls * budget));
            if progress.done == 0 {
                assert_eq!(fixture.output(), Err(Status::BUSY));
                assert_eq!(fixture.run(), Status::BUSY);
                assert_eq!(fixture.write(&[0.0; 64]), Status::BUSY);
                assert_eq!(fixture.error().step, progress.next_step as i32);
            }
        }
        assert_eq!(fixture.output(), Ok(expected.clone()), "budget {budget}");
    }
}

#[test]
fn a_reset_frees_inputs_and_leaves_no_outputs() {
    let mut fixture = Fixture::ready();
    assert_eq!(fixture.write(&[0.5; 64]), Status::OK);
    let mut progress = SelvedgeProgress { done: 1, next_step: 9, steps: 0 };
    // SAFETY: the fixture holds the memory.
    assert_eq!(unsafe { selvedge_run_steps(fixture.session(), 0, &mut progress) }, Status::OK);
    assert_eq!((progress.done, progress.next_step), (0, 0));
    // SAFETY: as above.
    assert_eq!(unsafe { selvedge_reset(fixture.session()) }, Status::OK);
    assert_eq!(fixture.output(), Err(Status::NOT_RUN));
    assert_eq!(fixture.write(&[0.5; 64]), Status::OK);
    assert_eq!(fixture.run(), Status::OK);
    assert!(fixture.output().is_ok());
}

#[test]
fn outputs_hold_from_a_run_to_the_next_write() {
    let mut fixture = Fixture::ready();
    assert_eq!(fixture.output(), Err(Status::NOT_RUN));
    assert_eq!(fixture.run(), Status::NOT_WRITTEN);
    assert_eq!(fixture.write(&[0.0; 64]), Status::OK);
    assert_eq!(fixture.run(), Status::OK);
    assert!(fixture.output().is_ok());
    assert_eq!(fixture.run(), Status::NOT_WRITTEN, "the run has used the input up");
    assert!(fixture.output().is_ok());
    assert_eq!(fixture.write(&[0.0; 64]), Status::OK);
    assert_eq!(fixture.output(), Err(Status::NOT_RUN));
    assert_eq!(fixture.error(), SelvedgeError { status: Status::NOT_RUN, step: -1, op: 0, format: 0, detail: 0 });
}

#[test]
fn memory_of_tensors_is_that_of_the_copies() {
    let mut fixture = Fixture::ready();
    let (mut data, mut bytes) = (null_mut::<c_void>(), 0);
    let image = digits::test_set().image(3);
    assert_eq!(fixture.write(&image), Status::OK);
    // SAFETY: the fixture holds the memory.
    assert_eq!(unsafe { selvedge_input_data(fixture.session(), 0, &mut data, &mut bytes) }, Status::OK);
    assert_eq!(bytes, fixture.input_info().bytes as usize);
    assert_eq!(fixture.run(), Status::OK);
    let (mut read, mut length) = (null::<c_void>(), 0);
    // SAFETY: as above.
    assert_eq!(unsafe { selvedge_output_data(fixture.session(), 0, &mut read, &mut length) }, Status::OK);
    // SAFETY: the library gave pointer and length.
    let found = unsafe { std::slice::from_raw_parts(read.cast::<u8>(), length) }.to_vec();
    assert_eq!(fixture.output(), Ok(found));
}

#[test]
fn real_values_are_those_of_the_output_grid() {
    for artifact in [support::artifact(), support::artifact_i8()] {
        let mut fixture = Fixture::of(artifact);
        assert_eq!(fixture.init(), Status::OK);
        assert_eq!(fixture.write(&digits::test_set().image(5)), Status::OK);
        assert_eq!(fixture.run(), Status::OK);
        let info = fixture.output_info();
        let mut values = [0.0; digits::CLASSES];
        // SAFETY: the fixture holds the memory.
        assert_eq!(unsafe { selvedge_read_f32(fixture.session(), 0, values.as_mut_ptr(), values.len()) }, Status::OK);
        assert_eq!((info.elements, info.rank, &info.dims[..2]), (10, 2, &[1, 10][..]));
        let bytes = fixture.output().expect("read");
        let expected: Vec<f32> = if info.quantized == 1 {
            bytes.iter().map(|q| (i32::from(*q as i8) - info.zero_point) as f32 * info.scale).collect()
        } else {
            bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
        };
        assert_eq!(values.to_vec(), expected);
    }
}

#[test]
fn artifact_info_is_that_of_the_file_and_damage_fails_the_digest() {
    let mut artifact = support::artifact();
    let info = inspect(&artifact);
    assert_eq!((info.version_major, info.total_bytes as usize, info.alignment), (1, artifact.len(), 16));
    assert_eq!((info.inputs, info.outputs), (1, 1));
    let verify = |bytes: &[u8]| {
        // SAFETY: the slice is what its length says.
        unsafe { selvedge_artifact_verify(bytes.as_ptr().cast(), bytes.len()) }
    };
    assert_eq!(verify(&artifact), Status::OK);
    let last = artifact.len() - 1;
    artifact[last] ^= 1;
    assert_eq!(verify(&artifact), Status::DIGEST_MISMATCH);
}

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
fn an_artifact_may_be_longer_than_it_says() {
    let mut fixture = Fixture::new();
    let mut flash = fixture.artifact.to_vec();
    flash.resize(flash.len() + 4096, 0xff);
    fixture.artifact = AlignedBuf::from(&flash[..]);
    assert_eq!(fixture.init(), Status::OK);
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

#[test]
fn names_are_text() {
    assert_eq!(name(Status::OK), "SELVEDGE_OK");
    assert_eq!(name(Status::BAD_SESSION), "SELVEDGE_BAD_SESSION");
    assert_eq!(name(Status(9999)), "SELVEDGE_UNKNOWN_STATUS");
    // SAFETY: constants that end in NUL.
    let (version, dtype) = unsafe { (CStr::from_ptr(selvedge_version()), CStr::from_ptr(selvedge_dtype_name(2))) };
    assert_eq!((version.to_str(), dtype.to_str()), (Ok(env!("CARGO_PKG_VERSION")), Ok("i8")));
    let mut text = [b'x'; 48];
    let mut op = |op, format, bytes| {
        // SAFETY: the array is longer than any length used here.
        let status = unsafe { selvedge_op_name(op, format, text.as_mut_ptr().cast(), bytes) };
        let text = CStr::from_bytes_until_nul(&text).map_or("", |t| t.to_str().expect("ASCII"));
        (status, text.to_string())
    };
    assert_eq!(op(1, 16, 10), (Status::WRONG_LENGTH, String::new()));
    assert_eq!(op(1, 16, 11), (Status::OK, "Conv2d<W8>".into()));
    assert_eq!(op(999, 16, 48), (Status::OK, "?<W8>".into()));
    assert_eq!(selvedge_abi_version(), ABI_VERSION);
}
