//! The high-water mark of the stack: how much of a pattern below it was overwritten.

use core::ptr::{read_volatile, write_volatile};

use cortex_m::register::msp;

const PATTERN: u32 = 0x5afe_57ac;

unsafe extern "C" {
    /// Placed by the linker at the lowest address of the stack.
    static mut _stack_end: u32;
}

fn lowest() -> usize {
    &raw const _stack_end as usize
}

/// Fills the free stack with the pattern.
#[inline(never)]
pub fn paint() {
    // Room for what an interrupt or the compiler keeps below the stack pointer read here.
    let top = (msp::read() as usize - 256) & !3;
    for address in (lowest()..top).step_by(4) {
        // SAFETY: the words between the end of the stack and 256 bytes below the stack pointer
        // hold nothing; this loop calls nothing that would need them.
        unsafe { write_volatile(address as *mut u32, PATTERN) }
    }
}

/// Bytes from the deepest overwritten word to the caller's frame, at least 256.
#[inline(never)]
pub fn used() -> usize {
    let top = msp::read() as usize & !3;
    // SAFETY: the stack's memory can be read at any time.
    let untouched = |address: &usize| unsafe { read_volatile(*address as *const u32) } == PATTERN;
    top - (lowest()..top).step_by(4).find(|address| !untouched(address)).unwrap_or(top)
}
