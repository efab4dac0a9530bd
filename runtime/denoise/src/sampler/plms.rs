//! Pseudo linear multistep sampling (Liu et al. 2022, "Pseudo numerical methods for diffusion models on manifolds").

use super::Strided;
use crate::error::{DenoiseError, StepError, check_finite, check_len, part};
use crate::model::{ScoreModel, run};
use crate::prediction::Prediction;
use crate::real::Real;
use crate::schedule::Schedule;

/// Weights of the newest prediction and the ones before it, by how many there are (Adams and Bashforth).
const WEIGHTS: [[f64; 4]; 4] = [
    [1.0, 0.0, 0.0, 0.0],
    [1.5, -0.5, 0.0, 0.0],
    [23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0, 0.0],
    [55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
];

/// x at step `to` (`None`: clean) from x at step `from` and a noise ε that holds between them, in place (eq. 11 there):
/// `x + (ᾱ_p − ᾱ)·(x/(√ᾱ·(√ᾱ + √ᾱ_p)) − ε/(√ᾱ·(√((1 − ᾱ_p)·ᾱ) + √((1 − ᾱ)·ᾱ_p))))`.
///
/// # Errors
/// [`DenoiseError::Step`], [`DenoiseError::Length`], [`DenoiseError::NotFinite`].
pub fn plms_update<T: Real>(
    schedule: &Schedule<'_>,
    steps: (usize, Option<usize>),
    x: &mut [T],
    noise: &[T],
) -> Result<(), DenoiseError> {
    check_len(noise, x.len())?;
    check_finite(x)?;
    check_finite(noise)?;
    let (of_x, of_noise) = transfer::<T>(schedule, steps)?;
    x.iter_mut().zip(noise).for_each(|(x, &e)| *x = *x + (of_x * *x - of_noise * e));
    Ok(())
}

/// Coefficients of x and ε in what is added to x.
fn transfer<T: Real>(schedule: &Schedule<'_>, (from, to): (usize, Option<usize>)) -> Result<(T, T), DenoiseError> {
    let (now, before) = (schedule.alpha_bar(from)?, schedule.alpha_bar_or_one(to)?);
    let (root, root_before) = (libm::sqrt(now), libm::sqrt(before));
    let of_x = (before - now) / (root * (root + root_before));
    let mixed = libm::sqrt((1.0 - before) * now) + libm::sqrt((1.0 - now) * before);
    Ok((T::of(of_x), T::of((before - now) / (root * mixed))))
}

/// A run of PLMS over the multiples of a stride: two network runs in the first step, one in each other.
#[derive(Clone, Copy, Debug)]
pub struct Plms<'s> {
    schedule: Schedule<'s>,
    steps: Strided,
    /// Predictions in the history, at most 3.
    filled: usize,
    /// Slot of the next one.
    slot: usize,
}

impl<'s> Plms<'s> {
    /// Over the multiples of `stride` below `start`, down to 0 and the clean signal.
    ///
    /// # Errors
    /// [`DenoiseError::Step`] for a start of 0 or above the schedule's length, or a stride of 0.
    pub fn new(schedule: Schedule<'s>, start: usize, stride: usize) -> Result<Self, DenoiseError> {
        Ok(Plms { schedule, steps: Strided::below(start, stride, schedule.len())?, filled: 0, slot: 0 })
    }

    /// Elements that the history of a signal of `len` elements takes.
    pub const fn history_len(len: usize) -> usize {
        4 * len
    }

    /// The step that comes next; `None` when `x` is clean.
    pub fn next_step(&self) -> Option<usize> {
        self.steps.now()
    }

    /// One step. `history` is [`Plms::history_len`] elements that belong to this run from its first step to its last.
    ///
    /// # Errors
    /// The model's; [`DenoiseError::NotFinite`], [`DenoiseError::Buffer`]; [`DenoiseError::Step`] after the last step.
    pub fn step<T: Real, M: ScoreModel<T>>(
        &mut self,
        model: &mut M,
        x: &mut [T],
        history: &mut [T],
    ) -> Result<(), StepError<M::Error>> {
        let (step, after) = (self.steps.need()?, self.steps.after());
        let len = x.len();
        let history = part(history, Self::history_len(len))?;
        let (first, rest) = history.split_at_mut(len);
        let (second, rest) = rest.split_at_mut(len);
        let (third, fourth) = rest.split_at_mut(len);
        let mut slots = [first, second, third, fourth];
        slots.rotate_left(self.slot);
        // Newest last; those of the steps before come right behind the newest in the order of the ring.
        let [newest, oldest, middle, last] = slots;
        self.predict(model, x, step, newest)?;
        let transfer = transfer::<T>(&self.schedule, (step, after))?;
        if self.filled == 0 {
            // The slots behind are free: a trial step, and the noise that is predicted after it.
            let trial = oldest;
            for ((trial, &x), &e) in trial.iter_mut().zip(&*x).zip(&*newest) {
                *trial = x + (transfer.0 * x - transfer.1 * e);
            }
            self.predict(model, trial, after.unwrap_or(0), middle)?;
            let half = T::of(0.5);
            for ((x, &e), &then) in x.iter_mut().zip(&*newest).zip(&*middle) {
                *x = *x + (transfer.0 * *x - transfer.1 * (half * (e + then)));
            }
        } else {
            // Slots go 0, 1, 2, 3, 0: the one before the newest is the ring's last, and so on.
            let [w0, w1, w2, w3] = WEIGHTS[self.filled.min(3)].map(T::of);
            for ((((x, &e), &e1), &e2), &e3) in x.iter_mut().zip(&*newest).zip(&*last).zip(&*middle).zip(&*oldest) {
                let mut epsilon = w0 * e + w1 * e1;
                // Slots that were never written hold anything.
                if self.filled > 1 {
                    epsilon += w2 * e2;
                }
                if self.filled > 2 {
                    epsilon += w3 * e3;
                }
                *x = *x + (transfer.0 * *x - transfer.1 * epsilon);
            }
        }
        self.filled = (self.filled + 1).min(3);
        self.slot = (self.slot + 1) % 4;
        self.steps.advance();
        Ok(())
    }

    /// The noise in `x` at a step.
    fn predict<T: Real, M: ScoreModel<T>>(
        &self,
        model: &mut M,
        x: &[T],
        step: usize,
        out: &mut [T],
    ) -> Result<(), StepError<M::Error>> {
        run(model, x, T::of(step as f64), out)?;
        Ok(self.schedule.level(step)?.convert(model.prediction(), Prediction::Noise, x, out)?)
    }
}
