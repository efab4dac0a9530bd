//! The rows that layers read, while a model runs.

use crate::calibrate::Sample;
use crate::data::ArrayData;
use crate::graph::{Graph, Layout, Node, Op, ValueId, Window};
use crate::simulate::Simulator;

/// Patches of a convolution that one sample gives at most.
const PATCHES: usize = 128;

/// A value, and the window it is read through: layers with the same have the same inputs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Read {
    pub value: String,
    /// `None`: rows of the last axis.
    window: Option<Window>,
    channels: usize,
}

impl Read {
    /// Of a Dense or a channels-last Conv.
    pub fn of(graph: &Graph, node: &Node) -> Option<Self> {
        let x = graph.value(node.inputs.first().copied().flatten()?);
        let window = match &node.op {
            Op::Conv { layout: Layout::Nhwc, window, .. } => Some(*window),
            Op::Dense { .. } => None,
            _ => return None,
        };
        Some(Read { value: x.name.clone(), window, channels: *x.shape.last()? })
    }

    /// Rows of a value's last axis.
    pub fn last_axis(graph: &Graph, value: ValueId) -> Self {
        let value = graph.value(value);
        Read { value: value.name.clone(), window: None, channels: value.shape.last().copied().unwrap_or(1) }
    }

    /// The same window of another value.
    pub fn renamed(&self, value: &str) -> Self {
        Read { value: value.to_string(), ..self.clone() }
    }

    /// Length of a row: (window row, window column, channel of any group).
    pub fn k(&self) -> usize {
        self.window.map_or(1, |window| window.kernel[0] * window.kernel[1]) * self.channels
    }
}

/// Is shown what is read, its rows, and their length.
pub(super) type Rows<'a> = dyn FnMut(&Read, &[f32], usize) -> Result<(), String> + 'a;

/// Runs `simulator`, made of `graph`, on every sample and shows the rows of `reads`; of convolutions
/// those of some output pixels, not the same ones for each sample.
///
/// # Errors
/// What the simulator or `show` says, with the sample.
pub(super) fn watch(
    graph: &Graph,
    simulator: &mut Simulator,
    samples: &[Sample],
    reads: &[Read],
    show: &mut Rows<'_>,
) -> Result<(), String> {
    let inputs: Vec<&str> = graph.inputs.iter().map(|&id| graph.value(id).name.as_str()).collect();
    let mut failed = None;
    for (number, sample) in samples.iter().enumerate() {
        let mut take = |name: &str, dims: &[usize], data: &[f32]| {
            for read in reads.iter().filter(|read| read.value == name) {
                let shown = match &read.window {
                    Some(window) => show(read, &patches(dims, data, window, number), read.k()),
                    None => show(read, data, read.k()),
                };
                if let Err(error) = shown {
                    failed.get_or_insert(format!("value '{name}', sample {number}: {error}"));
                }
            }
        };
        for (tensor, name) in sample.tensors.iter().zip(&inputs) {
            if let (ArrayData::F32(data), 0 | 2..) = (&tensor.data, tensor.shape.len()) {
                take(name, &tensor.shape, data);
            }
        }
        let data: Vec<ArrayData> = sample.tensors.iter().map(|tensor| tensor.data.clone()).collect();
        let mut observe = |name: &str, dims: &[usize], data: &[f32]| {
            if !inputs.contains(&name) {
                take(name, dims, data);
            }
        };
        simulator.run(&data, &mut observe).map_err(|error| format!("sample {number}: {error}"))?;
    }
    failed.map_or(Ok(()), Err)
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
