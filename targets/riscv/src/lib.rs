//! What the firmware binaries share: the counter, the stack, the models.
#![no_std]

mod instret;
mod models;

pub use instret::Counter;
pub use models::{ARENA_BYTES, MODELS};
pub use riscv_rt::entry;

/// A fault of the core ends the emulation with 102.
// SAFETY: the name and signature are what `riscv-rt` calls for exceptions without a handler.
#[unsafe(export_name = "ExceptionHandler")]
fn exception(_: &riscv_rt::TrapFrame) -> ! {
    selvedge_firmware::host::exit_with(102)
}
