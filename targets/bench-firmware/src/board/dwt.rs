//! Cycles from the data watchpoint and trace unit: one 32-bit count a core cycle, no interrupt.

use core::sync::atomic::{Ordering, compiler_fence};

use cortex_m::Peripherals;
use cortex_m::peripheral::DWT;

pub const NAME: &str = "DWT CYCCNT";

pub fn start(core: &mut Peripherals) {
    core.DCB.enable_trace();
    // The Cortex-M7 locks the unit; the others ignore the write.
    DWT::unlock();
    core.DWT.set_cycle_count(0);
    core.DWT.enable_cycle_counter();
}

/// Cycles since [`start`], modulo 2³².
pub fn cycles() -> u32 {
    compiler_fence(Ordering::SeqCst);
    let count = DWT::cycle_count();
    compiler_fence(Ordering::SeqCst);
    count
}
