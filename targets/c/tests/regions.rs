//! Oracle: the Rust façade on the model compiled for one memory. Where arena and weights lie
//! changes no output; memory that does not fit is refused.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use selvedge::AlignedBuf;
use selvedge_c::*;
use selvedge_zoo::digits;

mod support;

/// Memory of all parts, with a session.
struct Parts {
    head: AlignedBuf,
    weights: AlignedBuf,
    fast: AlignedBuf,
    slow: AlignedBuf,
    session: Box<MaybeUninit<SelvedgeSession>>,
}

impl Parts {
    fn new() -> Self {
        let (head, weights) = support::split();
        let [fast, slow] = region_bytes(&head).expect("sound");
        assert!(fast > 0 && slow > 0, "{fast} {slow}");
        // Not zero: init clears what it uses.
        let used = |bytes: u32| AlignedBuf::from(&vec![0xa5; bytes as usize][..]);
        Parts { head, weights, fast: used(fast), slow: used(slow), session: Box::new(MaybeUninit::zeroed()) }
    }

    fn session(&mut self) -> *mut SelvedgeSession {
        self.session.as_mut_ptr()
    }

    /// Init with the slow region and the weights given, the rest as it should be.
    fn init(&mut self, weights: (*const c_void, usize), slow: (*mut c_void, usize)) -> Status {
        let (head, fast) = ((self.head.as_ptr(), self.head.len()), (self.fast.as_mut_ptr(), self.fast.len()));
        let size = size_of::<SelvedgeSession>();
        // SAFETY: the parts live as long as this; wrong memory is refused before it is touched.
        unsafe {
            selvedge_session_init_split(
                self.session(),
                size,
                head.0.cast(),
                head.1,
                weights.0,
                weights.1,
                fast.0.cast(),
                fast.1,
                slow.0,
                slow.1,
            )
        }
    }

    fn of_weights(&self) -> (*const c_void, usize) {
        (self.weights.as_ptr().cast(), self.weights.len())
    }

    fn of_slow(&mut self) -> (*mut c_void, usize) {
        (self.slow.as_mut_ptr().cast(), self.slow.len())
    }

    fn detail(&mut self) -> usize {
        let mut error = MaybeUninit::uninit();
        // SAFETY: the session's memory is here.
        assert_eq!(unsafe { selvedge_last_error(self.session(), error.as_mut_ptr()) }, Status::OK);
        // SAFETY: written, as the status says.
        unsafe { error.assume_init() }.detail as usize
    }
}

fn region_bytes(artifact: &[u8]) -> Result<[u32; 2], Status> {
    let [mut fast, mut slow] = [u32::MAX; 2];
    // SAFETY: the slice is what its length says.
    match unsafe { selvedge_artifact_regions(artifact.as_ptr().cast(), artifact.len(), &mut fast, &mut slow) } {
        Status::OK => Ok([fast, slow]),
        status => Err(status),
    }
}

fn verify(head: &[u8], weights: &[u8]) -> Status {
    // SAFETY: the slices are what their lengths say.
    unsafe { selvedge_split_verify(head.as_ptr().cast(), head.len(), weights.as_ptr().cast(), weights.len()) }
}

/// Classes and output bytes of the first images.
///
/// # Safety
/// The session is ready and the memory it was made of is alive.
unsafe fn outputs(session: *mut SelvedgeSession, count: usize) -> Vec<(u32, Vec<u8>)> {
    let run = |i: usize| {
        let (image, mut class, mut bytes) = (digits::test_set().image(i), u32::MAX, vec![0; 4 * digits::CLASSES]);
        // SAFETY: the pointers lead to what their lengths say; the session as the caller promises.
        unsafe {
            assert_eq!(selvedge_write_f32(session, 0, image.as_ptr(), image.len()), Status::OK);
            assert_eq!(selvedge_run(session), Status::OK);
            assert_eq!(selvedge_argmax(session, 0, &mut class), Status::OK);
            assert_eq!(selvedge_read_bytes(session, 0, bytes.as_mut_ptr().cast(), bytes.len()), Status::OK);
        }
        (class, bytes)
    };
    (0..count).map(run).collect()
}

#[test]
fn two_regions_and_split_weights_give_the_outputs_of_one_arena() {
    let expected = support::expected(&support::artifact(), 16);
    let mut parts = Parts::new();
    assert_eq!(verify(&parts.head, &parts.weights), Status::OK);
    let (weights, slow) = (parts.of_weights(), parts.of_slow());
    assert_eq!(parts.init(weights, slow), Status::OK);
    // SAFETY: made just now of parts that live on.
    assert_eq!(unsafe { outputs(parts.session(), 16) }, expected);
    // SAFETY: as above.
    assert_eq!(unsafe { selvedge_session_end(parts.session()) }, Status::OK);

    let whole = support::regions();
    assert_eq!(region_bytes(&whole), region_bytes(&parts.head));
    let (size, fast) = (size_of::<SelvedgeSession>(), (parts.fast.as_mut_ptr().cast(), parts.fast.len()));
    // SAFETY: the parts and the artifact live on.
    let status = unsafe {
        let artifact = (whole.as_ptr().cast(), whole.len());
        selvedge_session_init_regions(parts.session(), size, artifact.0, artifact.1, fast.0, fast.1, slow.0, slow.1)
    };
    assert_eq!(status, Status::OK);
    // SAFETY: as above.
    assert_eq!(unsafe { outputs(parts.session(), 16) }, expected);
}

#[test]
fn an_artifact_of_one_region_needs_no_second() {
    let artifact = support::artifact();
    let [bytes, none] = region_bytes(&artifact).expect("sound");
    assert_eq!(none, 0);
    let mut arena = AlignedBuf::zeroed(bytes as usize);
    let mut session = Box::new(MaybeUninit::<SelvedgeSession>::zeroed());
    let (size, arena) = (size_of::<SelvedgeSession>(), (arena.as_mut_ptr().cast(), arena.len()));
    // SAFETY: all memory lives to the end of the test.
    unsafe {
        let (session, from) = (session.as_mut_ptr(), artifact.as_ptr().cast());
        let init = |fast: usize| {
            selvedge_session_init_regions(session, size, from, artifact.len(), arena.0, fast, null_mut(), 0)
        };
        assert_eq!(init(arena.1 - 1), Status::ARENA_TOO_SMALL);
        assert_eq!(init(arena.1), Status::OK);
        assert_eq!(outputs(session, 4), support::expected(&artifact, 4));
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let mut parts = Parts::new();
    let (weights, slow) = (parts.of_weights(), parts.of_slow());
    let fast = (parts.fast.as_mut_ptr().cast::<c_void>(), parts.fast.len());
    let head = (parts.head.as_ptr().cast_mut().cast::<c_void>(), parts.head.len());
    for (weights, slow, expected) in [
        ((null(), weights.1), slow, Status::NULL_POINTER),
        ((weights.0, weights.1 - 1), slow, Status::TRUNCATED),
        ((weights.0, usize::MAX), slow, Status::WRONG_LENGTH),
        ((weights.0.wrapping_byte_add(4), weights.1 - 4), slow, Status::MISALIGNED_ARTIFACT),
        ((fast.0.cast_const(), fast.1), slow, Status::OVERLAPPING_MEMORY),
        ((slow.0.cast_const(), slow.1), slow, Status::OVERLAPPING_MEMORY),
        (weights, (null_mut(), slow.1), Status::NULL_POINTER),
        (weights, (slow.0.wrapping_byte_add(8), slow.1 - 8), Status::MISALIGNED_ARENA),
        (weights, (slow.0, usize::MAX), Status::WRONG_LENGTH),
        (weights, fast, Status::OVERLAPPING_MEMORY),
        (weights, head, Status::OVERLAPPING_MEMORY),
        (weights, (weights.0.cast_mut(), weights.1), Status::OVERLAPPING_MEMORY),
        (weights, (parts.session().cast(), size_of::<SelvedgeSession>()), Status::OVERLAPPING_MEMORY),
    ] {
        assert_eq!(parts.init(weights, slow), expected);
        // SAFETY: a session whose init failed is refused, not used.
        assert_eq!(unsafe { selvedge_run(parts.session()) }, Status::NOT_INITIALIZED);
    }
    for few in [(slow.0, slow.1 - 1), (null_mut(), 0)] {
        assert_eq!(parts.init(weights, few), Status::ARENA_TOO_SMALL);
        assert_eq!(parts.detail(), slow.1);
    }

    let mut changed = parts.weights.clone();
    changed[40] ^= 1;
    assert_eq!(verify(&parts.head, &changed), Status::WEIGHTS_MISMATCH);
    assert_eq!(parts.init((changed.as_ptr().cast(), changed.len()), slow), Status::WEIGHTS_MISMATCH);
    changed[40] ^= 1;
    changed[64] ^= 1;
    assert_eq!(verify(&parts.head, &changed), Status::DIGEST_MISMATCH);
    assert_eq!(verify(&parts.head, &parts.head), Status::BAD_MAGIC);
    assert_eq!(region_bytes(&parts.weights), Err(Status::BAD_MAGIC));
    assert_eq!(region_bytes(&parts.head[..60]), Err(Status::TRUNCATED));
    let head = (parts.head.as_ptr().cast(), parts.head.len());
    // SAFETY: null is refused.
    let status = unsafe { selvedge_artifact_regions(head.0, head.1, &mut 0, null_mut()) };
    assert_eq!(status, Status::NULL_POINTER);

    // The second region is the session's, as the first is.
    assert_eq!(parts.init(weights, slow), Status::OK);
    for region in [fast.0, slow.0] {
        // SAFETY: refused, not written.
        assert_eq!(unsafe { selvedge_input_count(parts.session(), region.cast()) }, Status::OVERLAPPING_MEMORY);
    }
}
