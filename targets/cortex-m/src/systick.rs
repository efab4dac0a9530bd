//! Instruction counts from SysTick under `qemu -icount shift=0`: an instruction is a nanosecond.

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{Peripherals, SYST};
use cortex_m::register::msp;
use selvedge_firmware::{Board, stack};

/// Hundredths of an instruction a tick: a nanosecond each at the board's system clock.
const PER_TICK: u64 = match env!("SELVEDGE_BOARD").as_bytes() {
    // 16 MHz
    b"microbit" => 6250,
    // 20 MHz
    b"an505" => 5000,
    // 32 MHz
    b"an547" => 3125,
    // 25 MHz
    _ => 4000,
};

unsafe extern "C" {
    /// Placed by the linker at the lowest address of the stack.
    static _stack_end: u32;
}

/// SysTick has 24 bits.
const MASK: u32 = 0x00ff_ffff;

/// Instructions of one turn of the loop that waits for the next tick.
const TURN: u64 = 4;

/// Counts instructions. A tick is tens of instructions, so both ends are placed inside of
/// their tick by counting the turns of a loop until the next one.
pub struct Counter {
    syst: SYST,
    start: u32,
}

/// Turns until SysTick changes, and its new value.
#[inline(never)]
fn next_tick() -> (u32, u64) {
    let before = SYST::get_current();
    let (now, turns): (u32, u32);
    // SAFETY: reads a device register, which has no effect but its value; the other operands
    // are registers of the block.
    unsafe {
        core::arch::asm!(
            "movs {turns}, #0",
            "2:",
            "adds {turns}, {turns}, #1",
            "ldr {now}, [{current}]",
            "cmp {now}, {before}",
            "beq 2b",
            turns = out(reg) turns,
            now = out(reg) now,
            before = in(reg) before,
            current = in(reg) 0xe000_e018u32,
            options(nostack, readonly),
        );
    }
    (now, turns as u64)
}

impl Counter {
    /// The counter of a core that nobody else uses.
    ///
    /// # Panics
    /// Where it was taken before.
    pub fn take() -> Self {
        let mut syst = Peripherals::take().expect("taken once").SYST;
        syst.set_clock_source(SystClkSource::Core);
        syst.set_reload(MASK);
        syst.clear_current();
        syst.enable_counter();
        Counter { syst, start: 0 }
    }
}

impl Board for Counter {
    #[inline(always)]
    fn start(&mut self) {
        self.syst.clear_current();
        self.start = next_tick().0;
    }

    #[inline(always)]
    fn stop(&mut self) -> u64 {
        let (end, turns) = next_tick();
        assert!(!self.syst.has_wrapped(), "the interval is too long for SysTick");
        let ticks = (self.start.wrapping_sub(end) & MASK) as u64;
        (ticks * PER_TICK / 100).saturating_sub(turns * TURN)
    }

    fn count_loop(&mut self, turns: u32) -> (u64, u64) {
        self.start();
        // SAFETY: changes its own register and the flags.
        unsafe {
            core::arch::asm!("2:", "subs {n}, {n}, #1", "bne 2b", n = inout(reg) turns => _, options(nomem, nostack))
        }
        (self.stop(), 2 * turns as u64)
    }

    fn paint_stack(&mut self) {
        // SAFETY: one core, one stack, and the linker gives its end.
        unsafe { stack::paint(&raw const _stack_end as usize, msp::read() as usize) }
    }

    fn stack_used(&self) -> usize {
        // SAFETY: as above.
        unsafe { stack::used(&raw const _stack_end as usize, msp::read() as usize) }
    }
}
