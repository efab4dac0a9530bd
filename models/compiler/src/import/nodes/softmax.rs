//! Softmax, LogSoftmax and Hardmax.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use crate::graph::{Binary, Compare, Constant, DType, Op, Reduce, Unary, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, refuse};

/// Before operator set 13 they ran over all axes from `axis` on at once.
pub(super) fn softmax(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let y = b.output(node, 0)?;
    if b.value(x).dtype != DType::F32 {
        return refuse(format!("{} of {:?} tensors", node.op_type, b.value(x).dtype), "cast to float in front");
    }
    let shape = b.shape(x);
    let flat = b.opset < 13;
    let axis = attrs::int(node, "axis", if flat { 1 } else { -1 })?;
    // One axis behind the last: every element is a row of its own.
    let axis = if flat && axis == shape.len() as i64 { shape.len() } else { attrs::axis(axis, shape.len())? };
    if axis < shape.len() && (!flat || shape[axis + 1..].iter().all(|&d| d == 1)) {
        return along(b, node, x, axis, y);
    }
    let rows = vec![shape[..axis].iter().product(), shape[axis..].iter().product()];
    let x = b.reshape(node, x, rows.clone())?;
    let out = b.like(y, rows)?;
    along(b, node, x, 1, out)?;
    b.emit(node, Op::Reshape, vec![Some(out)], y)
}

fn along(b: &mut Builder, node: &NodeProto, x: ValueId, axis: usize, y: ValueId) -> NodeResult<()> {
    match node.op_type.as_str() {
        "Softmax" => b.emit(node, Op::Softmax { axis }, vec![Some(x)], y),
        "LogSoftmax" => {
            let top = b.reduce(node, Reduce::Max, x, &[axis])?;
            let less = b.binary(node, Binary::Sub, x, top, None)?;
            let powers = b.unary(node, Unary::Exp, less, None)?;
            let sum = b.reduce(node, Reduce::Sum, powers, &[axis])?;
            let log = b.unary(node, Unary::Log, sum, None)?;
            b.binary(node, Binary::Sub, less, log, Some(y)).map(drop)
        }
        // One at the first of the greatest elements.
        _ => {
            let mut shape = b.shape(x);
            let n = shape[axis];
            shape[axis] = 1;
            let position = b.temp("position", DType::I64, shape.clone())?;
            b.emit(node, Op::ArgReduce { axis, least: false, last: false }, vec![Some(x)], position)?;
            shape.fill(1);
            shape[axis] = n;
            let counted = b.constant("positions", shape, Constant::I64((0..n as i64).collect()));
            let hit = b.compare(node, Compare::Equal, position, counted, None)?;
            b.emit(node, Op::Cast, vec![Some(hit)], y)
        }
    }
}
