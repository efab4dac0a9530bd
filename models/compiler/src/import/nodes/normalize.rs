//! Normalizations made of reductions and arithmetic, and BatchNormalization.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{Binary, Layout, Op, Reduce, Unary, ValueId, Window};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

/// `x` divided by the 1- or 2-norm along an axis; zeros stay zeros.
pub(super) fn lp_norm(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let axis = attrs::axis(attrs::int(node, "axis", -1)?, b.shape(x).len())?;
    let norm = match attrs::int(node, "p", 2)? {
        1 => {
            let sizes = b.unary(node, Unary::Abs, x, None)?;
            b.reduce(node, Reduce::Sum, sizes, &[axis])?
        }
        2 => b.reduce(node, Reduce::L2, x, &[axis])?,
        p => return bad(format!("p = {p} is not defined")),
    };
    let least = b.number(node, f32::MIN_POSITIVE);
    let norm = b.binary(node, Binary::Max, norm, least, None)?;
    b.binary(node, Binary::Div, x, norm, Some(y)).map(drop)
}

/// (x − mean)/(deviation + 1e-9) over all but the channels.
pub(super) fn mean_variance(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let rank = b.shape(x).len();
    let axes = match attrs::ints(node, "axes")? {
        Some(list) => attrs::axes(list, rank)?,
        None => attrs::axes(&[0, 2, 3], rank)?,
    };
    let mean = b.reduce(node, Reduce::Mean, x, &axes)?;
    let centred = b.binary(node, Binary::Sub, x, mean, None)?;
    let squares = b.binary(node, Binary::Mul, centred, centred, None)?;
    let variance = b.reduce(node, Reduce::Mean, squares, &axes)?;
    let deviation = b.unary(node, Unary::Sqrt, variance, None)?;
    let epsilon = b.number(node, 1e-9);
    let deviation = b.binary(node, Binary::Add, deviation, epsilon, None)?;
    b.binary(node, Binary::Div, centred, deviation, Some(y)).map(drop)
}

/// LRN: x/(bias + alpha/size·Σ x²)^beta, the sum over neighbouring channels.
pub(super) fn local_response(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let shape = b.shape(x);
    let &[batch, channels, ref rest @ ..] = shape.as_slice() else {
        return bad(format!("input {shape:?} has no channels"));
    };
    let size = attrs::int(node, "size", 0)?;
    if !(1..=1 << 16).contains(&size) {
        return bad(format!("size is {size}"));
    }
    let size = size as usize;
    let number = |name: &str, default: f32| attrs::float(node, name, default);
    let (alpha, beta, bias) = (number("alpha", 1e-4)?, number("beta", 0.75)?, number("bias", 1.0)?);
    let squares = b.binary(node, Binary::Mul, x, x, None)?;
    let plane = vec![batch, 1, channels, rest.iter().product()];
    let flat = b.reshape(node, squares, plane.clone())?;
    // With the padding counted, the average is the sum over `size`.
    let pads = [(size - 1) / 2, 0, size / 2, 0];
    let window = Window { kernel: [size, 1], stride: [1, 1], dilation: [1, 1], pads };
    let pooled = b.like(flat, plane)?;
    let pool = Op::AvgPool { window, layout: Layout::Nchw, count_include_pad: true };
    b.emit(node, pool, vec![Some(flat)], pooled)?;
    let average = b.reshape(node, pooled, shape)?;
    let alpha = b.number(node, alpha);
    let scaled = b.binary(node, Binary::Mul, average, alpha, None)?;
    let bias = b.number(node, bias);
    let sum = b.binary(node, Binary::Add, scaled, bias, None)?;
    let beta = b.number(node, beta);
    let power = b.binary(node, Binary::Pow, sum, beta, None)?;
    b.binary(node, Binary::Div, x, power, Some(y)).map(drop)
}

/// Refuses the forms of BatchNormalization that are of training alone.
pub(super) fn inference_only(node: &NodeProto) -> NodeResult<()> {
    if !attrs::flag(node, "training_mode", false)? && node.output.len() > 1 {
        return refuse("statistics of training as outputs", "export the model for inference");
    }
    if !attrs::flag(node, "spatial", true)? {
        return refuse("statistics per position (spatial = 0)", "export at operator set 9 or later");
    }
    Ok(())
}

pub(super) fn batch_norm(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let channels = b.shape(x).get(1).copied().unwrap_or(1);
    let mut parameters = Vec::new();
    for i in 1..5 {
        let p = b.required(node, i)?;
        if b.shape(p) != [channels] {
            return bad(format!("parameter of shape {:?} for {channels} channels", b.shape(p)));
        }
        parameters.push(p);
    }
    let epsilon = attrs::float(node, "epsilon", 1e-5)?;
    if !(epsilon >= 0.0 && epsilon.is_finite()) {
        return bad(format!("epsilon is {epsilon}"));
    }
    let y = b.output(node, 0)?;
    agree(&b.shape(x), &b.shape(y))?;
    if attrs::flag(node, "training_mode", false)? {
        let statistics = batch_statistics(b, node, x, &parameters)?;
        parameters[2..].clone_from_slice(&statistics);
    }
    if parameters.iter().any(|&p| b.value(p).f32s().is_none()) {
        return computed_batch_norm(b, node, x, &parameters, epsilon, y);
    }
    let inputs = std::iter::once(x).chain(parameters).map(Some).collect();
    b.emit(node, Op::BatchNorm { epsilon }, inputs, y)
}

/// Mean and variance of the input itself, as `training_mode` has it; running averages where they are outputs.
fn batch_statistics(b: &mut Builder, node: &NodeProto, x: ValueId, parameters: &[ValueId]) -> NodeResult<[ValueId; 2]> {
    let (shape, channels) = (b.shape(x), b.value(parameters[0]).elements());
    let axes: Vec<usize> = (0..shape.len()).filter(|&axis| axis != 1).collect();
    let mean = b.reduce(node, Reduce::Mean, x, &axes)?;
    let centred = b.binary(node, Binary::Sub, x, mean, None)?;
    let squared = b.binary(node, Binary::Mul, centred, centred, None)?;
    let variance = b.reduce(node, Reduce::Mean, squared, &axes)?;
    let now = [b.reshape(node, mean, vec![channels])?, b.reshape(node, variance, vec![channels])?];
    let momentum = attrs::float(node, "momentum", 0.9)?;
    for (i, (&now, &before)) in now.iter().zip(&parameters[2..]).enumerate() {
        if node.output.get(i + 1).is_none_or(String::is_empty) {
            continue;
        }
        let (kept, new) = (b.number(node, momentum), b.number(node, 1.0 - momentum));
        let kept = b.binary(node, Binary::Mul, before, kept, None)?;
        let new = b.binary(node, Binary::Mul, now, new, None)?;
        let out = b.output(node, i + 1)?;
        b.binary(node, Binary::Add, kept, new, Some(out))?;
    }
    Ok(now)
}

/// With parameters that are known at run time only.
fn computed_batch_norm(
    b: &mut Builder,
    node: &NodeProto,
    x: ValueId,
    parameters: &[ValueId],
    epsilon: f32,
    y: ValueId,
) -> NodeResult<()> {
    let &[scale, bias, mean, variance] = parameters else { return bad("it needs four parameters") };
    let epsilon = b.number(node, epsilon);
    let variance = b.binary(node, Binary::Add, variance, epsilon, None)?;
    let deviation = b.unary(node, Unary::Sqrt, variance, None)?;
    let factor = b.binary(node, Binary::Div, scale, deviation, None)?;
    let (mean, factor, bias) =
        (per_channel(b, node, mean, x)?, per_channel(b, node, factor, x)?, per_channel(b, node, bias, x)?);
    let centred = b.binary(node, Binary::Sub, x, mean, None)?;
    let scaled = b.binary(node, Binary::Mul, centred, factor, None)?;
    b.binary(node, Binary::Add, scaled, bias, Some(y)).map(drop)
}

/// One number a channel, shaped to broadcast against `x`.
pub(super) fn per_channel(b: &mut Builder, node: &NodeProto, p: ValueId, x: ValueId) -> NodeResult<ValueId> {
    let rank = b.shape(x).len();
    if rank < 2 {
        return Ok(p);
    }
    let mut shape = vec![1; rank - 1];
    shape[0] = b.value(p).elements();
    b.reshape(node, p, shape)
}
