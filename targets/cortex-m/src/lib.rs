//! What the firmware binaries share: the board's counter and stack, the models, the way out.
#![no_std]

mod models;
mod systick;

pub use cortex_m_rt::entry;
pub use models::{ARENA_BYTES, MODELS};
pub use systick::Counter;

/// A fault of the core ends the emulation with 102.
#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    selvedge_firmware::host::exit_with(102)
}

/// Interrupts of the device: none is ever enabled, and the linker script asks for one.
// SAFETY: the section holds handlers; what is not enabled is not called.
#[unsafe(link_section = ".vector_table.interrupts")]
// SAFETY: the name is the linker script's, and no other symbol has it.
#[unsafe(no_mangle)]
pub static __INTERRUPTS: [unsafe extern "C" fn(); 1] = [unused];

unsafe extern "C" fn unused() {}
