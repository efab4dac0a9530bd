//! Convolutions. One spatial axis is brought to two by Reshape.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::{Spatial, agree, two_d};
use crate::graph::{Layout, Op, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

struct Operands {
    x: ValueId,
    w: ValueId,
    /// Spatial lengths of x.
    spatial: Vec<usize>,
    shape_w: Vec<usize>,
    groups: usize,
}

fn operands(b: &mut Builder, node: &NodeProto) -> NodeResult<Operands> {
    let (x, w) = (b.required(node, 0)?, b.required(node, 1)?);
    let (shape_x, shape_w) = (b.shape(x), b.shape(w));
    if shape_x.len() < 3 || shape_w.len() != shape_x.len() {
        return bad(format!("input {shape_x:?} with weights {shape_w:?}: ranks must be equal and 3 or 4"));
    }
    let groups = usize::try_from(attrs::int(node, "group", 1)?).unwrap_or(0);
    if groups == 0 || shape_x[1] % groups != 0 || shape_w.contains(&0) {
        return bad(format!("group {groups} does not divide {} channels, or the weights are empty", shape_x[1]));
    }
    Ok(Operands { x, w, spatial: shape_x[2..].to_vec(), shape_w, groups })
}

/// Emits `op` between reshapes to and from two spatial axes where needed.
fn emit(b: &mut Builder, node: &NodeProto, op: Op, o: &Operands, rest: Vec<Option<ValueId>>) -> NodeResult<()> {
    let y = b.output(node, 0)?;
    let (shape_x, shape_y) = (b.shape(o.x), b.shape(y));
    let x = b.reshape(node, o.x, two_d(&shape_x))?;
    let w = b.reshape(node, o.w, two_d(&o.shape_w))?;
    let inputs = [Some(x), Some(w)].into_iter().chain(rest).collect();
    if shape_y.len() == 4 {
        return b.emit(node, op, inputs, y);
    }
    let wide = b.like(y, two_d(&shape_y))?;
    b.emit(node, op, inputs, wide)?;
    b.emit(node, Op::Reshape, vec![Some(wide)], y)
}

fn conv_window(b: &mut Builder, node: &NodeProto, o: &Operands) -> NodeResult<Spatial> {
    let mut s = Spatial::new(node, &o.shape_w[2..])?;
    s.auto_pad(node, &o.spatial)?;
    let (n, c) = (b.shape(o.x)[0], b.shape(o.x)[1]);
    if o.shape_w[1] * o.groups != c || !o.shape_w[0].is_multiple_of(o.groups) {
        return bad(format!("weights {:?} with {} groups for {c} input channels", o.shape_w, o.groups));
    }
    let y = b.output(node, 0)?;
    let mut shape = vec![n, o.shape_w[0]];
    shape.extend(s.output(&o.spatial, false)?);
    agree(&shape, &b.shape(y))?;
    Ok(s)
}

fn bias(b: &mut Builder, node: &NodeProto, channels: usize) -> NodeResult<Vec<Option<ValueId>>> {
    let Some(id) = b.input(node, 2)? else { return Ok(vec![]) };
    if b.shape(id) != [channels] {
        return bad(format!("bias of shape {:?} for {channels} channels", b.shape(id)));
    }
    Ok(vec![Some(id)])
}

pub(super) fn conv(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let o = operands(b, node)?;
    let window = conv_window(b, node, &o)?.window();
    let bias = bias(b, node, o.shape_w[0])?;
    let op = Op::Conv { window, groups: o.groups, layout: Layout::Nchw, clamp: None };
    emit(b, node, op, &o, bias)
}

pub(super) fn conv_integer(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let o = operands(b, node)?;
    if !b.value(o.w).is_constant() {
        return refuse("computed integer weights", "make the weights a constant");
    }
    let window = conv_window(b, node, &o)?.window();
    let zeros = vec![b.input(node, 2)?, b.input(node, 3)?];
    let op = Op::ConvInteger { window, groups: o.groups, layout: Layout::Nchw };
    emit(b, node, op, &o, zeros)
}

pub(super) fn conv_transpose(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let o = operands(b, node)?;
    let mut s = Spatial::new(node, &o.shape_w[2..])?;
    let n = s.kernel.len();
    let mut extra: Vec<usize> = match attrs::ints(node, "output_padding")? {
        None => vec![0; n],
        Some(v) if v.len() == n && v.iter().all(|&x| x >= 0) => v.iter().map(|&x| x as usize).collect(),
        Some(v) => return bad(format!("output_padding {v:?} for {n} spatial axes")),
    };
    let full = |s: &Spatial, i: usize, extra: usize| (o.spatial[i].max(1) - 1) * s.stride[i] + extra + s.field(i);
    let mode = attrs::string(node, "auto_pad", "NOTSET")?;
    let wanted: Option<Vec<usize>> = match attrs::ints(node, "output_shape")? {
        Some(v) if v.len() >= n && v.iter().all(|&x| x > 0) => {
            Some(v[v.len() - n..].iter().map(|&x| x as usize).collect())
        }
        Some(v) => return bad(format!("output_shape {v:?} for {n} spatial axes")),
        None if mode.starts_with("SAME") => Some((0..n).map(|i| o.spatial[i] * s.stride[i]).collect()),
        None => None,
    };
    match (wanted, mode.as_str()) {
        (Some(wanted), _) => {
            for i in 0..n {
                let length = full(&s, i, extra[i]);
                let total = length.saturating_sub(wanted[i]);
                extra[i] += wanted[i].saturating_sub(length);
                let (less, more) = (total / 2, total - total / 2);
                (s.before[i], s.after[i]) = if mode == "SAME_UPPER" { (less, more) } else { (more, less) };
            }
        }
        (None, "VALID") => {
            s.before.fill(0);
            s.after.fill(0);
        }
        (None, "NOTSET" | "") => {}
        (None, _) => return bad(format!("auto_pad `{mode}` is not defined")),
    }
    let shape_x = b.shape(o.x);
    if o.shape_w[0] != shape_x[1] {
        return bad(format!("weights {:?} for {} input channels", o.shape_w, shape_x[1]));
    }
    let channels = o.shape_w[1] * o.groups;
    let mut shape = vec![shape_x[0], channels];
    for (i, &extra) in extra.iter().enumerate() {
        match full(&s, i, extra).checked_sub(s.before[i] + s.after[i]) {
            Some(l) if l > 0 => shape.push(l),
            _ => return bad(format!("pads {:?} {:?} leave nothing of the output", s.before, s.after)),
        }
    }
    let y = b.output(node, 0)?;
    agree(&shape, &b.shape(y))?;
    let bias = bias(b, node, channels)?;
    let output_padding = if n == 1 { [0, extra[0]] } else { [extra[0], extra[1]] };
    let op = Op::ConvTranspose { window: s.window(), groups: o.groups, output_padding, layout: Layout::Nchw };
    emit(b, node, op, &o, bias)
}
