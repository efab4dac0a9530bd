//! Reconstruction of layers from the teacher's signal: the float model's activations show each quantized
//! layer what it should make of its disturbed inputs.
//!
//! Teacher Intervention (Kim et al. 2023) trains a quantized model while activations of the float model
//! take the place of its own, less and less of them. Used here without training: layers are taken in the
//! order in which they run; each reads x̂ = (1 − ρ)·x + ρ·x_q, where x is the float model's input, x_q that
//! of the model quantized so far, and is fitted to W·x. In the least-squares sense the weights for that are
//! W* = W + W·(Σ x·x̂ᵀ − Σ x̂·x̂ᵀ)(Σ x̂·x̂ᵀ)⁻¹, which are then rounded by the method chosen; the bias takes up
//! what the means differ by. A layer is fitted from its float weights and after all layers before it, so there is
//! nothing a second sweep with a larger ρ would find.

use super::PrepareError;
use super::inputs::Mean;
use super::layers::{Layer, Work};
use super::rows::{Read, watch};
use crate::calibrate::Sample;
use crate::graph::{Node, Op};
use crate::lowbit::{Gram, LowBitError};
use crate::quantize::{InputMeans, LowBitFormat, PreparedLayer, QuantScheme, quantize};
use crate::simulate::{SimMode, Simulator};
use nalgebra::DMatrix;
use std::collections::BTreeMap;

/// Part of the mean of the diagonal that keeps weights where the data says nothing.
const DAMPING: f64 = 0.01;

/// Layers that read one value, by index.
type Together = Vec<usize>;

/// Moments of what layers read: the inputs themselves, and float against quantized.
struct Paired {
    gram: Gram,
    /// Σ x·x̂ᵀ.
    cross: DMatrix<f64>,
    float: Mean,
    quantized: Mean,
}

impl Work<'_> {
    /// Fits every layer of `all` anew. `found` holds the layers quantized to begin with.
    pub(super) fn reconstruct(
        &mut self,
        samples: &[Sample],
        (chosen, all): (&BTreeMap<usize, LowBitFormat>, &[usize]),
        scheme: &QuantScheme,
        mix: f32,
        found: &mut BTreeMap<String, PreparedLayer>,
    ) -> Result<(), PrepareError> {
        let run = |error: &dyn std::fmt::Display| PrepareError::Run(error.to_string());
        let mut teacher = Simulator::new(&self.graph, SimMode::Float).map_err(|e| run(&e))?;
        let groups = self.together(all);
        for group in &groups {
            let scheme = QuantScheme { prepared: found.clone(), ..scheme.clone() };
            let (student, _) = quantize(&self.graph, self.ranges, &scheme).map_err(|e| run(&e))?;
            let first = self.graph.nodes[group[0]].clone();
            let Some(node) = student.nodes.iter().find(|node| node.name == first.name) else { continue };
            let Some(read) = Read::of(&self.graph, &first) else { continue };
            let Some(x) = node.inputs.first().copied().flatten() else { continue };
            let read_quantized = read.renamed(&student.value(x).name);
            let mut simulator = Simulator::new(&student, SimMode::Integer).map_err(|e| run(&e))?;
            let low_bit = group.iter().any(|index| chosen.contains_key(index));
            let mut paired = None;
            // Sample by sample: rows of both models are compared, then forgotten.
            for (number, sample) in samples.iter().enumerate() {
                let sample = std::slice::from_ref(sample);
                let (mut float, mut quantized) = (Vec::new(), Vec::new());
                let keep = |to: &mut Vec<f32>, rows: &[f32]| {
                    to.extend_from_slice(rows);
                    Ok(())
                };
                let reads = [read.clone()];
                watch(&self.graph, &mut teacher, sample, &reads, &mut |_, rows, _| keep(&mut float, rows))
                    .map_err(|e| run(&format!("{e} (of {number})")))?;
                let reads = [read_quantized.clone()];
                watch(&student, &mut simulator, sample, &reads, &mut |_, rows, _| keep(&mut quantized, rows))
                    .map_err(|e| run(&format!("the quantized model: {e} (of {number})")))?;
                if float.len() != quantized.len() {
                    return Err(PrepareError::Run(format!("'{}' has another shape when quantized", read.value)));
                }
                let quantized = self.options.activations.round(&quantized, read.k());
                let mixed: Vec<f32> = float.iter().zip(&quantized).map(|(x, q)| x + mix * (q - x)).collect();
                let paired = paired.get_or_insert_with(|| Paired::new(read.k(), low_bit && one_group(&first)));
                paired.add(&float, &mixed, read.k()).map_err(|e| run(&e))?;
            }
            if let Some(paired) = paired {
                self.refit(group, chosen, paired, found)?;
            }
        }
        Ok(())
    }

    /// Layers in the order they run; Dense layers that read one value stand together.
    fn together(&self, all: &[usize]) -> Vec<Together> {
        let mut groups: Vec<Together> = Vec::new();
        for &index in all {
            let node = &self.graph.nodes[index];
            let same = |other: &Together| {
                let other = &self.graph.nodes[other[0]];
                matches!((&node.op, &other.op), (Op::Dense { .. }, Op::Dense { .. }))
                    && node.inputs[0] == other.inputs[0]
            };
            match groups.iter_mut().find(|group| same(group)) {
                Some(group) => group.push(index),
                None => groups.push(vec![index]),
            }
        }
        groups
    }

    /// Codes, branches and means of layers, for what they were seen to read.
    fn refit(
        &mut self,
        group: &Together,
        chosen: &BTreeMap<usize, LowBitFormat>,
        mut paired: Paired,
        found: &mut BTreeMap<String, PreparedLayer>,
    ) -> Result<(), PrepareError> {
        let nodes: Vec<Node> = group.iter().map(|&index| self.graph.nodes[index].clone()).collect();
        let mut layers = Vec::new();
        for (&index, node) in group.iter().zip(&nodes) {
            let layer = chosen.get(&index).and_then(|&format| Layer::of(&self.graph, node, format));
            layers.extend(layer.map(|layer| (index, layer)));
        }
        if !layers.is_empty() && paired.gram.tokens() > 0 {
            let lead = paired.lead().map_err(|error| layers[0].1.error(error))?;
            for (_, layer) in &mut layers {
                layer.weights = moved(&layer.weights, &lead, layer.k);
            }
            let dense = matches!(nodes[0].op, Op::Dense { .. });
            self.plain(&layers, dense, &mut paired.gram, found)?;
        }
        let means = paired.float.value().zip(paired.quantized.value());
        if let Some((float, quantized)) = means {
            for node in &nodes {
                let means = InputMeans { float: float.clone(), quantized: quantized.clone() };
                found.entry(node.name.clone()).or_default().means = Some(means);
            }
        }
        Ok(())
    }
}

impl Paired {
    fn new(k: usize, moments: bool) -> Self {
        // Layers that keep their weights need means only.
        let k = if moments { k } else { 0 };
        Paired { gram: Gram::new(k), cross: DMatrix::zeros(k, k), float: Mean::default(), quantized: Mean::default() }
    }

    fn add(&mut self, float: &[f32], mixed: &[f32], k: usize) -> Result<(), LowBitError> {
        self.float.add(float, k);
        self.quantized.add(mixed, k);
        if self.gram.k() == k {
            self.gram.add(mixed)?;
            let matrix =
                |rows: &[f32]| DMatrix::from_row_iterator(rows.len() / k, k, rows.iter().map(|&x| f64::from(x)));
            self.cross.gemm_tr(1.0, &matrix(float), &matrix(mixed), 1.0);
        }
        Ok(())
    }

    /// `[(Σ x·x̂ᵀ − Σ x̂·x̂ᵀ)(Σ x̂·x̂ᵀ)⁻¹]ᵀ`, damped: what the float input is ahead of the quantized one.
    fn lead(&mut self) -> Result<DMatrix<f64>, LowBitError> {
        let mut sums = self.gram.sums().clone();
        let ahead = &self.cross - &sums;
        let k = self.gram.k();
        let missing = (4.0 * k as f64 / self.gram.tokens().max(1) as f64).max(1.0);
        let mean = sums.diagonal().sum() / k.max(1) as f64;
        let more = if mean > 0.0 { DAMPING * missing * missing * mean } else { 1.0 };
        (0..k).for_each(|j| sums[(j, j)] += more);
        Ok(sums.cholesky().ok_or(LowBitError::NotPositive)?.solve(&ahead.transpose()))
    }
}

/// `W + W·leadᵀ`, rows `[n, k]`.
fn moved(weights: &[f32], lead: &DMatrix<f64>, k: usize) -> Vec<f32> {
    let n = weights.len() / k.max(1);
    let w = DMatrix::from_row_iterator(n, k, weights.iter().map(|&w| f64::from(w)));
    let moved = &w + &w * lead.transpose();
    (0..n * k).map(|i| moved[(i / k, i % k)] as f32).collect()
}

fn one_group(node: &Node) -> bool {
    matches!(node.op, Op::Dense { .. } | Op::Conv { groups: 1, .. })
}
