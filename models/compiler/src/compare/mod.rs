//! How far a quantized model is from its reference, layer by layer.

mod order;

pub use order::{Order, orders};

use crate::calibrate::{FloatModel, Sample};
use crate::graph::Graph;
use crate::picture::PictureLoss;
use order::Shown;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use thiserror::Error;

/// Signal-to-noise ratio `10·log10(Σ r² / Σ (r − t)²)` in dB; infinite for equal data.
///
/// ```
/// let reference = [1.0, -1.0, 1.0];
/// assert!((selvedge_compiler::compare::snr_db(&reference, &[1.1, -0.9, 0.9]) - 20.0).abs() < 1e-5);
/// ```
pub fn snr_db(reference: &[f32], test: &[f32]) -> f64 {
    let mut error = ErrorSums::default();
    error.add(reference, test);
    error.snr_db()
}

/// Largest `|r − t|`.
pub fn max_abs_diff(reference: &[f32], test: &[f32]) -> f64 {
    let mut error = ErrorSums::default();
    error.add(reference, test);
    error.max_abs
}

/// Index of the largest element, the first of equals; 0 for none.
pub fn argmax(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

/// Share of rows with the same largest element.
pub fn top1_agreement(reference: &[f32], test: &[f32], row: usize) -> f64 {
    let (a, b) = (reference.chunks(row.max(1)), test.chunks(row.max(1)));
    let rows = a.len().max(1);
    a.zip(b).filter(|(a, b)| argmax(a) == argmax(b)).count() as f64 / rows as f64
}

/// One value of both models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerComparison {
    /// The ONNX value name.
    pub name: String,
    #[serde(with = "decibels")]
    pub snr_db: f64,
    pub max_abs_diff: f64,
}

/// What [`compare_layers`] found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Samples that were run.
    pub inputs: usize,
    /// Share of rows of the first output with the same largest element.
    pub top1_agreement: f64,
    /// Over all outputs together.
    #[serde(with = "decibels")]
    pub snr_db: f64,
    pub max_abs_diff: f64,
    /// Where the model makes a picture of a picture; [`compare_layers`] leaves it to its caller.
    #[serde(default)]
    pub picture: Option<PictureLoss>,
    /// Values that both models show, in the reference's order.
    pub layers: Vec<LayerComparison>,
    /// Where the SNR is lowest.
    pub worst_layer: Option<String>,
}

/// Why two models could not be compared.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum CompareError {
    #[error("no inputs to compare on; pass at least one")]
    Empty,
    #[error("input {sample}, {side} model: {reason}")]
    Run { sample: usize, side: &'static str, reason: String },
    #[error("value '{value}' has {reference} elements in the reference and {test} in the tested model")]
    Elements { value: String, reference: usize, test: usize },
    #[error("output '{0}' is not shown by both models")]
    MissingOutput(String),
}

/// A model under comparison.
pub struct Side<'a> {
    /// Shows its values, graph outputs included, under ONNX names.
    pub model: &'a mut dyn FloatModel,
    /// Memory orders that differ from ONNX, by value name.
    pub orders: BTreeMap<String, Order>,
}

impl<'a> Side<'a> {
    /// A model whose values lie as `graph` says.
    pub fn of(graph: &Graph, model: &'a mut dyn FloatModel) -> Self {
        Side { model, orders: orders(graph) }
    }
}

/// Runs both models on every sample and compares the values they share by name.
///
/// `outputs` are the names of the graph outputs, the first of which decides the
/// top-1 agreement.
///
/// # Errors
/// [`CompareError`] for an empty set, a failing run, values of different
/// shapes, and outputs that one of the models does not show.
pub fn compare_layers(
    reference: &mut Side<'_>,
    test: &mut Side<'_>,
    samples: impl IntoIterator<Item = Sample>,
    outputs: &[String],
) -> Result<Comparison, CompareError> {
    let mut order: Vec<String> = Vec::new();
    let mut errors: HashMap<String, ErrorSums> = HashMap::new();
    let (mut total, mut inputs, mut agreeing, mut rows) = (ErrorSums::default(), 0, 0, 0);
    for (sample_index, sample) in samples.into_iter().enumerate() {
        let expected = record(reference, &sample, sample_index, "reference")?;
        let found = record(test, &sample, sample_index, "tested")?;
        for (name, shown) in &expected.values {
            let Some(other) = found.values.get(name) else { continue };
            let Some((a, b)) = order::align(shown, other) else { continue };
            if a.len() != b.len() {
                return Err(CompareError::Elements { value: name.clone(), reference: a.len(), test: b.len() });
            }
            errors.entry(name.clone()).or_default().add(&a, &b);
        }
        for (index, name) in outputs.iter().enumerate() {
            let pair = expected.values.get(name).zip(found.values.get(name));
            let pair = pair.and_then(|(a, b)| Some((&a.dims, order::align(a, b)?)));
            let Some((dims, (a, b))) = pair else { return Err(CompareError::MissingOutput(name.clone())) };
            total.add(&a, &b);
            if index == 0 {
                let row = if dims.len() > 1 { dims[1..].iter().product::<usize>().max(1) } else { a.len().max(1) };
                agreeing += a.chunks(row).zip(b.chunks(row)).filter(|(a, b)| argmax(a) == argmax(b)).count();
                rows += a.len().div_ceil(row);
            }
        }
        if inputs == 0 {
            order = expected.order;
        }
        inputs += 1;
    }
    if inputs == 0 {
        return Err(CompareError::Empty);
    }
    let layers: Vec<LayerComparison> = order
        .into_iter()
        .filter_map(|name| {
            let error = errors.get(&name)?;
            Some(LayerComparison { snr_db: error.snr_db(), max_abs_diff: error.max_abs, name })
        })
        .collect();
    let worst = layers.iter().min_by(|a, b| a.snr_db.total_cmp(&b.snr_db)).map(|layer| layer.name.clone());
    Ok(Comparison {
        inputs,
        top1_agreement: agreeing as f64 / rows.max(1) as f64,
        snr_db: total.snr_db(),
        max_abs_diff: total.max_abs,
        picture: None,
        layers,
        worst_layer: worst,
    })
}

/// The values one run showed.
struct Recorded {
    order: Vec<String>,
    values: HashMap<String, Shown>,
}

fn record(side: &mut Side<'_>, sample: &Sample, index: usize, name: &'static str) -> Result<Recorded, CompareError> {
    let mut recorded = Recorded { order: Vec::new(), values: HashMap::new() };
    let orders = &side.orders;
    let result = side.model.run(sample, &mut |value, dims, data| {
        let order = orders.get(value).filter(|order| order.fits(dims)).cloned();
        let shown = Shown { dims: dims.to_vec(), data: data.to_vec(), order };
        if recorded.values.insert(value.to_string(), shown).is_none() {
            recorded.order.push(value.to_string());
        }
    });
    result.map_err(|reason| CompareError::Run { sample: index, side: name, reason })?;
    Ok(recorded)
}

/// Sums over the elements of one or many pairs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ErrorSums {
    signal: f64,
    noise: f64,
    max_abs: f64,
}

impl ErrorSums {
    pub fn add(&mut self, reference: &[f32], test: &[f32]) {
        for (&r, &t) in reference.iter().zip(test) {
            let (r, d) = (f64::from(r), f64::from(r) - f64::from(t));
            self.signal += r * r;
            self.noise += d * d;
            self.max_abs = self.max_abs.max(d.abs());
        }
    }

    /// Noise power over the signal's.
    pub fn loss(&self) -> f64 {
        self.noise / self.signal.max(f64::MIN_POSITIVE)
    }

    pub fn snr_db(&self) -> f64 {
        if self.noise == 0.0 { f64::INFINITY } else { 10.0 * (self.signal / self.noise).log10() }
    }
}

/// Serializes decibels: JSON has no infinities, so equal data is written as 999.
pub(crate) mod decibels {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(db: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(if db.is_nan() { -999.0 } else { db.clamp(-999.0, 999.0) })
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let db = f64::deserialize(deserializer)?;
        Ok(if db >= 999.0 { f64::INFINITY } else { db })
    }
}

#[cfg(test)]
mod tests;
