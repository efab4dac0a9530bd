//! MPS2 with AN386 (Cortex-M4F) in QEMU: no cycles, but `-icount shift=0` makes an instruction a
//! nanosecond and a SysTick count 40 instructions.

use cortex_m::Peripherals;

use super::{Board, counter};

pub fn init(core: &mut Peripherals) -> Board {
    counter::start(core);
    Board {
        name: "MPS2 AN386 (emulated)",
        core: "Cortex-M4F",
        hz: 25_000_000,
        memory: "no wait states modelled; a count is 40 instructions",
    }
}
