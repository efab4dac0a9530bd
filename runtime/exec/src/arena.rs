//! The memory a session works in.

use core::ops::{Deref, DerefMut};

/// `N` bytes, aligned for every kernel.
///
/// `Arena::new()` is a constant, so that a static cell can hold it:
/// `static ARENA: ConstStaticCell<Arena<N>> = ConstStaticCell::new(Arena::new());`.
/// It dereferences to `[u8]`, which is what [`Session::new`](crate::Session::new) takes.
#[repr(C, align(64))]
pub struct Arena<const N: usize>([u8; N]);

impl<const N: usize> Arena<N> {
    /// An arena of zeros.
    pub const fn new() -> Self {
        Arena([0; N])
    }

    /// All bytes.
    pub const fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl<const N: usize> Default for Arena<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> AsMut<[u8]> for Arena<N> {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl<const N: usize> Deref for Arena<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> DerefMut for Arena<N> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
