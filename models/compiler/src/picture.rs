//! Models that make a picture of a picture: denoisers, and what else restores.
//!
//! Those in residual form add what they compute to their input, or say what is to be added. Those in image form compute the
//! picture itself, and every error of their codes lies in it: at few bits they lose many times as much.

use crate::calibrate::{FloatModel, Observe, Sample};
use crate::compare::decibels;
use crate::data::ArrayData;
use crate::graph::{Binary, DType, Graph, Op, Value, ValueId};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

/// Most channels of a picture.
const CHANNELS: usize = 4;

/// An output in image form differs from the input by less than this part of its own energy.
const NEAR: f64 = 0.25;

/// The first output with the shape of a picture that goes in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PictureIo {
    pub input: String,
    pub output: String,
    /// The convolution that the output comes from; none where the input is added to it, or it from the input subtracted.
    pub last_conv: Option<String>,
}

/// A picture's loss, measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PictureLoss {
    /// Of the quantized output beside the float model's.
    #[serde(with = "decibels")]
    pub psnr_db: f64,
    /// Greatest less least value of the float model's output.
    pub peak: f64,
    /// The float model's output is the picture itself, as it is so close to the input, and not what is to be added.
    pub image_form: bool,
}

impl PictureIo {
    /// `None` for models that make no picture of a picture.
    pub fn of(graph: &Graph) -> Option<Self> {
        let inputs: Vec<ValueId> = graph.plain_inputs().into_iter().filter(|&id| is_picture(graph.value(id))).collect();
        let shape = |id: ValueId| &graph.value(id).shape;
        let pair = |&output: &ValueId| Some((*inputs.iter().find(|&&input| shape(input) == shape(output))?, output));
        let (input, output) = graph.outputs.iter().find_map(pair)?;
        let name = |id: ValueId| graph.value(id).name.clone();
        let back = Back { graph, producers: graph.producers(), input };
        Some(PictureIo { input: name(input), output: name(output), last_conv: back.last_conv(output) })
    }
}

/// `[n, c, h, w]` or `[n, h, w, c]` of few channels.
fn is_picture(value: &Value) -> bool {
    let few = |c: usize, h: usize, w: usize| c <= CHANNELS && h > CHANNELS && w > CHANNELS;
    value.dtype == DType::F32 && matches!(value.shape[..], [_, a, b, c] if few(a, b, c) || few(c, a, b))
}

/// Goes from the output to what it is made of.
struct Back<'g> {
    graph: &'g Graph,
    producers: Vec<Option<usize>>,
    input: ValueId,
}

impl Back<'_> {
    fn last_conv(&self, id: ValueId) -> Option<String> {
        let node = &self.graph.nodes[self.producers[id.index()]?];
        let computed: Vec<ValueId> = self.computed(&node.inputs);
        match &node.op {
            Op::Conv { .. } | Op::ConvTranspose { .. } | Op::ConvNd { .. } => Some(node.name.clone()),
            Op::Binary { kind: Binary::Add | Binary::Sub, .. } if computed.iter().any(|&id| self.is_input(id)) => None,
            Op::Binary { .. } => computed.into_iter().find_map(|id| self.last_conv(id)),
            op if moves(op) => self.last_conv(*computed.first()?),
            _ => None,
        }
    }

    /// Whether a value is the input, moved, cut or scaled.
    fn is_input(&self, id: ValueId) -> bool {
        if id == self.input {
            return true;
        }
        let Some(node) = self.producers[id.index()].map(|index| &self.graph.nodes[index]) else { return false };
        match (&node.op, &self.computed(&node.inputs)[..]) {
            (op, &[id]) if moves(op) || matches!(op, Op::Binary { .. }) => self.is_input(id),
            _ => false,
        }
    }

    fn computed(&self, inputs: &[Option<ValueId>]) -> Vec<ValueId> {
        inputs.iter().flatten().copied().filter(|&id| !self.graph.value(id).is_constant()).collect()
    }
}

/// Operations that change elements one by one, or where they lie.
fn moves(op: &Op) -> bool {
    matches!(
        op,
        Op::Reshape
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Unary(_)
            | Op::BatchNorm { .. }
            | Op::FakeQuant
            | Op::Cast
    )
}

/// Measures a picture's loss while two models run the same samples one after the other.
pub(crate) struct Watch {
    io: PictureIo,
    /// Place of the picture in a sample.
    place: usize,
    sums: RefCell<Sums>,
}

#[derive(Default)]
struct Sums {
    float: Vec<f32>,
    elements: usize,
    noise: f64,
    range: Option<(f32, f32)>,
    energy: f64,
    change: f64,
}

impl Watch {
    pub fn of(graph: &Graph) -> Option<Self> {
        let io = PictureIo::of(graph)?;
        let place = graph.plain_inputs().iter().position(|&id| graph.value(id).name == io.input)?;
        Some(Watch { io, place, sums: RefCell::default() })
    }

    /// Runs the float model, or the quantized one behind it.
    pub fn run(
        &self,
        model: &mut dyn FloatModel,
        float: bool,
        sample: &Sample,
        observe: &mut Observe<'_>,
    ) -> Result<(), String> {
        model.run(sample, &mut |name, dims, data| {
            if name == self.io.output {
                let mut sums = self.sums.borrow_mut();
                match float {
                    true => sums.add_float(data, &sample.tensors[self.place].data),
                    false => sums.add_quantized(data),
                }
            }
            observe(name, dims, data);
        })
    }

    /// `None` where the output never changes or was not shown.
    pub fn loss(self) -> Option<PictureLoss> {
        let sums = self.sums.into_inner();
        let (lo, hi) = sums.range?;
        let (peak, error) = (f64::from(hi) - f64::from(lo), sums.noise / sums.elements.max(1) as f64);
        let psnr_db = if error == 0.0 { f64::INFINITY } else { 10.0 * (peak * peak / error).log10() };
        let image_form = sums.change < NEAR * sums.energy;
        (peak > 0.0 && sums.elements > 0).then_some(PictureLoss { psnr_db, peak, image_form })
    }
}

impl Sums {
    fn add_float(&mut self, output: &[f32], input: &ArrayData) {
        self.float = output.to_vec();
        let (lo, hi) = self.range.unwrap_or((f32::INFINITY, f32::NEG_INFINITY));
        self.range = Some(output.iter().fold((lo, hi), |(lo, hi), &x| (lo.min(x), hi.max(x))));
        // Codes of an input on a grid are no real numbers to take a difference with.
        let ArrayData::F32(input) = input else {
            self.change = f64::INFINITY;
            return;
        };
        for (&y, &x) in output.iter().zip(input) {
            self.energy += f64::from(y).powi(2);
            self.change += (f64::from(y) - f64::from(x)).powi(2);
        }
    }

    fn add_quantized(&mut self, output: &[f32]) {
        if output.len() == self.float.len() {
            self.elements += output.len();
            self.noise +=
                self.float.iter().zip(output).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
        }
    }
}

#[cfg(test)]
mod tests;
