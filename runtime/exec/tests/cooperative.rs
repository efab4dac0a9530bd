//! Sessions that share a thread with other tasks; the oracle is the same program run in one go.
mod support;

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use selvedge_core::params::Quantize;
use selvedge_core::{Artifact, DType, Error, ErrorKind, Format, OpCode};
use selvedge_exec::{Progress, Session};
use support::layers::conv3x3;
use support::{Aligned, Program, as_i8, i8s, params};

const STEPS: usize = 4;

/// A chain of convolutions on a 3×4 picture.
fn convolutions() -> Program {
    let mut p = Program::default();
    let mut last = p.input(DType::I8, &[1, 3, 4, 1]);
    for _ in 0..STEPS {
        last = conv3x3(&mut p, last, 3, 4, None);
    }
    p.output(last);
    p
}

/// Gives way once.
async fn yield_now() {
    let mut waited = false;
    poll_fn(|_| if core::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

async fn run_between_turns(session: &mut Session<'_>, x: &[i8], budget: usize) -> Result<Vec<i8>, Error> {
    session.reset();
    session.input(0)?.copy_from_i8(x)?;
    while let Progress::Running(_) = session.run_steps(budget)? {
        yield_now().await;
    }
    Ok(session.output(0)?.as_i8()?.to_vec())
}

#[test]
fn interleaved_runs_equal_whole_runs_and_others_get_a_turn_after_every_budget() {
    let p = convolutions();
    let inputs: [Vec<i8>; 2] = [(0..12).map(|i| i % 5 - 2).collect(), (0..12).map(|i| 3 - i % 7).collect()];
    let want = inputs.each_ref().map(|x| as_i8(&p.run(&[i8s(x)]).unwrap()));
    let bytes = p.bytes();
    for budget in 1..=STEPS + 1 {
        let mut arenas: [_; 2] = std::array::from_fn(|_| Aligned::zeroed(p.arena_bytes as usize));
        let mut sessions =
            arenas.each_mut().map(|arena| Session::new(Artifact::parse(&bytes).unwrap(), arena).unwrap());
        let [first, second] = sessions.each_mut();
        let mut first = pin!(run_between_turns(first, &inputs[0], budget));
        let mut second = pin!(run_between_turns(second, &inputs[1], budget));
        let (turns, mut done) = (Cell::new(0), [None, None]);
        let mut context = Context::from_waker(Waker::noop());
        while done.iter().any(Option::is_none) {
            for (slot, task) in done.iter_mut().zip([first.as_mut(), second.as_mut()]) {
                if let Poll::Ready(output) = task.poll(&mut context) {
                    *slot = Some(output.unwrap());
                }
            }
            turns.set(turns.get() + 1);
        }
        assert_eq!(done, want.clone().map(Some), "budget {budget}");
        assert_eq!(turns.get(), STEPS.div_ceil(budget));
    }
}

#[test]
fn a_dropped_run_leaves_the_session_busy_until_reset() {
    let p = convolutions();
    let x: Vec<i8> = (0..12).collect();
    let want = as_i8(&p.run(&[i8s(&x)]).unwrap());
    let (bytes, mut arena) = (p.bytes(), Aligned::zeroed(p.arena_bytes as usize));
    let mut session = Session::new(Artifact::parse(&bytes).unwrap(), &mut arena).unwrap();
    assert_eq!(session.pending_step(), None);
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(run_between_turns(&mut session, &[9; 12], 3)).poll(&mut context).is_pending());
    assert_eq!(session.pending_step(), Some(3));
    let busy = session.input(0).unwrap_err();
    assert_eq!((busy.kind(), busy.step()), (ErrorKind::Busy, Some(3)));
    session.reset();
    assert_eq!(session.pending_step(), None);
    session.input(0).unwrap().copy_from_i8(&x).unwrap();
    session.run().unwrap();
    assert_eq!(session.output(0).unwrap().as_i8().unwrap(), want);
}

#[test]
fn a_budget_of_zero_begins_a_run_and_runs_nothing() {
    let p = convolutions();
    let (bytes, mut arena) = (p.bytes(), Aligned::zeroed(p.arena_bytes as usize));
    let mut session = Session::new(Artifact::parse(&bytes).unwrap(), &mut arena).unwrap();
    session.input(0).unwrap().copy_from_i8(&[1; 12]).unwrap();
    for _ in 0..3 {
        assert_eq!(session.run_steps(0).unwrap(), Progress::Running(0));
        assert_eq!(session.pending_step(), Some(0));
    }
    assert_eq!(session.run_steps(usize::MAX).unwrap(), Progress::Done);
    assert_eq!(session.pending_step(), None);
}

#[test]
fn an_error_ends_a_stepped_run() {
    let mut p = Program::default();
    let x = p.input(DType::F32, &[2]);
    let y = p.tensor(DType::F32, &[2]);
    p.step((OpCode::Reshape, Format::Any), &[x], &[y], Vec::new(), 0);
    let q = p.tensor(DType::I8, &[2]);
    p.grid(q, 0.5, 0);
    p.step((OpCode::Quantize, Format::F32), &[y], &[q], params(Quantize { scale: 0.5, zero_point: 0 }), 0);
    p.output(q);
    let (bytes, mut arena) = (p.bytes(), Aligned::zeroed(p.arena_bytes as usize));
    let mut session = Session::new(Artifact::parse(&bytes).unwrap(), &mut arena).unwrap();
    session.input(0).unwrap().copy_from_f32(&[1.0, f32::NAN]).unwrap();
    assert_eq!(session.run_steps(1).unwrap(), Progress::Running(1));
    let error = session.run_steps(1).unwrap_err();
    assert_eq!((error.kind(), error.step()), (ErrorKind::NotANumber, Some(1)));
    assert_eq!(session.pending_step(), None);
    session.input(0).unwrap().copy_from_f32(&[1.0, -1.5]).unwrap();
    session.run().unwrap();
    assert_eq!(session.output(0).unwrap().as_i8().unwrap(), [2, -3]);
}

#[test]
fn a_session_and_a_future_that_holds_it_move_between_threads() {
    fn sendable<T: Send>(value: T) -> T {
        value
    }
    let p = convolutions();
    let (bytes, mut arena) = (p.bytes(), Aligned::zeroed(p.arena_bytes as usize));
    let mut session = sendable(Session::new(Artifact::parse(&bytes).unwrap(), &mut arena).unwrap());
    drop(sendable(run_between_turns(&mut session, &[0; 12], 1)));
}
