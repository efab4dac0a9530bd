//! Gathers and scatters with indices for each element, TopK, MaxUnpool.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{Constant, DType, Op, Scattering, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

fn check_indices(b: &Builder, id: ValueId) -> NodeResult<()> {
    match b.value(id).dtype {
        DType::I64 | DType::I32 => Ok(()),
        other => refuse(format!("indices of type {other:?}"), "use int64 or int32 indices"),
    }
}

pub(super) fn gather_elements(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, at, y) = (b.required(node, 0)?, b.required(node, 1)?, b.output(node, 0)?);
    check_indices(b, at)?;
    let (shape, places) = (b.shape(x), b.shape(at));
    let axis = attrs::axis(attrs::int(node, "axis", 0)?, shape.len())?;
    if shape.len() != places.len() || (0..shape.len()).any(|i| i != axis && places[i] > shape[i]) {
        return bad(format!("indices of shape {places:?} for {shape:?}"));
    }
    agree(&places, &b.shape(y))?;
    b.emit(node, Op::GatherElements { nd: false, axis }, vec![Some(x), Some(at)], y)
}

/// Shape of what GatherND gives.
pub(super) fn gathered(shape: &[usize], at: &[usize], batch: usize) -> NodeResult<Vec<usize>> {
    let Some((&tuple, outer)) = at.split_last() else { return bad("its indices are a scalar") };
    if batch > outer.len() || batch + tuple > shape.len() || shape[..batch] != at[..batch] {
        return bad(format!("indices of shape {at:?} for {shape:?} with {batch} batch axes"));
    }
    Ok([outer, &shape[batch + tuple..]].concat())
}

pub(super) fn gather_nd(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, at, y) = (b.required(node, 0)?, b.required(node, 1)?, b.output(node, 0)?);
    check_indices(b, at)?;
    let batch = usize::try_from(attrs::int(node, "batch_dims", 0)?).unwrap_or(usize::MAX);
    agree(&gathered(&b.shape(x), &b.shape(at), batch)?, &b.shape(y))?;
    b.emit(node, Op::GatherElements { nd: true, axis: batch }, vec![Some(x), Some(at)], y)
}

fn reduction(node: &NodeProto) -> NodeResult<Scattering> {
    Ok(match attrs::string(node, "reduction", "none")?.as_str() {
        "none" => Scattering::Replace,
        "add" => Scattering::Add,
        "mul" => Scattering::Mul,
        "min" => Scattering::Min,
        "max" => Scattering::Max,
        other => return bad(format!("reduction `{other}` is not defined")),
    })
}

pub(super) fn scatter(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, at, updates) = (b.required(node, 0)?, b.required(node, 1)?, b.required(node, 2)?);
    let y = b.output(node, 0)?;
    check_indices(b, at)?;
    let (shape, places, new) = (b.shape(x), b.shape(at), b.shape(updates));
    let (nd, axis) = if node.op_type == "ScatterND" {
        agree(&gathered(&shape, &places, 0)?, &new)?;
        (true, 0)
    } else {
        let axis = attrs::axis(attrs::int(node, "axis", 0)?, shape.len())?;
        if places != new || shape.len() != new.len() || (0..shape.len()).any(|i| i != axis && new[i] > shape[i]) {
            return bad(format!("indices {places:?} and updates {new:?} for {shape:?}"));
        }
        (false, axis)
    };
    agree(&shape, &b.shape(y))?;
    let op = Op::Scatter { nd, axis, reduction: reduction(node)? };
    b.emit(node, op, vec![Some(x), Some(at), Some(updates)], y)
}

/// Shape of both outputs of a TopK, and its axis.
pub(super) fn best(b: &mut Builder, node: &NodeProto) -> NodeResult<(Vec<usize>, usize)> {
    let x = b.required(node, 0)?;
    let mut shape = b.shape(x);
    let axis = attrs::axis(attrs::int(node, "axis", -1)?, shape.len())?;
    let k = match b.ints(node, 1)? {
        Some(v) => v.first().copied().unwrap_or(0),
        None => attrs::int(node, "k", 0)?,
    };
    match usize::try_from(k) {
        Ok(k) if k > 0 && k <= shape[axis] => shape[axis] = k,
        _ => return bad(format!("k is {k} on an axis of {} elements", shape[axis])),
    }
    Ok((shape, axis))
}

pub(super) fn top_k(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let (shape, axis) = best(b, node)?;
    let largest = attrs::flag(node, "largest", true)?;
    if matches!(b.value(x).dtype, DType::U16 | DType::Bool) {
        return refuse(format!("elements of type {:?}", b.value(x).dtype), "cast them to int32");
    }
    let outputs =
        [output_or_temp(b, node, 0, b.value(x).dtype, &shape)?, output_or_temp(b, node, 1, DType::I64, &shape)?];
    b.emit_to(node, Op::TopK { axis, largest }, vec![Some(x)], outputs.to_vec())
}

/// Output `i` of the node, or a value for one that was left out.
pub(super) fn output_or_temp(
    b: &mut Builder,
    node: &NodeProto,
    i: usize,
    dtype: DType,
    shape: &[usize],
) -> NodeResult<ValueId> {
    if node.output.get(i).is_some_and(|o| !o.is_empty()) {
        let y = b.output(node, i)?;
        agree(shape, &b.shape(y))?;
        return Ok(y);
    }
    b.temp("unused", dtype, shape.to_vec())
}

/// Shape that the indices of a MaxUnpool count in, and that of its result.
pub(super) fn unpooled(b: &mut Builder, node: &NodeProto) -> NodeResult<(Vec<usize>, Vec<usize>)> {
    let x = b.required(node, 0)?;
    let mut shape = b.shape(x);
    let n = shape.len().saturating_sub(2);
    let list = |name: &str, default: i64, len: usize| -> NodeResult<Vec<i64>> {
        match attrs::ints(node, name)? {
            Some(v) if v.len() == len => Ok(v.to_vec()),
            None => Ok(vec![default; len]),
            Some(v) => bad(format!("{name} {v:?} for {n} spatial axes")),
        }
    };
    let (kernel, strides, pads) = (list("kernel_shape", 1, n)?, list("strides", 1, n)?, list("pads", 0, 2 * n)?);
    for i in 0..n {
        let length = (shape[i + 2] as i64 - 1)
            .checked_mul(strides[i])
            .and_then(|v| v.checked_add(kernel[i])?.checked_sub(pads[i].checked_add(pads[i + n])?));
        shape[i + 2] = match length.map(usize::try_from) {
            Some(Ok(length)) if length > 0 => length,
            _ => return bad(format!("kernel {kernel:?}, strides {strides:?} and pads {pads:?} give no output")),
        };
    }
    let stated = match b.ints(node, 2)? {
        None => shape.clone(),
        Some(v) => v.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect(),
    };
    if stated.len() != shape.len() || stated.iter().zip(&shape).any(|(stated, own)| stated < own) {
        return bad(format!("output_shape {stated:?} is smaller than {shape:?}"));
    }
    Ok((shape, stated))
}

/// Values go where their indices say, the rest is zero.
pub(super) fn max_unpool(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, at, y) = (b.required(node, 0)?, b.required(node, 1)?, b.output(node, 0)?);
    check_indices(b, at)?;
    let (own, stated) = unpooled(b, node)?;
    if b.value(x).dtype != DType::F32 || b.shape(at) != b.shape(x) {
        return bad("its values are not f32, or its indices have another shape");
    }
    let (total, count) = (own.iter().product::<usize>(), b.value(x).elements());
    b.check_size("unpooled", &own)?;
    if total > 1 << 24 {
        return refuse(format!("{total} elements"), "unpool less at a time");
    }
    let (x, at) = (b.reshape(node, x, vec![count])?, b.reshape(node, at, vec![count])?);
    let zeros = b.constant("zeros", vec![total], Constant::F32(vec![0.0; total]));
    let flat = b.temp("unpooled", DType::F32, vec![total])?;
    let op = Op::Scatter { nd: false, axis: 0, reduction: Scattering::Replace };
    b.emit(node, op, vec![Some(zeros), Some(at), Some(x)], flat)?;
    if own == stated {
        return b.emit(node, Op::Reshape, vec![Some(flat)], y);
    }
    let whole = b.reshape(node, flat, own.clone())?;
    let end = stated.iter().zip(&own).map(|(stated, own)| stated - own).collect();
    b.emit(node, Op::Pad { begin: vec![0; own.len()], end, value: 0.0 }, vec![Some(whole)], y)
}

/// Writes a stretch of a cache, starting at a constant place in each batch entry: ScatterND with constant indices.
pub(super) fn tensor_scatter(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, update, y) = (b.required(node, 0)?, b.required(node, 1)?, b.output(node, 0)?);
    let (shape, new) = (b.shape(x), b.shape(update));
    let axis = attrs::axis(attrs::int(node, "axis", -2)?, shape.len())?;
    let alike = shape.len() == new.len() && (0..shape.len()).all(|i| i == axis || shape[i] == new[i]);
    if !alike || axis == 0 || new[axis] > shape[axis] {
        return bad(format!("an update of shape {new:?} along axis {axis} of {shape:?}"));
    }
    let circular = match attrs::string(node, "mode", "linear")?.as_str() {
        "linear" => false,
        "circular" => true,
        other => return bad(format!("mode `{other}` is not defined")),
    };
    let starts = b.ints(node, 2)?.unwrap_or_else(|| vec![0; shape[0]]);
    let length = shape[axis] as i64;
    let last = |s: i64| s.saturating_add(new[axis] as i64) <= length;
    if starts.len() != shape[0] || starts.iter().any(|&s| s < 0 || s >= length || !(circular || last(s))) {
        return bad(format!("places {starts:?} for {} entries on an axis of {length}", shape[0]));
    }
    let places: usize = new[..=axis].iter().product();
    super::rearrange::indices_fit(places.saturating_mul(axis + 1))?;
    let mut list = Vec::with_capacity(places * (axis + 1));
    for mut at in 0..places {
        let mut tuple = vec![0; axis + 1];
        for (i, &d) in new[..=axis].iter().enumerate().rev() {
            tuple[i] = (at % d) as i64;
            at /= d;
        }
        tuple[axis] = (tuple[axis] + starts[tuple[0] as usize]) % length;
        list.extend(tuple);
    }
    let at = b.constant("places", [&new[..=axis], &[axis + 1]].concat(), Constant::I64(list));
    let op = Op::Scatter { nd: true, axis: 0, reduction: Scattering::Replace };
    b.emit(node, op, vec![Some(x), Some(at), Some(update)], y)
}
