//! Convolutions. One spatial axis is brought to two by Reshape; three axes, and weights that are
//! computed, take the operator whose weights are an operand.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::{Spatial, agree, three_d, two_d};
use crate::graph::{Binary, Layout, Op, ValueId};
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
        return bad(format!("input {shape_x:?} with weights {shape_w:?}: ranks must be equal and 3 to 5"));
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
    emit_into(b, node, op, o, rest, y)
}

fn emit_into(
    b: &mut Builder,
    node: &NodeProto,
    op: Op,
    o: &Operands,
    rest: Vec<Option<ValueId>>,
    y: ValueId,
) -> NodeResult<()> {
    let wide = if matches!(op, Op::ConvNd { .. }) { three_d } else { two_d };
    let (shape_x, shape_y) = (b.shape(o.x), b.shape(y));
    let x = b.reshape(node, o.x, wide(&shape_x))?;
    let w = b.reshape(node, o.w, wide(&o.shape_w))?;
    let inputs = [Some(x), Some(w)].into_iter().chain(rest).collect();
    if shape_y == wide(&shape_y) {
        return b.emit(node, op, inputs, y);
    }
    let out = b.like(y, wide(&shape_y))?;
    b.emit(node, op, inputs, out)?;
    b.emit(node, Op::Reshape, vec![Some(out)], y)
}

/// A layer with constant weights as `op`, any other as [`Op::ConvNd`].
fn layer(
    b: &mut Builder,
    node: &NodeProto,
    o: &Operands,
    s: &Spatial,
    channels: usize,
    op: Option<Op>,
    transposed: bool,
) -> NodeResult<()> {
    let y = b.output(node, 0)?;
    let bias = bias(b, node, channels)?;
    let Some(op) = op.filter(|_| b.value(o.w).is_constant()) else {
        let op = Op::ConvNd { window: s.window_nd(), groups: o.groups, transposed };
        return emit(b, node, op, o, bias);
    };
    let computed = bias.iter().flatten().copied().find(|&id| !b.value(id).is_constant());
    let Some(bias) = computed else { return emit(b, node, op, o, bias) };
    let sum = b.like(y, b.shape(y))?;
    emit_into(b, node, op, o, vec![], sum)?;
    let bias = b.reshape(node, bias, [vec![channels], vec![1; o.spatial.len()]].concat())?;
    b.emit(node, Op::Binary { kind: Binary::Add, clamp: None }, vec![Some(sum), Some(bias)], y)
}

/// Window and output shape of a Conv or ConvInteger.
fn plan(b: &mut Builder, node: &NodeProto, o: &Operands) -> NodeResult<(Spatial, Vec<usize>)> {
    let mut s = Spatial::new(node, &o.shape_w[2..])?;
    s.auto_pad(node, &o.spatial)?;
    let (n, c) = (b.shape(o.x)[0], b.shape(o.x)[1]);
    if o.shape_w[1] * o.groups != c || !o.shape_w[0].is_multiple_of(o.groups) {
        return bad(format!("weights {:?} with {} groups for {c} input channels", o.shape_w, o.groups));
    }
    let mut shape = vec![n, o.shape_w[0]];
    shape.extend(s.output(&o.spatial, false)?);
    Ok((s, shape))
}

/// Output shape of a convolution of any kind.
pub(super) fn shape(b: &mut Builder, node: &NodeProto) -> NodeResult<Vec<usize>> {
    let o = operands(b, node)?;
    if node.op_type == "ConvTranspose" { Ok(transposed_plan(b, node, &o)?.2) } else { Ok(plan(b, node, &o)?.1) }
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
    let (s, shape) = plan(b, node, &o)?;
    let y = b.output(node, 0)?;
    agree(&shape, &b.shape(y))?;
    let window = s.window();
    let op = window.map(|window| Op::Conv { window, groups: o.groups, layout: Layout::Nchw, clamp: None });
    layer(b, node, &o, &s, o.shape_w[0], op, false)
}

pub(super) fn conv_integer(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let o = operands(b, node)?;
    if !b.value(o.w).is_constant() {
        return refuse("computed integer weights", "make the weights a constant");
    }
    let (s, shape) = plan(b, node, &o)?;
    let y = b.output(node, 0)?;
    agree(&shape, &b.shape(y))?;
    let Some(window) = s.window() else {
        return refuse("three spatial axes on integers", "use one or two, or convolve in f32");
    };
    let zeros = vec![b.input(node, 2)?, b.input(node, 3)?];
    let op = Op::ConvInteger { window, groups: o.groups, layout: Layout::Nchw };
    emit(b, node, op, &o, zeros)
}

/// Window, additional cells at the end of each axis, and output shape of a ConvTranspose.
fn transposed_plan(b: &mut Builder, node: &NodeProto, o: &Operands) -> NodeResult<(Spatial, Vec<usize>, Vec<usize>)> {
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
    let mut shape = vec![shape_x[0], o.shape_w[1] * o.groups];
    for (i, &extra) in extra.iter().enumerate() {
        match full(&s, i, extra).checked_sub(s.before[i] + s.after[i]) {
            Some(l) if l > 0 => shape.push(l),
            _ => return bad(format!("pads {:?} {:?} leave nothing of the output", s.before, s.after)),
        }
    }
    Ok((s, extra, shape))
}

pub(super) fn conv_transpose(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let o = operands(b, node)?;
    let (s, extra, shape) = transposed_plan(b, node, &o)?;
    let y = b.output(node, 0)?;
    agree(&shape, &b.shape(y))?;
    let output_padding = match extra[..] {
        [columns] => [0, columns],
        [rows, columns, ..] => [rows, columns],
        [] => [0, 0],
    };
    let layout = Layout::Nchw;
    let op = s.window().map(|window| Op::ConvTranspose { window, groups: o.groups, output_padding, layout });
    layer(b, node, &o, &s, shape[1], op, true)
}

/// What a Col2Im makes: `[batch, channels, image…]`, and the convolution that makes it.
pub(super) fn image(b: &mut Builder, node: &NodeProto) -> NodeResult<(Vec<usize>, Spatial)> {
    let x = b.required(node, 0)?;
    let sizes = |v: Option<Vec<i64>>| -> Vec<usize> {
        v.unwrap_or_default().iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect()
    };
    let (image, block) = (sizes(b.ints(node, 1)?), sizes(b.ints(node, 2)?));
    let taps: usize = block.iter().product();
    let [n, rows, columns] = b.shape(x)[..] else { return bad("its input has not three axes") };
    if image.len() != block.len() || taps == 0 || rows % taps != 0 || image.contains(&0) {
        return bad(format!("blocks {block:?} of an image {image:?} in columns of {rows}"));
    }
    let mut s = Spatial::new(node, &block)?;
    let positions = s.output(&image, false)?;
    if positions.iter().product::<usize>() != columns {
        return bad(format!("{columns} columns for {positions:?} blocks"));
    }
    Ok(([vec![n, rows / taps], image].concat(), s))
}

/// Sums overlapping blocks: a transposed convolution with one weight of 1 for each row of the input.
pub(super) fn col2im(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let (shape, mut s) = image(b, node)?;
    agree(&shape, &b.shape(y))?;
    let (channels, taps) = (shape[1], s.kernel.iter().product::<usize>());
    let rows = channels * taps;
    let positions = s.output(&shape[2..], false)?;
    super::rearrange::indices_fit(rows.saturating_mul(taps))?;
    let ones = (0..rows * taps).map(|i| f32::from(i / taps % taps == i % taps)).collect();
    let shape_w = [vec![rows, 1], s.kernel.clone()].concat();
    let w = b.constant("blocks", shape_w.clone(), crate::graph::Constant::F32(ones));
    let x = b.reshape(node, x, [vec![shape[0], rows], positions.clone()].concat())?;
    let o = Operands { x, w, spatial: positions, shape_w, groups: channels };
    emit(b, node, Op::ConvNd { window: s.window_nd(), groups: channels, transposed: true }, &o, vec![])
}
