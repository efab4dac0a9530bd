//! Nucleo-F411RE: 100 MHz from the internal oscillator (within 1 %; cycles do not depend on it),
//! flash accelerator on (the HAL leaves it off).

use cortex_m::Peripherals;
use embassy_stm32::pac::FLASH;
use embassy_stm32::rcc::{self, APBPrescaler, Pll, PllMul, PllPDiv, PllPreDiv, PllSource, Sysclk};

use super::{Board, counter};

pub fn init(core: &mut Peripherals) -> Board {
    let mut config = embassy_stm32::Config::default();
    // 16 MHz / 8 · 100 = 200 MHz, halved.
    config.rcc.pll_src = PllSource::HSI;
    config.rcc.pll =
        Some(Pll { prediv: PllPreDiv::DIV8, mul: PllMul::MUL100, divp: Some(PllPDiv::DIV2), divq: None, divr: None });
    config.rcc.sys = Sysclk::PLL1_P;
    config.rcc.apb1_pre = APBPrescaler::DIV2;
    let p = embassy_stm32::init(config);
    FLASH.acr().modify(|w| {
        w.set_prften(true);
        w.set_icen(true);
        w.set_dcen(true);
    });
    counter::start(core);
    Board {
        name: "Nucleo-F411RE (STM32F411)",
        core: "Cortex-M4F",
        hz: rcc::clocks(&p.RCC).sys.to_hertz().map_or(0, |hz| hz.0),
        memory: "flash with 3 wait states, prefetch, instruction and data cache on, arena and stack in RAM",
    }
}
