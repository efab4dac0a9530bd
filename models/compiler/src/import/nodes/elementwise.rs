//! Elementwise operators.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use crate::graph::{Binary, Clamp, Constant, DType, Op, Unary, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

/// Maps `node` if it is elementwise.
pub(super) fn map(b: &mut Builder, node: &NodeProto) -> NodeResult<bool> {
    if let Some(kind) = unary(node)? {
        let x = b.required(node, 0)?;
        let y = b.output(node, 0)?;
        b.emit(node, Op::Unary(kind), vec![Some(x)], y)?;
        return Ok(true);
    }
    if let Some(kind) = binary(&node.op_type) {
        chain(b, node, kind)?;
        return Ok(true);
    }
    match node.op_type.as_str() {
        "Clip" => clip(b, node)?,
        "Gelu" => gelu(b, node)?,
        "Cast" => cast(b, node)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn unary(node: &NodeProto) -> NodeResult<Option<Unary>> {
    Ok(Some(match node.op_type.as_str() {
        "Relu" => Unary::Relu,
        "LeakyRelu" => Unary::LeakyRelu { alpha: attrs::float(node, "alpha", 0.01)? },
        "Sigmoid" => Unary::Sigmoid,
        "Tanh" => Unary::Tanh,
        "HardSigmoid" => {
            Unary::HardSigmoid { alpha: attrs::float(node, "alpha", 0.2)?, beta: attrs::float(node, "beta", 0.5)? }
        }
        "HardSwish" => Unary::HardSwish,
        "Elu" => Unary::Elu { alpha: attrs::float(node, "alpha", 1.0)? },
        "Softplus" => Unary::Softplus,
        "Erf" => Unary::Erf,
        "Exp" => Unary::Exp,
        "Log" => Unary::Log,
        "Sqrt" => Unary::Sqrt,
        "Reciprocal" => Unary::Reciprocal,
        "Neg" => Unary::Neg,
        "Abs" => Unary::Abs,
        "Floor" => Unary::Floor,
        "Ceil" => Unary::Ceil,
        "Round" => Unary::Round,
        "Sign" => Unary::Sign,
        _ => return Ok(None),
    }))
}

fn binary(op: &str) -> Option<Binary> {
    Some(match op {
        "Add" | "Sum" => Binary::Add,
        "Sub" => Binary::Sub,
        "Mul" => Binary::Mul,
        "Div" => Binary::Div,
        "Max" => Binary::Max,
        "Min" => Binary::Min,
        "Pow" => Binary::Pow,
        "PRelu" => Binary::PRelu,
        _ => return None,
    })
}

/// Shape of two values broadcast against each other.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| if i + s.len() < rank { 1 } else { s[i + s.len() - rank] };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// A chain of binary nodes for operators of any number of inputs.
fn chain(b: &mut Builder, node: &NodeProto, kind: Binary) -> NodeResult<()> {
    let y = b.output(node, 0)?;
    let mut left = b.required(node, 0)?;
    if node.input.len() == 1 {
        b.alias(node, left);
        return Ok(());
    }
    for i in 1..node.input.len() {
        let right = b.required(node, i)?;
        if kind == Binary::Pow && b.value(right).dtype != b.value(left).dtype {
            return pow(b, node);
        }
        if b.value(left).dtype != b.value(right).dtype {
            return refuse(
                format!("operands of types {:?} and {:?}", b.value(left).dtype, b.value(right).dtype),
                "cast both to f32",
            );
        }
        let (sl, sr) = (b.shape(left), b.shape(right));
        let Some(shape) = broadcast(&sl, &sr) else { return bad(format!("{sl:?} and {sr:?} do not broadcast")) };
        let out = if i + 1 == node.input.len() { y } else { b.like(y, shape.clone())? };
        if b.shape(out) != shape {
            return bad(format!("output of shape {:?}, expected {shape:?}", b.shape(out)));
        }
        b.emit(node, Op::Binary { kind, clamp: None }, vec![Some(left), Some(right)], out)?;
        left = out;
    }
    Ok(())
}

/// Pow with an exponent of another type, which must be constant.
fn pow(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, e) = (b.required(node, 0)?, b.required(node, 1)?);
    let (y, shape) = (b.output(node, 0)?, b.shape(e));
    let data: Vec<f32> = match &b.value(e).data {
        Some(Constant::F32(v)) => v.clone(),
        Some(Constant::I64(v)) => v.iter().map(|&x| x as f32).collect(),
        Some(Constant::I32(v)) => v.iter().map(|&x| x as f32).collect(),
        _ => return refuse("a computed exponent of another type", "cast the exponent to f32"),
    };
    let e = b.constant("exponent", shape, Constant::F32(data));
    b.emit(node, Op::Binary { kind: Binary::Pow, clamp: None }, vec![Some(x), Some(e)], y)
}

fn clip(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let y = b.output(node, 0)?;
    if b.value(x).dtype != DType::F32 {
        return refuse(format!("Clip of {:?}", b.value(x).dtype), "clip in f32, before quantizing");
    }
    let (mut lo, mut hi) = (attrs::float(node, "min", f32::NEG_INFINITY)?, attrs::float(node, "max", f32::INFINITY)?);
    if b.opset >= 11 {
        (lo, hi) = (f32::NEG_INFINITY, f32::INFINITY);
        let bounds = [b.input(node, 1)?, b.input(node, 2)?];
        if bounds.iter().flatten().any(|id| !b.value(*id).is_constant()) {
            return computed_clip(b, node, bounds);
        }
        lo = b.scalar(node, 1)?.unwrap_or(lo);
        hi = b.scalar(node, 2)?.unwrap_or(hi);
    }
    if lo.is_nan() || hi.is_nan() {
        return bad("a bound is NaN");
    }
    // ONNX takes the minimum with the upper bound last.
    let lo = lo.min(hi);
    b.emit(node, Op::Unary(Unary::Clip(Clamp { lo, hi })), vec![Some(x)], y)
}

/// Clip with bounds that are computed: Max, then Min.
fn computed_clip(b: &mut Builder, node: &NodeProto, bounds: [Option<ValueId>; 2]) -> NodeResult<()> {
    let (mut x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let last = if bounds[1].is_some() { Binary::Min } else { Binary::Max };
    for (kind, bound) in [Binary::Max, Binary::Min].into_iter().zip(bounds) {
        let Some(bound) = bound else { continue };
        let out = if kind == last { y } else { b.like(y, b.shape(y))? };
        b.emit(node, Op::Binary { kind, clamp: None }, vec![Some(x), Some(bound)], out)?;
        x = out;
    }
    Ok(())
}

/// The exact form is an operator; the tanh form is spelled out.
fn gelu(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let y = b.output(node, 0)?;
    match attrs::string(node, "approximate", "none")?.as_str() {
        "none" => return b.emit(node, Op::Unary(Unary::Gelu), vec![Some(x)], y),
        "tanh" => {}
        other => return bad(format!("approximate `{other}` is not defined")),
    }
    let shape = b.shape(x);
    let step = |b: &mut Builder, kind, left, right: Result<_, f32>, last: bool| {
        let right = match right {
            Ok(id) => id,
            Err(c) => b.constant("gelu", vec![], Constant::F32(vec![c])),
        };
        let out = if last { y } else { b.temp("gelu", DType::F32, shape.clone())? };
        b.emit(node, Op::Binary { kind, clamp: None }, vec![Some(left), Some(right)], out)?;
        NodeResult::Ok(out)
    };
    let square = step(b, Binary::Mul, x, Ok(x), false)?;
    let cube = step(b, Binary::Mul, square, Ok(x), false)?;
    let cube = step(b, Binary::Mul, cube, Err(0.044715), false)?;
    let sum = step(b, Binary::Add, cube, Ok(x), false)?;
    let inner = step(b, Binary::Mul, sum, Err((2.0 / std::f32::consts::PI).sqrt()), false)?;
    let tanh = b.temp("gelu", DType::F32, b.shape(x))?;
    b.emit(node, Op::Unary(Unary::Tanh), vec![Some(inner)], tanh)?;
    let one = step(b, Binary::Add, tanh, Err(1.0), false)?;
    let half = step(b, Binary::Mul, x, Err(0.5), false)?;
    step(b, Binary::Mul, half, Ok(one), true)?;
    Ok(())
}

fn cast(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let y = b.output(node, 0)?;
    if b.value(x).dtype == b.value(y).dtype {
        b.alias(node, x);
        return Ok(());
    }
    b.emit(node, Op::Cast, vec![Some(x)], y)
}
