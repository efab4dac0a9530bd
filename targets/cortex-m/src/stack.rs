//! The high-water mark of the stack: what of a pattern below it was overwritten.

use core::ptr::{read_volatile, write_volatile};

use cortex_m::register::msp;

const PATTERN: u32 = 0xa5a5_a5a5;

/// Deepest use that is looked for, in bytes.
const DEPTH: usize = 64 * 1024;

unsafe extern "C" {
    /// Placed by the linker at the lowest address of the stack.
    static mut _stack_end: u32;
}

/// Lowest address looked at.
fn lowest(top: usize) -> usize {
    (&raw const _stack_end as usize).max(top.saturating_sub(DEPTH))
}

/// Fills the stack below the caller's frame with the pattern.
#[inline(never)]
pub fn paint() {
    // Room for what the compiler may keep below the stack pointer it was called with.
    let top = (msp::read() as usize - 16) & !3;
    for address in (lowest(top)..top).step_by(4) {
        // SAFETY: the words between the end of the stack and the stack pointer belong to nobody;
        // the loop keeps its variables above.
        unsafe { write_volatile(address as *mut u32, PATTERN) }
    }
}

/// Bytes from the deepest overwritten word to the stack pointer.
#[inline(never)]
pub fn used() -> usize {
    let top = msp::read() as usize & !3;
    let untouched = (lowest(top)..top)
        .step_by(4)
        // SAFETY: the words of the stack's memory can be read at any time.
        .take_while(|&address| unsafe { read_volatile(address as *const u32) } == PATTERN)
        .count();
    top - lowest(top) - 4 * untouched
}
