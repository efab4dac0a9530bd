//! GroupNormalization and InstanceNormalization, on two spatial axes.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{Constant, Layout, Op, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

/// Scale and bias are given by channel, before operator set 21 of GroupNormalization by group.
pub(super) fn group_norm(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let shape = b.shape(x);
    let &[batch, channels, ref rest @ ..] = shape.as_slice() else {
        return bad(format!("input {shape:?} has no channels"));
    };
    let instance = node.op_type == "InstanceNormalization";
    let groups = if instance { channels } else { usize::try_from(attrs::int(node, "num_groups", 0)?).unwrap_or(0) };
    if groups == 0 || channels % groups != 0 {
        return bad(format!("num_groups {groups} does not divide {channels} channels"));
    }
    if attrs::int(node, "stash_type", 1)? != 1 {
        return refuse("statistics in another type than f32", "set stash_type to 1");
    }
    let epsilon = attrs::float(node, "epsilon", 1e-5)?;
    if !(epsilon >= 0.0 && epsilon.is_finite()) {
        return bad(format!("epsilon is {epsilon}"));
    }
    agree(&shape, &b.shape(y))?;
    let gamma = parameter(b, node, 1, groups, channels)?;
    let beta = parameter(b, node, 2, groups, channels)?;
    let op = Op::GroupNorm { groups, epsilon, layout: Layout::Nchw, clamp: None };
    let inputs = |x| vec![Some(x), Some(gamma), Some(beta)];
    if shape.len() == 4 {
        return b.emit(node, op, inputs(x), y);
    }
    let flat = vec![batch, channels, 1, rest.iter().product()];
    let x = b.reshape(node, x, flat.clone())?;
    let out = b.like(y, flat)?;
    b.emit(node, op, inputs(x), out)?;
    b.emit(node, Op::Reshape, vec![Some(out)], y)
}

/// Scale or bias, one number a channel.
fn parameter(b: &mut Builder, node: &NodeProto, slot: usize, groups: usize, channels: usize) -> NodeResult<ValueId> {
    let id = b.required(node, slot)?;
    let value = b.value(id);
    let (name, shape) = (value.name.clone(), value.shape.clone());
    match value.f32s() {
        Some(data) if data.len() == channels => b.reshape(node, id, vec![channels]),
        Some(data) if data.len() == groups => {
            let each = data.iter().flat_map(|&v| std::iter::repeat_n(v, channels / groups)).collect();
            Ok(b.constant(&name, vec![channels], Constant::F32(each)))
        }
        Some(_) => bad(format!("parameter `{name}` of shape {shape:?} for {channels} channels in {groups} groups")),
        None => refuse(format!("the parameter `{name}` is computed"), "make it a constant"),
    }
}
