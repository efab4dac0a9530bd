//! Instruction counts from `minstret`, exact under `qemu -icount shift=0`.

use core::arch::asm;

use riscv::register::minstret;
use selvedge_firmware::{Board, stack};

unsafe extern "C" {
    /// Placed by the linker at the lowest address of the stack.
    static __estack: u32;
}

/// Lowest address of the stack, and the stack pointer.
fn stack_now() -> (usize, usize) {
    let stack_pointer: usize;
    // SAFETY: copies a register.
    unsafe { asm!("mv {}, sp", out(reg) stack_pointer, options(nomem, nostack)) }
    (&raw const __estack as usize, stack_pointer)
}

/// Counts retired instructions.
pub struct Counter {
    start: u64,
}

impl Counter {
    /// The core's counter.
    pub fn take() -> Self {
        Counter { start: 0 }
    }
}

impl Board for Counter {
    #[inline(always)]
    fn start(&mut self) {
        self.start = minstret::read64();
    }

    #[inline(always)]
    fn stop(&mut self) -> u64 {
        minstret::read64().wrapping_sub(self.start)
    }

    fn count_loop(&mut self, turns: u32) -> (u64, u64) {
        self.start();
        // SAFETY: changes its own register.
        unsafe { asm!("2:", "addi {n}, {n}, -1", "bnez {n}, 2b", n = inout(reg) turns => _, options(nomem, nostack)) }
        (self.stop(), 2 * turns as u64)
    }

    fn paint_stack(&mut self) {
        let (end, stack_pointer) = stack_now();
        // SAFETY: one core, one stack, and the linker gives its end.
        unsafe { stack::paint(end, stack_pointer) }
    }

    fn stack_used(&self) -> usize {
        let (end, stack_pointer) = stack_now();
        // SAFETY: as above.
        unsafe { stack::used(end, stack_pointer) }
    }
}
