//! Measures a model on a board: prints cycles of set-up, steps and runs, memory, and the digest of
//! all step outputs beside the host's.
#![no_std]
#![no_main]

mod board;
mod log;
mod measure;
mod stack;

use board::{Board, counter};
use log::line;
use measure::{Measured, RUNS};
use selvedge::{Arena, Artifact, Error};
use static_cell::ConstStaticCell;

selvedge::model!(mod model = concat!(env!("OUT_DIR"), "/model.slvg"));

mod chosen {
    include!(concat!(env!("OUT_DIR"), "/chosen.rs"));
}

static ARENA: ConstStaticCell<Arena<{ model::ARENA_BYTES }>> = ConstStaticCell::new(Arena::new());

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(mut core) = cortex_m::Peripherals::take() else { unreachable!("taken once") };
    let board = board::init(&mut core);
    let code = match measure::measure(model::BYTES, chosen::OPS, ARENA.take(), chosen::INPUT) {
        Ok(measured) => report(&board, &measured).map_or(2, |exact| if exact { 0 } else { 1 }),
        Err(error) => {
            line!("error {} step {:?} detail {}", error.code(), error.step(), error.detail());
            2
        }
    };
    log::flush();
    // Ends `probe-rs run` and the emulator.
    semihosting::process::exit(code)
}

/// Prints the page described in README.md; whether the digest is the host's.
fn report(board: &Board, measured: &Measured<{ chosen::STEPS }>) -> Result<bool, Error> {
    line!("board {}, {}, {} Hz", board.name, board.core, board.hz);
    line!("memory {}", board.memory);
    line!("counter {}; {} runs", counter::NAME, RUNS);
    line!("model {}: artifact {} bytes, arena {} bytes", chosen::NAME, model::BYTES.len(), model::ARENA_BYTES);
    line!("setup median {} min {}", measured.setup.median(), measured.setup.min());
    let artifact = Artifact::parse(model::BYTES)?;
    let mut sum = 0u32;
    for (index, series) in measured.steps.iter().enumerate() {
        let step = artifact.step(index)?;
        let (op, format) = (step.op().map_or("?", |op| op.name()), step.format().map_or("?", |f| f.name()));
        let output = artifact.tensor(step.outputs.first().copied().unwrap_or(0) as usize)?;
        line!("step {} {}<{}> {:?} median {} min {}", index, op, format, output.dims, series.median(), series.min());
        sum = sum.wrapping_add(series.median());
    }
    line!("steps sum of medians {}", sum);
    let micros = |cycles: u32| cycles as u64 * 1_000_000 / board.hz.max(1) as u64;
    let median = measured.run.median();
    line!("run first {} median {} min {}: {} us", measured.first, median, measured.run.min(), micros(median));
    line!("stack setup {} run {} bytes", measured.setup_stack, measured.run_stack);
    let exact = measured.digest == chosen::HOST_DIGEST;
    let verdict = if exact { "equal" } else { "DIFFERENT" };
    line!("digest {:016x}, host {:016x}: {}", measured.digest, chosen::HOST_DIGEST, verdict);
    Ok(exact)
}
