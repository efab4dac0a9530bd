//! Typed access to the attributes of a node.
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto, attribute_proto::AttributeType as T};

use super::error::{NodeResult, bad};

/// Name of a node for messages: its own, or that of its first output.
pub(crate) fn node_name(node: &NodeProto) -> String {
    if node.name.is_empty() {
        node.output.iter().find(|o| !o.is_empty()).cloned().unwrap_or_else(|| node.op_type.clone())
    } else {
        node.name.clone()
    }
}

fn find<'a>(node: &'a NodeProto, name: &str, kind: T) -> NodeResult<Option<&'a AttributeProto>> {
    let Some(a) = node.attribute.iter().find(|a| a.name == name) else { return Ok(None) };
    // Files older than the type field leave it undefined.
    if a.r#type != kind as i32 && a.r#type != T::Undefined as i32 {
        return bad(format!("attribute `{name}` has type {}, expected {}", a.r#type, kind.as_str_name()));
    }
    Ok(Some(a))
}

pub(crate) fn has(node: &NodeProto, name: &str) -> bool {
    node.attribute.iter().any(|a| a.name == name)
}

pub(crate) fn int(node: &NodeProto, name: &str, default: i64) -> NodeResult<i64> {
    Ok(find(node, name, T::Int)?.map_or(default, |a| a.i))
}

pub(crate) fn flag(node: &NodeProto, name: &str, default: bool) -> NodeResult<bool> {
    Ok(int(node, name, default as i64)? != 0)
}

pub(crate) fn float(node: &NodeProto, name: &str, default: f32) -> NodeResult<f32> {
    Ok(find(node, name, T::Float)?.map_or(default, |a| a.f))
}

pub(crate) fn ints<'a>(node: &'a NodeProto, name: &str) -> NodeResult<Option<&'a [i64]>> {
    Ok(find(node, name, T::Ints)?.map(|a| a.ints.as_slice()))
}

pub(crate) fn floats<'a>(node: &'a NodeProto, name: &str) -> NodeResult<Option<&'a [f32]>> {
    Ok(find(node, name, T::Floats)?.map(|a| a.floats.as_slice()))
}

pub(crate) fn string(node: &NodeProto, name: &str, default: &str) -> NodeResult<String> {
    match find(node, name, T::String)? {
        None => Ok(default.into()),
        Some(a) => match std::str::from_utf8(&a.s) {
            Ok(s) => Ok(s.into()),
            Err(_) => bad(format!("attribute `{name}` is not UTF-8")),
        },
    }
}

pub(crate) fn strings(node: &NodeProto, name: &str) -> NodeResult<Option<Vec<String>>> {
    let Some(a) = find(node, name, T::Strings)? else { return Ok(None) };
    match a.strings.iter().map(|s| std::str::from_utf8(s).map(str::to_string)).collect() {
        Ok(list) => Ok(Some(list)),
        Err(_) => bad(format!("attribute `{name}` is not UTF-8")),
    }
}

pub(crate) fn tensor<'a>(node: &'a NodeProto, name: &str) -> NodeResult<Option<&'a TensorProto>> {
    Ok(find(node, name, T::Tensor)?.and_then(|a| a.t.as_ref()))
}

/// Brings an axis that may count from the end into `0..rank`.
pub(crate) fn axis(axis: i64, rank: usize) -> NodeResult<usize> {
    let wrapped = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    match wrapped {
        Some(a) if (0..rank as i64).contains(&a) => Ok(a as usize),
        _ => bad(format!("axis {axis} is out of range for rank {rank}")),
    }
}

/// [`axis`] for a list without repetitions, ascending.
pub(crate) fn axes(list: &[i64], rank: usize) -> NodeResult<Vec<usize>> {
    let mut out = list.iter().map(|&a| axis(a, rank)).collect::<NodeResult<Vec<_>>>()?;
    out.sort_unstable();
    if out.windows(2).any(|w| w[0] == w[1]) {
        return bad(format!("axes {list:?} name one axis twice"));
    }
    Ok(out)
}
