//! Artifacts inside of the program.

use selvedge_core::artifact::{HEADER_BYTES, MAGIC, VERSION_MAJOR, WEIGHTS_MAGIC};

/// Puts bytes at a multiple of 64.
#[doc(hidden)]
#[repr(C, align(64))]
pub struct Aligned<T: ?Sized>(pub T);

/// Bytes of the arena's two regions from the header of an artifact, or of a head alone.
///
/// # Panics
/// When the constant is evaluated: the bytes are no artifact of this version.
#[doc(hidden)]
pub const fn region_bytes(artifact: &[u8], whole: bool) -> [usize; 2] {
    assert!(artifact.len() >= HEADER_BYTES, "the file is too short for a selvedge artifact");
    assert!(starts_with(artifact, MAGIC), "the file is not a selvedge artifact: compile the model first");
    let major = u16::from_le_bytes([artifact[4], artifact[5]]);
    assert!(major == VERSION_MAJOR, "the artifact has another format version: compile the model again");
    assert!(!whole || artifact.len() >= word(artifact, 12) as usize, "the artifact is truncated");
    selvedge_core::artifact::region_bytes(word(artifact, 8), word(artifact, 16))
}

/// Checks that a weights file was written with a head.
///
/// # Panics
/// When the constant is evaluated: it was not.
#[doc(hidden)]
pub const fn check_weights(head: &[u8], weights: &[u8]) {
    assert!(weights.len() >= HEADER_BYTES, "the file is too short for a weights file");
    assert!(starts_with(weights, WEIGHTS_MAGIC), "the file is not a weights file: write it with `--weights-file`");
    assert!(weights.len() - HEADER_BYTES >= word(weights, 8) as usize, "the weights file is truncated");
    let mut i = HEADER_BYTES - 32;
    while i < HEADER_BYTES {
        assert!(head[i] == weights[i], "the weights file belongs to another artifact");
        i += 1;
    }
}

const fn starts_with(bytes: &[u8], magic: [u8; 4]) -> bool {
    word(bytes, 0) == u32::from_le_bytes(magic)
}

const fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Embeds an artifact: `model!(mod kws = "../kws.slvg");`, the path relative to the source file
/// or a constant: `concat!(env!("OUT_DIR"), "/kws.slvg")`.
///
/// The module holds `BYTES: &[u8]`, aligned for [`Artifact::parse`](crate::Artifact::parse),
/// `ARENA_BYTES: usize`, the size of its [`Arena`](crate::Arena), and `REGION_BYTES: [usize; 2]`,
/// how that divides over a fast and a slow memory
/// ([`Session::with_regions`](crate::Session::with_regions)). A file that is no artifact of this
/// version does not compile.
///
/// An artifact that was compiled with `--weights-file` is embedded in two parts, `HEAD` and
/// `WEIGHTS` for [`Artifact::parse_split`](crate::Artifact::parse_split); attributes in front of
/// `weights` go to the static that holds them:
///
/// ```text
/// model!(mod kws = "../kws.slvg", #[unsafe(link_section = ".qspi")] weights = "../kws.weights");
/// ```
///
/// Where the program does not hold the weights, `weights = elsewhere` gives `HEAD` alone, for
/// [`Artifact::parse_head`](crate::Artifact::parse_head) or a weights file at a known address.
#[macro_export]
macro_rules! model {
    ($(#[$meta:meta])* $vis:vis mod $name:ident = $path:expr $(;)?) => {
        $(#[$meta])*
        $vis mod $name {
            /// The artifact, at a multiple of 64 bytes.
            pub static BYTES: &[u8] = {
                const ARTIFACT: &$crate::Aligned<[u8]> = &$crate::Aligned(*include_bytes!($path));
                &ARTIFACT.0
            };
            /// Bytes of the arena's regions; the second is 0 where the arena is one.
            pub const REGION_BYTES: [usize; 2] = $crate::region_bytes(include_bytes!($path), true);
            /// Bytes of arena the model needs.
            pub const ARENA_BYTES: usize = REGION_BYTES[0] + REGION_BYTES[1];
        }
    };
    ($(#[$meta:meta])* $vis:vis mod $name:ident = $path:expr, weights = elsewhere $(;)?) => {
        $(#[$meta])*
        $vis mod $name {
            /// The artifact without its weights, at a multiple of 64 bytes.
            pub static HEAD: &[u8] = {
                const ARTIFACT: &$crate::Aligned<[u8]> = &$crate::Aligned(*include_bytes!($path));
                &ARTIFACT.0
            };
            /// Bytes of the arena's regions; the second is 0 where the arena is one.
            pub const REGION_BYTES: [usize; 2] = $crate::region_bytes(include_bytes!($path), false);
            /// Bytes of arena the model needs.
            pub const ARENA_BYTES: usize = REGION_BYTES[0] + REGION_BYTES[1];
        }
    };
    ($(#[$meta:meta])* $vis:vis mod $name:ident = $path:expr,
     $(#[$place:meta])* weights = $weights:expr $(;)?) => {
        $(#[$meta])*
        $vis mod $name {
            /// The artifact without its weights, at a multiple of 64 bytes.
            pub static HEAD: &[u8] = {
                const ARTIFACT: &$crate::Aligned<[u8]> = &$crate::Aligned(*include_bytes!($path));
                &ARTIFACT.0
            };
            $(#[$place])*
            static PLACED: $crate::Aligned<[u8; include_bytes!($weights).len()]> = {
                $crate::check_weights(include_bytes!($path), include_bytes!($weights));
                $crate::Aligned(*include_bytes!($weights))
            };
            /// The weights file, at a multiple of 64 bytes.
            pub static WEIGHTS: &[u8] = &PLACED.0;
            /// Bytes of the arena's regions; the second is 0 where the arena is one.
            pub const REGION_BYTES: [usize; 2] = $crate::region_bytes(include_bytes!($path), false);
            /// Bytes of arena the model needs.
            pub const ARENA_BYTES: usize = REGION_BYTES[0] + REGION_BYTES[1];
        }
    };
}
