//! Prints the estimates of the particle smoother on this machine, as `paris` of the boards does.

use std::process;

use selvedge_firmware::Board;

/// Nothing is counted here.
struct Uncounted;

impl Board for Uncounted {
    fn start(&mut self) {}

    fn stop(&mut self) -> u64 {
        0
    }

    fn count_loop(&mut self, _: u32) -> (u64, u64) {
        (0, 0)
    }

    fn paint_stack(&mut self) {}

    fn stack_used(&self) -> usize {
        0
    }
}

fn main() {
    let mut said = String::new();
    let result = selvedge_firmware::paris::run(&mut Uncounted, &mut said);
    print!("{said}");
    if let Err(error) = result {
        eprintln!("{error}");
        process::exit(1);
    }
}
