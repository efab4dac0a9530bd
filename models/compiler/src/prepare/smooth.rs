//! SVDQuant (Li et al. 2024): activations smoothed, the largest singular values of the smoothed
//! weights in a branch, the rest in few bits.

use super::layers::{Layer, Work};
use super::scaling::{Chain, multiply_inputs};
use super::{Method, PrepareError};
use crate::graph::{Binary, Constant, Graph, Node, Op, Value, ValueId};
use crate::lowbit::{Branch, Clip, Correction, Gram, LowBitError, LowBitRows, low_rank_branch, nearest, smoothing};
use crate::quantize::PreparedLayer;
use std::collections::BTreeMap;

/// Rounds of rounding and decomposing again.
const ROUNDS: usize = 10;

/// What was found for layers that share their input.
pub(super) struct Smoothed {
    /// What the columns of the input are divided by.
    factors: Vec<f32>,
    codes: Vec<LowBitRows>,
    branches: Vec<Branch>,
    /// Some of the smoothed inputs.
    kept: Vec<f32>,
}

impl Smoothed {
    /// Searches factors, then decomposes and rounds in turn while the output error falls.
    pub(super) fn find(work: &mut Work<'_>, layers: &[(usize, Layer)], gram: &Gram) -> Result<Self, PrepareError> {
        let k = layers[0].1.k;
        let n: usize = layers.iter().map(|(_, layer)| layer.n).sum();
        let stacked: Vec<f32> = layers.iter().flat_map(|(_, layer)| layer.weights.iter().copied()).collect();
        let (format, rank) = (layers[0].1.format, work.options.low_rank.min(n.min(k)));
        let mut with_branch = |weights: &[f32], _: &[f32]| -> Result<(Vec<f32>, Vec<f32>), LowBitError> {
            let branch = low_rank_branch(weights, (n, k), rank, Correction::Plain)?.product();
            let rest: Vec<f32> = weights.iter().zip(&branch).map(|(w, b)| w - b).collect();
            let rows = nearest(&rest, (n, k), format.width, format.group, Clip::Search, &[])?;
            Ok((rows.dequantize(), branch))
        };
        let found = smoothing(&stacked, (n, k), gram, work.options.activations, &mut with_branch);
        let factors = found.map_err(|error| layers[0].1.error(error))?.factors;
        let kept: Vec<f32> = gram.kept().iter().enumerate().map(|(i, x)| x / factors[i % k]).collect();
        let scaled =
            |layer: &Layer| -> Vec<f32> { layer.weights.iter().enumerate().map(|(i, w)| w * factors[i % k]).collect() };
        let weights: Vec<Vec<f32>> = layers.iter().map(|(_, layer)| scaled(layer)).collect();
        let method = std::mem::replace(&mut work.options.method, Method::Nearest);
        let best = alternate(work, layers, &weights, &kept);
        work.options.method = method;
        let (codes, branches) = best?;
        Ok(Smoothed { factors, codes, branches, kept })
    }

    /// Puts the division in front of the layers and gives them their smoothed weights.
    pub(super) fn apply(
        self,
        work: &mut Work<'_>,
        layers: &[(usize, Layer)],
        found: &mut BTreeMap<String, PreparedLayer>,
    ) -> Result<(), PrepareError> {
        // Steps of the inputs are those of the smoothed ones, which no calibration has seen.
        let names: Vec<&String> = layers.iter().map(|(_, layer)| &layer.name).collect();
        let smoothed = self.factors.iter().any(|&factor| factor != 1.0);
        for name in names.iter().filter(|_| smoothed) {
            work.factors.insert((*name).clone(), self.factors.clone());
        }
        work.finish(layers, self.codes, self.branches, &self.kept, found)?;
        if !smoothed {
            return Ok(());
        }
        let graph = &mut work.graph;
        let indices: Vec<usize> =
            (0..graph.nodes.len()).filter(|&index| names.contains(&&graph.nodes[index].name)).collect();
        let Some(x) = indices.first().and_then(|&first| graph.nodes[first].inputs[0]) else { return Ok(()) };
        indices.iter().for_each(|&index| multiply_inputs(graph, index, &self.factors));
        match Chain::ending_at(graph, x, &indices) {
            Some(chain) => {
                chain.divide(graph, &self.factors);
                // The layer in front comes first: its codes are those of the weights before.
                if let Some(producer) = found.get_mut(&graph.nodes[chain.producer].name) {
                    producer.divide_rows(&self.factors);
                }
                work.folded += 1;
            }
            None => divide_value(graph, x, &indices, &self.factors),
        }
        Ok(())
    }
}

/// Puts a division by `factors` between a value and the layers that read it.
fn divide_value(graph: &mut Graph, x: ValueId, layers: &[usize], factors: &[f32]) {
    let source = graph.value(x).clone();
    let inverse: Vec<f32> = factors.iter().map(|factor| 1.0 / factor).collect();
    let constant = Value::constant(format!("{}/smoothing", source.name), vec![inverse.len()], Constant::F32(inverse));
    let constant = graph.add_value(constant);
    let mut smoothed = Value::new(format!("{}/smoothed", source.name), source.dtype, source.shape.clone());
    (smoothed.perm, smoothed.channels) = (source.perm.clone(), source.channels.clone());
    let smoothed = graph.add_value(smoothed);
    for &layer in layers {
        graph.nodes[layer].inputs[0] = Some(smoothed);
    }
    let node = Node {
        name: format!("{}/smooth", source.name),
        op: Op::Binary { kind: Binary::Mul, clamp: None },
        inputs: vec![Some(x), Some(constant)],
        outputs: vec![smoothed],
    };
    graph.nodes.insert(layers[0], node);
}

/// The codes of what a branch leaves, then a branch of what the codes leave, while the error falls.
fn alternate(
    work: &mut Work<'_>,
    layers: &[(usize, Layer)],
    weights: &[Vec<f32>],
    kept: &[f32],
) -> Result<(Vec<LowBitRows>, Vec<Branch>), PrepareError> {
    let mut target: Vec<Vec<f32>> = weights.to_vec();
    let mut best: Option<(f64, Vec<LowBitRows>, Vec<Branch>)> = None;
    for _ in 0..ROUNDS {
        let branches = work.shared_branch(layers, &target, Correction::Plain)?;
        let mut codes = Vec::with_capacity(layers.len());
        let (mut error, mut next) = (0.0, Vec::with_capacity(layers.len()));
        for (((_, layer), weights), branch) in layers.iter().zip(weights).zip(&branches) {
            let product = branch.product();
            let rest: Vec<f32> = weights.iter().zip(&product).map(|(w, b)| w - b).collect();
            let rows = work.codes(layer, &rest, None)?;
            let back = rows.dequantize();
            error += work.score(layer, weights, (&back, &product), kept) * layer.n as f64;
            next.push(weights.iter().zip(&back).map(|(w, q)| w - q).collect());
            codes.push(rows);
        }
        if best.as_ref().is_some_and(|best| error >= best.0) {
            break;
        }
        best = Some((error, codes, branches));
        target = next;
    }
    let (_, codes, branches) = best.ok_or_else(|| layers[0].1.error(LowBitError::NotPositive))?;
    Ok((codes, branches))
}
