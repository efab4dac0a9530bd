//! GroupNormalization and InstanceNormalization, on two spatial axes.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::normalize::per_channel;
use super::window::agree;
use crate::graph::{Binary, Constant, Layout, Op, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

/// Scale and bias are given by channel, before operator set 21 of GroupNormalization by group.
pub(super) fn group_norm(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let shape = b.shape(x);
    let &[_, channels, ..] = shape.as_slice() else {
        return bad(format!("input {shape:?} has no channels"));
    };
    let instance = node.op_type == "InstanceNormalization";
    let groups = if instance { channels } else { usize::try_from(attrs::int(node, "num_groups", 0)?).unwrap_or(0) };
    if groups == 0 || channels % groups != 0 {
        return bad(format!("num_groups {groups} does not divide {channels} channels"));
    }
    // All floating types are f32 here; a double would have more digits.
    if attrs::int(node, "stash_type", 1)? == 11 {
        return refuse("statistics in double precision", "set stash_type to 1");
    }
    let epsilon = attrs::float(node, "epsilon", 1e-5)?;
    if !(epsilon >= 0.0 && epsilon.is_finite()) {
        return bad(format!("epsilon is {epsilon}"));
    }
    agree(&shape, &b.shape(y))?;
    let parameters = (parameter(b, node, 1, groups, channels)?, parameter(b, node, 2, groups, channels)?);
    if let (Parameter::Constant(gamma), Parameter::Constant(beta)) = parameters {
        return normalize(b, node, x, (groups, epsilon), gamma, beta, y);
    }
    let constant = |b: &mut Builder, v| b.constant("parameter", vec![channels], Constant::F32(vec![v; channels]));
    let (ones, zeros) = (constant(b, 1.0), constant(b, 0.0));
    let unit = b.like(y, shape)?;
    normalize(b, node, x, (groups, epsilon), ones, zeros, unit)?;
    let (
        Parameter::Constant(gamma) | Parameter::Computed(gamma),
        Parameter::Constant(beta) | Parameter::Computed(beta),
    ) = parameters;
    let (gamma, beta) = (per_channel(b, node, gamma, x)?, per_channel(b, node, beta, x)?);
    let scaled = b.binary(node, Binary::Mul, unit, gamma, None)?;
    b.binary(node, Binary::Add, scaled, beta, Some(y)).map(drop)
}

fn normalize(
    b: &mut Builder,
    node: &NodeProto,
    x: ValueId,
    (groups, epsilon): (usize, f32),
    gamma: ValueId,
    beta: ValueId,
    y: ValueId,
) -> NodeResult<()> {
    let shape = b.shape(x);
    let op = Op::GroupNorm { groups, epsilon, layout: Layout::Nchw, clamp: None };
    let inputs = |x| vec![Some(x), Some(gamma), Some(beta)];
    if shape.len() == 4 {
        return b.emit(node, op, inputs(x), y);
    }
    let flat = vec![shape[0], shape[1], 1, shape[2..].iter().product()];
    let x = b.reshape(node, x, flat.clone())?;
    let out = b.like(y, flat)?;
    b.emit(node, op, inputs(x), out)?;
    b.emit(node, Op::Reshape, vec![Some(out)], y)
}

/// One number a channel.
#[derive(Clone, Copy)]
enum Parameter {
    Constant(ValueId),
    Computed(ValueId),
}

/// Scale or bias.
fn parameter(b: &mut Builder, node: &NodeProto, slot: usize, groups: usize, channels: usize) -> NodeResult<Parameter> {
    let id = b.required(node, slot)?;
    let value = b.value(id);
    let (name, shape) = (value.name.clone(), value.shape.clone());
    match value.f32s() {
        Some(data) if data.len() == channels => b.reshape(node, id, vec![channels]).map(Parameter::Constant),
        Some(data) if data.len() == groups => {
            let each = data.iter().flat_map(|&v| std::iter::repeat_n(v, channels / groups)).collect();
            Ok(Parameter::Constant(b.constant(&name, vec![channels], Constant::F32(each))))
        }
        None if value.elements() == channels => b.reshape(node, id, vec![channels]).map(Parameter::Computed),
        None if value.elements() == groups => {
            let each = (0..channels as i64).map(|c| c / (channels / groups) as i64).collect();
            let each = b.constant("groups", vec![channels], Constant::I64(each));
            let id = b.reshape(node, id, vec![groups])?;
            let out = b.like(id, vec![channels])?;
            b.emit(node, Op::Gather { axis: 0 }, vec![Some(id), Some(each)], out)?;
            Ok(Parameter::Computed(out))
        }
        _ => bad(format!("parameter `{name}` of shape {shape:?} for {channels} channels in {groups} groups")),
    }
}
