//! Codes and branches, layer by layer.

use super::inputs::LayerInputs;
use super::smooth::Smoothed;
use super::{Method, PrepareError, PrepareOptions};
use crate::calibrate::Ranges;
use crate::graph::{Graph, Node, Op, ValueId};
use crate::lowbit::{
    Activations, Branch, Clip, Correction, Gram, LowBitError, LowBitRows, Width, fit_asymmetric, fit_branch, gptq,
    low_rank_branch, nearest, output_snr_db,
};
use crate::quantize::{LayerMatrix, LowBitFormat, PreparedLayer, activation_grid};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What each width costs a layer's output, on calibration data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// Name of the node.
    pub layer: String,
    pub macs: u64,
    /// Format's name, bytes of the weights, signal-to-noise ratio of the output in dB.
    pub widths: Vec<(String, usize, f64)>,
    /// With this layer alone quantized, the same ratio at the model's outputs for each width, in dB; empty where it was
    /// not measured.
    #[serde(default)]
    pub model: Vec<f64>,
}

pub(super) struct Work<'a> {
    pub graph: Graph,
    pub ranges: Option<&'a Ranges>,
    pub options: PrepareOptions,
    pub notes: Vec<String>,
    /// What the inputs of layers are divided by, by the node's name.
    pub factors: BTreeMap<String, Vec<f32>>,
    /// Values that the layer before them gives smoothed.
    pub folded: usize,
}

/// A layer's weights in the order of the kernels.
pub(super) struct Layer {
    pub name: String,
    pub n: usize,
    pub k: usize,
    pub format: LowBitFormat,
    pub weights: Vec<f32>,
}

impl Layer {
    /// Of a Dense, or a Conv with one group.
    pub(super) fn of(graph: &Graph, node: &Node, format: LowBitFormat) -> Option<Self> {
        let matrix = LayerMatrix::of(graph, node)?;
        let one_group = match node.op {
            Op::Conv { groups, .. } => groups == 1,
            _ => true,
        };
        let data = graph.value(node.inputs.get(1).copied().flatten()?).f32s()?;
        one_group.then(|| Layer {
            name: node.name.clone(),
            n: matrix.n,
            k: matrix.k,
            format,
            weights: matrix.rows(data),
        })
    }

    pub(super) fn error(&self, error: LowBitError) -> PrepareError {
        PrepareError::Layer { layer: self.name.clone(), error }
    }
}

impl Work<'_> {
    /// Input columns of a layer after activation smoothing.
    pub(super) fn as_smoothed(&self, layer: &str, mut columns: Vec<f32>) -> Vec<f32> {
        if let Some(factors) = self.factors.get(layer) {
            columns.iter_mut().zip(factors).for_each(|(x, factor)| *x /= factor);
        }
        columns
    }

    /// Layers of a kind that share their input, each with its index.
    fn shared(&self, chosen: &BTreeMap<usize, LowBitFormat>) -> Vec<Vec<(usize, Layer)>> {
        type Readers = (Option<ValueId>, Vec<(usize, Layer)>);
        let mut together: Vec<Readers> = Vec::new();
        for (&index, &format) in chosen {
            let node = &self.graph.nodes[index];
            let Some(layer) = Layer::of(&self.graph, node, format) else { continue };
            let x = node.inputs.first().copied().flatten().filter(|_| matches!(node.op, Op::Dense { .. }));
            match together.iter_mut().find(|(other, _)| x.is_some() && *other == x) {
                Some((_, layers)) => layers.push((index, layer)),
                None => together.push((x, vec![(index, layer)])),
            }
        }
        together.into_iter().map(|(_, layers)| layers).collect()
    }

    /// Codes and branches of every layer.
    pub fn run(
        &mut self,
        chosen: &BTreeMap<usize, LowBitFormat>,
        inputs: &mut LayerInputs,
    ) -> Result<BTreeMap<String, PreparedLayer>, PrepareError> {
        let mut found = BTreeMap::new();
        // Smoothing puts nodes into the graph: indices are those of before.
        let nodes: Vec<Node> = self.graph.nodes.clone();
        for layers in self.shared(chosen) {
            let first = &nodes[layers[0].0];
            let dense = matches!(first.op, Op::Dense { .. });
            let graph = self.graph.clone();
            let Some(gram) = inputs.of(&graph, first) else {
                for (_, layer) in &layers {
                    found.insert(layer.name.clone(), self.without_inputs(layer)?);
                }
                continue;
            };
            if self.options.svdquant && dense && self.options.low_rank > 0 {
                let smoothed = Smoothed::find(self, &layers, gram)?;
                smoothed.apply(self, &layers, &mut found)?;
            } else {
                self.plain(&layers, dense, gram, &mut found)?;
            }
        }
        Ok(found)
    }

    fn without_inputs(&mut self, layer: &Layer) -> Result<PreparedLayer, PrepareError> {
        let rows = self.codes(layer, &layer.weights, None)?;
        Ok(PreparedLayer { rows: Some(rows), ..PreparedLayer::default() })
    }

    /// Codes by the method, then a branch for what they lost; layers share its projection.
    pub(super) fn plain(
        &mut self,
        layers: &[(usize, Layer)],
        dense: bool,
        gram: &mut Gram,
        found: &mut BTreeMap<String, PreparedLayer>,
    ) -> Result<(), PrepareError> {
        let mut codes = Vec::with_capacity(layers.len());
        for (_, layer) in layers {
            codes.push(self.codes(layer, &layer.weights, Some(&mut *gram))?);
        }
        let branches = if self.options.low_rank > 0 && dense {
            let lost: Vec<Vec<f32>> = layers
                .iter()
                .zip(&codes)
                .map(|((_, layer), rows)| layer.weights.iter().zip(rows.dequantize()).map(|(w, q)| w - q).collect())
                .collect();
            self.shared_branch(layers, &lost, Correction::Weighted(&mut *gram))?
        } else {
            Vec::new()
        };
        self.finish(layers, codes, branches, gram.kept(), found)
    }

    /// Codes of a layer by the method asked for.
    pub(super) fn codes(
        &mut self,
        layer: &Layer,
        weights: &[f32],
        gram: Option<&mut Gram>,
    ) -> Result<LowBitRows, PrepareError> {
        let LowBitFormat { width, group } = layer.format;
        let size = (layer.n, layer.k);
        let plain = |weight: &[f32]| {
            nearest(weights, size, width, group, Clip::Search, weight).map_err(|error| layer.error(error))
        };
        match (self.options.method, gram) {
            (Method::Asymmetric, _) if width != Width::T2 => {
                fit_asymmetric(weights, size, width, group).map_err(|error| layer.error(error))
            }
            (Method::Gptq, Some(gram)) => match gptq(weights, size, width, group, gram) {
                Ok(found) => {
                    if found.damping > 0.0101 {
                        let (tokens, k) = (gram.tokens(), layer.k);
                        self.notes.push(format!(
                            "{}: {tokens} rows of calibration data for {k} columns; GPTQ is damped with {:.3}",
                            layer.name, found.damping
                        ));
                    }
                    Ok(found.rows)
                }
                Err(error @ LowBitError::TooFewTokens { .. }) => {
                    self.notes.push(format!("{}: rounded to nearest, not GPTQ: {error}", layer.name));
                    plain(&gram.mean_squares())
                }
                Err(error) => Err(layer.error(error)),
            },
            (_, Some(gram)) => plain(&gram.mean_squares()),
            (_, None) => plain(&[]),
        }
    }

    /// One branch for matrices that stand above each other.
    pub(super) fn shared_branch(
        &self,
        layers: &[(usize, Layer)],
        matrices: &[Vec<f32>],
        correction: Correction<'_>,
    ) -> Result<Vec<Branch>, PrepareError> {
        let k = layers[0].1.k;
        let n: usize = layers.iter().map(|(_, layer)| layer.n).sum();
        let rank = self.options.low_rank.min(n.min(k));
        let whole = low_rank_branch(&matrices.concat(), (n, k), rank, correction);
        let whole = whole.map_err(|error| layers[0].1.error(error))?;
        let mut first = 0;
        let part = |(_, layer): &(usize, Layer)| {
            let up = whole.up[first * rank..(first + layer.n) * rank].to_vec();
            first += layer.n;
            Branch { rank, n: layer.n, k, down: whole.down.clone(), up }
        };
        Ok(layers.iter().map(part).collect())
    }

    /// Puts codes and the integer form of branches (none, or one a layer) together. `kept` are inputs
    /// as the layers read them.
    pub(super) fn finish(
        &mut self,
        layers: &[(usize, Layer)],
        codes: Vec<LowBitRows>,
        branches: Vec<Branch>,
        kept: &[f32],
        found: &mut BTreeMap<String, PreparedLayer>,
    ) -> Result<(), PrepareError> {
        let mut branches = branches.into_iter();
        for ((_, layer), mut rows) in layers.iter().zip(codes) {
            let mut prepared = PreparedLayer::default();
            if let Some(branch) = branches.next() {
                let units = self.in_steps(&layer.name, kept, layer.k);
                let codes = fit_branch(&branch, &mut rows, &units).map_err(|error| layer.error(error))?;
                if codes.relative_error > 0.05 {
                    self.notes.push(format!(
                        "{}: the integer form of its branch differs by {:.1} % from the real one",
                        layer.name,
                        codes.relative_error * 100.0
                    ));
                }
                prepared.branches.push(codes.branch);
                prepared.branch_data = codes.data;
            }
            prepared.rows = Some(rows);
            found.insert(layer.name.clone(), prepared);
        }
        Ok(())
    }

    /// Rows in units of their int8 scales: that of the calibrated grid, or each row's own.
    fn in_steps(&self, layer: &str, rows: &[f32], k: usize) -> Vec<f32> {
        if let Some(ranges) = self.ranges {
            let node = self.graph.nodes.iter().find(|node| node.name == layer);
            let x = node.and_then(|node| node.inputs.first().copied().flatten()).map(|id| &self.graph.value(id).name);
            // Smoothed inputs have no range yet: that of the rows.
            let range = x.filter(|_| !self.factors.contains_key(layer)).and_then(|x| ranges.get(x));
            let (lo, hi) = range.map_or_else(
                || rows.iter().fold((0f32, 0f32), |(lo, hi), &x| (lo.min(x), hi.max(x))),
                |range| (range.lo, range.hi),
            );
            let scale = activation_grid(lo, hi).scale;
            return rows.iter().map(|x| x / scale).collect();
        }
        let row = |row: &[f32]| -> Vec<f32> {
            let max = row.iter().fold(0f32, |max, x| x.abs().max(max));
            row.iter().map(|x| if max > 0.0 { x * 127.0 / max } else { 0.0 }).collect()
        };
        rows.chunks(k.max(1)).flat_map(row).collect()
    }

    /// The table of what each width costs each layer.
    pub fn sensitivities(
        &self,
        chosen: &BTreeMap<usize, LowBitFormat>,
        inputs: &mut LayerInputs,
    ) -> Result<Vec<Sensitivity>, PrepareError> {
        let mut table = Vec::new();
        for (&index, &format) in chosen {
            let node = &self.graph.nodes[index];
            let Some(layer) = Layer::of(&self.graph, node, format) else { continue };
            let Some(gram) = inputs.of(&self.graph, node) else { continue };
            let (size, weight) = ((layer.n, layer.k), gram.mean_squares());
            let few: Vec<f32> = gram.kept().chunks(layer.k.max(1)).step_by(4).flatten().copied().collect();
            let snr = |back: &[f32]| output_snr_db(&layer.weights, back, layer.k, &few, Activations::A8);
            let mut widths =
                vec![("w8".to_string(), layer.n * (layer.k + 4), snr(&eight_bits(&layer.weights, layer.k)))];
            for (name, width) in [("w4", Width::W4), ("w3", Width::W3), ("w2", Width::W2)] {
                let rows = nearest(&layer.weights, size, width, format.group, Clip::Search, &weight);
                let rows = rows.map_err(|error| layer.error(error))?;
                widths.push((name.into(), rows.bytes() + layer.n * 4, snr(&rows.dequantize())));
            }
            let outputs = node.outputs.first().map_or(0, |&id| self.graph.value(id).elements());
            table.push(Sensitivity { layer: layer.name, macs: (outputs * layer.k) as u64, widths, model: Vec::new() });
        }
        Ok(table)
    }

    /// Mean squared output error of a layer that holds weights of its own and a branch.
    pub(super) fn score(&self, layer: &Layer, weights: &[f32], (own, branch): (&[f32], &[f32]), kept: &[f32]) -> f64 {
        let found = self.options.activations.outputs(kept, own, branch, layer.k);
        let exact = Activations::F32.outputs(kept, weights, &[], layer.k);
        let square = |(x, y): (&f32, &f32)| f64::from(x - y).powi(2);
        exact.iter().zip(&found).map(square).sum::<f64>() / exact.len().max(1) as f64
    }
}

/// Weights `[n, k]` after rounding to int8, one scale a row.
fn eight_bits(weights: &[f32], k: usize) -> Vec<f32> {
    let row = |row: &[f32]| -> Vec<f32> {
        let max = row.iter().fold(0f32, |max, w| w.abs().max(max));
        let step = if max > 0.0 { max / 127.0 } else { 1.0 };
        row.iter().map(|w| (w / step).round_ties_even() * step).collect()
    };
    weights.chunks(k.max(1)).flat_map(row).collect()
}
