//! Views of the byte scratch.

use zerocopy::FromBytes;

/// The first `len` f32 of a scratch that is aligned to 4 bytes, as executors promise.
///
/// # Panics
/// If it is misaligned or shorter than `4·len` bytes.
#[inline]
pub fn as_f32(scratch: &mut [u8], len: usize) -> &mut [f32] {
    match <[f32]>::mut_from_bytes(&mut scratch[..len * 4]) {
        Ok(view) => view,
        Err(_) => panic!("scratch is aligned to 4 bytes"),
    }
}
