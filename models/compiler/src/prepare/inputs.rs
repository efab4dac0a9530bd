//! The inputs of layers on calibration samples.

use super::rows::{Read, watch};
use crate::calibrate::Sample;
use crate::graph::{Graph, Node, Op};
use crate::lowbit::Gram;
use crate::quantize::{LayerMatrix, LowBitFormat};
use crate::simulate::{SimMode, Simulator};
use std::collections::{BTreeMap, HashSet};

/// What each layer's inputs were, by the value and the window they are read through.
#[derive(Clone, Debug, Default)]
pub struct LayerInputs {
    grams: BTreeMap<Read, Gram>,
    means: BTreeMap<Read, Mean>,
}

impl LayerInputs {
    /// The moments of a layer's inputs.
    pub fn of(&mut self, graph: &Graph, node: &Node) -> Option<&mut Gram> {
        self.grams.get_mut(&Read::of(graph, node)?)
    }

    /// Means of what a layer reads: for each cell of its window the channels of all groups.
    pub fn means(&self, graph: &Graph, node: &Node) -> Option<Vec<f32>> {
        self.means.get(&Read::of(graph, node)?).and_then(Mean::value)
    }
}

/// A running mean of rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Mean {
    sums: Vec<f64>,
    rows: usize,
}

impl Mean {
    /// Adds rows of `k`.
    pub fn add(&mut self, rows: &[f32], k: usize) {
        self.sums.resize(k, 0.0);
        for row in rows.chunks_exact(k.max(1)) {
            self.sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
            self.rows += 1;
        }
    }

    pub fn value(&self) -> Option<Vec<f32>> {
        (self.rows > 0).then(|| self.sums.iter().map(|sum| (sum / self.rows as f64) as f32).collect())
    }
}

/// Runs the float model on `samples` and keeps the moments of the inputs of the layers `chosen` (Dense,
/// and Conv with one group; without `products` only squares), and the means of those of `averaged`.
///
/// # Errors
/// What the simulator says.
pub fn layer_inputs(
    graph: &Graph,
    samples: &[Sample],
    chosen: &BTreeMap<usize, LowBitFormat>,
    averaged: &[usize],
    products: bool,
) -> Result<LayerInputs, String> {
    let mut inputs = LayerInputs::default();
    if samples.is_empty() {
        return Ok(inputs);
    }
    for &index in chosen.keys() {
        let node = &graph.nodes[index];
        let one_group = matches!(node.op, Op::Conv { groups: 1, .. } | Op::Dense { .. });
        if let (true, Some(matrix), Some(read)) = (one_group, LayerMatrix::of(graph, node), Read::of(graph, node)) {
            inputs
                .grams
                .entry(read)
                .or_insert_with(|| if products { Gram::new(matrix.k) } else { Gram::of_squares(matrix.k) });
        }
    }
    for read in averaged.iter().filter_map(|&index| Read::of(graph, &graph.nodes[index])) {
        inputs.means.entry(read).or_default();
    }
    let LayerInputs { grams, means } = &mut inputs;
    let reads: HashSet<Read> = grams.keys().chain(means.keys()).cloned().collect();
    let mut simulator = Simulator::new(graph, SimMode::Float).map_err(|error| error.to_string())?;
    watch(graph, &mut simulator, samples, &reads.into_iter().collect::<Vec<_>>(), &mut |read, rows, k| {
        if let Some(mean) = means.get_mut(read) {
            mean.add(rows, k);
        }
        match grams.get_mut(read).filter(|gram| gram.k() == k) {
            Some(gram) => gram.add(rows).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    })?;
    Ok(inputs)
}
