//! Operators that change the shape or order of elements.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::elementwise::broadcast;
use super::window::agree;
use crate::graph::{Binary, Constant, DType, Op, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};
use crate::passes::constants::permutation;

/// Reshape and all that is one: the output's shape says what happens.
pub(super) fn reshape(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    if node.op_type == "Dropout" {
        if node.output.len() > 1 {
            return refuse("the mask of a Dropout", "export the model for inference");
        }
        if let Some(mode) = b.input(node, 2)?
            && !matches!(&b.value(mode).data, Some(Constant::Bool(v)) if !v.contains(&true))
        {
            return refuse("training mode", "export the model for inference");
        }
    }
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
    if let [Some(only)] = inputs[..] {
        b.alias(node, only);
        return Ok(());
    }
    b.emit(node, Op::Concat { axis }, inputs, y)
}

/// Refuses padding with anything but a constant.
pub(super) fn constant_pad_only(node: &NodeProto) -> NodeResult<()> {
    let mode = attrs::string(node, "mode", "constant")?;
    if mode != "constant" {
        return refuse(format!("mode `{mode}`"), "pad with a constant, or pad outside the model");
    }
    Ok(())
}

/// Counts before and after each axis, and the value.
pub(super) fn pads(b: &mut Builder, node: &NodeProto, rank: usize) -> NodeResult<(Vec<usize>, Vec<usize>, f32)> {
    let (listed, value) = if b.opset < 11 {
        (attrs::ints(node, "pads")?.unwrap_or(&[]).to_vec(), attrs::float(node, "value", 0.0)?)
    } else {
        (b.ints(node, 1)?.unwrap_or_default(), b.scalar(node, 2)?.unwrap_or(0.0))
    };
    let axes = match b.ints(node, 3)? {
        Some(list) => list.iter().map(|&a| attrs::axis(a, rank)).collect::<NodeResult<Vec<_>>>()?,
        None => (0..rank).collect(),
    };
    if listed.len() != 2 * axes.len() {
        return bad(format!("{} pads for {} axes", listed.len(), axes.len()));
    }
    let (mut begin, mut end) = (vec![0; rank], vec![0; rank]);
    for (i, &axis) in axes.iter().enumerate() {
        let (before, after) = (listed[i], listed[i + axes.len()]);
        if before < 0 || after < 0 {
            return refuse("negative padding", "use Slice to shorten a tensor");
        }
        (begin[axis], end[axis]) = (before as usize, after as usize);
    }
    Ok((begin, end, value))
}

pub(super) fn pad(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let y = b.output(node, 0)?;
    let shape = b.shape(x);
    let rank = shape.len();
    let (begin, end, value) = pads(b, node, rank)?;
    let padded: Option<Vec<usize>> = (0..rank).map(|i| shape[i].checked_add(begin[i])?.checked_add(end[i])).collect();
    agree(&padded.unwrap_or_default(), &b.shape(y))?;
    if b.value(x).dtype != DType::F32 && !b.value(x).is_constant() {
        return refuse(format!("padding of {:?} tensors", b.value(x).dtype), "pad before the integer operator, in f32");
    }
    b.emit(node, Op::Pad { begin, end, value }, vec![Some(x)], y)
}

/// Broadcasting to a stated shape: a product with ones.
pub(super) fn expand(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let y = b.output(node, 0)?;
    let (from, to) = (b.shape(x), b.shape(y));
    if from == to {
        b.alias(node, x);
        return Ok(());
    }
    let missing = to.len().saturating_sub(from.len());
    let ones: Vec<usize> =
        (0..to.len()).map(|i| if i < missing || from[i - missing] != to[i] { to[i] } else { 1 }).collect();
    if broadcast(&from, &ones).as_deref() != Some(to.as_slice()) {
        return bad(format!("{from:?} does not broadcast to {to:?}"));
    }
    if b.value(x).dtype != DType::F32 && !b.value(x).is_constant() {
        return repeat(b, node, x, &to, y);
    }
    let n: usize = ones.iter().product();
    if n > 1 << 24 {
        return refuse(format!("Expand by {n} elements"), "broadcast in the operator that reads it");
    }
    let data = match b.value(x).dtype {
        DType::I64 => Constant::I64(vec![1; n]),
        DType::I32 => Constant::I32(vec![1; n]),
        _ => Constant::F32(vec![1.0; n]),
    };
    let ones = b.constant("ones", ones, data);
    b.emit(node, Op::Binary { kind: Binary::Mul, clamp: None }, vec![Some(x), Some(ones)], y)
}

/// Expand of elements that are not f32: each repeated axis gathers its one index so many times.
fn repeat(b: &mut Builder, node: &NodeProto, x: ValueId, to: &[usize], y: ValueId) -> NodeResult<()> {
    let from = b.shape(x);
    let mut shape = [vec![1; to.len().saturating_sub(from.len())], from].concat();
    let mut last = b.reshape(node, x, shape.clone())?;
    let axes: Vec<usize> = (0..to.len()).filter(|&axis| shape[axis] != to[axis]).collect();
    for (i, &axis) in axes.iter().enumerate() {
        shape[axis] = to[axis];
        let out = if i + 1 == axes.len() { y } else { b.like(x, shape.clone())? };
        let zeros = b.constant("zeros", vec![to[axis]], Constant::I64(vec![0; to[axis]]));
        b.emit(node, Op::Gather { axis }, vec![Some(last), Some(zeros)], out)?;
        last = out;
    }
    if axes.is_empty() { b.emit(node, Op::Reshape, vec![Some(last)], y) } else { Ok(()) }
}
