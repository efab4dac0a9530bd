//! What the width of one layer costs the model's outputs.

use super::LayerCost;
use crate::calibrate::Sample;
use crate::compare::ErrorSums;
use crate::data::ArrayData;
use crate::graph::Graph;
use crate::simulate::{SimMode, Simulator};
use std::collections::BTreeMap;

/// Multiply-accumulates that measuring all layers may take, a few minutes of one core.
const MACS: u64 = 2_000_000_000_000;
/// Samples that a layer's effect is measured on: as many as [`MACS`] allow.
const SAMPLES: std::ops::RangeInclusive<usize> = 4..=16;
/// The width that is measured where not even the fewest samples are possible for all.
const ONE: usize = 2;

/// The loss of weights that make the outputs something that is no number.
const WORST: f64 = 1e6;

/// Weights of each layer at each width as the numbers they stand for, by the node's name.
pub(super) type Weights = Vec<BTreeMap<String, Vec<f32>>>;

/// The outputs of a model on samples.
pub(super) struct Outputs {
    samples: Vec<Vec<ArrayData>>,
    /// For each sample all outputs.
    values: Vec<Vec<Vec<f32>>>,
    /// Elements that belong to one entry of the first output.
    row: usize,
}

/// How far other outputs are from these.
pub(super) struct Distance {
    pub snr_db: f64,
    /// Noise power over the signal's.
    pub loss: f64,
    /// Share of the first output's rows with the same largest element.
    pub agreement: f64,
}

impl Outputs {
    /// Of the model in f32.
    pub fn of(float: &mut Simulator, samples: &[&Sample]) -> Result<Self, String> {
        let data = |sample: &&Sample| sample.tensors.iter().map(|tensor| tensor.data.clone()).collect();
        let mut outputs = Outputs { samples: samples.iter().map(data).collect(), values: Vec::new(), row: 1 };
        for sample in &outputs.samples {
            let found = float.run(sample, &mut |_, _, _| {}).map_err(|error| error.to_string())?;
            if let Some(first) = found.first() {
                let dims = if first.dims.len() > 1 { &first.dims[1..] } else { &first.dims };
                outputs.row = dims.iter().product::<usize>().max(1);
            }
            outputs.values.push(found.iter().map(|output| output.to_f32()).collect());
        }
        Ok(outputs)
    }

    /// Of another model on the first `count` samples.
    pub fn distance(&self, model: &mut Simulator, count: usize) -> Result<Distance, String> {
        let mut sums = ErrorSums::default();
        let (mut agreeing, mut rows) = (0, 0);
        for (sample, expected) in self.samples.iter().zip(&self.values).take(count) {
            let found = model.run(sample, &mut |_, _, _| {}).map_err(|error| error.to_string())?;
            for (index, (want, found)) in expected.iter().zip(&found).enumerate() {
                let found = found.to_f32();
                sums.add(want, &found);
                if index == 0 {
                    let pairs = want.chunks(self.row).zip(found.chunks(self.row));
                    rows += want.len().div_ceil(self.row);
                    agreeing += pairs.filter(|(a, b)| crate::compare::argmax(a) == crate::compare::argmax(b)).count();
                }
            }
        }
        Ok(Distance { snr_db: sums.snr_db(), loss: sums.loss(), agreement: agreeing as f64 / rows.max(1) as f64 })
    }
}

/// Puts what each layer's widths cost the outputs of the float model, each layer by itself, in place of
/// what they cost its own.
///
/// Losses of layers that the float program has no step for stay. Where [`MACS`] do not allow all widths, one is
/// measured, and the others are to it as the losses of the layer's own output.
pub(super) fn measure(
    graph: &Graph,
    outputs: &Outputs,
    weights: &Weights,
    layers: &mut [LayerCost],
    progress: &mut dyn FnMut(),
) -> Result<(), String> {
    let mut float = Simulator::new(graph, SimMode::Float).map_err(|error| error.to_string())?;
    let macs = float.program().macs().max(1);
    let (samples, every) = plan(macs, layers.len(), weights.len());
    for layer in layers {
        let Some(node) = graph.nodes.iter().find(|node| node.name == layer.name) else { continue };
        let own = node.inputs.get(1).copied().flatten().and_then(|id| graph.value(id).f32s());
        let Some(own) = own else { continue };
        let local: Vec<f64> = layer.widths.iter().map(|width| width.loss).collect();
        for (width, weights) in weights.iter().enumerate() {
            progress();
            let Some(weights) = weights.get(&layer.name).filter(|_| every || width == ONE) else { continue };
            if !float.set_weights(graph, node, weights).map_err(|error| error.to_string())? {
                continue;
            }
            let loss = outputs.distance(&mut float, samples)?.loss;
            layer.widths[width].loss = if loss.is_finite() { loss } else { WORST };
        }
        if !every && local[ONE] > 0.0 {
            let gain = layer.widths[ONE].loss / local[ONE];
            layer.widths.iter_mut().zip(&local).for_each(|(width, local)| width.loss = gain * local);
        }
        float.set_weights(graph, node, own).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Samples to measure on, and whether all widths are.
fn plan(macs: u64, layers: usize, widths: usize) -> (usize, bool) {
    let runs = |widths: usize| (MACS / macs) as usize / (layers * widths).max(1);
    let every = runs(widths) >= *SAMPLES.start();
    (runs(if every { widths } else { 1 }).clamp(*SAMPLES.start(), *SAMPLES.end()), every)
}

#[cfg(test)]
mod tests {
    use super::super::bench::WIDTHS;
    use super::*;
    use crate::graph::{Constant, Layout, Op};
    use crate::passes::testing::{Build, Lcg, square};

    /// conv 3×3 → depthwise 3×3 → dense.
    fn graph() -> Graph {
        let mut b = Build::new();
        let x = b.input(&[1, 5, 5, 3]);
        let mut conv = |x, [n, c]: [usize; 2], groups| {
            let op = Op::Conv { window: square(3, 1, 1), groups, layout: Layout::Nhwc, clamp: None };
            let (w, bias) = (b.random(&[n, c, 3, 3]), b.random(&[n]));
            b.node(op, &[x, w, bias], &[1, 5, 5, n])
        };
        let y = conv(x, [6, 3], 1);
        let y = conv(y, [6, 1], 6);
        let y = b.dense(y, 4);
        b.finish(&[y])
    }

    /// Oracle: the same model lowered with the other weights in the graph.
    #[test]
    fn losses_are_those_of_the_model_with_one_layers_weights_exchanged() {
        let graph = graph();
        let mut rng = Lcg(3);
        let samples: Vec<Sample> = (0..6).map(|_| Sample::f32([1, 5, 5, 3], rng.f32s(75))).collect();
        let given: Vec<&Sample> = samples.iter().collect();
        let simulator = |graph: &Graph| Simulator::new(graph, SimMode::Float).expect("lowers");
        let outputs = Outputs::of(&mut simulator(&graph), &given).expect("runs");
        let mut layers: Vec<LayerCost> =
            graph.nodes.iter().map(|node| LayerCost::new(&node.name, (1, 1), None)).collect();
        let weights: Weights = (0..WIDTHS.len())
            .map(|_| {
                let other = |node: &crate::graph::Node| {
                    let weights = graph.value(node.inputs[1].expect("weights"));
                    let data = weights.f32s().expect("f32").iter().map(|w| w + 0.1 * rng.next() as f32).collect();
                    (node.name.clone(), data)
                };
                graph.nodes.iter().map(other).collect()
            })
            .collect();
        measure(&graph, &outputs, &weights, &mut layers, &mut || {}).expect("runs");
        for (node, layer) in graph.nodes.iter().zip(&layers) {
            for (width, weights) in layer.widths.iter().zip(&weights) {
                let mut other = graph.clone();
                other.value_mut(node.inputs[1].expect("weights")).data =
                    Some(Constant::F32(weights[&node.name].clone()));
                let found = outputs.distance(&mut simulator(&other), usize::MAX).expect("runs");
                assert!(found.loss > 0.0 && width.loss == found.loss, "{}: {} {}", node.name, width.loss, found.loss);
            }
        }
        // A distance is the ratio that the report's comparison has.
        let mut sums = ErrorSums::default();
        let mut other = graph.clone();
        other.value_mut(graph.nodes[0].inputs[1].expect("weights")).data =
            Some(Constant::F32(weights[0][&graph.nodes[0].name].clone()));
        let run = |graph: &Graph, sample: &Sample| {
            simulator(graph).run(&[sample.tensors[0].data.clone()], &mut |_, _, _| {}).expect("runs")[0].to_f32()
        };
        samples.iter().for_each(|sample| sums.add(&run(&graph, sample), &run(&other, sample)));
        assert!((-10.0 * layers[0].widths[0].loss.log10() - sums.snr_db()).abs() < 1e-9);
    }

    #[test]
    fn large_models_are_measured_on_fewer_samples_and_then_at_one_width() {
        assert_eq!(plan(1_000_000, 30, 4), (16, true));
        assert_eq!(plan(1_000_000_000, 50, 4), (10, true));
        assert_eq!(plan(1_000_000_000, 250, 4), (8, false));
        assert_eq!(plan(1_000_000_000_000, 1000, 4), (4, false));
    }
}
