//! Two embassy tasks on one executor: one runs a model step by step, the other gets a turn after
//! every step. The same model in one go gives the same output, and the other task no turn.
#![no_std]
#![no_main]

mod board;

use core::sync::atomic::{AtomicU32, Ordering};

use board::{Board, line};
use embassy_executor::Spawner;
use embassy_futures::yield_now;
use selvedge::{Arena, Artifact, Error, Progress, Session};
use static_cell::ConstStaticCell;

selvedge::model!(mod digits = concat!(env!("OUT_DIR"), "/digits.slvg"));

static ARENA: ConstStaticCell<Arena<{ digits::ARENA_BYTES }>> = ConstStaticCell::new(Arena::new());

/// Turns of the other task.
static TURNS: AtomicU32 = AtomicU32::new(0);

/// Classes of the model.
const CLASSES: usize = 10;

/// A handwritten zero, 8×8 pixels, 16 is full ink.
#[rustfmt::skip]
const ZERO: [u8; 64] = [
    0, 0,  5, 13, 12,  3,  0, 0,
    0, 1, 14, 12, 11, 14,  1, 0,
    0, 5, 15,  2,  1, 14,  6, 0,
    0, 7, 12,  0,  0, 10,  8, 0,
    0, 8, 11,  0,  0,  9,  8, 0,
    0, 6, 13,  0,  0, 12,  7, 0,
    0, 2, 15,  8,  7, 15,  3, 0,
    0, 0,  6, 14, 13,  5,  0, 0,
];

/// Gives the other task a turn after every step.
async fn classify(session: &mut Session<'_>, image: &[f32]) -> Result<usize, Error> {
    session.reset(); // a future dropped half-way leaves its run behind
    session.input(0)?.quantize_from_f32(image)?;
    while let Progress::Running(_) = session.run_steps(1)? {
        yield_now().await;
    }
    Ok(session.output(0)?.argmax())
}

fn logits(session: &Session<'_>) -> Result<[f32; CLASSES], Error> {
    let mut logits = [0.0; CLASSES];
    session.output(0)?.dequantize_into(&mut logits)?;
    Ok(logits)
}

/// Whether both runs gave the same bits and the other task had its turns.
async fn compare(session: &mut Session<'static>) -> Result<bool, Error> {
    let image = ZERO.map(|ink| f32::from(ink) / 16.0);
    let turns = || TURNS.load(Ordering::Relaxed);

    let before = turns();
    session.input(0)?.quantize_from_f32(&image)?;
    session.run()?;
    let (plain, plain_turns) = (logits(session)?, turns() - before);
    line!("in one go: class {}, {} turns of the other task", session.output(0)?.argmax(), plain_turns);

    let before = turns();
    let class = classify(session, &image).await?;
    let (cooperative, cooperative_turns) = (logits(session)?, turns() - before);
    let steps = session.artifact().step_count() as u32;
    line!("step by step: class {}, {} turns of the other task in {} steps", class, cooperative_turns, steps);

    let equal = plain.map(f32::to_bits) == cooperative.map(f32::to_bits);
    line!("outputs {}", if equal { "equal" } else { "DIFFERENT" });
    Ok(equal && plain_turns == 0 && cooperative_turns >= Board::least_turns(steps))
}

/// Owns the session: it lives in the memory of the task.
#[embassy_executor::task]
async fn infer(mut session: Session<'static>) {
    yield_now().await; // the other task begins
    let code = match compare(&mut session).await {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            line!("error {}", error.code());
            2
        }
    };
    board::flush();
    // Ends the emulator and `probe-rs run`.
    semihosting::process::exit(code)
}

#[embassy_executor::task]
async fn other(mut board: Board) {
    loop {
        board.turn().await;
        TURNS.fetch_add(1, Ordering::Relaxed);
    }
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let board = Board::init();
    // The line that `selvedge inspect` prints.
    let ops = selvedge::ops![Conv2d<W8>, DepthwiseConv2d<W8>, Dense<W8>, AvgPool2d<I8>, Quantize<F32>, Reshape<Any>];
    let session = Artifact::parse(digits::BYTES).and_then(|model| Session::with_ops(model, ARENA.take(), ops));
    match session {
        Ok(session) => {
            spawner.spawn(infer(session).expect("spawned once"));
            spawner.spawn(other(board).expect("spawned once"));
        }
        Err(error) => line!("error {}", error.code()),
    }
}
