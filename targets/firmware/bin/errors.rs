//! A small arena, a misaligned and a truncated model and a missing op give their error codes;
//! a sound model runs after each.
#![no_std]
#![no_main]

use board::{ARENA_BYTES, MODELS};
use selvedge::{Aligned, Arena, ops};
use selvedge_firmware::errors::{Cases, run};
use selvedge_firmware::host::{Host, exit, exit_on_panic};
use static_cell::ConstStaticCell;

static ARENA: ConstStaticCell<Arena<ARENA_BYTES>> = ConstStaticCell::new(Arena::new());

const DIGITS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/model.slvg"));

static SHIFTED: Aligned<[u8; DIGITS.len() + 1]> = {
    let mut bytes = [0; DIGITS.len() + 1];
    bytes.split_at_mut(1).1.copy_from_slice(DIGITS);
    Aligned(bytes)
};

#[board::entry]
fn main() -> ! {
    let cases = Cases {
        model: MODELS[0],
        shifted: &SHIFTED.0[1..],
        // Without Dense<W8>.
        ops_short: ops![Conv2d<W8>, DepthwiseConv2d<W8>, AvgPool2d<I8>, Quantize<F32>, Reshape<Any>],
        class: 0,
    };
    exit(run(&cases, ARENA.take(), &mut Host))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    exit_on_panic(info)
}
