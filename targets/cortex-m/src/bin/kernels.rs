//! Compares every int8 kernel of the core's instruction set with its reference; ends with 1
//! where one differs, and prints which.
#![no_std]
#![no_main]

use board as _;
use selvedge_firmware::host::{Host, exit_on_panic, exit_with};
use selvedge_firmware::kernels::{self, Workspace};
use static_cell::ConstStaticCell;

static WORKSPACE: ConstStaticCell<Workspace> = ConstStaticCell::new(Workspace::new());

#[board::entry]
fn main() -> ! {
    let result = kernels::run(WORKSPACE.take(), &mut Host);
    exit_with(result.is_err() as i32)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    exit_on_panic(info)
}
