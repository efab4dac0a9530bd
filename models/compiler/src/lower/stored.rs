//! Weights of f32 layers as the artifact keeps them.

use super::context::Lowering;
use crate::graph::{StoredWeights, Value};
use half::f16;
use selvedge_core::{Format, params};
use selvedge_kernels::{Element, pack};
use zerocopy::IntoBytes;

/// Weights of an f32 layer in the graph's order.
pub(crate) enum FloatWeights {
    F32(Vec<f32>),
    F16(Vec<u16>),
    /// Codes and a scale an output channel.
    W8(Vec<i8>, Vec<f32>),
}

/// Packed weights in the pool.
pub(crate) struct StoredFloat {
    pub format: Format,
    pub offset: u32,
    pub bytes: u32,
    /// What follows the layer's own parameters.
    pub more: Vec<u8>,
    /// Of weights and scales.
    pub all_bytes: usize,
}

/// Brings weights in the graph's order to that of a kernel.
pub(crate) trait Packing {
    fn pack<E: Element>(&self, rows: &[E]) -> Vec<E>;
}

impl FloatWeights {
    /// `None` where the weights are no f32 constant.
    pub fn of(value: &Value) -> Option<Self> {
        let data = value.f32s()?;
        Some(match (value.stored, &value.codes) {
            (Some(StoredWeights::F16), _) => {
                FloatWeights::F16(data.iter().map(|&w| f16::from_f32(w).to_bits()).collect())
            }
            (Some(StoredWeights::W8), Some(codes)) => {
                FloatWeights::W8(codes.codes.iter().map(|&code| code as i8).collect(), codes.scales.clone())
            }
            _ => FloatWeights::F32(data.to_vec()),
        })
    }
}

impl Lowering<'_> {
    /// Puts weights into the pool in the order of the kernels, which `packing` brings them to.
    pub fn store_float(&mut self, weights: &FloatWeights, packing: &impl Packing) -> StoredFloat {
        let (format, bytes) = match weights {
            FloatWeights::F32(w) => (Format::F32, packing.pack(w).as_bytes().to_vec()),
            FloatWeights::F16(w) => (Format::F16, packing.pack(w).as_bytes().to_vec()),
            FloatWeights::W8(w, _) => (Format::F32W8, packing.pack(w).as_bytes().to_vec()),
        };
        let (mut more, mut all_bytes) = (Vec::new(), bytes.len());
        let offset = self.pool.add_packed(&bytes);
        if let FloatWeights::W8(_, scales) = weights {
            all_bytes += pack::padded_channels(scales.len()) * 4;
            more = params::WeightScales { scales: self.pool.add_channels(scales) }.as_bytes().to_vec();
        }
        StoredFloat { format, offset, bytes: bytes.len() as u32, more, all_bytes }
    }
}
