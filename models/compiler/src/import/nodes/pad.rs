//! Pad: constant by the device's own step, other modes by indices.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use crate::graph::{Constant, Op};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad};

/// Counts before and after each axis (negative ones shorten it), and the value of constant padding.
pub(super) struct Pads {
    pub begin: Vec<i64>,
    pub end: Vec<i64>,
    pub value: f32,
}

impl Pads {
    pub(super) fn of(b: &mut Builder, node: &NodeProto, rank: usize) -> NodeResult<Pads> {
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
        if listed.iter().any(|p| p.unsigned_abs() > i32::MAX as u64) {
            return bad(format!("pads {listed:?} are out of range"));
        }
        let mut pads = Pads { begin: vec![0; rank], end: vec![0; rank], value };
        for (i, &axis) in axes.iter().enumerate() {
            (pads.begin[axis], pads.end[axis]) = (listed[i], listed[i + axes.len()]);
        }
        Ok(pads)
    }

    /// The shape of the result.
    pub(super) fn applied(&self, shape: &[usize]) -> NodeResult<Vec<usize>> {
        let length = |i: usize| usize::try_from(shape[i] as i64 + self.begin[i] + self.end[i]).ok();
        match (0..shape.len()).map(length).collect() {
            Some(shape) => Ok(shape),
            None => bad(format!("pads {:?} {:?} take more than {shape:?} has", self.begin, self.end)),
        }
    }
}

pub(super) fn pad(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let mut x = b.required(node, 0)?;
    let y = b.output(node, 0)?;
    let mut shape = b.shape(x);
    let pads = Pads::of(b, node, shape.len())?;
    super::window::agree(&pads.applied(&shape)?, &b.shape(y))?;
    if shape == b.shape(y) && pads.begin.iter().all(|&p| p == 0) {
        b.alias(node, x);
        return Ok(());
    }
    let grown = |list: &[i64]| list.iter().map(|&p| p.max(0) as usize).collect::<Vec<usize>>();
    let (begin, end) = (grown(&pads.begin), grown(&pads.end));
    if pads.begin.iter().chain(&pads.end).any(|&p| p < 0) {
        let start: Vec<usize> = pads.begin.iter().map(|&p| (-p).max(0) as usize).collect();
        for (axis, d) in shape.iter_mut().enumerate() {
            let cut = start[axis] + (-pads.end[axis]).max(0) as usize;
            *d = match d.checked_sub(cut) {
                Some(d) if d > 0 => d,
                _ => return bad(format!("pads {:?} {:?} leave nothing of it", pads.begin, pads.end)),
            };
        }
        let step = vec![1; shape.len()];
        let last = begin.iter().chain(&end).all(|&p| p == 0);
        let out = if last { y } else { b.like(x, shape.clone())? };
        b.emit(node, Op::Slice { start, step }, vec![Some(x)], out)?;
        if last {
            return Ok(());
        }
        x = out;
    }
    let mode = attrs::string(node, "mode", "constant")?;
    let index: fn(i64, i64) -> i64 = match mode.as_str() {
        "constant" => return b.emit(node, Op::Pad { begin, end, value: pads.value }, vec![Some(x)], y),
        "edge" => |at, len| at.clamp(0, len - 1),
        "wrap" => |at, len| at.rem_euclid(len),
        "reflect" => |at, len| {
            let at = at.rem_euclid((2 * (len - 1)).max(1));
            if at < len { at } else { 2 * (len - 1) - at }
        },
        other => return bad(format!("mode `{other}` is not defined")),
    };
    let axes: Vec<usize> = (0..shape.len()).filter(|&a| begin[a] + end[a] > 0).collect();
    for (i, &axis) in axes.iter().enumerate() {
        let (len, before) = (shape[axis] as i64, begin[axis] as i64);
        if len == 0 {
            return bad("it pads an axis without elements by what lies there");
        }
        shape[axis] += begin[axis] + end[axis];
        super::rearrange::indices_fit(shape[axis])?;
        let list = (0..shape[axis] as i64).map(|j| index(j - before, len)).collect();
        let at = b.constant("pad_indices", vec![shape[axis]], Constant::I64(list));
        let out = if i + 1 == axes.len() { y } else { b.like(x, shape.clone())? };
        b.emit(node, Op::Gather { axis }, vec![Some(x), Some(at)], out)?;
        x = out;
    }
    Ok(())
}
