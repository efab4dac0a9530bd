//! Prints instructions of set-up, steps and runs of every model of the image, and the stack.
#![no_std]
#![no_main]

use board::{ARENA_BYTES, Counter, MODELS};
use selvedge::Arena;
use selvedge_firmware::host::{Host, exit, exit_on_panic};
use static_cell::ConstStaticCell;

static ARENA: ConstStaticCell<Arena<ARENA_BYTES>> = ConstStaticCell::new(Arena::new());

#[board::entry]
fn main() -> ! {
    let mut counter = Counter::take();
    exit(selvedge_firmware::count::run(MODELS, ARENA.take(), &mut counter, &mut Host))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    exit_on_panic(info)
}
