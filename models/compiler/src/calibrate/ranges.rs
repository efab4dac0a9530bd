//! What calibration found out about the activations.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The values one tensor took over all samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Lower end of the observer's range; the grid is made from this.
    pub lo: f32,
    /// Upper end of the observer's range.
    pub hi: f32,
    /// Smallest value seen.
    pub min: f32,
    /// Largest value seen.
    pub max: f32,
    /// Largest magnitude seen.
    pub abs_max: f32,
    /// Values seen.
    pub count: u64,
    /// Channels of a layer's output that never changed.
    pub constant_channels: usize,
    /// Channels of a layer's output; 0 where the tensor is not one.
    pub channels: usize,
}

/// Ranges by value name, as [`calibrate`](super::calibrate) returns them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ranges {
    /// The observer's name and setting.
    pub observer: String,
    /// Samples that were run.
    pub samples: usize,
    pub values: BTreeMap<String, Range>,
}

impl Ranges {
    pub fn get(&self, value: &str) -> Option<&Range> {
        self.values.get(value)
    }

    /// Sets a range by hand, such as one known from the sensor's data sheet.
    pub fn set(&mut self, value: impl Into<String>, lo: f32, hi: f32) {
        let range = Range { lo, hi, min: lo, max: hi, abs_max: lo.abs().max(hi.abs()), ..Range::EMPTY };
        self.values.insert(value.into(), range);
    }
}

impl Range {
    pub(crate) const EMPTY: Range =
        Range { lo: 0.0, hi: 0.0, min: 0.0, max: 0.0, abs_max: 0.0, count: 0, constant_channels: 0, channels: 0 };
}
