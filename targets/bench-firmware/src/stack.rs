//! The high-water mark of the stack.

use cortex_m::register::msp;
use selvedge_firmware::stack;

unsafe extern "C" {
    /// Placed by the linker at the lowest address of the stack.
    static mut _stack_end: u32;
}

fn end() -> usize {
    &raw const _stack_end as usize
}

/// Fills the free stack with a pattern.
#[inline(never)]
pub fn paint() {
    // SAFETY: the linker places nothing between the end of the stack and the stack pointer.
    unsafe { stack::paint(end(), msp::read() as usize) }
}

/// Bytes of the deepest use since then, below the caller's frame.
#[inline(never)]
pub fn used() -> usize {
    // SAFETY: the stack's memory can be read.
    unsafe { stack::used(end(), msp::read() as usize) }
}
