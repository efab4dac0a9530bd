//! nRF52840 development kit: 64 MHz from the crystal, instruction cache on (it is off after reset).

use cortex_m::Peripherals;
use embassy_nrf::config::{Config, HfclkSource};
use embassy_nrf::pac;

use super::{Board, counter};

pub fn init(core: &mut Peripherals) -> Board {
    let mut config = Config::default();
    config.hfclk_source = HfclkSource::ExternalXtal;
    let _ = embassy_nrf::init(config);
    pac::NVMC.icachecnf().modify(|w| w.set_cacheen(true));
    counter::start(core);
    Board {
        name: "nRF52840-DK",
        core: "Cortex-M4F",
        // The core has no other clock.
        hz: 64_000_000,
        memory: "flash behind the instruction cache (2 KiB, on), arena and stack in RAM",
    }
}
