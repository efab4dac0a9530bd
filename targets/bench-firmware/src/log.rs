//! A log line: through the debug probe on a board, to the emulator's console otherwise.

#[cfg(feature = "probe")]
macro_rules! line {
    ($($arguments:tt)*) => { defmt::info!($($arguments)*) };
}

#[cfg(not(feature = "probe"))]
macro_rules! line {
    ($($arguments:tt)*) => { semihosting::println!($($arguments)*) };
}

pub(crate) use line;

#[cfg(feature = "probe")]
use {defmt_rtt as _, panic_probe as _};

/// Waits until the probe has read every line.
pub fn flush() {
    #[cfg(feature = "probe")]
    defmt::flush();
}

#[cfg(not(feature = "probe"))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    semihosting::eprintln!("{info}");
    semihosting::process::exit(101)
}
