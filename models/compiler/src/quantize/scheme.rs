//! What to quantize to.

use crate::graph::LowRankBranch;
use crate::lowbit::{LowBitRows, Width};
use std::collections::BTreeMap;

/// Storage of the weights of Conv and Dense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeightFormat {
    /// Nothing is quantized that the file did not quantize.
    F32,
    /// IEEE half; layers compute in f32 with the widened weights. A layer with a weight beyond half's
    /// range keeps f32. For whole models, not for single layers of [`QuantScheme::layers`].
    F16,
    /// int8, symmetric, one scale an output channel.
    W8,
    /// Fewer bits in the layers between the first and the last; those have int8.
    Low(LowBitFormat),
}

impl WeightFormat {
    /// In words, for reports.
    pub fn describe(self) -> String {
        match self {
            WeightFormat::F32 => "f32".into(),
            WeightFormat::F16 => "half-precision".into(),
            WeightFormat::W8 => "int8".into(),
            WeightFormat::Low(LowBitFormat { width, group }) => {
                let name = match width {
                    Width::W4 => "4-bit",
                    Width::W3 => "3-bit",
                    Width::W2 => "2-bit",
                    Width::T2 => "ternary",
                };
                if group == 0 { name.into() } else { format!("{name} (groups of {group})") }
            }
        }
    }
}

/// Activations of layers whose weights are int8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActivationFormat {
    /// int8: on static grids with ranges, else quantized at run time.
    #[default]
    I8,
    /// f32: layers widen their weights, and scale their sums (weight-only quantization).
    F32,
    /// int16 on static grids around 0, of twice the range seen, between int8 weights; what is no Conv, Dense, Add or
    /// Sub runs in f32. Needs ranges.
    I16,
}

/// A format of fewer than 8 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowBitFormat {
    pub width: Width,
    /// k that share a scale: 32, 64 or 128; 0: all of a row.
    pub group: usize,
}

/// Weights of a layer that a method other than rounding found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PreparedLayer {
    /// Codes of fewer than 8 bits; `None`: int8, rounded to nearest.
    pub rows: Option<LowBitRows>,
    pub branches: Vec<LowRankBranch>,
    /// What the branches add to the weights, rows `[n, k]`; empty without branches.
    pub branch_data: Vec<f32>,
    /// Means of the inputs, for the correction of the bias; `None`: the bias stays.
    pub means: Option<InputMeans>,
}

impl PreparedLayer {
    /// Divides output channels: the scales of codes, and with them what the branches add, whose `up` is in steps of
    /// these scales.
    pub(crate) fn divide_rows(&mut self, factors: &[f32]) {
        if let Some(rows) = &mut self.rows {
            rows.row_scale.iter_mut().zip(factors).for_each(|(scale, factor)| *scale /= factor);
        }
        let k = self.branch_data.len() / factors.len().max(1);
        self.branch_data.iter_mut().enumerate().for_each(|(i, w)| *w /= factors[i / k.max(1)]);
    }
}

/// Means of a layer's inputs over calibration data, a value for each (window row, window column,
/// input channel), the channels of all groups.
#[derive(Clone, Debug, PartialEq)]
pub struct InputMeans {
    /// In the float model.
    pub float: Vec<f32>,
    /// As the quantized layer reads them; the same where only the layer's own error is corrected.
    pub quantized: Vec<f32>,
}

/// How [`quantize`](super::quantize()) treats layers the model file left in f32.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantScheme {
    pub weights: WeightFormat,
    pub activations: ActivationFormat,
    /// With a format of fewer than 8 bits: the first layers, which read a graph input, and the last,
    /// which make a graph output, keep int8.
    pub edges_w8: bool,
    /// Layers of another format than `weights`, by the node's name.
    pub layers: BTreeMap<String, WeightFormat>,
    /// Weights found before, by the node's name: what a layer of a low-bit format takes instead of
    /// being rounded to nearest.
    pub prepared: BTreeMap<String, PreparedLayer>,
    /// Store activations that low-bit Dense layers quantize at run time in 4 bits.
    pub activations_a4: bool,
    /// Make weights of fewer than 8 bits from int8 ones, as a device can do at load.
    pub elastic: bool,
    /// A Conv or Dense whose result is read by no integer step (a graph output,
    /// an operation that runs in f32) writes f32 from its exact accumulator
    /// instead of rounding to int8 first.
    pub float_outputs: bool,
    /// Without calibration: products of two computed matrices (attention) run in int8, both sides
    /// quantized at run time.
    pub int8_matmul: bool,
}

impl QuantScheme {
    /// int8 weights and activations.
    pub fn w8a8() -> Self {
        QuantScheme {
            weights: WeightFormat::W8,
            activations: ActivationFormat::I8,
            edges_w8: true,
            layers: BTreeMap::new(),
            prepared: BTreeMap::new(),
            activations_a4: false,
            elastic: false,
            float_outputs: true,
            int8_matmul: true,
        }
    }

    /// Weights of fewer than 8 bits and int8 activations.
    pub fn low_bit(width: Width, group: usize) -> Self {
        QuantScheme { weights: WeightFormat::Low(LowBitFormat { width, group }), ..Self::w8a8() }
    }

    /// Weights in IEEE half, activations in f32.
    pub fn f16() -> Self {
        QuantScheme { weights: WeightFormat::F16, ..Self::w8a8() }
    }

    /// int8 weights, activations in f32.
    pub fn w8_f32() -> Self {
        QuantScheme { activations: ActivationFormat::F32, ..Self::w8a8() }
    }

    /// int8 weights, int16 activations.
    pub fn w8_i16() -> Self {
        QuantScheme { activations: ActivationFormat::I16, float_outputs: false, ..Self::w8a8() }
    }

    /// Whether layers run in f32 with weights of fewer bits.
    pub(crate) fn weight_only(&self) -> bool {
        self.weights == WeightFormat::F16
            || self.weights != WeightFormat::F32 && self.activations == ActivationFormat::F32
    }

    /// The graph as it is.
    pub fn f32() -> Self {
        QuantScheme { weights: WeightFormat::F32, ..Self::w8a8() }
    }
}
