//! Running.

use crate::handle::{self, Fields, SelvedgeSession};
use crate::{Status, memory};
use selvedge::{Progress, Session};

/// How far a stepped run has come: `selvedge_progress` in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SelvedgeProgress {
    /// 1 when the outputs may be read, else 0.
    pub done: u32,
    /// The step that runs next.
    pub next_step: u32,
    /// Steps of the model.
    pub steps: u32,
}

/// Runs all steps.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_run(session: *mut SelvedgeSession) -> Status {
    let body = |fields: &mut Fields, session: &mut Session<'static>| {
        if !fields.stepping {
            fields.begin_run(session.input_count())?;
        }
        session.run()?;
        fields.outputs_valid = true;
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { handle::with(session, body) }
}

/// Runs at most `budget` steps.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_run_steps(
    session: *mut SelvedgeSession,
    budget: u32,
    progress: *mut SelvedgeProgress,
) -> Status {
    let body = |fields: &mut Fields, session: &mut Session<'static>| {
        fields.apart(&memory::elements(progress, 1)?)?;
        if !core::mem::take(&mut fields.stepping) {
            fields.begin_run(session.input_count())?;
        }
        let reached = session.run_steps(budget as usize)?;
        let steps = session.artifact().step_count() as u32;
        let (done, next_step) = match reached {
            Progress::Done => (1, steps),
            Progress::Running(next) => (0, next as u32),
        };
        fields.outputs_valid = done == 1;
        fields.stepping = done == 0;
        // SAFETY: as the caller promises.
        unsafe { memory::store(progress, SelvedgeProgress { done, next_step, steps }) }
    };
    // SAFETY: as the caller promises.
    unsafe { handle::with(session, body) }
}

/// Gives up a stepped run.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_reset(session: *mut SelvedgeSession) -> Status {
    let body = |fields: &mut Fields, session: &mut Session<'static>| {
        session.reset();
        fields.stepping = false;
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { handle::with(session, body) }
}
