//! Slice, Split and Gather.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{Constant, DType, Op};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

/// First element and step of each axis, and the shape of the result.
pub(super) struct Sliced {
    start: Vec<usize>,
    step: Vec<isize>,
    pub shape: Vec<usize>,
}

pub(super) fn sliced(b: &mut Builder, node: &NodeProto) -> NodeResult<Sliced> {
    let x = b.required(node, 0)?;
    let shape = b.shape(x);
    let attribute = |name| NodeResult::Ok(attrs::ints(node, name)?.map(<[i64]>::to_vec));
    let (starts, ends, axes, steps) = if b.opset < 10 {
        (attribute("starts")?, attribute("ends")?, attribute("axes")?, None)
    } else {
        (b.ints(node, 1)?, b.ints(node, 2)?, b.ints(node, 3)?, b.ints(node, 4)?)
    };
    let (Some(starts), Some(ends)) = (starts, ends) else { return bad("starts or ends are missing") };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return bad("starts, ends, axes and steps differ in length");
    }
    attrs::axes(&axes, shape.len())?;
    let mut out = Sliced { start: vec![0; shape.len()], step: vec![1isize; shape.len()], shape: shape.clone() };
    for i in 0..starts.len() {
        let axis = attrs::axis(axes[i], shape.len())?;
        let (first, length) = range(starts[i], ends[i], steps[i], shape[axis])?;
        (out.start[axis], out.step[axis], out.shape[axis]) = (first, steps[i] as isize, length);
    }
    Ok(out)
}

pub(super) fn slice(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let Sliced { start, step, shape } = sliced(b, node)?;
    agree(&shape, &b.shape(y))?;
    if shape == b.shape(x) && step.iter().all(|&s| s == 1) {
        b.alias(node, x);
        return Ok(());
    }
    b.emit(node, Op::Slice { start, step }, vec![Some(x)], y)
}

/// First index and number of elements of `start..end` by `step` on `len` elements.
fn range(start: i64, end: i64, step: i64, len: usize) -> NodeResult<(usize, usize)> {
    if step == 0 || step == i64::MIN || isize::try_from(step).is_err() {
        return bad(format!("step {step}"));
    }
    let len = len as i64;
    let wrap = |v: i64| if v < 0 { v.saturating_add(len) } else { v };
    let (lo, hi) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let first = wrap(start).clamp(lo.max(0), hi.max(0));
    let last = wrap(end).clamp(lo, hi);
    let span = if step > 0 { last - first } else { first - last };
    let count = if span > 0 { (span as u64).div_ceil(step.unsigned_abs()) } else { 0 };
    Ok((if count == 0 { 0 } else { first as usize }, count as usize))
}

/// Axis and lengths of the parts of a Split.
pub(super) fn parts(b: &mut Builder, node: &NodeProto) -> NodeResult<(usize, Vec<usize>)> {
    let x = b.required(node, 0)?;
    let shape = b.shape(x);
    let axis = attrs::axis(attrs::int(node, "axis", 0)?, shape.len())?;
    let parts = node.output.len();
    let sizes = match b.ints(node, 1)? {
        Some(v) => Some(v),
        None => attrs::ints(node, "split")?.map(<[i64]>::to_vec),
    };
    let sizes: Vec<usize> = match sizes {
        Some(v) => v.iter().map(|&s| usize::try_from(s).unwrap_or(usize::MAX)).collect(),
        None => {
            let each = shape[axis].div_ceil(parts);
            (0..parts).map(|i| shape[axis].saturating_sub(i * each).min(each)).collect()
        }
    };
    let total = sizes.iter().try_fold(0usize, |n, &s| n.checked_add(s));
    if sizes.len() != parts || total != Some(shape[axis]) {
        return bad(format!("split {sizes:?} of {} elements into {parts} outputs", shape[axis]));
    }
    Ok((axis, sizes))
}

pub(super) fn split(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let shape = b.shape(x);
    let (axis, sizes) = parts(b, node)?;
    let mut at = 0;
    for (i, &size) in sizes.iter().enumerate() {
        if !node.output[i].is_empty() {
            let y = b.output(node, i)?;
            let mut out = shape.clone();
            out[axis] = size;
            agree(&out, &b.shape(y))?;
            let mut start = vec![0; shape.len()];
            start[axis] = at;
            b.emit(node, Op::Slice { start, step: vec![1; shape.len()] }, vec![Some(x)], y)?;
        }
        at += size;
    }
    Ok(())
}

pub(super) fn gather(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, mut index) = (b.required(node, 0)?, b.required(node, 1)?);
    let y = b.output(node, 0)?;
    let shape = b.shape(x);
    let axis = attrs::axis(attrs::int(node, "axis", 0)?, shape.len())?;
    let at = b.shape(index);
    agree(&[&shape[..axis], &at, &shape[axis + 1..]].concat(), &b.shape(y))?;
    if b.value(index).is_constant() {
        let Some(list) = b.ints(node, 1)? else { return bad("it has no indices") };
        let len = shape[axis] as i64;
        if let Some(i) = list.iter().find(|i| !(-len..len).contains(*i)) {
            return bad(format!("index {i} is out of range for {len} elements"));
        }
        let list = list.iter().map(|&i| if i < 0 { i + len } else { i }).collect();
        let name = b.value(index).name.clone();
        index = b.constant(&name, at, Constant::I64(list));
    } else if !matches!(b.value(index).dtype, DType::I64 | DType::I32) {
        return refuse(format!("computed indices of type {:?}", b.value(index).dtype), "use int64 or int32 indices");
    }
    b.emit(node, Op::Gather { axis }, vec![Some(x), Some(index)], y)
}
