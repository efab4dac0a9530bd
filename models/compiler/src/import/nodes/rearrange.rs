//! Operators that only move elements and have no step of their own: they become Reshape, Transpose,
//! Slice, Pad, Expand and Gather with constant indices.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{Constant, DType, Op, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad};

/// Blocks of channels to blocks of pixels: ONNX's two orders of the block's channels.
pub(super) fn depth_to_space(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (n, c, h, w, block) = blocks(b, node)?;
    if c % (block * block) != 0 {
        return bad(format!("{c} channels are no multiple of the block {block}·{block}"));
    }
    let c = c / (block * block);
    let (wide, perm) = match attrs::string(node, "mode", "DCR")?.as_str() {
        "DCR" => (vec![n, block, block, c, h, w], vec![0, 3, 4, 1, 5, 2]),
        "CRD" => (vec![n, c, block, block, h, w], vec![0, 1, 4, 2, 5, 3]),
        other => return bad(format!("mode `{other}` is not defined")),
    };
    through(b, node, wide, perm)
}

pub(super) fn space_to_depth(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (n, c, h, w, block) = blocks(b, node)?;
    if h % block != 0 || w % block != 0 {
        return bad(format!("{h}×{w} pixels are no multiple of the block {block}"));
    }
    through(b, node, vec![n, c, h / block, block, w / block, block], vec![0, 3, 5, 1, 2, 4])
}

/// Batch, channels, rows, columns and the size of a block.
fn blocks(b: &mut Builder, node: &NodeProto) -> NodeResult<(usize, usize, usize, usize, usize)> {
    let x = b.required(node, 0)?;
    let block = usize::try_from(attrs::int(node, "blocksize", 0)?).unwrap_or(0);
    match b.shape(x)[..] {
        [n, c, h, w] if block > 0 && block < 1 << 12 => Ok((n, c, h, w, block)),
        _ => bad(format!("input {:?} with blocks of {block}: four axes and a positive size are needed", b.shape(x))),
    }
}

/// Reshape, Transpose, Reshape.
fn through(b: &mut Builder, node: &NodeProto, wide: Vec<usize>, perm: Vec<usize>) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let wide = b.reshape(node, x, wide)?;
    let turned = b.transpose(node, wide, perm)?;
    b.emit(node, Op::Reshape, vec![Some(turned)], y)
}

/// Repeats `x` `times` along `axis`.
fn repeated(b: &mut Builder, node: &NodeProto, x: ValueId, axis: usize, times: usize) -> NodeResult<ValueId> {
    let mut shape = b.shape(x);
    let (outer, inner) = (shape[..axis].iter().product(), shape[axis..].iter().product());
    let flat = b.reshape(node, x, vec![outer, 1, inner])?;
    let wide = b.like(x, vec![outer, times, inner])?;
    b.emit(node, Op::Expand, vec![Some(flat)], wide)?;
    shape[axis] *= times;
    b.reshape(node, wide, shape)
}

pub(super) fn tile(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (mut x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let times = b.ints(node, 1)?.unwrap_or_default();
    if times.len() != b.shape(x).len() {
        return bad(format!("{:?} repeated {times:?} times", b.shape(x)));
    }
    for (axis, &n) in times.iter().enumerate() {
        match usize::try_from(n) {
            Ok(1) => {}
            Ok(n) if n > 0 => x = repeated(b, node, x, axis, n)?,
            _ => return bad(format!("it repeats {n} times")),
        }
    }
    agree(&b.shape(x), &b.shape(y))?;
    b.emit(node, Op::Reshape, vec![Some(x)], y)
}

/// Broadcasting to a stated shape.
pub(super) fn expand(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let (from, to) = (b.shape(x), b.shape(y));
    if from == to {
        b.alias(node, x);
        return Ok(());
    }
    let Some(missing) = to.len().checked_sub(from.len()) else { return bad(format!("{from:?} to {to:?}")) };
    if from.iter().zip(&to[missing..]).any(|(&have, &want)| have != want && have != 1) {
        return bad(format!("{from:?} does not broadcast to {to:?}"));
    }
    let x = b.reshape(node, x, [vec![1; missing], from].concat())?;
    if b.shape(x) == to {
        b.emit(node, Op::Reshape, vec![Some(x)], y)
    } else {
        b.emit(node, Op::Expand, vec![Some(x)], y)
    }
}

/// Elements of `x` with its axes `axis..axis + count` flattened, picked by constant indices; `None`
/// stands for zero.
fn picked(
    b: &mut Builder,
    node: &NodeProto,
    (axis, count): (usize, usize),
    list: Vec<Option<usize>>,
) -> NodeResult<()> {
    let (mut x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let shape = b.shape(x);
    let mut flat = shape.clone();
    let n: usize = flat.splice(axis..axis + count, [0]).product();
    flat[axis] = n;
    x = b.reshape(node, x, flat.clone())?;
    if list.contains(&None) {
        let (begin, mut end) = (vec![0; flat.len()], vec![0; flat.len()]);
        (end[axis], flat[axis]) = (1, n + 1);
        let padded = b.like(x, flat.clone())?;
        b.emit(node, Op::Pad { begin, end, value: 0.0 }, vec![Some(x)], padded)?;
        x = padded;
    }
    let data = list.iter().map(|i| i.unwrap_or(n) as i64).collect();
    let at = b.constant("indices", vec![list.len()], Constant::I64(data));
    flat[axis] = list.len();
    let out = if flat == b.shape(y) { y } else { b.like(x, flat)? };
    b.emit(node, Op::Gather { axis }, vec![Some(x), Some(at)], out)?;
    if out == y { Ok(()) } else { b.emit(node, Op::Reshape, vec![Some(out)], y) }
}

/// Refuses tables of indices that would be larger than a model should hold.
pub(super) fn indices_fit(n: usize) -> NodeResult<()> {
    if n <= 1 << 22 {
        return Ok(());
    }
    crate::import::error::refuse(format!("a table of {n} indices"), "move fewer elements at a time")
}

/// The lower or upper triangle; the rest is zero.
pub(super) fn trilu(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let shape = b.shape(x);
    let k = b.ints(node, 1)?.and_then(|v| v.first().copied()).unwrap_or(0);
    let upper = attrs::flag(node, "upper", true)?;
    let [.., rows, columns] = shape[..] else { return bad(format!("{shape:?} is no matrix")) };
    indices_fit(rows * columns)?;
    let keeps = |i: usize| {
        let (row, column) = ((i / columns) as i64, (i % columns) as i64);
        if upper { column >= row.saturating_add(k) } else { column <= row.saturating_add(k) }
    };
    let list = (0..rows * columns).map(|i| keeps(i).then_some(i)).collect();
    picked(b, node, (shape.len() - 2, 2), list)
}

/// The first elements of each sequence in reverse, the lengths constant.
pub(super) fn reverse_sequence(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let shape = b.shape(x);
    let lengths = b.ints(node, 1)?.unwrap_or_default();
    let axes = (attrs::int(node, "batch_axis", 1)?, attrs::int(node, "time_axis", 0)?);
    let (0 | 1, 0 | 1) = axes else { return bad("batch_axis and time_axis must be 0 and 1") };
    let [first, second, ..] = shape[..] else { return bad(format!("{shape:?} has no time and batch")) };
    let time_first = axes == (1, 0);
    let (time, batch) = if time_first { (first, second) } else { (second, first) };
    if axes.0 == axes.1 || lengths.len() != batch || lengths.iter().any(|l| !(0..=time as i64).contains(l)) {
        return bad(format!("lengths {lengths:?} for {batch} sequences of {time}"));
    }
    indices_fit(first * second)?;
    let list = (0..first * second).map(|i| {
        let (t, n) = if time_first { (i / second, i % second) } else { (i % second, i / second) };
        let length = lengths[n] as usize;
        let from = if t < length { length - 1 - t } else { t };
        Some(if time_first { from * second + n } else { n * second + from })
    });
    let list = list.collect();
    picked(b, node, (0, 2), list)
}

/// What a constant condition selects.
pub(super) fn compress(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let rank = b.shape(x).len();
    let list = selected(b, node)?.into_iter().map(Some).collect();
    if !attrs::has(node, "axis") {
        return picked(b, node, (0, rank), list);
    }
    picked(b, node, (attrs::axis(attrs::int(node, "axis", 0)?, rank)?, 1), list)
}

/// Indices that the condition of a Compress selects.
pub(super) fn selected(b: &mut Builder, node: &NodeProto) -> NodeResult<Vec<usize>> {
    let condition = b.required(node, 1)?;
    match &b.value(condition).data {
        Some(Constant::Bool(v)) => Ok((0..v.len()).filter(|&i| v[i]).collect()),
        Some(_) => bad("its condition is not boolean"),
        None => crate::import::error::refuse(
            "how many elements it selects depends on data",
            "make the condition a constant, or select after the model's outputs",
        ),
    }
}

/// Target shape of CenterCropPad.
pub(super) fn centered(b: &mut Builder, node: &NodeProto) -> NodeResult<Vec<usize>> {
    let x = b.required(node, 0)?;
    let mut shape = b.shape(x);
    let target = b.ints(node, 1)?.unwrap_or_default();
    let axes = match attrs::ints(node, "axes")? {
        Some(list) => list.iter().map(|&a| attrs::axis(a, shape.len())).collect::<NodeResult<Vec<_>>>()?,
        None => (0..shape.len()).collect(),
    };
    if axes.len() != target.len() {
        return bad(format!("{} lengths for {} axes", target.len(), axes.len()));
    }
    for (axis, &n) in axes.into_iter().zip(&target) {
        shape[axis] = usize::try_from(n).unwrap_or(usize::MAX);
    }
    Ok(shape)
}

pub(super) fn center_crop_pad(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (mut x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let (from, to) = (b.shape(x), centered(b, node)?);
    agree(&to, &b.shape(y))?;
    let cut: Vec<usize> = from.iter().zip(&to).map(|(&have, &want)| have.min(want)).collect();
    if cut != from {
        let start = from.iter().zip(&cut).map(|(have, want)| (have - want) / 2).collect();
        let out = b.like(x, cut.clone())?;
        b.emit(node, Op::Slice { start, step: vec![1; from.len()] }, vec![Some(x)], out)?;
        x = out;
    }
    if cut == to {
        return b.emit(node, Op::Reshape, vec![Some(x)], y);
    }
    let begin: Vec<usize> = cut.iter().zip(&to).map(|(have, want)| (want - have) / 2).collect();
    let end = cut.iter().zip(&to).zip(&begin).map(|((have, want), begin)| want - have - begin).collect();
    b.emit(node, Op::Pad { begin, end, value: 0.0 }, vec![Some(x)], y)
}

/// A constant: ones on one diagonal of a matrix.
pub(super) fn eye_like(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let y = b.output(node, 0)?;
    let k = attrs::int(node, "k", 0)?;
    let [rows, columns] = b.shape(y)[..] else { return bad("it has no two axes") };
    if rows * columns > 1 << 24 {
        return bad(format!("a constant of {rows}·{columns} elements"));
    }
    let ones = (0..rows * columns).map(|i| (i % columns) as i64 == ((i / columns) as i64).saturating_add(k));
    let data = match b.value(y).dtype {
        DType::F32 => Constant::F32(ones.map(f32::from).collect()),
        DType::I64 => Constant::I64(ones.map(i64::from).collect()),
        DType::I32 => Constant::I32(ones.map(i32::from).collect()),
        DType::I8 => Constant::I8(ones.map(i8::from).collect()),
        DType::U8 => Constant::U8(ones.map(u8::from).collect()),
        DType::Bool => Constant::Bool(ones.collect()),
        other => return bad(format!("ones of type {other:?}")),
    };
    b.set_constant(y, data)
}
