//! Cycles from SysTick at the core clock, for cores without a cycle counter: 24 bits count down,
//! an interrupt every 2²⁴ cycles counts the turns.

use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use cortex_m::Peripherals;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};

pub const NAME: &str = "SysTick";

const MASK: u32 = 0x00ff_ffff;

static TURNS: AtomicU32 = AtomicU32::new(0);

#[cortex_m_rt::exception]
fn SysTick() {
    TURNS.store(TURNS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

pub fn start(core: &mut Peripherals) {
    core.SYST.set_clock_source(SystClkSource::Core);
    core.SYST.set_reload(MASK);
    core.SYST.clear_current();
    core.SYST.enable_interrupt();
    core.SYST.enable_counter();
}

/// Cycles since [`start`], modulo 2³².
pub fn cycles() -> u32 {
    compiler_fence(Ordering::SeqCst);
    loop {
        let turns = TURNS.load(Ordering::Relaxed);
        let left = SYST::get_current();
        // A turn between the two reads is seen as pending or as counted.
        if !SCB::is_pendst_pending() && TURNS.load(Ordering::Relaxed) == turns {
            compiler_fence(Ordering::SeqCst);
            return (turns << 24).wrapping_add(MASK - left);
        }
    }
}
