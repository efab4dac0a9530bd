//! Shapes by the operator texts, for what tract leaves open or does not know.
mod moves;
mod spatial;

use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::elementwise::broadcast;
use super::{casts, recurrent};
use crate::graph::DType;
use crate::import::FAKE_QUANT;
use crate::import::attrs;
use crate::import::error::{NodeResult, bad};
use crate::import::tensor::Elem;
use crate::import::twin::Fact;

/// Operators that tract sees as unknown: it reads their attributes otherwise than ONNX, or refuses whole models
/// for some of them.
pub(crate) fn opaque(op: &str) -> bool {
    matches!(
        op,
        "Resize"
            | "Upsample"
            | "MaxPool"
            | "AveragePool"
            | "LpPool"
            | "GlobalLpPool"
            | "MaxUnpool"
            | "ConvTranspose"
            | "Split"
            | "Trilu"
            | "EyeLike"
            | "TopK"
            | "Scatter"
            | "ScatterElements"
            | "ScatterND"
            | "TensorScatter"
            | "GatherND"
            | "Einsum"
            | "DepthToSpace"
            | "SpaceToDepth"
            | "OneHot"
            | "ReverseSequence"
            | "Compress"
            | "Col2Im"
            | "CenterCropPad"
            | "AffineGrid"
            | "GridSample"
            | "If"
            | "LSTM"
            | "GRU"
            | "RNN"
    )
}

/// Facts of the outputs of `node`, where a rule here gives them; an error says what the rule misses.
pub(super) fn output(b: &mut Builder, node: &NodeProto) -> Option<NodeResult<Vec<(String, Fact)>>> {
    let facts = match facts(b, node) {
        Ok(facts) => facts?,
        Err(e) => return Some(Err(e)),
    };
    let named = node.output.iter().zip(facts).filter(|(o, _)| !o.is_empty());
    Some(Ok(named.map(|(o, fact)| (o.clone(), fact)).collect()))
}

fn facts(b: &mut Builder, node: &NodeProto) -> NodeResult<Option<Vec<Fact>>> {
    if let Some(facts) = moves::facts(b, node)? {
        return Ok(Some(facts));
    }
    if let Some(facts) = spatial::facts(b, node)? {
        return Ok(Some(facts));
    }
    let fact = match node.op_type.as_str() {
        "BatchNormalization" if node.output.len() > 1 => {
            let fact = same(b, node)?;
            let one = Fact { shape: vec![fact.shape.get(1).copied().unwrap_or(1)], ..fact };
            return Ok(Some(vec![same(b, node)?, one.clone(), one]));
        }
        op if keeps(op) => same(b, node)?,
        "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" | "Sum" | "Mean" | "Pow" | "PRelu" | "Mod" | "BitwiseAnd"
        | "BitwiseOr" | "BitwiseXor" | "BitShift" => joined(b, node, 0, None)?,
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Xor" => {
            joined(b, node, 0, Some(DType::Bool))?
        }
        "IsNaN" | "IsInf" | "Not" => Fact { dtype: DType::Bool, ..same(b, node)? },
        "Where" => joined(b, node, 1, None)?,
        "MatMul" => matmul(b, node, None)?,
        "MatMulInteger" => matmul(b, node, Some(DType::I32))?,
        "Gemm" => gemm(b, node)?,
        "Cast" | "CastLike" | "BitCast" => Fact { dtype: casts::target(b, node)?, ..same(b, node)? },
        "LSTM" | "GRU" | "RNN" => return recurrent::facts(b, node).map(Some),
        "Dropout" => {
            let fact = same(b, node)?;
            let dtype = if b.opset < 10 { fact.dtype } else { DType::Bool };
            return Ok(Some(vec![fact.clone(), Fact { dtype, ..fact }]));
        }
        "LayerNormalization" => return layer_norm(b, node).map(Some),
        "ConstantOfShape" => constant_of_shape(b, node)?,
        "EyeLike" => match attrs::int(node, "dtype", 0)? {
            0 => same(b, node)?,
            code => {
                let elem = i32::try_from(code).ok().and_then(Elem::from_code).and_then(Elem::dtype);
                let Some(dtype) = elem else { return bad(format!("ones of type {code}")) };
                Fact { dtype, ..same(b, node)? }
            }
        },
        "Range" => range(b, node)?,
        "Shape" => {
            let x = b.required(node, 0)?;
            let rank = b.shape(x).len() as i64;
            let bound = |v: i64| if v < 0 { v.saturating_add(rank) } else { v }.clamp(0, rank);
            let (start, end) = (bound(attrs::int(node, "start", 0)?), bound(attrs::int(node, "end", rank)?));
            Fact { dtype: DType::I64, shape: vec![(end - start).max(0) as usize] }
        }
        "Size" => Fact { dtype: DType::I64, shape: vec![] },
        op if op.starts_with("Reduce") => reduced(b, node, None)?,
        "ArgMax" | "ArgMin" => reduced(b, node, Some(DType::I64))?,
        "DynamicQuantizeLinear" => {
            let scalar = |dtype| Fact { dtype, shape: vec![] };
            return Ok(Some(vec![Fact { dtype: DType::U8, ..same(b, node)? }, scalar(DType::F32), scalar(DType::U8)]));
        }
        _ => return Ok(None),
    };
    Ok(Some(vec![fact]))
}

/// Operators whose output is as their first input.
fn keeps(op: &str) -> bool {
    op == FAKE_QUANT
        || matches!(
            op,
            "Abs"
                | "Neg"
                | "Sign"
                | "Floor"
                | "Ceil"
                | "Round"
                | "Sqrt"
                | "Reciprocal"
                | "Exp"
                | "Log"
                | "Erf"
                | "Sin"
                | "Cos"
                | "Tan"
                | "Asin"
                | "Acos"
                | "Atan"
                | "Sinh"
                | "Cosh"
                | "Asinh"
                | "Acosh"
                | "Atanh"
                | "Relu"
                | "LeakyRelu"
                | "Sigmoid"
                | "Tanh"
                | "HardSigmoid"
                | "HardSwish"
                | "Elu"
                | "Selu"
                | "Celu"
                | "Softplus"
                | "Softsign"
                | "Gelu"
                | "Mish"
                | "Swish"
                | "ThresholdedRelu"
                | "Shrink"
                | "Clip"
                | "Softmax"
                | "LogSoftmax"
                | "Hardmax"
                | "GroupNormalization"
                | "InstanceNormalization"
                | "BatchNormalization"
                | "LpNormalization"
                | "RMSNormalization"
                | "LRN"
                | "MeanVarianceNormalization"
                | "CumSum"
                | "CumProd"
                | "BitwiseNot"
        )
}

/// The mean and the deviation have the normalized axes left at 1.
fn layer_norm(b: &mut Builder, node: &NodeProto) -> NodeResult<Vec<Fact>> {
    let fact = same(b, node)?;
    let axis = attrs::axis(attrs::int(node, "axis", -1)?, fact.shape.len())?;
    let kept = |(i, &d): (usize, &usize)| if i < axis { d } else { 1 };
    let left = Fact { shape: fact.shape.iter().enumerate().map(kept).collect(), ..fact };
    Ok(vec![fact, left.clone(), left])
}

fn same(b: &mut Builder, node: &NodeProto) -> NodeResult<Fact> {
    let id = b.required(node, 0)?;
    Ok(Fact { dtype: b.value(id).dtype, shape: b.shape(id) })
}

/// All inputs broadcast; the element type is that of input `of` unless stated.
fn joined(b: &mut Builder, node: &NodeProto, of: usize, dtype: Option<DType>) -> NodeResult<Fact> {
    let mut shape = Vec::new();
    for i in 0..node.input.len() {
        let id = b.required(node, i)?;
        let Some(wide) = broadcast(&shape, &b.shape(id)) else {
            return bad(format!("{shape:?} and {:?} do not broadcast", b.shape(id)));
        };
        shape = wide;
    }
    let id = b.required(node, of)?;
    Ok(Fact { dtype: dtype.unwrap_or(b.value(id).dtype), shape })
}

fn matmul(b: &mut Builder, node: &NodeProto, dtype: Option<DType>) -> NodeResult<Fact> {
    let (x, w) = (b.required(node, 0)?, b.required(node, 1)?);
    let (shape_x, shape_w) = (b.shape(x), b.shape(w));
    let (Some(&k), Some(_)) = (shape_x.last(), shape_w.last()) else { return bad("an operand is a scalar") };
    let inner = if shape_w.len() == 1 { shape_w[0] } else { shape_w[shape_w.len() - 2] };
    let batch = |s: &[usize]| s[..s.len().saturating_sub(2)].to_vec();
    let Some(mut shape) = broadcast(&batch(&shape_x), &batch(&shape_w)).filter(|_| k == inner) else {
        return bad(format!("{shape_x:?} times {shape_w:?}"));
    };
    if shape_x.len() > 1 {
        shape.push(shape_x[shape_x.len() - 2]);
    }
    if shape_w.len() > 1 {
        shape.push(shape_w[shape_w.len() - 1]);
    }
    Ok(Fact { dtype: dtype.unwrap_or(b.value(x).dtype), shape })
}

fn gemm(b: &mut Builder, node: &NodeProto) -> NodeResult<Fact> {
    let (x, w) = (b.required(node, 0)?, b.required(node, 1)?);
    let side = |shape: Vec<usize>, turned: bool| match shape[..] {
        [rows, columns] => Ok(if turned { (columns, rows) } else { (rows, columns) }),
        _ => bad("both matrices must have rank 2"),
    };
    let (m, _) = side(b.shape(x), attrs::flag(node, "transA", false)?)?;
    let (_, n) = side(b.shape(w), attrs::flag(node, "transB", false)?)?;
    Ok(Fact { dtype: b.value(x).dtype, shape: vec![m, n] })
}

fn constant_of_shape(b: &mut Builder, node: &NodeProto) -> NodeResult<Fact> {
    let dims = b.ints(node, 0)?.unwrap_or_default();
    let shape = dims.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>();
    let Ok(shape) = shape else { return bad(format!("negative dimension in {dims:?}")) };
    let dtype = match attrs::tensor(node, "value")? {
        Some(t) => Elem::from_code(t.data_type).and_then(Elem::dtype).unwrap_or(DType::F32),
        None => DType::F32,
    };
    Ok(Fact { dtype, shape })
}

fn range(b: &mut Builder, node: &NodeProto) -> NodeResult<Fact> {
    let id = b.required(node, 0)?;
    let dtype = b.value(id).dtype;
    let mut part = |i: usize| match dtype {
        DType::F32 => b.scalar(node, i).map(|v| f64::from(v.unwrap_or(0.0))),
        _ => b.ints(node, i).map(|v| v.and_then(|v| v.first().copied()).unwrap_or(0) as f64),
    };
    let count = ((part(1)? - part(0)?) / part(2)?).ceil().max(0.0);
    if !(count.is_finite() && count < 1e9) {
        return bad(format!("a range of {count} numbers"));
    }
    Ok(Fact { dtype, shape: vec![count as usize] })
}

fn reduced(b: &mut Builder, node: &NodeProto, arg: Option<DType>) -> NodeResult<Fact> {
    let x = b.required(node, 0)?;
    let shape = b.shape(x);
    let listed = match arg {
        Some(_) => vec![attrs::int(node, "axis", 0)?],
        None => match b.ints(node, 1)? {
            Some(v) => v,
            None => attrs::ints(node, "axes")?.unwrap_or(&[]).to_vec(),
        },
    };
    let keep = attrs::flag(node, "keepdims", true)?;
    let axes = match listed.as_slice() {
        [] if attrs::flag(node, "noop_with_empty_axes", false)? => vec![],
        [] => (0..shape.len()).collect(),
        list => attrs::axes(list, shape.len())?,
    };
    let left = (0..shape.len()).filter_map(|i| match (axes.contains(&i), keep) {
        (false, _) => Some(shape[i]),
        (true, keep) => keep.then_some(1),
    });
    Ok(Fact { dtype: arg.unwrap_or(b.value(x).dtype), shape: left.collect() })
}
