//! Prints instructions of single layers with weights of 8 bits and of fewer.
#![no_std]
#![no_main]

use board::Counter;
use selvedge_firmware::host::{Host, exit, exit_on_panic};
use selvedge_firmware::layers::{self, Workspace};
use static_cell::ConstStaticCell;

static WORKSPACE: ConstStaticCell<Workspace> = ConstStaticCell::new(Workspace::new());

#[board::entry]
fn main() -> ! {
    let mut counter = Counter::take();
    exit(layers::run(WORKSPACE.take(), &mut counter, &mut Host))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    exit_on_panic(info)
}
