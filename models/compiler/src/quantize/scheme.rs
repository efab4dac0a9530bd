//! What to quantize to.

/// Storage of the weights of Conv and Dense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeightFormat {
    /// Nothing is quantized that the file did not quantize.
    F32,
    /// int8, symmetric, one scale an output channel.
    W8,
}

/// How [`quantize`](super::quantize()) treats layers the model file left in f32.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantScheme {
    pub weights: WeightFormat,
    /// A Conv or Dense whose result is read by no integer step (a graph output,
    /// an operation that runs in f32) writes f32 from its exact accumulator
    /// instead of rounding to int8 first.
    pub float_outputs: bool,
}

impl QuantScheme {
    /// int8 weights and activations.
    pub fn w8a8() -> Self {
        QuantScheme { weights: WeightFormat::W8, float_outputs: true }
    }

    /// The graph as it is.
    pub fn f32() -> Self {
        QuantScheme { weights: WeightFormat::F32, ..Self::w8a8() }
    }
}
