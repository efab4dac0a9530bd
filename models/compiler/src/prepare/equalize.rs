//! Cross-layer equalization (Nagel et al. 2019): channels between two layers are scaled so that one grid
//! fits them all, and the layers' weights take up the factors.
//!
//! Weights have one scale an output channel here, so a layer absorbs the factors of its outputs
//! exactly; what is chosen for is the grid of the activation between and the rows of the layers behind
//! it. Candidates are `max|x|^α / max|w|^(1−α)` per channel (Xiao et al. 2023) and the factor of Nagel
//! et al. that gives both weights the same range; the one with the least noise by the model below is
//! taken. Factors are powers of two: the float model computes the same bits as before.

use super::rows::{Read, watch};
use super::scaling::{Chain, multiply_inputs};
use crate::calibrate::Sample;
use crate::graph::{Graph, ValueId};
use crate::quantize::{LayerMatrix, QuantScheme, low_bit_layers};
use crate::simulate::{SimMode, Simulator};
use std::collections::{BTreeMap, BTreeSet};

/// Factors stay within 2^−2 to 2^2 of the middle one: a channel that was quiet in the samples and is not later
/// leaves the grid soon where it was scaled up more.
const LARGEST: f32 = 2.0;
/// The noise has to fall to this part of what it was.
const WORTH: f64 = 0.8;

/// A model after equalization.
#[derive(Clone, Debug)]
pub struct Equalized {
    /// Computes the same.
    pub graph: Graph,
    /// Nodes whose output channels were scaled, with the noise of the layers behind them after and
    /// before, as a ratio.
    pub scaled: Vec<(String, f64)>,
}

/// What the channels of a value were.
#[derive(Clone, Debug, Default)]
struct Channels {
    lo: Vec<f32>,
    hi: Vec<f32>,
    squares: Vec<f64>,
    rows: usize,
}

impl Channels {
    fn add(&mut self, rows: &[f32], k: usize) {
        self.lo.resize(k, 0.0);
        self.hi.resize(k, 0.0);
        self.squares.resize(k, 0.0);
        for row in rows.chunks_exact(k.max(1)) {
            self.rows += 1;
            for (c, &x) in row.iter().enumerate() {
                self.lo[c] = self.lo[c].min(x);
                self.hi[c] = self.hi[c].max(x);
                self.squares[c] += f64::from(x) * f64::from(x);
            }
        }
    }
}

/// A layer as the noise model sees it.
struct Reader {
    /// Largest |w| and Σw² of each input channel, over rows and window.
    largest: Vec<f32>,
    energy: Vec<f64>,
    /// Of each row: largest |w| of each input channel of its group, and the group's first channel.
    rows: Vec<(Vec<f32>, usize)>,
    taps: f64,
    /// Largest code of a weight.
    codes: f64,
}

/// Equalizes what `samples` show to be worth it for the widths of `scheme`.
///
/// # Errors
/// What running the float model says.
pub fn equalize(graph: &Graph, samples: &[Sample], scheme: &QuantScheme) -> Result<Equalized, String> {
    let mut graph = graph.clone();
    let chains: Vec<Chain> = (0..graph.nodes.len()).filter_map(|index| Chain::from(&graph, index)).collect();
    let reads: BTreeSet<Read> = chains
        .iter()
        .flat_map(|chain| chain.layers.iter().filter_map(|&layer| chain.read(&graph, layer)))
        .map(|value| Read::last_axis(&graph, value))
        .collect();
    let mut seen: BTreeMap<Read, Channels> = BTreeMap::new();
    let mut simulator = Simulator::new(&graph, SimMode::Float).map_err(|error| error.to_string())?;
    let reads: Vec<Read> = reads.into_iter().collect();
    watch(&graph, &mut simulator, samples, &reads, &mut |read, rows, k| {
        seen.entry(read.clone()).or_default().add(rows, k);
        Ok(())
    })?;
    let low_bit = low_bit_layers(&graph, scheme);
    let mut scaled = Vec::new();
    for chain in &chains {
        let width =
            |layer: usize| low_bit.get(&layer).map_or(127.0, |format| f64::from(format.width.max() / 2).max(1.0));
        let readers: Vec<(Reader, &Channels)> = chain
            .layers
            .iter()
            .filter_map(|&layer| {
                let value: ValueId = chain.read(&graph, layer)?;
                let channels = seen.get(&Read::last_axis(&graph, value)).filter(|channels| channels.rows > 0)?;
                Some((Reader::of(&graph, layer, width(layer))?, channels))
            })
            .collect();
        if readers.len() != chain.layers.len() {
            continue;
        }
        let (factors, ratio) = best(&readers, &own_rows(&graph, chain.producer));
        if ratio <= WORTH {
            chain.divide(&mut graph, &factors);
            chain.layers.iter().for_each(|&layer| multiply_inputs(&mut graph, layer, &factors));
            scaled.push((graph.nodes[chain.producer].name.clone(), ratio));
        }
    }
    Ok(Equalized { graph, scaled })
}

/// Largest |w| of each output channel of a node.
fn own_rows(graph: &Graph, node: usize) -> Vec<f32> {
    let value = graph.nodes[node].inputs.get(1).copied().flatten().map(|id| graph.value(id));
    let (data, rows) = value.map_or((&[][..], 1), |v| (v.f32s().unwrap_or_default(), v.shape[0].max(1)));
    data.chunks((data.len() / rows).max(1)).map(|row| row.iter().fold(0f32, |max, w| max.max(w.abs()))).collect()
}

impl Reader {
    fn of(graph: &Graph, layer: usize, codes: f64) -> Option<Self> {
        let node = &graph.nodes[layer];
        let matrix = LayerMatrix::of(graph, node)?;
        let data = matrix.rows(graph.value(node.inputs[1]?).f32s()?);
        let channels = matrix.channels();
        let all = *graph.value(node.inputs[0]?).shape.last()?;
        let groups = (all / channels.max(1)).max(1);
        let mut reader = Reader {
            largest: vec![0.0; all],
            energy: vec![0.0; all],
            rows: Vec::with_capacity(matrix.n),
            taps: matrix.taps() as f64,
            codes,
        };
        for (n, row) in data.chunks(matrix.k).enumerate() {
            let first = n / (matrix.n / groups).max(1) * channels;
            let mut of_row = vec![0f32; channels];
            for (i, w) in row.iter().enumerate() {
                let c = i % channels;
                of_row[c] = of_row[c].max(w.abs());
                reader.largest[first + c] = reader.largest[first + c].max(w.abs());
                reader.energy[first + c] += f64::from(*w) * f64::from(*w);
            }
            reader.rows.push((of_row, first));
        }
        Some(reader)
    }

    /// Mean squared noise of the layer's outputs, summed: its input rounded on one grid, its rows on
    /// one each, inputs divided by `factors` and weights multiplied.
    fn noise(&self, channels: &Channels, factors: &[f32]) -> f64 {
        let end = |ends: &[f32], pick: fn(f32, f32) -> f32| {
            f64::from(ends.iter().zip(factors).fold(0f32, |end, (x, s)| pick(end, x / s)))
        };
        let step = (end(&channels.hi, f32::max) - end(&channels.lo, f32::min)) / 255.0;
        let input: f64 = self.energy.iter().zip(factors).map(|(e, &s)| e * f64::from(s).powi(2)).sum();
        let power = |c: usize| channels.squares[c] / channels.rows as f64 / f64::from(factors[c]).powi(2);
        let weights: f64 = self
            .rows
            .iter()
            .map(|(row, first)| {
                let largest = row.iter().zip(&factors[*first..]).fold(0f32, |max, (w, s)| max.max(w * s));
                let power: f64 = (*first..*first + row.len()).map(power).sum();
                (f64::from(largest) / self.codes).powi(2) * self.taps * power
            })
            .sum();
        (step * step * input + weights) / 12.0
    }
}

/// The candidate with the least noise, and that as a part of the noise without factors.
fn best(readers: &[(Reader, &Channels)], own: &[f32]) -> (Vec<f32>, f64) {
    let channels = readers[0].0.energy.len();
    let over = |pick: &dyn Fn(&(Reader, &Channels)) -> f32| readers.iter().map(pick).fold(0f32, f32::max);
    let act: Vec<f32> = (0..channels).map(|c| over(&|(_, x)| x.hi[c].max(-x.lo[c]))).collect();
    let weight: Vec<f32> = (0..channels).map(|c| over(&|(r, _)| r.largest[c])).collect();
    let noise = |factors: &[f32]| -> f64 { readers.iter().map(|(reader, x)| reader.noise(x, factors)).sum() };
    let before = noise(&vec![1.0; channels]);
    let mut candidates: Vec<Vec<f32>> = [0.0f32, 0.25, 0.5, 0.75, 1.0]
        .map(|alpha| act.iter().zip(&weight).map(|(a, w)| a.powf(alpha) / w.powf(1.0 - alpha)).collect())
        .to_vec();
    if own.len() == channels {
        candidates.push(own.iter().zip(&weight).map(|(o, w)| (o / w).sqrt()).collect());
    }
    let mut found = (vec![1.0; channels], before);
    for candidate in candidates {
        let factors = powers_of_two(&candidate);
        let noise = noise(&factors);
        if noise < found.1 {
            found = (factors, noise);
        }
    }
    (found.0, if before > 0.0 { found.1 / before } else { 1.0 })
}

/// The nearest powers of two, about 1 in the middle; 1 for channels that say nothing.
fn powers_of_two(factors: &[f32]) -> Vec<f32> {
    let logs: Vec<Option<f32>> = factors.iter().map(|s| Some(s.log2()).filter(|l| l.is_finite())).collect();
    let mut known: Vec<f32> = logs.iter().flatten().copied().collect();
    known.sort_by(f32::total_cmp);
    let middle = known.get(known.len() / 2).copied().unwrap_or(0.0);
    logs.iter().map(|log| log.map_or(1.0, |log| (log - middle).round().clamp(-LARGEST, LARGEST).exp2())).collect()
}
