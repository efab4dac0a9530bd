//! Prints the digests of every model and input of the image, as `tests/digests.txt` has them.
#![no_std]
#![no_main]

use board::{ARENA_BYTES, MODELS};
use selvedge::Arena;
use selvedge_firmware::host::{Host, exit, exit_on_panic};
use static_cell::ConstStaticCell;

static ARENA: ConstStaticCell<Arena<ARENA_BYTES>> = ConstStaticCell::new(Arena::new());

#[board::entry]
fn main() -> ! {
    exit(selvedge_firmware::digest::run(MODELS, ARENA.take(), &mut Host))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    exit_on_panic(info)
}
