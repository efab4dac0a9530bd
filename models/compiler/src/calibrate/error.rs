//! Errors of calibration.

use thiserror::Error;

/// Why a model could not be calibrated.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum CalibrateError {
    #[error("the calibration set is empty; pass at least one sample, better 50 to 500 typical ones")]
    Empty,
    #[error("sample {sample}: the model has {expected} inputs, the sample has {found} tensors")]
    InputCount { sample: usize, expected: usize, found: usize },
    #[error("sample {sample}, input '{input}': expected shape {expected:?}, found {found:?}")]
    Shape { sample: usize, input: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("sample {sample}, input '{input}': expected {expected}, found {found}")]
    Type { sample: usize, input: String, expected: String, found: String },
    #[error("sample {sample}: value '{value}' holds {what} at element {index}; {remedy}")]
    NotFinite { sample: usize, value: String, what: &'static str, index: usize, remedy: &'static str },
    #[error("array of shape {found:?} does not hold whole samples of input '{input}' with shape {expected:?}")]
    Stack { input: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("sample {sample}: {reason}")]
    Run { sample: usize, reason: String },
    #[error("the float model cannot be run: {0}")]
    Model(String),
}
