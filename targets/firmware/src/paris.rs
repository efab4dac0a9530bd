//! Particle smoothing on the device: the estimates of a scalar model, the same bits on every core.

use core::fmt::{self, Write};

use selvedge::denoise::DenoiseError;
use selvedge::denoise::state::{Additive, Backward, Dynamics, Filter};
use selvedge::noise::{NoiseKey, Reals};

use crate::Board;

/// Particles.
const PARTICLES: usize = 100;
/// Runs, each with its own draws.
const RUNS: u32 = 16;
/// Two ancestors a particle, drawn by rejection.
const BACKWARD: Backward = Backward::Rejection { draws: 2, tries: 20 };
/// What is observed, and the sum of all states that the Rauch-Tung-Striebel smoother expects given that.
const OBSERVED: [f64; 6] = [0.3, -0.2, 0.8, 1.1, 0.4, -0.5];
const EXACT: f64 = 1.819_468_610_513_987_4;
/// The mean of the runs lies so near: six standard errors, where a run deviates by 0.3.
const BAND: f64 = 6.0 * 0.3 / 4.0;

/// x' = 0.9·x + 0.5·w, y = x + 0.7·v, the functional Σ x.
struct Walk;

impl Dynamics for Walk {
    type State = f64;
    type Observation = f64;

    fn initial(&self, draws: &mut Reals<'_>) -> f64 {
        // The square root of 0.25/0.19, the stationary variance.
        1.147_078_669_352_809_1 * draws.normal()
    }

    fn propagate(&self, from: &f64, draws: &mut Reals<'_>) -> f64 {
        0.9 * from + 0.5 * draws.normal()
    }

    fn log_likelihood(&self, y: &f64, x: &f64) -> f64 {
        let z = (y - x) / 0.7;
        -0.5 * z * z
    }

    fn log_transition(&self, from: &f64, to: &f64) -> f64 {
        let z = (to - 0.9 * from) / 0.5;
        -0.5 * z * z
    }

    fn log_transition_bound(&self) -> Option<f64> {
        Some(0.0)
    }
}

impl Additive<f64> for Walk {
    fn first(&self, state: &f64) -> f64 {
        *state
    }

    fn then(&self, _: &f64, to: &f64) -> f64 {
        *to
    }
}

/// Why there is no result, or a wrong one.
#[derive(Clone, Copy, Debug)]
pub enum Failed {
    Denoise(DenoiseError),
    /// The mean of the runs.
    Band(f64),
}

impl From<DenoiseError> for Failed {
    fn from(error: DenoiseError) -> Self {
        Failed::Denoise(error)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Denoise(error) => error.fmt(f),
            Failed::Band(mean) => write!(f, "the mean {mean} is not within {BAND} of {EXACT}"),
        }
    }
}

/// Smooths the observations in each run; a line a run with the bits of its estimate, and one with the mean. The board
/// counts a step.
///
/// # Errors
/// [`Failed`].
pub fn run(board: &mut impl Board, out: &mut impl Write) -> Result<(), Failed> {
    let key = NoiseKey::from_bytes([11; 32]);
    let (mut sum, mut instructions) = (0.0, 0);
    for run in 0..RUNS {
        let mut filter = Filter::<f64, PARTICLES>::new(&Walk, &Walk, &OBSERVED[0], (&key, run))?;
        for y in &OBSERVED[1..] {
            board.start();
            filter.step(&Walk, &Walk, y, BACKWARD, (&key, run))?;
            instructions += board.stop();
        }
        let estimate = filter.report()?.estimate;
        sum += estimate;
        let _ = writeln!(out, "paris {run}: {:016x}", estimate.to_bits());
    }
    let mean = sum / f64::from(RUNS);
    let _ = writeln!(out, "paris mean {mean:.6}, exact {EXACT:.6}");
    let each = instructions / (u64::from(RUNS) * (OBSERVED.len() as u64 - 1));
    let _ = writeln!(out, "instructions {each} a step of {PARTICLES} particles");
    let off = mean - EXACT;
    if off < BAND && off > -BAND { Ok(()) } else { Err(Failed::Band(mean)) }
}
