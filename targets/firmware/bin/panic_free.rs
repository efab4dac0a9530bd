//! A program that links only if nothing in it can panic: set-up and run of one model.
//!
//! Its panic handler calls a function that exists nowhere. The linker drops both when no code
//! reaches them, and fails otherwise; no allocator is defined either.
#![no_std]
#![no_main]

use board as _;
use selvedge::{Arena, Artifact, Error, ErrorKind, OpEntry, Session};
use selvedge_firmware::host::exit_with;
use static_cell::ConstStaticCell;

selvedge::model!(mod model = concat!(env!("OUT_DIR"), "/model.slvg"));
static ARENA: ConstStaticCell<Arena<{ model::ARENA_BYTES }>> = ConstStaticCell::new(Arena::new());
static INPUT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/input.bin"));
/// The line that `selvedge inspect` prints.
static OPS: &[OpEntry] = include!(concat!(env!("OUT_DIR"), "/ops.rs"));

unsafe extern "C" {
    /// Defined nowhere.
    safe fn a_panic_is_reachable() -> !;
}

fn classify() -> Result<usize, Error> {
    let model = Artifact::parse(model::BYTES)?;
    let arena = ARENA.try_take().ok_or(Error::new(ErrorKind::Busy))?;
    let mut session = Session::with_ops(model, arena, OPS)?;
    session.input(0)?.copy_from_bytes(INPUT)?;
    session.run()?;
    Ok(session.output(0)?.argmax())
}

#[board::entry]
fn main() -> ! {
    exit_with(match classify() {
        Ok(_) => 0,
        Err(error) => error.code().into(),
    })
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    a_panic_is_reachable()
}
