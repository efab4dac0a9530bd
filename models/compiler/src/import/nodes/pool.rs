//! Pools. One spatial axis is brought to two by Reshape.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::{Spatial, agree, two_d};
use crate::graph::{Layout, Op, Reduce, ValueId, Window};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

fn pool_op(node: &NodeProto, window: Window, count_include_pad: bool) -> Op {
    if node.op_type.ends_with("MaxPool") {
        Op::MaxPool { window, layout: Layout::Nchw }
    } else {
        Op::AvgPool { window, layout: Layout::Nchw, count_include_pad }
    }
}

fn emit(b: &mut Builder, node: &NodeProto, op: Op, x: ValueId) -> NodeResult<()> {
    let y = b.output(node, 0)?;
    let (shape_x, shape_y) = (b.shape(x), b.shape(y));
    let x = b.reshape(node, x, two_d(&shape_x))?;
    if shape_y.len() == 4 {
        return b.emit(node, op, vec![Some(x)], y);
    }
    let wide = b.like(y, two_d(&shape_y))?;
    b.emit(node, op, vec![Some(x)], wide)?;
    b.emit(node, Op::Reshape, vec![Some(wide)], y)
}

pub(super) fn pool(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    if node.output.len() > 1 {
        return refuse("the indices of a MaxPool", "use only its first output");
    }
    let mut x = b.required(node, 0)?;
    let shape = b.shape(x);
    if shape.len() < 3 {
        return bad(format!("input of shape {shape:?} has no spatial axis"));
    }
    let kernel: Vec<usize> =
        attrs::ints(node, "kernel_shape")?.unwrap_or(&[]).iter().map(|&k| k.max(0) as usize).collect();
    if kernel.len() + 2 != shape.len() || kernel.contains(&0) {
        return bad(format!("kernel_shape {kernel:?} for an input of rank {}", shape.len()));
    }
    let mut s = Spatial::new(node, &kernel)?;
    let auto = s.auto_pad(node, &shape[2..])?;
    if (0..kernel.len()).any(|i| s.before[i] >= s.field(i) || s.after[i] >= s.field(i)) {
        return bad(format!("pads {:?} {:?} are not smaller than the kernel {kernel:?}", s.before, s.after));
    }
    let stated = s.clone();
    let lengths = s.output(&shape[2..], !auto && attrs::flag(node, "ceil_mode", false)?)?;
    let y = b.output(node, 0)?;
    agree(&[&shape[..2], lengths.as_slice()].concat(), &b.shape(y))?;
    let mut count_include_pad = attrs::flag(node, "count_include_pad", false)?;
    if count_include_pad && s.after != stated.after && node.op_type.ends_with("AveragePool") {
        // The divisor counts the stated pads but not what ceil_mode added: the
        // stated ones become part of the input.
        let (mut begin, mut end) = (vec![0, 0], vec![0, 0]);
        begin.extend(&stated.before);
        end.extend(&stated.after);
        let padded = (0..shape.len()).map(|i| shape[i] + begin[i] + end[i]).collect();
        let base = b.value(y).name.clone() + "_padded";
        let dtype = b.value(x).dtype;
        let out = b.temp(&base, dtype, padded)?;
        b.emit(node, Op::Pad { begin, end, value: 0.0 }, vec![Some(x)], out)?;
        for i in 0..kernel.len() {
            s.before[i] = 0;
            s.after[i] -= stated.after[i];
        }
        (x, count_include_pad) = (out, false);
    }
    emit(b, node, pool_op(node, s.window(), count_include_pad), x)
}

/// Pools over all spatial axes: a pool with the input as window for up to two
/// of them, else a reduction.
pub(super) fn global(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let shape = b.shape(x);
    let y = b.output(node, 0)?;
    if shape.len() < 3 || shape[2..].contains(&0) {
        return bad(format!("input of shape {shape:?} has no spatial axis"));
    }
    let mut expected = shape.clone();
    expected[2..].fill(1);
    agree(&expected, &b.shape(y))?;
    if shape.len() > 4 {
        let kind = if node.op_type == "GlobalMaxPool" { Reduce::Max } else { Reduce::Mean };
        return b.emit(node, Op::Reduce { kind, axes: (2..shape.len()).collect(), keep_dims: true }, vec![Some(x)], y);
    }
    let two = two_d(&shape);
    let window = Window { kernel: [two[2], two[3]], stride: [1, 1], dilation: [1, 1], pads: [0; 4] };
    emit(b, node, pool_op(node, window, false), x)
}
