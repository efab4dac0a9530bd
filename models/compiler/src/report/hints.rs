//! What to try where a model lost accuracy.

use super::svg::shorten;
use super::{Execution, LayerReport, QuantReport};

/// Below this, a layer's output is visibly damaged.
const POOR_DB: f64 = 15.0;

/// Fewer samples leave the ends of the ranges to chance.
const FEW_SAMPLES: usize = 20;

/// A range cut to less than this share of what was seen clips real signal.
const CUT: f32 = 0.5;

pub(super) fn hints(report: &QuantReport) -> Vec<String> {
    let mut hints = report.warnings();
    let measured = report.comparison.is_some();
    if !measured {
        hints.push(
            "Compare with the float model on inputs that were not used for calibration to see where accuracy goes."
                .into(),
        );
    }
    if report.samples.is_some_and(|n| n < FEW_SAMPLES) {
        let n = report.samples.unwrap_or(0);
        hints.push(format!(
            "Calibrate with more samples: {n} leave the ranges to chance; 50 to 500 typical inputs are enough."
        ));
    }
    let quantized = report.layers.iter().any(|l| matches!(l.execution, Execution::Int8 | Execution::Int16));
    if report.samples.is_none() && quantized {
        hints.push("Pass calibration data: static int8 activations need no pass over the data at run time and keep every layer in integers.".into());
    }
    let poor: Vec<&LayerReport> =
        report.worst().into_iter().filter(|l| l.figure().is_some_and(|db| db < POOR_DB)).collect();
    for layer in poor.iter().take(3) {
        hints.push(about(layer));
    }
    let cut: Vec<String> = report.layers.iter().filter(|l| is_cut(l)).map(|l| shorten(&l.name)).take(3).collect();
    if !cut.is_empty() {
        hints.push(format!("The observer cut the range of {} to less than half of what was seen; try min-max if these peaks carry signal.", cut.join(", ")));
    }
    let costly: Vec<String> = report
        .layers
        .iter()
        .filter(|l| l.macs > report.macs() / 50)
        .filter_map(|l| Some(format!("{} ({})", shorten(&l.name), l.f32_reason()?)))
        .take(3)
        .collect();
    if !costly.is_empty() && quantized {
        hints.push(format!("Layers with more than 2 % of the work run in f32: {}.", costly.join(", ")));
    }
    let (constant, channels) = dead(report);
    if constant > 0 {
        hints.push(format!("{constant} of {channels} layer channels never changed in calibration: prune them, or check that the samples are typical."));
    }
    hints
}

/// Constant channels and all channels of layer outputs.
pub(super) fn dead(report: &QuantReport) -> (usize, usize) {
    report.layers.iter().fold((0, 0), |(c, n), l| (c + l.activation.constant_channels, n + l.activation.channels))
}

fn is_cut(layer: &LayerReport) -> bool {
    match (layer.activation.seen, layer.activation.grid) {
        // A fused activation cuts on purpose: only ends on the side the grid keeps count.
        (Some((min, max)), Some((lo, hi))) => (hi > 0.0 && hi < max * CUT) || (lo < 0.0 && lo > min * CUT),
        _ => false,
    }
}

fn about(layer: &LayerReport) -> String {
    let name = shorten(&layer.name);
    let db = layer.figure().unwrap_or(0.0);
    match &layer.weights {
        Some(w) if w.snr_db < 25.0 => {
            format!(
                "{name} ({db:.1} dB): its weights lose most ({:.1} dB); a few large weights set the scale of a channel, clip or retrain them.",
                w.snr_db
            )
        }
        _ if layer.activation.grid.is_some() => {
            format!(
                "{name} ({db:.1} dB): its activations lose most; try another observer (percentile 99.9 against rare peaks, min-max against clipping)."
            )
        }
        _ => format!("{name} ({db:.1} dB): the loss comes from the layers before it."),
    }
}
