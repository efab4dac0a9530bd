//! The status every function returns.

use core::ffi::CStr;
use selvedge::{Error, ErrorKind};

/// What a call came to. Up to 255 the numbers are those of [`ErrorKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Status(pub u32);

macro_rules! statuses {
    (errors { $($error:ident: $kind:ident = $error_code:literal,)* }
     own { $($own:ident = $own_code:literal,)* }) => {
        #[allow(missing_docs)] // The header tells what each means.
        impl Status {
            $(pub const $error: Status = Status($error_code);)*
            $(pub const $own: Status = Status($own_code);)*

            /// Every status with its name in C.
            pub const ALL: &'static [(Status, &'static CStr)] = &[
                $((Status::$error, c_name(concat!("SELVEDGE_", stringify!($error), "\0"))),)*
                $((Status::$own, c_name(concat!("SELVEDGE_", stringify!($own), "\0"))),)*
            ];
        }

        $(const _: () = assert!(Status::$error.0 == ErrorKind::$kind as u32);)*
    };
}

const fn c_name(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("a name ends in its only NUL"),
    }
}

statuses! {
    errors {
        TRUNCATED: Truncated = 1,
        BAD_MAGIC: BadMagic = 2,
        BAD_VERSION: BadVersion = 3,
        MISALIGNED_ARTIFACT: MisalignedArtifact = 4,
        OUT_OF_BOUNDS: OutOfBounds = 5,
        BAD_SECTION: BadSection = 6,
        DIGEST_MISMATCH: DigestMismatch = 7,
        BAD_TENSOR: BadTensor = 8,
        ARENA_TOO_SMALL: ArenaTooSmall = 9,
        MISALIGNED_ARENA: MisalignedArena = 10,
        OVERLAP: Overlap = 11,
        BAD_LIFETIME: BadLifetime = 12,
        TOO_MANY_LIVE: TooManyLive = 13,
        OP_NOT_LINKED: OpNotLinked = 14,
        BAD_STEP: BadStep = 15,
        HAS_STATE: HasState = 16,
        NO_SUCH_IO: NoSuchIo = 17,
        WRONG_LENGTH: WrongLength = 18,
        WRONG_TYPE: WrongType = 19,
        NOT_A_NUMBER: NotANumber = 20,
        INDEX_OUT_OF_RANGE: IndexOutOfRange = 21,
        BUSY: Busy = 22,
        NO_SUCH_ISA: NoSuchIsa = 23,
        WEIGHTS_MISMATCH: WeightsMismatch = 24,
        NOT_STAGED: NotStaged = 25,
        WEIGHT_SOURCE: WeightSource = 26,
        STATE_TOO_SMALL: StateTooSmall = 27,
        STATE_MISMATCH: StateMismatch = 28,
    }
    own {
        OK = 0,
        NULL_POINTER = 256,
        MISALIGNED_SESSION = 257,
        SESSION_SIZE = 258,
        NOT_INITIALIZED = 259,
        BAD_SESSION = 260,
        IN_USE = 261,
        MISALIGNED_DATA = 262,
        OVERLAPPING_MEMORY = 263,
        NOT_RUN = 264,
        NOT_WRITTEN = 265,
    }
}

/// Why a call failed, and where.
#[derive(Clone, Copy)]
pub(crate) struct Failure {
    pub status: Status,
    pub step: Option<usize>,
    pub detail: u32,
}

impl Failure {
    pub fn with(status: Status, detail: usize) -> Self {
        Failure { status, step: None, detail: detail as u32 }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Failure { status, step: None, detail: 0 }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { status: Status(error.code() as u32), step: error.step(), detail: error.detail() }
    }
}

impl From<Result<(), Failure>> for Status {
    fn from(result: Result<(), Failure>) -> Self {
        result.map_or_else(|failure| failure.status, |()| Status::OK)
    }
}
