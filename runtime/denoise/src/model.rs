//! The one thing that is known about a network.

use crate::error::{StepError, check_finite, check_len};
use crate::prediction::{Marginal, Prediction};
use crate::real::Real;

/// A network that predicts noise, signal, velocity, score or residual from a noisy signal.
pub trait ScoreModel<T: Real = f32> {
    /// Why a run failed.
    type Error;

    /// What the output stands for.
    fn prediction(&self) -> Prediction;

    /// Runs the network. `level` is what it was trained with: the step of a diffusion model, the standard deviation of
    /// the noise, `c_noise` of a consistency model; networks without such an input ignore it. `out` is as long as `x`.
    ///
    /// # Errors
    /// The model's own.
    fn predict(&mut self, x: &[T], level: T, out: &mut [T]) -> Result<(), Self::Error>;
}

impl<T: Real, M: ScoreModel<T> + ?Sized> ScoreModel<T> for &mut M {
    type Error = M::Error;

    fn prediction(&self) -> Prediction {
        (**self).prediction()
    }

    fn predict(&mut self, x: &[T], level: T, out: &mut [T]) -> Result<(), Self::Error> {
        (**self).predict(x, level, out)
    }
}

/// A function as a model.
#[derive(Clone, Copy, Debug)]
pub struct FromFn<F> {
    kind: Prediction,
    function: F,
}

impl<F> FromFn<F> {
    /// A function of signal, level and output that predicts `kind`.
    pub fn new(kind: Prediction, function: F) -> Self {
        FromFn { kind, function }
    }
}

impl<T: Real, E, F: FnMut(&[T], T, &mut [T]) -> Result<(), E>> ScoreModel<T> for FromFn<F> {
    type Error = E;

    fn prediction(&self) -> Prediction {
        self.kind
    }

    fn predict(&mut self, x: &[T], level: T, out: &mut [T]) -> Result<(), E> {
        (self.function)(x, level, out)
    }
}

/// A model seen as one of another kind: its predictions are converted at the level that it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Convert<M, L> {
    model: M,
    marginal: L,
    kind: Prediction,
}

impl<M, L: Marginal> Convert<M, L> {
    /// `model`, whose levels mean what `marginal` says, as one that predicts `kind`.
    pub fn new(model: M, marginal: L, kind: Prediction) -> Self {
        Convert { model, marginal, kind }
    }
}

impl<T: Real, M: ScoreModel<T>, L: Marginal> ScoreModel<T> for Convert<M, L> {
    type Error = StepError<M::Error>;

    fn prediction(&self) -> Prediction {
        self.kind
    }

    fn predict(&mut self, x: &[T], level: T, out: &mut [T]) -> Result<(), Self::Error> {
        let marginal = self.marginal.marginal(level.to_f64())?;
        run(&mut self.model, x, level, out)?;
        Ok(marginal.convert(self.model.prediction(), self.kind, x, out)?)
    }
}

/// Runs a model on checked numbers and checks what it returns.
pub(crate) fn run<T: Real, M: ScoreModel<T>>(
    model: &mut M,
    x: &[T],
    level: T,
    out: &mut [T],
) -> Result<(), StepError<M::Error>> {
    check_len(out, x.len())?;
    check_finite(x)?;
    model.predict(x, level, out).map_err(StepError::Model)?;
    Ok(check_finite(out)?)
}
