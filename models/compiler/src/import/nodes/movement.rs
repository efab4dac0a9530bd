//! Operators that change the shape or order of elements.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{Constant, Op, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};
use crate::passes::constants::permutation;

/// Reshape and all that is one: the output's shape says what happens.
pub(super) fn reshape(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let y = b.output(node, 0)?;
    if b.value(x).elements() != b.value(y).elements() {
        return bad(format!("{:?} cannot become {:?}", b.shape(x), b.shape(y)));
    }
    if b.shape(x) == b.shape(y) {
        b.alias(node, x);
        return Ok(());
    }
    b.emit(node, Op::Reshape, vec![Some(x)], y)
}

/// In inference form, and where nothing is dropped: the value itself, and a mask that keeps everything.
pub(super) fn dropout(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    if let Some(mode) = b.input(node, 2)?
        && !matches!(&b.value(mode).data, Some(Constant::Bool(v)) if !v.contains(&true))
        && b.scalar(node, 1)? != Some(0.0)
    {
        return refuse("training mode", "export the model for inference");
    }
    if node.output.len() > 1 && !node.output[1].is_empty() {
        let mask = b.output(node, 1)?;
        let all = vec![1; b.value(mask).elements()];
        b.set_constant(mask, Constant::from_integers(&all, b.value(mask).dtype))?;
    }
    reshape(b, node)
}

pub(super) fn transpose(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let y = b.output(node, 0)?;
    let shape = b.shape(x);
    let Some(perm) = permutation(attrs::ints(node, "perm")?, shape.len()) else {
        return bad(format!("perm is no permutation of {} axes", shape.len()));
    };
    let expected: Vec<usize> = perm.iter().map(|&p| shape[p]).collect();
    agree(&expected, &b.shape(y))?;
    b.emit(node, Op::Transpose { perm }, vec![Some(x)], y)
}

pub(super) fn concat(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let inputs = b.inputs(node)?;
    let y = b.output(node, 0)?;
    let mut shape = b.shape(y);
    let axis = attrs::axis(attrs::int(node, "axis", 1)?, shape.len())?;
    shape[axis] = 0;
    for id in &inputs {
        let Some(id) = *id else { return bad("an input was left out") };
        let s = b.shape(id);
        if s.len() != shape.len() || (0..s.len()).any(|i| i != axis && s[i] != shape[i]) {
            return bad(format!("{s:?} does not join the others along axis {axis}"));
        }
        shape[axis] += s[axis];
    }
    agree(&shape, &b.shape(y))?;
    // What holds nothing adds nothing.
    let holds = |id: &Option<ValueId>| id.is_some_and(|id| b.value(id).elements() > 0);
    let inputs = if b.value(y).elements() > 0 { inputs.into_iter().filter(holds).collect() } else { inputs };
    if let [Some(only)] = inputs[..] {
        b.alias(node, only);
        return Ok(());
    }
    b.emit(node, Op::Concat { axis }, inputs, y)
}
