//! Raspberry Pi Pico: the HAL's clock of 125 MHz, flash run in place through its cache.

use cortex_m::Peripherals;
use embassy_rp::clocks::clk_sys_freq;
use embassy_rp::config::Config;

use super::{Board, counter};

pub fn init(core: &mut Peripherals) -> Board {
    let _ = embassy_rp::init(Config::default());
    counter::start(core);
    Board {
        name: "Raspberry Pi Pico (RP2040)",
        core: "Cortex-M0+",
        hz: clk_sys_freq(),
        memory: "QSPI flash behind the XIP cache (16 KiB, on), arena and stack in striped RAM",
    }
}
