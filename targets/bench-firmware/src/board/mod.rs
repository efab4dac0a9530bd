//! The board: clock, caches and cycle counter, one module each.

#[cfg(feature = "mps2")]
mod mps2;
#[cfg(feature = "nrf52840")]
mod nrf52840;
#[cfg(feature = "rp2040")]
mod rp2040;
#[cfg(feature = "stm32f411")]
mod stm32f411;
#[cfg(feature = "stm32h743")]
mod stm32h743;

#[cfg_attr(any(feature = "rp2040", feature = "mps2"), path = "systick.rs")]
#[cfg_attr(not(any(feature = "rp2040", feature = "mps2")), path = "dwt.rs")]
pub mod counter;

#[cfg(feature = "mps2")]
pub use mps2::init;
#[cfg(feature = "nrf52840")]
pub use nrf52840::init;
#[cfg(feature = "rp2040")]
pub use rp2040::init;
#[cfg(feature = "stm32f411")]
pub use stm32f411::init;
#[cfg(feature = "stm32h743")]
pub use stm32h743::init;

/// What the measurements were taken on, as printed before them.
pub struct Board {
    pub name: &'static str,
    pub core: &'static str,
    /// Clock of the core and of the counter.
    pub hz: u32,
    /// Wait states, caches, where the arena lies.
    pub memory: &'static str,
}
