//! One model from a fast and a slow memory, with its weights beside it, in a memory of their
//! own, and read step by step: the digests and instructions of each.
#![no_std]
#![no_main]

use board::{ARENA_BYTES, Counter, MODELS};
use selvedge::Arena;
use selvedge_firmware::host::{Host, exit, exit_on_panic};
use selvedge_firmware::regions::{Layouts, Memory, run};
use static_cell::ConstStaticCell;

selvedge::model!(mod whole = concat!(env!("OUT_DIR"), "/regions.slvg"));
selvedge::model!(
    mod split = concat!(env!("OUT_DIR"), "/regions.head"),
    #[unsafe(link_section = ".weights")]
    weights = concat!(env!("OUT_DIR"), "/regions.weights")
);
selvedge::model!(
    mod staged = concat!(env!("OUT_DIR"), "/staged.head"),
    #[unsafe(link_section = ".weights")]
    weights = concat!(env!("OUT_DIR"), "/staged.weights")
);

const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

static ONE: ConstStaticCell<Arena<ARENA_BYTES>> = ConstStaticCell::new(Arena::new());
#[unsafe(link_section = ".fast")]
static FAST: ConstStaticCell<Arena<{ larger(split::REGION_BYTES[0], staged::REGION_BYTES[0]) }>> =
    ConstStaticCell::new(Arena::new());
#[unsafe(link_section = ".slow")]
static SLOW: ConstStaticCell<Arena<{ larger(split::REGION_BYTES[1], staged::REGION_BYTES[1]) }>> =
    ConstStaticCell::new(Arena::new());

unsafe extern "C" {
    static mut _fast_start: [u32; 0];
    static mut _fast_end: [u32; 0];
    static mut _slow_start: [u32; 0];
    static mut _slow_end: [u32; 0];
}

/// Clears both memories, as start-up code clears `.bss`: the flags of the cells are in them.
fn clear() {
    for (start, end) in [(&raw mut _fast_start, &raw mut _fast_end), (&raw mut _slow_start, &raw mut _slow_end)] {
        let words = (end.addr() - start.addr()) / size_of::<u32>();
        // SAFETY: the linker's bounds of a section whose cells nobody has used yet; their
        // initial value is zero.
        unsafe { start.cast::<u32>().write_bytes(0, words) };
    }
}

#[board::entry]
fn main() -> ! {
    clear();
    let layouts = Layouts {
        model: MODELS[0],
        regions: whole::BYTES,
        split: (split::HEAD, split::WEIGHTS),
        staged: (staged::HEAD, staged::WEIGHTS),
    };
    let memory = Memory { one: ONE.take(), fast: FAST.take(), slow: SLOW.take() };
    exit(run(&layouts, memory, &mut Counter::take(), &mut Host))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    exit_on_panic(info)
}
