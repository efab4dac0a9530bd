//! Bytes on the heap, aligned as artifacts and arenas must be.

use std::ops::{Deref, DerefMut};
use std::vec::Vec;

/// Bytes that start at a multiple of 16: an artifact read from a file, or an arena whose size
/// is known at run time only.
#[derive(Clone, Debug, Default)]
pub struct AlignedBuf {
    words: Vec<u128>,
    len: usize,
}

impl AlignedBuf {
    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        AlignedBuf { words: vec![0; len.div_ceil(size_of::<u128>())], len }
    }
}

impl From<&[u8]> for AlignedBuf {
    fn from(bytes: &[u8]) -> Self {
        let mut buffer = Self::zeroed(bytes.len());
        buffer.copy_from_slice(bytes);
        buffer
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_at_a_multiple_of_16_for_every_length() {
        for len in 0..40 {
            let bytes: Vec<u8> = (0..len as u8).collect();
            let buffer = AlignedBuf::from(&bytes[..]);
            assert_eq!((&buffer[..], buffer.as_ptr() as usize % 16), (&bytes[..], 0));
        }
    }
}
