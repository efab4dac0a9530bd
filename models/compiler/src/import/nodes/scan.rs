//! ArgMax, ArgMin, CumSum and CumProd.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::reduce::reduced;
use super::window::agree;
use crate::graph::Op;
use crate::import::attrs;
use crate::import::error::{NodeResult, bad};

/// Shape of the positions.
pub(super) fn positions(b: &mut Builder, node: &NodeProto) -> NodeResult<Vec<usize>> {
    let x = b.required(node, 0)?;
    let shape = b.shape(x);
    let axis = attrs::axis(attrs::int(node, "axis", 0)?, shape.len())?;
    Ok(reduced(&shape, &[axis], attrs::flag(node, "keepdims", true)?))
}

pub(super) fn arg_reduce(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    agree(&positions(b, node)?, &b.shape(y))?;
    let axis = attrs::axis(attrs::int(node, "axis", 0)?, b.shape(x).len())?;
    if b.shape(x)[axis] == 0 {
        return bad("an axis without elements has no greatest one");
    }
    let last = attrs::flag(node, "select_last_index", false)?;
    b.emit(node, Op::ArgReduce { axis, least: node.op_type == "ArgMin", last }, vec![Some(x)], y)
}

pub(super) fn cum_sum(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let Some(&[axis]) = b.ints(node, 1)?.as_deref() else { return bad("its axis is no single number") };
    let axis = attrs::axis(axis, b.shape(x).len())?;
    let (exclusive, reverse) = (attrs::flag(node, "exclusive", false)?, attrs::flag(node, "reverse", false)?);
    let product = node.op_type == "CumProd";
    b.emit(node, Op::CumSum { axis, exclusive, reverse, product }, vec![Some(x)], y)
}
