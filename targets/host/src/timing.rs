//! Times of runs and steps.

use selvedge::{Error, Probe, StepCtx, StepOutputs, StreamSession};
use std::time::{Duration, Instant};

/// Median and minimum in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    pub median_us: f64,
    pub min_us: f64,
    pub runs: usize,
}

/// Median and minimum of samples in seconds.
pub fn stats(mut seconds: Vec<f64>) -> Stats {
    seconds.sort_by(f64::total_cmp);
    let at = |i: usize| seconds.get(i).copied().unwrap_or(0.0) * 1e6;
    Stats { median_us: at(seconds.len() / 2), min_us: at(0), runs: seconds.len() }
}

/// Runs the model for about `budget`, at least `least` times, after a warm-up. `before` writes the inputs.
pub fn time(
    session: &mut StreamSession<'_>,
    budget: Duration,
    least: usize,
    before: &mut dyn FnMut(&mut StreamSession<'_>) -> Result<(), Error>,
) -> Result<Stats, Error> {
    for _ in 0..3 {
        before(session)?;
        session.step()?;
    }
    let mut seconds = Vec::new();
    let start = Instant::now();
    while seconds.len() < least || (start.elapsed() < budget && seconds.len() < 100_000) {
        before(session)?;
        let began = Instant::now();
        session.step()?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    Ok(stats(seconds))
}

/// Time of each step over several runs.
pub struct StepTimes {
    began: Instant,
    pub seconds: Vec<Vec<f64>>,
}

impl StepTimes {
    pub fn new(steps: usize) -> Self {
        StepTimes { began: Instant::now(), seconds: vec![Vec::new(); steps] }
    }
}

impl Probe for StepTimes {
    fn before_step(&mut self, _: &StepCtx<'_>) {
        self.began = Instant::now();
    }

    fn after_step(&mut self, step: &StepCtx<'_>, _: &mut StepOutputs<'_>) {
        let elapsed = self.began.elapsed().as_secs_f64();
        if let Some(times) = self.seconds.get_mut(step.index()) {
            times.push(elapsed);
        }
    }
}

/// Clock of this core in GHz, from a chain of dependent shifts and xors (one a cycle each).
pub fn clock_ghz() -> f64 {
    const ROUNDS: u32 = 200_000;
    let mut best = f64::MAX;
    for seed in 1..=9u64 {
        let began = Instant::now();
        let mut x = std::hint::black_box(seed);
        for _ in 0..ROUNDS {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
        std::hint::black_box(x);
        best = best.min(began.elapsed().as_secs_f64());
    }
    6.0 * ROUNDS as f64 / best / 1e9
}
