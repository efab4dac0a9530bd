//! nRF52840 development kit: the other task blinks LED 1 and looks at the clock.

use defmt_rtt as _;
use embassy_nrf::gpio::{Level, Output, OutputDrive};
use embassy_time::{Duration, Instant, Timer};
use panic_probe as _;

macro_rules! line {
    ($($arguments:tt)*) => { defmt::info!($($arguments)*) };
}
pub(crate) use line;

pub struct Board {
    led: Output<'static>,
    last: Instant,
    longest: Duration,
}

/// Waits until the probe has read every line.
pub fn flush() {
    defmt::flush();
}

impl Board {
    pub fn init() -> Self {
        let p = embassy_nrf::init(Default::default());
        let led = Output::new(p.P0_13, Level::High, OutputDrive::Standard);
        Board { led, last: Instant::now(), longest: Duration::MIN }
    }

    /// Turns that a run leaves to the other task: turns take time here, so some at least.
    pub fn least_turns(_steps: u32) -> u32 {
        1
    }

    /// One turn of the other task, due every 100 µs; says when it had to wait longer than ever.
    pub async fn turn(&mut self) {
        Timer::after_micros(100).await;
        self.led.toggle();
        let now = Instant::now();
        if now - self.last > self.longest {
            self.longest = now - self.last;
            line!("longest time between two turns: {} us", self.longest.as_micros());
        }
        self.last = Instant::now();
    }
}
