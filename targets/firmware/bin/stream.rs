//! Prints instructions of the frames of every model of the image that keeps state, and its memory.
#![no_std]
#![no_main]

use board::{ARENA_BYTES, Counter, MODELS};
use selvedge::{Arena, State};
use selvedge_firmware::host::{Host, exit, exit_on_panic};
use selvedge_firmware::stream::{STATE_BYTES, run};
use static_cell::ConstStaticCell;

static ARENA: ConstStaticCell<Arena<ARENA_BYTES>> = ConstStaticCell::new(Arena::new());
static STATE: ConstStaticCell<State<STATE_BYTES>> = ConstStaticCell::new(State::new());

#[board::entry]
fn main() -> ! {
    let mut counter = Counter::take();
    exit(run(MODELS, ARENA.take(), STATE.take(), &mut counter, &mut Host))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    exit_on_panic(info)
}
