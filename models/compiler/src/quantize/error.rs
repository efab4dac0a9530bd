//! Errors of quantization.

use thiserror::Error;

/// Why a graph could not be quantized.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum QuantizeError {
    #[error("value '{value}' has no calibrated range; calibrate the same graph that is quantized, after its passes")]
    MissingRange { value: String },
    #[error("the range of value '{value}' is not finite: {lo}..{hi}; calibrate again without this sample")]
    Range { value: String, lo: f32, hi: f32 },
    #[error("node '{node}': constant '{value}' holds NaN or an infinity at element {index}; repair the model")]
    NotFinite { node: String, value: String, index: usize },
    #[error("node '{node}': {weights} weights do not go with f32 activations; use int8 or half-precision ones")]
    Combination { node: String, weights: String },
    #[error("{weights} weights do not go with int16 activations; use int8 ones")]
    WideActivations { weights: String },
    #[error("int16 activations have static grids; give calibration samples")]
    NoRanges,
    #[error("node '{node}': {error}")]
    LowBit { node: String, error: crate::lowbit::LowBitError },
}
