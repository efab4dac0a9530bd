//! The smallest useful firmware: one model, one static arena, the class of one input.
#![no_std]
#![no_main]

use board as _;
use selvedge::{Arena, Artifact, Error, OpEntry, Session};
use selvedge_firmware::host::{Host, exit_with};
use static_cell::ConstStaticCell;

selvedge::model!(mod model = concat!(env!("OUT_DIR"), "/model.slvg"));
static ARENA: ConstStaticCell<Arena<{ model::ARENA_BYTES }>> = ConstStaticCell::new(Arena::new());
static INPUT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/input.bin"));
/// The line that `selvedge inspect` prints.
static OPS: &[OpEntry] = include!(concat!(env!("OUT_DIR"), "/ops.rs"));

fn classify() -> Result<usize, Error> {
    let model = Artifact::parse(model::BYTES)?;
    let mut session = Session::with_ops(model, ARENA.take(), OPS)?;
    session.input(0)?.copy_from_bytes(INPUT)?;
    session.run()?;
    Ok(session.output(0)?.argmax())
}

#[board::entry]
fn main() -> ! {
    match classify() {
        Ok(class) => Host.print_number(class),
        Err(error) => exit_with(error.code().into()),
    }
    exit_with(0)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit_with(101)
}
