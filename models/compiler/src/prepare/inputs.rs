//! The inputs of layers on calibration samples.

use crate::calibrate::Sample;
use crate::data::ArrayData;
use crate::graph::{Graph, Layout, Node, Op, ValueId, Window};
use crate::lowbit::Gram;
use crate::quantize::{LayerMatrix, LowBitFormat};
use crate::simulate::{SimMode, Simulator};
use std::collections::BTreeMap;

/// Patches of a convolution that one sample gives at most.
const PATCHES: usize = 128;

/// What each layer's inputs were, by the value and the window they are read through.
#[derive(Clone, Debug, Default)]
pub struct LayerInputs {
    grams: BTreeMap<(String, String), Gram>,
}

impl LayerInputs {
    /// The moments of a layer's inputs.
    pub fn of(&mut self, graph: &Graph, node: &Node) -> Option<&mut Gram> {
        let x = graph.value(node.inputs.first().copied().flatten()?);
        self.grams.get_mut(&(x.name.clone(), window_key(node)))
    }
}

/// Layers that read one value through the same window have the same inputs.
fn window_key(node: &Node) -> String {
    match &node.op {
        Op::Conv { window, .. } => format!("{window:?}"),
        _ => String::new(),
    }
}

/// Runs the float model on `samples` and keeps the inputs of the layers `chosen`: Dense, and Conv with
/// one group.
///
/// # Errors
/// What the simulator says.
pub fn layer_inputs(
    graph: &Graph,
    samples: &[Sample],
    chosen: &BTreeMap<usize, LowBitFormat>,
) -> Result<LayerInputs, String> {
    let mut inputs = LayerInputs::default();
    if samples.is_empty() {
        return Ok(inputs);
    }
    // By the name of the value: the window it is read through, and the length of a row.
    let mut readers: BTreeMap<String, Vec<(String, Option<Window>, usize)>> = BTreeMap::new();
    for &index in chosen.keys() {
        let node = &graph.nodes[index];
        let (Some(matrix), Some(x)) = (LayerMatrix::of(graph, node), node.inputs.first().copied().flatten()) else {
            continue;
        };
        let window = match &node.op {
            Op::Conv { groups: 1, layout: Layout::Nhwc, window, .. } => Some(*window),
            Op::Conv { .. } => continue,
            _ => None,
        };
        let (name, key) = (graph.value(x).name.clone(), window_key(node));
        inputs.grams.entry((name.clone(), key.clone())).or_insert_with(|| Gram::new(matrix.k));
        let of_value = readers.entry(name).or_default();
        if !of_value.iter().any(|(other, _, _)| *other == key) {
            of_value.push((key, window, matrix.k));
        }
    }
    let mut simulator = Simulator::new(graph, SimMode::Float).map_err(|error| error.to_string())?;
    let mut failed = None;
    for (number, sample) in samples.iter().enumerate() {
        let mut take = |name: &str, dims: &[usize], data: &[f32]| {
            for (key, window, k) in readers.get(name).into_iter().flatten() {
                let rows = match window {
                    Some(window) => patches(dims, data, window, number),
                    None => data.to_vec(),
                };
                let gram = inputs.grams.get_mut(&(name.to_string(), key.clone()));
                if let Some(Err(error)) = gram.filter(|gram| gram.k() == *k).map(|gram| gram.add(&rows)) {
                    failed.get_or_insert(format!("value '{name}', sample {number}: {error}"));
                }
            }
        };
        for (tensor, &input) in sample.tensors.iter().zip(&graph.inputs) {
            if let (ArrayData::F32(data), 0 | 2..) = (&tensor.data, tensor.shape.len()) {
                take(&graph.value(input).name, &tensor.shape, data);
            }
        }
        let data: Vec<ArrayData> = sample.tensors.iter().map(|tensor| tensor.data.clone()).collect();
        let graph_inputs: Vec<ValueId> = graph.inputs.clone();
        let is_input = |name: &str| graph_inputs.iter().any(|&id| graph.value(id).name == name);
        let mut observe = |name: &str, dims: &[usize], data: &[f32]| {
            if !is_input(name) {
                take(name, dims, data);
            }
        };
        simulator.run(&data, &mut observe).map_err(|error| format!("sample {number}: {error}"))?;
    }
    match failed {
        Some(reason) => Err(reason),
        None => Ok(inputs),
    }
}

/// Rows (window row, window column, channel) of some output pixels of an NHWC value.
fn patches(dims: &[usize], data: &[f32], window: &Window, number: usize) -> Vec<f32> {
    let &[batch, height, width, channels] = dims else { return Vec::new() };
    let reach = |axis: usize| (window.kernel[axis] - 1) * window.dilation[axis] + 1;
    let size = |axis: usize, length: usize| {
        let padded = length + window.pads[axis] + window.pads[axis + 2];
        padded.checked_sub(reach(axis)).map_or(0, |rest| rest / window.stride[axis] + 1)
    };
    let (rows, cols) = (size(0, height), size(1, width));
    let pixels = batch * rows * cols;
    let stride = pixels.div_ceil(PATCHES).max(1);
    let mut out = Vec::new();
    for pixel in (number % stride..pixels).step_by(stride) {
        let (b, oy, ox) = (pixel / (rows * cols), pixel / cols % rows, pixel % cols);
        for ky in 0..window.kernel[0] {
            for kx in 0..window.kernel[1] {
                let y = (oy * window.stride[0] + ky * window.dilation[0]).wrapping_sub(window.pads[0]);
                let x = (ox * window.stride[1] + kx * window.dilation[1]).wrapping_sub(window.pads[1]);
                if y < height && x < width {
                    out.extend_from_slice(&data[((b * height + y) * width + x) * channels..][..channels]);
                } else {
                    out.extend(std::iter::repeat_n(0.0, channels));
                }
            }
        }
    }
    out
}
