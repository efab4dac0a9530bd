//! What the firmware binaries share: the board's counter and stack, the models, the way out.
#![no_std]

mod models;
mod stack;
mod systick;

pub use models::{ARENA_BYTES, MODELS};
pub use systick::Counter;

use core::fmt;

/// Prints to the host's standard output.
pub struct Host;

impl fmt::Write for Host {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        semihosting::print!("{text}");
        Ok(())
    }
}

/// Ends the emulation: 0, or 1 with the error on standard error.
pub fn exit(result: Result<(), impl fmt::Display>) -> ! {
    match result {
        Ok(()) => semihosting::process::exit(0),
        Err(error) => {
            semihosting::eprintln!("{error}");
            semihosting::process::exit(1)
        }
    }
}

/// Ends the emulation with 101 and the message of a panic.
pub fn exit_on_panic(info: &core::panic::PanicInfo<'_>) -> ! {
    semihosting::eprintln!("{info}");
    semihosting::process::exit(101)
}

/// A fault of the core ends the emulation with 102.
#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    semihosting::process::exit(102)
}
