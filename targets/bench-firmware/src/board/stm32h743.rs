//! Nucleo-H743ZI with silicon revision V: 480 MHz from the internal oscillator (within 1 %; cycles
//! do not depend on it), both caches on, arena and stack in tightly coupled memory.

use cortex_m::Peripherals;
use embassy_stm32::rcc::{
    self, AHBPrescaler, APBPrescaler, HSIPrescaler, Pll, PllDiv, PllMul, PllPreDiv, PllSource, Sysclk, VoltageScale,
};

use super::{Board, counter};

pub fn init(core: &mut Peripherals) -> Board {
    let mut config = embassy_stm32::Config::default();
    // 64 MHz / 4 · 60 = 960 MHz, halved.
    config.rcc.hsi = Some(HSIPrescaler::DIV1);
    config.rcc.pll1 = Some(Pll {
        source: PllSource::HSI,
        prediv: PllPreDiv::DIV4,
        mul: PllMul::MUL60,
        fracn: None,
        divp: Some(PllDiv::DIV2),
        divq: None,
        divr: None,
    });
    config.rcc.sys = Sysclk::PLL1_P;
    config.rcc.ahb_pre = AHBPrescaler::DIV2;
    config.rcc.apb1_pre = APBPrescaler::DIV2;
    config.rcc.apb2_pre = APBPrescaler::DIV2;
    config.rcc.apb3_pre = APBPrescaler::DIV2;
    config.rcc.apb4_pre = APBPrescaler::DIV2;
    config.rcc.voltage_scale = VoltageScale::Scale0;
    let p = embassy_stm32::init(config);
    core.SCB.enable_icache();
    core.SCB.enable_dcache(&mut core.CPUID);
    counter::start(core);
    Board {
        name: "Nucleo-H743ZI (STM32H743, revision V)",
        core: "Cortex-M7",
        hz: rcc::clocks(&p.RCC).sys.to_hertz().map_or(0, |hz| hz.0),
        memory: "flash with 4 wait states behind both caches (16 KiB each, on), arena and stack in DTCM",
    }
}
