//! OneHot: the indices compared with all places.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{Binary, Compare, Constant, DType, Op, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad};

/// The shape of the result and its new axis.
pub(super) fn shape(b: &mut Builder, node: &NodeProto) -> NodeResult<(Vec<usize>, usize)> {
    let at = b.required(node, 0)?;
    let mut shape = b.shape(at);
    let depth = match b.scalar(node, 1)? {
        Some(d) if (1.0..1e9).contains(&d) => d as usize,
        other => return bad(format!("its depth is {other:?}")),
    };
    let axis = attrs::axis(attrs::int(node, "axis", -1)?, shape.len() + 1)?;
    shape.insert(axis, depth);
    Ok((shape, axis))
}

/// Indices count from the end where negative; others out of range are off everywhere.
pub(super) fn one_hot(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (mut at, values, y) = (b.required(node, 0)?, b.required(node, 2)?, b.output(node, 0)?);
    let (out, axis) = shape(b, node)?;
    agree(&out, &b.shape(y))?;
    if b.value(values).elements() != 2 {
        return bad("its values are not two");
    }
    if !matches!(b.value(at).dtype, DType::F32 | DType::I64 | DType::I32) {
        let wide = b.temp("one_hot", DType::I64, b.shape(at))?;
        b.emit(node, Op::Cast, vec![Some(at)], wide)?;
        at = wide;
    }
    let (depth, dtype) = (out[axis] as i64, b.value(at).dtype);
    let mut column = out.clone();
    column[axis] = 1;
    at = b.reshape(node, at, column)?;
    let mut places = vec![1; out.len()];
    places[axis] = out[axis];
    let mut hits: Option<ValueId> = None;
    for first in [0, -depth] {
        let list = first..first + depth;
        let data = match dtype {
            DType::F32 => Constant::F32(list.map(|i| i as f32).collect()),
            DType::I32 => Constant::I32(list.map(|i| i as i32).collect()),
            _ => Constant::I64(list.collect()),
        };
        let range = b.constant("places", places.clone(), data);
        let hit = b.temp("hit", DType::Bool, out.clone())?;
        b.emit(node, Op::Compare { kind: Compare::Equal }, vec![Some(at), Some(range)], hit)?;
        hits = Some(match hits {
            None => hit,
            Some(other) => {
                let both = b.temp("hit", DType::Bool, out.clone())?;
                b.emit(node, Op::Binary { kind: Binary::Or, clamp: None }, vec![Some(other), Some(hit)], both)?;
                both
            }
        });
    }
    let value = |b: &mut Builder, i: usize| -> NodeResult<ValueId> {
        let one = b.like(values, vec![1])?;
        b.emit(node, Op::Slice { start: vec![i], step: vec![1] }, vec![Some(values)], one)?;
        Ok(one)
    };
    let (off, on) = (value(b, 0)?, value(b, 1)?);
    b.emit(node, Op::Select, vec![hits, Some(on), Some(off)], y)
}
