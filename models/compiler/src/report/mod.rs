//! What quantization did to a model, for people and for scripts.
mod build;
mod factors;
mod hints;
mod html;
mod picture;
mod svg;
mod text;

use crate::compare::{Comparison, decibels};
use crate::passes::FactorizedConv;
use crate::picture::{PictureIo, PictureLoss};
use crate::plan::MemoryPlan;
use crate::prepare::Sensitivity;
use serde::{Deserialize, Serialize};

/// How a node runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Execution {
    /// In integers, activations in int8.
    Int8,
    /// In integers, activations in int16.
    Int16,
    /// As the model file quantized it.
    File,
    /// In f32, its weights stored in fewer bits.
    Widened,
    /// In f32, and why.
    F32(String),
    /// Handles shapes or indices.
    Other,
}

/// The weights of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightReport {
    pub bits: u8,
    pub channels: usize,
    pub scale_min: f32,
    pub scale_max: f32,
    /// Of the quantized weights against the f32 ones.
    #[serde(with = "decibels")]
    pub snr_db: f64,
    /// Output channels whose weights are all zero.
    pub zero_channels: usize,
}

/// The output of one layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActivationReport {
    /// Smallest and largest value in calibration.
    pub seen: Option<(f32, f32)>,
    /// Real values of the grid's ends.
    pub grid: Option<(f32, f32)>,
    pub scale: Option<f32>,
    pub zero_point: Option<i32>,
    /// Channels that never changed in calibration, of all.
    pub constant_channels: usize,
    pub channels: usize,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerReport {
    pub name: String,
    pub op: String,
    /// ONNX name of its output.
    pub value: String,
    /// Shape of its output, in memory order.
    pub shape: Vec<usize>,
    pub execution: Execution,
    /// Multiply-accumulate operations of a run.
    pub macs: u64,
    /// Bytes of its constants in f32 and as quantized.
    pub f32_bytes: usize,
    pub bytes: usize,
    pub weights: Option<WeightReport>,
    pub activation: ActivationReport,
    /// Of its output against the float model; known after a comparison.
    pub snr_db: Option<f64>,
    /// Median time of its step in µs on the machine that compiled; none for a layer that is a part of another's step.
    #[serde(default)]
    pub micros: Option<f64>,
}

/// Memory, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sizes {
    /// Constants in f32.
    pub f32_bytes: usize,
    /// Constants as quantized.
    pub bytes: usize,
    /// The whole artifact.
    pub artifact_bytes: Option<usize>,
    /// Working memory on the device.
    pub arena_bytes: Option<usize>,
}

/// A memory region of the arena.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionReport {
    pub name: String,
    pub bytes: usize,
    /// Part of the bytes a run moves, by the planner's model of the kernels, 0..=1.
    pub traffic: f64,
}

/// The report of [`quantize`](crate::quantize::quantize()).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantReport {
    pub model: String,
    /// Scheme in words.
    pub mode: String,
    /// Samples calibration ran; `None` without calibration.
    pub samples: Option<usize>,
    pub layers: Vec<LayerReport>,
    pub sizes: Sizes,
    /// Where the arena lies in two memories, each of them.
    #[serde(default)]
    pub regions: Vec<RegionReport>,
    /// Sizes, times and losses of uniform widths and of mixtures; empty where widths were given.
    #[serde(default)]
    pub frontier: Vec<FrontierPoint>,
    /// What each width costs each layer's output; empty without low-bit weights and samples.
    #[serde(default)]
    pub sensitivities: Vec<Sensitivity>,
    /// Convolutions that were cut in two of low rank.
    #[serde(default)]
    pub factorized: Vec<FactorizedConv>,
    /// The output that is a picture made of an input.
    #[serde(default)]
    pub picture: Option<PictureIo>,
    /// Known after [`set_comparison`](Self::set_comparison).
    pub comparison: Option<Comparison>,
}

/// A model that was compiled and measured while widths were chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontierPoint {
    /// A width, or a mixture's number.
    pub name: String,
    pub mixed: bool,
    /// Of the artifact.
    pub bytes: usize,
    /// Of a run on the machine that compiled.
    pub micros: f64,
    /// At the outputs.
    #[serde(with = "decibels")]
    pub snr_db: f64,
    /// Share of rows of the first output with the float model's largest element.
    pub agreement: f64,
}

impl QuantReport {
    /// Adds the measured difference to the float model.
    pub fn set_comparison(&mut self, comparison: Comparison) {
        for layer in &mut self.layers {
            let found = comparison.layers.iter().find(|c| c.name == layer.value);
            layer.snr_db = found.map(|c| c.snr_db.clamp(-999.0, 999.0));
        }
        self.comparison = Some(comparison);
    }

    /// Adds the median times of steps in µs, each under the ONNX name of its output.
    pub fn set_times<'a>(&mut self, times: impl Iterator<Item = (&'a str, f64)>) {
        for (value, micros) in times {
            let layer = self.layers.iter_mut().find(|layer| layer.value == value);
            layer.into_iter().for_each(|layer| layer.micros = Some(micros));
        }
    }

    /// Adds what emitting the artifact told.
    pub fn set_artifact(&mut self, artifact_bytes: usize, arena_bytes: usize) {
        self.sizes.artifact_bytes = Some(artifact_bytes);
        self.sizes.arena_bytes = Some(arena_bytes);
    }

    /// Adds how the arena is divided. `names` are those of the regions, separated by commas.
    pub fn set_regions(&mut self, plan: &MemoryPlan, names: &str) {
        let all = plan.traffic.iter().sum::<u64>().max(1) as f64;
        let each = names.split(',').zip(plan.region_bytes).zip(plan.traffic);
        let region = |((name, bytes), traffic): ((&str, usize), u64)| RegionReport {
            name: name.to_string(),
            bytes,
            traffic: traffic as f64 / all,
        };
        self.regions = if plan.region_bytes[1] > 0 { each.map(region).collect() } else { Vec::new() };
    }

    /// Multiply-accumulate operations of a run.
    pub fn macs(&self) -> u64 {
        self.layers.iter().map(|layer| layer.macs).sum()
    }

    /// Layers with a figure, the worst first: the measured SNR of the output,
    /// before a comparison that of the weights.
    pub fn worst(&self) -> Vec<&LayerReport> {
        let mut layers: Vec<&LayerReport> = self.layers.iter().filter(|l| l.figure().is_some()).collect();
        layers.sort_by(|a, b| a.figure().partial_cmp(&b.figure()).unwrap_or(std::cmp::Ordering::Equal));
        layers
    }

    /// The layer whose step takes longest, where times are known.
    pub fn slowest(&self) -> Option<&LayerReport> {
        let time = |layer: &LayerReport| layer.micros.unwrap_or(0.0);
        let slowest = self.layers.iter().max_by(|a, b| time(a).total_cmp(&time(b)))?;
        slowest.micros.map(|_| slowest)
    }

    /// The output that is a picture made of an input, and what it loses; known after a comparison.
    pub fn picture_loss(&self) -> Option<(&PictureIo, PictureLoss)> {
        self.picture.as_ref().zip(self.comparison.as_ref()?.picture)
    }

    /// What is likely to go wrong, and what to do about it.
    pub fn warnings(&self) -> Vec<String> {
        picture::image_form(self).into_iter().collect()
    }

    /// A self-contained HTML page.
    pub fn to_html(&self) -> String {
        html::page(self)
    }

    /// A few lines for the terminal.
    pub fn to_text(&self) -> String {
        text::summary(self)
    }

    /// What to try next, most promising first.
    pub fn hints(&self) -> Vec<String> {
        hints::hints(self)
    }
}

impl LayerReport {
    /// SNR in dB: measured, else of the weights.
    pub fn figure(&self) -> Option<f64> {
        self.snr_db.or(self.weights.as_ref().map(|w| w.snr_db.min(999.0)))
    }

    /// Why it runs in f32.
    pub fn f32_reason(&self) -> Option<&str> {
        match &self.execution {
            Execution::F32(reason) => Some(reason),
            _ => None,
        }
    }
}

/// Bytes in words.
pub(crate) fn bytes(n: usize) -> String {
    match n {
        0..1024 => format!("{n} B"),
        1024..1_048_576 => format!("{:.1} KiB", n as f64 / 1024.0),
        _ => format!("{:.2} MiB", n as f64 / 1_048_576.0),
    }
}

/// Counts in words.
pub(crate) fn count(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{:.1} k", n as f64 / 1e3),
        _ => format!("{:.1} M", n as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests;
