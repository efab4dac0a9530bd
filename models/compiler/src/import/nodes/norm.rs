//! LayerNormalization.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{Constant, Op, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

/// The axes from `axis` on are normalized together: as one last axis.
pub(super) fn layer_norm(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    if node.output.iter().skip(1).any(|o| !o.is_empty()) {
        return refuse("its mean and deviation as outputs", "keep the first output only");
    }
    if attrs::int(node, "stash_type", 1)? != 1 {
        return refuse("statistics in another type than f32", "set stash_type to 1");
    }
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let shape = b.shape(x);
    let axis = attrs::axis(attrs::int(node, "axis", -1)?, shape.len())?;
    agree(&shape, &b.shape(y))?;
    let row: usize = shape[axis..].iter().product();
    if row == 0 {
        return bad("it normalizes over no elements");
    }
    let epsilon = attrs::float(node, "epsilon", 1e-5)?;
    if !(epsilon >= 0.0 && epsilon.is_finite()) {
        return bad(format!("epsilon is {epsilon}"));
    }
    let gamma = b.required(node, 1)?;
    let gamma = parameter(b, node, gamma, row)?;
    let beta = match b.input(node, 2)? {
        Some(beta) => parameter(b, node, beta, row)?,
        None => b.constant("beta", vec![row], Constant::F32(vec![0.0; row])),
    };
    let op = Op::LayerNorm { epsilon };
    if axis + 1 == shape.len() {
        return b.emit(node, op, vec![Some(x), Some(gamma), Some(beta)], y);
    }
    let rows = vec![shape[..axis].iter().product(), row];
    let flat = b.reshape(node, x, rows.clone())?;
    let out = b.like(y, rows)?;
    b.emit(node, op, vec![Some(flat), Some(gamma), Some(beta)], out)?;
    b.emit(node, Op::Reshape, vec![Some(out)], y)
}

/// A scale or bias as `row` constants.
fn parameter(b: &mut Builder, node: &NodeProto, id: ValueId, row: usize) -> NodeResult<ValueId> {
    let value = b.value(id);
    let (name, shape) = (value.name.clone(), value.shape.clone());
    match value.f32s() {
        Some(data) if data.len() == row => b.reshape(node, id, vec![row]),
        Some(&[one]) => Ok(b.constant(&name, vec![row], Constant::F32(vec![one; row]))),
        Some(_) => refuse(
            format!("the parameter `{name}` of shape {shape:?} for {row} normalized elements"),
            "give it one value for each normalized element",
        ),
        None => refuse(format!("the parameter `{name}` is computed"), "make it a constant"),
    }
}
