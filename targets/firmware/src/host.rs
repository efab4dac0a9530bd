//! The emulator's host, by semihosting.

use core::fmt;
use core::panic::PanicInfo;

use semihosting::io::{Write, stdout};

/// Prints to the host's standard output.
pub struct Host;

impl fmt::Write for Host {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        stdout().and_then(|mut out| out.write_all(text.as_bytes())).map_err(|_| fmt::Error)
    }
}

impl Host {
    /// Prints a number and a line end, without the formatting machinery.
    pub fn print_number(&mut self, mut number: usize) {
        let mut text = *b"          \n";
        for digit in text.iter_mut().rev().skip(1) {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        let _ = stdout().and_then(|mut out| out.write_all(&text));
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

/// Ends the emulation with a number.
pub fn exit_with(code: i32) -> ! {
    semihosting::process::exit(code)
}

/// Ends the emulation with 101 and the message of a panic.
pub fn exit_on_panic(info: &PanicInfo<'_>) -> ! {
    semihosting::eprintln!("{info}");
    semihosting::process::exit(101)
}
