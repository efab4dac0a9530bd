//! Elementwise operators.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use crate::graph::{Binary, Clamp, Constant, DType, Op, Unary, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

/// Maps `node` if it is elementwise.
pub(super) fn map(b: &mut Builder, node: &NodeProto) -> NodeResult<bool> {
    if let Some(kind) = unary(node)? {
        let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
        if kind == Unary::Relu && b.value(x).dtype != DType::F32 {
            return clamped_int(b, node, x, [Some(0), None], y).map(|()| true);
        }
        b.emit(node, Op::Unary(kind), vec![Some(x)], y)?;
        return Ok(true);
    }
    if let Some(kind) = binary(node)? {
        chain(b, node, kind)?;
        return Ok(true);
    }
    match node.op_type.as_str() {
        "Mean" => mean(b, node)?,
        "Pow" => pow(b, node)?,
        "Clip" => clip(b, node)?,
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
        "Selu" => Unary::Selu {
            alpha: attrs::float(node, "alpha", 1.673_263_2)?,
            gamma: attrs::float(node, "gamma", 1.050_701)?,
        },
        "Celu" => match attrs::float(node, "alpha", 1.0)? {
            alpha if alpha > 0.0 => Unary::Celu { alpha },
            alpha => return refuse(format!("alpha is {alpha}"), "use an alpha above 0"),
        },
        "Mish" => Unary::Mish,
        "Softsign" => Unary::Softsign,
        "ThresholdedRelu" => Unary::ThresholdedRelu { alpha: attrs::float(node, "alpha", 1.0)? },
        "Shrink" => Unary::Shrink { lambda: attrs::float(node, "lambd", 0.5)?, bias: attrs::float(node, "bias", 0.0)? },
        "Swish" => match attrs::float(node, "alpha", 1.0)? {
            1.0 => Unary::Silu,
            alpha => Unary::Swish { alpha },
        },
        "Gelu" => match attrs::string(node, "approximate", "none")?.as_str() {
            "none" => Unary::Gelu,
            "tanh" => Unary::GeluTanh,
            other => return bad(format!("approximate `{other}` is not defined")),
        },
        "Sin" => Unary::Sin,
        "Cos" => Unary::Cos,
        "Tan" => Unary::Tan,
        "Asin" => Unary::Asin,
        "Acos" => Unary::Acos,
        "Atan" => Unary::Atan,
        "Sinh" => Unary::Sinh,
        "Cosh" => Unary::Cosh,
        "Asinh" => Unary::Asinh,
        "Acosh" => Unary::Acosh,
        "Atanh" => Unary::Atanh,
        _ => return Ok(None),
    }))
}

fn binary(node: &NodeProto) -> NodeResult<Option<Binary>> {
    Ok(Some(match node.op_type.as_str() {
        "Add" | "Sum" => Binary::Add,
        "Sub" => Binary::Sub,
        "Mul" => Binary::Mul,
        "Div" => Binary::Div,
        "Max" => Binary::Max,
        "Min" => Binary::Min,
        "PRelu" => Binary::PRelu,
        "Mod" if attrs::flag(node, "fmod", false)? => Binary::Fmod,
        "Mod" => Binary::Mod,
        _ => return Ok(None),
    }))
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
pub(super) fn chain(b: &mut Builder, node: &NodeProto, kind: Binary) -> NodeResult<()> {
    let y = b.output(node, 0)?;
    let mut left = b.required(node, 0)?;
    if node.input.len() == 1 {
        b.alias(node, left);
        return Ok(());
    }
    for i in 1..node.input.len() {
        let right = b.required(node, i)?;
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

fn mean(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let y = b.output(node, 0)?;
    let mut sum = b.required(node, 0)?;
    if node.input.len() == 1 {
        b.alias(node, sum);
        return Ok(());
    }
    for i in 1..node.input.len() {
        let next = b.required(node, i)?;
        sum = b.binary(node, Binary::Add, sum, next, None)?;
    }
    let count = b.number(node, node.input.len() as f32);
    b.binary(node, Binary::Div, sum, count, Some(y)).map(drop)
}

/// The output has the type of the base; with an exponent of another type the power is one of real numbers.
fn pow(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, e, y) = (b.required(node, 0)?, b.required(node, 1)?, b.output(node, 0)?);
    if b.value(x).dtype == b.value(e).dtype {
        return chain(b, node, Binary::Pow);
    }
    let (x, e) = (b.cast(node, x, DType::F32)?, b.cast(node, e, DType::F32)?);
    if b.value(y).dtype == DType::F32 {
        return b.binary(node, Binary::Pow, x, e, Some(y)).map(drop);
    }
    let power = b.binary(node, Binary::Pow, x, e, None)?;
    b.emit(node, Op::Cast, vec![Some(power)], y)
}

fn clip(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let x = b.required(node, 0)?;
    let y = b.output(node, 0)?;
    let bounds = if b.opset >= 11 { [b.input(node, 1)?, b.input(node, 2)?] } else { [None, None] };
    if bounds.iter().flatten().any(|id| !b.value(*id).is_constant()) {
        return computed_clip(b, node, bounds);
    }
    if b.value(x).dtype != DType::F32 {
        let mut limits = [None, None];
        for (limit, bound) in limits.iter_mut().zip(bounds) {
            let Some(bound) = bound else { continue };
            match b.value(bound).data.as_ref().and_then(Constant::integers).as_deref() {
                Some(&[one]) => *limit = Some(one),
                _ => return bad("a bound is no single integer"),
            }
        }
        return clamped_int(b, node, x, limits, y);
    }
    let (mut lo, mut hi) = (attrs::float(node, "min", f32::NEG_INFINITY)?, attrs::float(node, "max", f32::INFINITY)?);
    if b.opset >= 11 {
        lo = b.scalar(node, 1)?.unwrap_or(f32::NEG_INFINITY);
        hi = b.scalar(node, 2)?.unwrap_or(f32::INFINITY);
    }
    if lo.is_nan() || hi.is_nan() {
        return bad("a bound is NaN");
    }
    // ONNX takes the minimum with the upper bound last.
    let lo = lo.min(hi);
    b.emit(node, Op::Unary(Unary::Clip(Clamp { lo, hi })), vec![Some(x)], y)
}

/// Integers at least and at most these: Max, then Min.
fn clamped_int(
    b: &mut Builder,
    node: &NodeProto,
    mut x: ValueId,
    limits: [Option<i128>; 2],
    y: ValueId,
) -> NodeResult<()> {
    let dtype = b.value(x).dtype;
    for (kind, limit) in [Binary::Max, Binary::Min].into_iter().zip(limits) {
        let Some(limit) = limit else { continue };
        let limit = b.constant("bound", vec![], Constant::from_integers(&[limit], dtype));
        x = b.binary(node, kind, x, limit, None)?;
    }
    b.emit(node, Op::Reshape, vec![Some(x)], y)
}

/// Clip with bounds that are computed: Max, then Min.
fn computed_clip(b: &mut Builder, node: &NodeProto, mut bounds: [Option<ValueId>; 2]) -> NodeResult<()> {
    let (mut x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    // A bound may be given as a list of one.
    for bound in bounds.iter_mut().flatten() {
        *bound = b.reshape(node, *bound, vec![])?;
    }
    let last = if bounds[1].is_some() { Binary::Min } else { Binary::Max };
    for (kind, bound) in [Binary::Max, Binary::Min].into_iter().zip(bounds) {
        let Some(bound) = bound else { continue };
        let out = if kind == last { y } else { b.like(y, b.shape(y))? };
        b.emit(node, Op::Binary { kind, clamp: None }, vec![Some(x), Some(bound)], out)?;
        x = out;
    }
    Ok(())
}
