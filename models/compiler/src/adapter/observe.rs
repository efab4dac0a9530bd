//! What layers read on a user's samples, for the scales of an adapter's projections.

use super::AdapterError;
use super::layer::dense_layers;
use crate::decode::decode;
use selvedge_core::Artifact;
use selvedge_exec::{Probe, StepCtx, StepOutputs};
use std::collections::HashMap;

/// Rows of a layer's input that are kept.
const MOST_ROWS: usize = 512;

/// Rows of int8 activations, less their zero point, by the tensor they were read from.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    rows: HashMap<usize, Vec<f32>>,
}

impl Observations {
    /// Rows of a tensor, `[_, k]`; empty where none were seen.
    pub(super) fn of(&self, tensor: usize) -> &[f32] {
        self.rows.get(&tensor).map_or(&[], Vec::as_slice)
    }
}

/// Watches runs of the artifact an adapter is going to be attached to, with
/// `Session::run_probed`.
#[derive(Debug)]
pub struct Observer {
    /// Columns and zero point of the tensors of interest.
    wanted: HashMap<usize, (usize, i32)>,
    /// Every so many rows one is kept.
    seen: Observations,
}

impl Observer {
    /// # Errors
    /// Those of the artifact.
    pub fn new(artifact: &Artifact<'_>) -> Result<Self, AdapterError> {
        let program = decode(artifact)?.program;
        let layers = dense_layers(&program);
        Ok(Observer {
            wanted: layers.iter().map(|layer| (layer.x, (layer.k, layer.x_grid.1))).collect(),
            seen: Observations::default(),
        })
    }

    /// What was seen.
    pub fn finish(self) -> Observations {
        self.seen
    }
}

impl Probe for Observer {
    fn after_step(&mut self, step: &StepCtx<'_>, outputs: &mut StepOutputs<'_>) {
        for (i, &tensor) in step.step().outputs.iter().enumerate() {
            let tensor = usize::from(tensor);
            let Some(&(k, zero_point)) = self.wanted.get(&tensor) else { continue };
            let rows = self.seen.rows.entry(tensor).or_default();
            let room = MOST_ROWS.saturating_sub(rows.len() / k.max(1));
            let codes = outputs.bytes(i).iter().take(room * k);
            rows.extend(codes.map(|&code| (i32::from(code as i8) - zero_point) as f32));
        }
    }
}
