//! Artifacts inside of the program.

use selvedge_core::artifact::{HEADER_BYTES, MAGIC, VERSION_MAJOR};

/// Puts bytes at a multiple of 64.
#[doc(hidden)]
#[repr(C, align(64))]
pub struct Aligned<T: ?Sized>(pub T);

/// Arena bytes from an artifact's header (bytes 16..20).
///
/// # Panics
/// When the constant is evaluated: the bytes are no artifact of this version.
#[doc(hidden)]
pub const fn arena_bytes(artifact: &[u8]) -> usize {
    assert!(artifact.len() >= HEADER_BYTES, "the file is too short for a selvedge artifact");
    let (mut i, magic) = (0, MAGIC);
    while i < magic.len() {
        assert!(artifact[i] == magic[i], "the file is not a selvedge artifact: compile the model first");
        i += 1;
    }
    let major = u16::from_le_bytes([artifact[4], artifact[5]]);
    assert!(major == VERSION_MAJOR, "the artifact has another format version: compile the model again");
    let total = u32::from_le_bytes([artifact[12], artifact[13], artifact[14], artifact[15]]);
    assert!(artifact.len() >= total as usize, "the artifact is truncated");
    u32::from_le_bytes([artifact[16], artifact[17], artifact[18], artifact[19]]) as usize
}

/// Embeds an artifact: `model!(mod kws = "../kws.slvg");`, the path relative to the source file
/// or a constant: `concat!(env!("OUT_DIR"), "/kws.slvg")`.
///
/// The module holds `BYTES: &[u8]`, aligned for [`Artifact::parse`](crate::Artifact::parse), and
/// `ARENA_BYTES: usize`, the size of its [`Arena`](crate::Arena). A file that is no artifact of
/// this version does not compile.
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
            /// Bytes of arena the model needs.
            pub const ARENA_BYTES: usize = $crate::arena_bytes(include_bytes!($path));
        }
    };
}
