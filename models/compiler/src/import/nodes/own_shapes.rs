//! Shapes that tract leaves open although the inputs say them.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::elementwise::broadcast;
use super::movement::pads;
use super::recurrent;
use crate::graph::DType;
use crate::import::attrs;
use crate::import::error::{NodeResult, bad};
use crate::import::tensor::Elem;
use crate::import::twin::Fact;

/// Facts of the outputs of `node`, where a rule here gives them.
pub(super) fn output(b: &mut Builder, node: &NodeProto) -> Option<Vec<(String, Fact)>> {
    let fact = match node.op_type.as_str() {
        "ConstantOfShape" => constant_of_shape(b, node),
        "GroupNormalization" | "InstanceNormalization" => same(b, node),
        "Range" => range(b, node),
        "Pad" => padded(b, node),
        "Expand" => expanded(b, node),
        "LSTM" | "GRU" | "RNN" => return recurrent::facts(b, node).ok(),
        _ => return None,
    };
    Some(vec![(node.output[0].clone(), fact.ok()?)])
}

fn same(b: &mut Builder, node: &NodeProto) -> NodeResult<Fact> {
    let id = b.required(node, 0)?;
    Ok(Fact { dtype: b.value(id).dtype, shape: b.shape(id) })
}

fn constant_of_shape(b: &mut Builder, node: &NodeProto) -> NodeResult<Fact> {
    let dims = b.ints(node, 0)?.unwrap_or_default();
    let shape = dims.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>();
    let Ok(shape) = shape else { return bad(format!("negative dimension in {dims:?}")) };
    let dtype = match attrs::tensor(node, "value")? {
        Some(t) => Elem::from_code(t.data_type).and_then(Elem::dtype).unwrap_or(DType::F32),
        None => DType::F32,
    };
    Ok(Fact { dtype, shape })
}

fn expanded(b: &mut Builder, node: &NodeProto) -> NodeResult<Fact> {
    let id = b.required(node, 0)?;
    let to = b.ints(node, 1)?.unwrap_or_default();
    let to = to.iter().map(|&d| usize::try_from(d).unwrap_or(usize::MAX)).collect::<Vec<_>>();
    match broadcast(&b.shape(id), &to) {
        Some(shape) => Ok(Fact { dtype: b.value(id).dtype, shape }),
        None => bad(format!("{:?} does not broadcast to {to:?}", b.shape(id))),
    }
}

fn range(b: &mut Builder, node: &NodeProto) -> NodeResult<Fact> {
    let id = b.required(node, 0)?;
    let dtype = b.value(id).dtype;
    let mut part = |i: usize| match dtype {
        DType::F32 => b.scalar(node, i).map(|v| f64::from(v.unwrap_or(0.0))),
        _ => b.ints(node, i).map(|v| v.and_then(|v| v.first().copied()).unwrap_or(0) as f64),
    };
    let count = ((part(1)? - part(0)?) / part(2)?).ceil().max(0.0);
    if !(count.is_finite() && count < 1e9) {
        return bad(format!("a range of {count} numbers"));
    }
    Ok(Fact { dtype, shape: vec![count as usize] })
}

fn padded(b: &mut Builder, node: &NodeProto) -> NodeResult<Fact> {
    let id = b.required(node, 0)?;
    let mut shape = b.shape(id);
    let (begin, end, _) = pads(b, node, shape.len())?;
    for (axis, d) in shape.iter_mut().enumerate() {
        *d = d.saturating_add(begin[axis]).saturating_add(end[axis]);
    }
    Ok(Fact { dtype: b.value(id).dtype, shape })
}
