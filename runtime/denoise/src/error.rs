//! What can be wrong with a request, its buffers or its numbers.

use crate::real::Real;
use core::fmt;

/// Why something was refused. Buffers that are written are untouched, unless a function says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DenoiseError {
    /// A buffer has another length than its partner or shape.
    Length {
        /// Elements that it has to have.
        expected: u32,
    },
    /// A buffer for work or results is too short.
    Buffer {
        /// Elements that are needed.
        needed: u32,
    },
    /// An input, or what the model returned, is NaN or infinite.
    NotFinite {
        /// Which element.
        index: u32,
    },
    /// A noise level that is zero, negative or not finite, or a signal level that is not above zero.
    Level,
    /// A schedule that does not fall strictly from below 1 to above 0.
    Schedule {
        /// The step.
        step: u32,
    },
    /// A step that the schedule does not have, or one asked for after the last.
    Step {
        /// The step.
        step: u32,
    },
    /// A parameter outside of its range; the function's page says which.
    Parameter,
    /// A shape without elements, or a tile that its halo fills.
    Shape,
    /// A matrix that is not symmetric, or not positive definite where that is needed.
    Matrix {
        /// The row where it shows.
        row: u32,
    },
    /// An iteration that did not converge.
    Convergence,
    /// Too few samples for a covariance, a median or a mean.
    Samples {
        /// How many are needed.
        needed: u32,
    },
    /// Weights that are all zero: the model explains nothing of what was observed.
    Weights,
}

impl fmt::Display for DenoiseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DenoiseError::Length { expected } => write!(f, "a buffer has the wrong length; {expected} are expected"),
            DenoiseError::Buffer { needed } => write!(f, "a work buffer is too small; {needed} elements are needed"),
            DenoiseError::NotFinite { index } => write!(f, "element {index} is NaN or infinite; check input and model"),
            DenoiseError::Level => f.write_str("a noise level has to be finite and above 0; so has a signal level"),
            DenoiseError::Schedule { step } => {
                write!(f, "the signal has to fall strictly between 1 and 0; it does not at step {step}")
            }
            DenoiseError::Step { step } => write!(f, "the schedule has no step {step}, or it is over"),
            DenoiseError::Parameter => f.write_str("a parameter is outside of its range"),
            DenoiseError::Shape => f.write_str("the shape has no elements, or the tile is not larger than its halo"),
            DenoiseError::Matrix { row } => write!(f, "the matrix is not symmetric and positive at row {row}"),
            DenoiseError::Convergence => f.write_str("an iteration did not converge; check the matrix"),
            DenoiseError::Samples { needed } => write!(f, "too few samples; at least {needed} are needed"),
            DenoiseError::Weights => f.write_str("all weights are zero; the model does not explain the observation"),
        }
    }
}

impl core::error::Error for DenoiseError {}

/// What went wrong in a step: the model's own error, or ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepError<E> {
    /// The model failed.
    Model(E),
    /// Buffers, numbers or the order of steps.
    Denoise(DenoiseError),
}

impl<E> From<DenoiseError> for StepError<E> {
    fn from(error: DenoiseError) -> Self {
        StepError::Denoise(error)
    }
}

impl<E: fmt::Display> fmt::Display for StepError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepError::Model(error) => error.fmt(f),
            StepError::Denoise(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for StepError<E> {}

/// As an index of an error.
pub(crate) fn index(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

pub(crate) fn check_len<T>(buffer: &[T], expected: usize) -> Result<(), DenoiseError> {
    if buffer.len() == expected { Ok(()) } else { Err(DenoiseError::Length { expected: index(expected) }) }
}

/// A state and the prediction made at it: as long as each other, and finite.
pub(crate) fn check_pair<T: Real>(x: &[T], prediction: &[T]) -> Result<(), DenoiseError> {
    check_len(prediction, x.len())?;
    check_finite(x)?;
    check_finite(prediction)
}

/// The first `needed` elements of a work buffer.
pub(crate) fn part<T>(buffer: &mut [T], needed: usize) -> Result<&mut [T], DenoiseError> {
    buffer.get_mut(..needed).ok_or(DenoiseError::Buffer { needed: index(needed) })
}

pub(crate) fn check_finite<T: Real>(buffer: &[T]) -> Result<(), DenoiseError> {
    match buffer.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(at) => Err(DenoiseError::NotFinite { index: index(at) }),
    }
}

/// A finite parameter above 0.
pub(crate) fn positive(value: f64) -> Result<f64, DenoiseError> {
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err(DenoiseError::Level) }
}

/// A parameter for which `holds`; NaN never does.
pub(crate) fn require(holds: bool) -> Result<(), DenoiseError> {
    if holds { Ok(()) } else { Err(DenoiseError::Parameter) }
}
