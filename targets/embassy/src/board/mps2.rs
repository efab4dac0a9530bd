//! MPS2 with AN386 in QEMU: no light to blink, the other task only counts its turns.

use embassy_futures::yield_now;

macro_rules! line {
    ($($arguments:tt)*) => { semihosting::println!($($arguments)*) };
}
pub(crate) use line;

/// Lines are written at once.
pub fn flush() {}

pub struct Board;

impl Board {
    pub fn init() -> Self {
        Board
    }

    /// Turns that a run of this many steps leaves to the other task: one between any two.
    pub fn least_turns(steps: u32) -> u32 {
        steps - 1
    }

    /// One turn of the other task.
    pub async fn turn(&mut self) {
        yield_now().await;
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    semihosting::eprintln!("{info}");
    semihosting::process::exit(101)
}
