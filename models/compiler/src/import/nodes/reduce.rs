//! Reductions, Softmax and BatchNormalization.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{Op, Reduce};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

pub(super) fn reduce(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let kind = match node.op_type.as_str() {
        "ReduceMean" => Reduce::Mean,
        "ReduceSum" => Reduce::Sum,
        "ReduceMax" => Reduce::Max,
        "ReduceMin" => Reduce::Min,
        "ReduceProd" => Reduce::Prod,
        "ReduceSumSquare" => Reduce::SumSquare,
        _ => Reduce::L2,
    };
    let x = b.required(node, 0)?;
    let shape = b.shape(x);
    let listed = match b.ints(node, 1)? {
        Some(v) => v,
        None => attrs::ints(node, "axes")?.unwrap_or(&[]).to_vec(),
    };
    let keep_dims = attrs::flag(node, "keepdims", true)?;
    let axes = match listed.as_slice() {
        [] if attrs::flag(node, "noop_with_empty_axes", false)? => {
            b.alias(node, x);
            return Ok(());
        }
        [] => (0..shape.len()).collect(),
        list => attrs::axes(list, shape.len())?,
    };
    let mut out = Vec::new();
    for (i, &d) in shape.iter().enumerate() {
        match (axes.contains(&i), keep_dims) {
            (false, _) => out.push(d),
            (true, true) => out.push(1),
            (true, false) => {}
        }
    }
    let y = b.output(node, 0)?;
    agree(&out, &b.shape(y))?;
    b.emit(node, Op::Reduce { kind, axes, keep_dims }, vec![Some(x)], y)
}

/// Before operator set 13 Softmax ran over all axes from `axis` on at once.
pub(super) fn softmax(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let y = b.output(node, 0)?;
    let shape = b.shape(x);
    let flat = b.opset < 13;
    let axis = attrs::axis(attrs::int(node, "axis", if flat { 1 } else { -1 })?, shape.len())?;
    if !flat || shape[axis + 1..].iter().all(|&d| d == 1) {
        return b.emit(node, Op::Softmax { axis }, vec![Some(x)], y);
    }
    let rows = vec![shape[..axis].iter().product(), shape[axis..].iter().product()];
    let x = b.reshape(node, x, rows.clone())?;
    let out = b.like(y, rows)?;
    b.emit(node, Op::Softmax { axis: 1 }, vec![Some(x)], out)?;
    b.emit(node, Op::Reshape, vec![Some(out)], y)
}

/// Refuses the training forms of BatchNormalization.
pub(super) fn inference_only(node: &NodeProto) -> NodeResult<()> {
    if attrs::flag(node, "training_mode", false)? || node.output.len() > 1 {
        return refuse("training mode", "export the model for inference");
    }
    if !attrs::flag(node, "spatial", true)? {
        return refuse("statistics per position (spatial = 0)", "export at operator set 9 or later");
    }
    Ok(())
}

pub(super) fn batch_norm(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let channels = b.shape(x).get(1).copied().unwrap_or(1);
    let mut inputs = vec![Some(x)];
    for i in 1..5 {
        let p = b.required(node, i)?;
        if b.value(p).f32s().is_none() {
            return refuse("a parameter that is not constant", "export the model for inference");
        }
        if b.shape(p) != [channels] {
            return bad(format!("parameter of shape {:?} for {channels} channels", b.shape(p)));
        }
        inputs.push(Some(p));
    }
    let epsilon = attrs::float(node, "epsilon", 1e-5)?;
    if !(epsilon >= 0.0 && epsilon.is_finite()) {
        return bad(format!("epsilon is {epsilon}"));
    }
    let y = b.output(node, 0)?;
    b.emit(node, Op::BatchNorm { epsilon }, inputs, y)
}
