//! Logs a stepped run, and an error, with defmt; the frames go to the host's standard output.
#![no_std]
#![no_main]

use board as _;
use defmt_semihosting as _;
use selvedge::{Arena, Artifact, Error, OpEntry, Progress, Session};
use selvedge_firmware::host::exit_with;
use static_cell::ConstStaticCell;

selvedge::model!(mod model = concat!(env!("OUT_DIR"), "/model.slvg"));
static ARENA: ConstStaticCell<Arena<{ model::ARENA_BYTES }>> = ConstStaticCell::new(Arena::new());
static INPUT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/input.bin"));
static OPS: &[OpEntry] = include!(concat!(env!("OUT_DIR"), "/ops.rs"));

/// Steps between two turns of a real-time system's other work.
const BUDGET: usize = 4;

fn classify() -> Result<usize, Error> {
    let model = Artifact::parse(model::BYTES)?;
    let mut session = Session::with_ops(model, ARENA.take(), OPS)?;
    defmt::info!("set up on {}, arena {=usize} bytes", session.isa(), session.arena_bytes());
    if let Err(error) = session.input(1) {
        defmt::warn!("a second input: {}", error);
    }
    session.input(0)?.copy_from_bytes(INPUT)?;
    loop {
        let progress = session.run_steps(BUDGET)?;
        defmt::info!("{}", progress);
        if progress == Progress::Done {
            break;
        }
    }
    Ok(session.output(0)?.argmax())
}

#[board::entry]
fn main() -> ! {
    match classify() {
        Ok(class) => defmt::info!("class {=usize}", class),
        Err(error) => {
            defmt::error!("{}", error);
            exit_with(1)
        }
    }
    exit_with(0)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit_with(101)
}
