//! Pools. One spatial axis is brought to two by Reshape; over three axes a pool is one over rows and columns
//! and one over depth.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::indexed::output_or_temp;
use super::window::{Spatial, agree, three_d, two_d};
use crate::graph::{Binary, Constant, DType, Layout, Op, Reduce, Unary, ValueId, Window};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad};

fn pool_op(max: bool, window: Window, count_include_pad: bool) -> Op {
    if max {
        Op::MaxPool { window, layout: Layout::Nchw }
    } else {
        Op::AvgPool { window, layout: Layout::Nchw, count_include_pad }
    }
}

/// A pool over the last two axes of `[n, c, rows, columns]`.
fn flat(
    b: &mut Builder,
    node: &NodeProto,
    (x, y): (ValueId, ValueId),
    (max, count_pad): (bool, bool),
    s: &Spatial,
) -> NodeResult<()> {
    let Some(window) = s.window() else { return bad("it has three spatial axes") };
    let (shape_x, shape_y) = (b.shape(x), b.shape(y));
    let x = b.reshape(node, x, two_d(&shape_x))?;
    let op = pool_op(max, window, count_pad);
    if shape_y.len() == 4 {
        return b.emit(node, op, vec![Some(x)], y);
    }
    let wide = b.like(y, two_d(&shape_y))?;
    b.emit(node, op, vec![Some(x)], wide)?;
    b.emit(node, Op::Reshape, vec![Some(wide)], y)
}

/// A pool over all spatial axes. Maxima are maxima of maxima; the cells that a window counts are a box, so means
/// are means of means.
fn any(
    b: &mut Builder,
    node: &NodeProto,
    (x, y): (ValueId, ValueId),
    (max, count_pad): (bool, bool),
    s: &Spatial,
) -> NodeResult<()> {
    let (from, to) = (b.shape(x), b.shape(y));
    let ([n, c, depth, rows, columns], [_, _, out_depth, out_rows, out_columns]) = (&from[..], &to[..]) else {
        return flat(b, node, (x, y), (max, count_pad), s);
    };
    let planes = b.reshape(node, x, vec![*n, c * depth, *rows, *columns])?;
    let pooled = b.like(x, vec![*n, c * depth, *out_rows, *out_columns])?;
    flat(b, node, (planes, pooled), (max, count_pad), &s.part(1..3))?;
    let mut deep = s.part(0..1);
    for (list, one) in [
        (&mut deep.kernel, 1),
        (&mut deep.stride, 1),
        (&mut deep.dilation, 1),
        (&mut deep.before, 0),
        (&mut deep.after, 0),
    ] {
        list.push(one);
    }
    let lines = b.reshape(node, pooled, vec![*n, *c, *depth, out_rows * out_columns])?;
    let last = b.like(y, vec![*n, *c, *out_depth, out_rows * out_columns])?;
    flat(b, node, (lines, last), (max, count_pad), &deep)?;
    b.emit(node, Op::Reshape, vec![Some(last)], y)
}

/// What a pool's attributes say.
pub(super) struct Plan {
    s: Spatial,
    /// Pads without what ceil_mode added.
    stated: Spatial,
    pub shape: Vec<usize>,
}

impl Plan {
    pub(super) fn of(b: &mut Builder, node: &NodeProto) -> NodeResult<Plan> {
        let x = b.required(node, 0)?;
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
        let shape = [&shape[..2], lengths.as_slice()].concat();
        Ok(Plan { s, stated, shape })
    }
}

/// `x` with zeros around it.
fn padded(b: &mut Builder, node: &NodeProto, x: ValueId, before: &[usize], after: &[usize]) -> NodeResult<ValueId> {
    let shape = b.shape(x);
    let (begin, end) = ([&[0, 0], before].concat(), [&[0, 0], after].concat());
    let wide = (0..shape.len()).map(|i| shape[i] + begin[i] + end[i]).collect();
    let out = b.like(x, wide)?;
    b.emit(node, Op::Pad { begin, end, value: 0.0 }, vec![Some(x)], out)?;
    Ok(out)
}

pub(super) fn pool(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let mut x = b.required(node, 0)?;
    let Plan { mut s, stated, shape } = Plan::of(b, node)?;
    let max = node.op_type.ends_with("MaxPool");
    if max && node.output.get(1).is_some_and(|o| !o.is_empty()) {
        let column_major = attrs::int(node, "storage_order", 0)? != 0;
        let wide = three_d(&shape);
        let dtype = b.value(x).dtype;
        let outputs = [output_or_temp(b, node, 0, dtype, &shape)?, b.output(node, 1)?];
        let shape_x = b.shape(x);
        let x = b.reshape(node, x, three_d(&shape_x))?;
        let op = Op::MaxPoolNd { window: s.window_nd(), column_major };
        let inner = [b.like(outputs[0], wide.clone())?, b.temp("indices", DType::I64, wide)?];
        b.emit_to(node, op, vec![Some(x)], inner.to_vec())?;
        for (inner, y) in inner.into_iter().zip(outputs) {
            b.emit(node, Op::Reshape, vec![Some(inner)], y)?;
        }
        return Ok(());
    }
    let y = b.output(node, 0)?;
    agree(&shape, &b.shape(y))?;
    let mut count_pad = attrs::flag(node, "count_include_pad", false)?;
    if count_pad && s.after != stated.after && !max {
        // The divisor counts the stated pads but not what ceil_mode added: the
        // stated ones become part of the input.
        x = padded(b, node, x, &stated.before, &stated.after)?;
        for i in 0..s.before.len() {
            s.before[i] = 0;
            s.after[i] -= stated.after[i];
        }
        count_pad = false;
    }
    any(b, node, (x, y), (max, count_pad), &s)
}

/// An elementwise step with a number.
fn scalar(b: &mut Builder, node: &NodeProto, kind: Binary, x: ValueId, v: f32) -> NodeResult<ValueId> {
    let v = b.constant("p", vec![], Constant::F32(vec![v]));
    let out = b.temp("norm", DType::F32, b.shape(x))?;
    b.emit(node, Op::Binary { kind, clamp: None }, vec![Some(x), Some(v)], out)?;
    Ok(out)
}

/// The `p` of an Lp pool, and |x|^p.
fn powers(b: &mut Builder, node: &NodeProto, x: ValueId) -> NodeResult<(f32, ValueId)> {
    let p = attrs::int(node, "p", 2)?;
    if !(1..1 << 20).contains(&p) {
        return bad(format!("p is {p}"));
    }
    let out = b.temp("norm", DType::F32, b.shape(x))?;
    if p == 2 {
        b.emit(node, Op::Binary { kind: Binary::Mul, clamp: None }, vec![Some(x), Some(x)], out)?;
        return Ok((2.0, out));
    }
    b.emit(node, Op::Unary(Unary::Abs), vec![Some(x)], out)?;
    if p == 1 { Ok((1.0, out)) } else { Ok((p as f32, scalar(b, node, Binary::Pow, out, p as f32)?)) }
}

/// The p-th root of sums.
fn root(b: &mut Builder, node: &NodeProto, p: f32, x: ValueId, y: ValueId) -> NodeResult<()> {
    match p {
        1.0 => b.emit(node, Op::Reshape, vec![Some(x)], y),
        2.0 => b.emit(node, Op::Unary(Unary::Sqrt), vec![Some(x)], y),
        _ => {
            let v = b.constant("p", vec![], Constant::F32(vec![1.0 / p]));
            b.emit(node, Op::Binary { kind: Binary::Pow, clamp: None }, vec![Some(x), Some(v)], y)
        }
    }
}

/// p-norms under a window: the mean of |x|^p over the window, zeros in the padding, times its cells.
pub(super) fn lp_pool(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let Plan { mut s, shape, .. } = Plan::of(b, node)?;
    agree(&shape, &b.shape(y))?;
    let (p, mut powers) = powers(b, node, x)?;
    if s.before.iter().chain(&s.after).any(|&n| n > 0) {
        powers = padded(b, node, powers, &s.before, &s.after)?;
        s.before.fill(0);
        s.after.fill(0);
    }
    let mean = b.temp("norm", DType::F32, shape)?;
    any(b, node, (powers, mean), (false, false), &s)?;
    let cells: usize = s.kernel.iter().product();
    let sum = scalar(b, node, Binary::Mul, mean, cells as f32)?;
    root(b, node, p, sum, y)
}

/// Pools over all spatial axes: a pool with the input as window for up to two
/// of them, else a reduction.
pub(super) fn global(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let shape = b.shape(x);
    let y = b.output(node, 0)?;
    agree(&global_shape(&shape)?, &b.shape(y))?;
    let all = |kind| Op::Reduce { kind, axes: (2..shape.len()).collect(), keep_dims: true };
    let max = node.op_type == "GlobalMaxPool";
    if node.op_type == "GlobalLpPool" {
        let (p, powers) = powers(b, node, x)?;
        let sum = b.temp("norm", DType::F32, b.shape(y))?;
        b.emit(node, all(Reduce::Sum), vec![Some(powers)], sum)?;
        return root(b, node, p, sum, y);
    }
    if shape.len() > 4 {
        return b.emit(node, all(if max { Reduce::Max } else { Reduce::Mean }), vec![Some(x)], y);
    }
    let s = Spatial {
        kernel: shape[2..].to_vec(),
        stride: vec![1; shape.len() - 2],
        dilation: vec![1; shape.len() - 2],
        before: vec![0; shape.len() - 2],
        after: vec![0; shape.len() - 2],
    };
    flat(b, node, (x, y), (max, false), &s)
}

/// Output shape of a global pool.
pub(super) fn global_shape(shape: &[usize]) -> NodeResult<Vec<usize>> {
    if shape.len() < 3 || shape[2..].contains(&0) {
        return bad(format!("input of shape {shape:?} has no spatial axis"));
    }
    Ok([&shape[..2], &vec![1; shape.len() - 2]].concat())
}
