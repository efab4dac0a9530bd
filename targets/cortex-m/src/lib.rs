//! What the firmware binaries share: the board's counter and stack, the models, the way out.
#![no_std]

mod models;
mod systick;

pub use models::{ARENA_BYTES, MODELS};
pub use systick::Counter;

/// A fault of the core ends the emulation with 102.
#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    selvedge_firmware::host::exit_with(102)
}
