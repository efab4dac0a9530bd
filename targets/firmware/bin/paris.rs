//! Smooths a stream with particles; the estimates are those of every other machine.
#![no_std]
#![no_main]

use board::Counter;
use selvedge_firmware::host::{Host, exit, exit_on_panic};

#[board::entry]
fn main() -> ! {
    let mut counter = Counter::take();
    exit(selvedge_firmware::paris::run(&mut counter, &mut Host))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    exit_on_panic(info)
}
