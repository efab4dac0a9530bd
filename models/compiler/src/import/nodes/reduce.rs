//! Reductions.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{Binary, Clamp, Constant, DType, Op, Reduce, Unary, ValueId};
use crate::import::attrs;
use crate::import::error::NodeResult;

/// The reduced axes, ascending; `None` where the node only copies.
fn axes(b: &mut Builder, node: &NodeProto, rank: usize) -> NodeResult<Option<Vec<usize>>> {
    let listed = match b.ints(node, 1)? {
        Some(v) => v,
        None => attrs::ints(node, "axes")?.unwrap_or(&[]).to_vec(),
    };
    Ok(match listed.as_slice() {
        [] if attrs::flag(node, "noop_with_empty_axes", false)? => None,
        [] => Some((0..rank).collect()),
        list => Some(attrs::axes(list, rank)?),
    })
}

/// Shape of what a reduction over `axes` leaves.
pub(super) fn reduced(shape: &[usize], axes: &[usize], keep_dims: bool) -> Vec<usize> {
    let kept = |(i, &d): (usize, &usize)| match (axes.contains(&i), keep_dims) {
        (false, _) => Some(d),
        (true, true) => Some(1),
        (true, false) => None,
    };
    shape.iter().enumerate().filter_map(kept).collect()
}

pub(super) fn reduce(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let shape = b.shape(x);
    let keep_dims = attrs::flag(node, "keepdims", true)?;
    let Some(axes) = axes(b, node, shape.len())? else {
        return each_alone(b, node, x, y);
    };
    agree(&reduced(&shape, &axes, keep_dims), &b.shape(y))?;
    let op = |kind| Op::Reduce { kind, axes: axes.clone(), keep_dims };
    if b.value(x).elements() == 0 && b.value(y).elements() > 0 {
        let all = of_nothing(&node.op_type, b.value(y).dtype, b.value(y).elements());
        return b.set_constant(y, all);
    }
    let simple = match node.op_type.as_str() {
        "ReduceMean" => Some(Reduce::Mean),
        "ReduceSum" => Some(Reduce::Sum),
        "ReduceMax" => Some(Reduce::Max),
        "ReduceMin" => Some(Reduce::Min),
        "ReduceProd" => Some(Reduce::Prod),
        "ReduceSumSquare" => Some(Reduce::SumSquare),
        "ReduceL2" if b.value(x).dtype == DType::F32 => Some(Reduce::L2),
        _ => None,
    };
    if let Some(kind) = simple {
        return b.emit(node, op(kind), vec![Some(x)], y);
    }
    if node.op_type == "ReduceL1" {
        let x = b.unary(node, Unary::Abs, x, None)?;
        return b.emit(node, op(Reduce::Sum), vec![Some(x)], y);
    }
    // The rest goes through real numbers.
    let x = b.cast(node, x, DType::F32)?;
    let real = if b.value(y).dtype == DType::F32 { y } else { b.temp("real", DType::F32, b.shape(y))? };
    match node.op_type.as_str() {
        "ReduceL2" => b.emit(node, op(Reduce::L2), vec![Some(x)], real)?,
        "ReduceLogSum" => {
            let sum = b.temp("sum", DType::F32, b.shape(y))?;
            b.emit(node, op(Reduce::Sum), vec![Some(x)], sum)?;
            b.unary(node, Unary::Log, sum, Some(real))?;
        }
        _ => log_sum_exp(b, node, x, &axes, real)?,
    }
    if real == y { Ok(()) } else { b.emit(node, Op::Cast, vec![Some(real)], y) }
}

/// What reductions of no elements are.
fn of_nothing(op: &str, dtype: DType, count: usize) -> Constant {
    if dtype == DType::F32 {
        let value = match op {
            "ReduceProd" => 1.0,
            "ReduceMax" | "ReduceLogSum" | "ReduceLogSumExp" => f32::NEG_INFINITY,
            "ReduceMin" => f32::INFINITY,
            "ReduceMean" => f32::NAN,
            _ => 0.0,
        };
        return Constant::F32(vec![value; count]);
    }
    let (least, greatest) = dtype.range();
    let value = match op {
        "ReduceProd" => 1,
        "ReduceMax" => least,
        "ReduceMin" => greatest,
        _ => 0,
    };
    Constant::from_integers(&vec![value; count], dtype)
}

/// With empty axes that mean no axes, each element is reduced alone.
fn each_alone(b: &mut Builder, node: &NodeProto, x: ValueId, y: ValueId) -> NodeResult<()> {
    match node.op_type.as_str() {
        "ReduceL1" | "ReduceL2" => b.unary(node, Unary::Abs, x, Some(y)).map(drop),
        "ReduceSumSquare" => b.binary(node, Binary::Mul, x, x, Some(y)).map(drop),
        "ReduceLogSum" if b.value(x).dtype == DType::F32 => b.unary(node, Unary::Log, x, Some(y)).map(drop),
        "ReduceLogSum" => {
            let x = b.cast(node, x, DType::F32)?;
            let log = b.unary(node, Unary::Log, x, None)?;
            b.emit(node, Op::Cast, vec![Some(log)], y)
        }
        _ => {
            b.alias(node, x);
            Ok(())
        }
    }
}

/// max + ln Σ e^(x − max): no overflow where the result has none.
fn log_sum_exp(b: &mut Builder, node: &NodeProto, x: ValueId, axes: &[usize], y: ValueId) -> NodeResult<()> {
    let top = b.reduce(node, Reduce::Max, x, axes)?;
    // ∞ − ∞ is no number.
    let top = b.unary(node, Unary::Clip(Clamp { lo: f32::MIN, hi: f32::MAX }), top, None)?;
    let less = b.binary(node, Binary::Sub, x, top, None)?;
    let powers = b.unary(node, Unary::Exp, less, None)?;
    let sum = b.reduce(node, Reduce::Sum, powers, axes)?;
    let log = b.unary(node, Unary::Log, sum, None)?;
    if b.shape(y) == b.shape(log) {
        return b.binary(node, Binary::Add, log, top, Some(y)).map(drop);
    }
    let total = b.binary(node, Binary::Add, log, top, None)?;
    b.emit(node, Op::Reshape, vec![Some(total)], y)
}
