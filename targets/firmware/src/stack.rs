//! The high-water mark of the stack: what of a pattern below it was overwritten.
#![allow(unsafe_code)]

use core::ptr::{read_volatile, write_volatile};

const PATTERN: u32 = 0xa5a5_a5a5;

/// Deepest use that is looked for, in bytes.
const DEPTH: usize = 64 * 1024;

/// Left unpainted below the stack pointer: what the painter itself may use.
const MARGIN: usize = 64;

/// Addresses of the words looked at.
fn words(end: usize, top: usize) -> impl Iterator<Item = usize> {
    (end.max(top.saturating_sub(DEPTH)).next_multiple_of(4)..top).step_by(4)
}

/// Fills the free stack with the pattern: from `end`, its lowest address, to a little below the
/// stack pointer.
///
/// # Safety
/// Memory from `end` to the stack pointer belongs to nobody but the stack of the caller.
#[inline(never)]
pub unsafe fn paint(end: usize, stack_pointer: usize) {
    for address in words(end, stack_pointer - MARGIN) {
        // SAFETY: free stack, as the caller promises; the loop's own variables lie above.
        unsafe { write_volatile(address as *mut u32, PATTERN) }
    }
}

/// Bytes from the deepest word that was overwritten to the stack pointer.
///
/// # Safety
/// Memory from `end` to the stack pointer can be read.
#[inline(never)]
pub unsafe fn used(end: usize, stack_pointer: usize) -> usize {
    // SAFETY: readable, as the caller promises.
    let touched = |address: &usize| unsafe { read_volatile(*address as *const u32) } != PATTERN;
    words(end, stack_pointer).find(touched).map_or(0, |deepest| stack_pointer - deepest)
}
