//! Certifies the first inputs of the digits; the records' hashes are those of every other machine.
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
    exit(selvedge_firmware::certify::run(&MODELS[0], ARENA.take(), &mut counter, &mut Host))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    exit_on_panic(info)
}
