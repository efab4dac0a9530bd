//! Operators that only exist to compute shapes: their results are constants,
//! because every shape is known.
use tract_onnx::pb::NodeProto;

use super::attrs;
use super::error::{NodeResult, bad, refuse};
use super::nodes::Builder;
use super::tensor;
use crate::graph::{Constant, ValueId};
use crate::passes::constants::{gather_constant, strides};

/// Most elements of a constant that a node may ask for.
const MAX_ELEMENTS: usize = 1 << 24;

pub(crate) fn fold(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let y = b.output(node, 0)?;
    let elements = b.value(y).elements();
    if elements > MAX_ELEMENTS {
        return bad(format!("a constant of {elements} elements"));
    }
    let data = match node.op_type.as_str() {
        "Shape" => {
            let x = b.required(node, 0)?;
            let dims: Vec<i64> = b.shape(x).iter().map(|&d| d as i64).collect();
            let rank = dims.len() as i64;
            let bound = |v: i64| if v < 0 { v.saturating_add(rank) } else { v }.clamp(0, rank) as usize;
            let (start, end) = (bound(attrs::int(node, "start", 0)?), bound(attrs::int(node, "end", rank)?));
            Constant::I64(dims.get(start..end).unwrap_or(&[]).to_vec())
        }
        "Size" => {
            let x = b.required(node, 0)?;
            Constant::I64(vec![b.value(x).elements() as i64])
        }
        "ConstantOfShape" => {
            let value = match attrs::tensor(node, "value")? {
                Some(t) => tensor::decode(t, "attribute `value`", 64)?.constant(),
                None => Constant::F32(vec![0.0]),
            };
            if value.len() != 1 {
                return bad(format!("its value has {} elements", value.len()));
            }
            let shape = b.shape(y);
            gather_constant(&value, 0, &vec![0; shape.len()], &shape)
        }
        "Range" => range(b, node, elements)?,
        "Equal" => {
            let (l, r) = (operand(b, node, 0, y)?, operand(b, node, 1, y)?);
            let equal = match (&l, &r) {
                (Constant::F32(l), Constant::F32(r)) => l.iter().zip(r).map(|(l, r)| l == r).collect(),
                (Constant::Bool(l), Constant::Bool(r)) => l.iter().zip(r).map(|(l, r)| l == r).collect(),
                _ => ints(&l)?.iter().zip(ints(&r)?).map(|(l, r)| *l == r).collect(),
            };
            Constant::Bool(equal)
        }
        _ => {
            let condition = operand(b, node, 0, y)?;
            let Constant::Bool(c) = condition else { return bad("its condition is not boolean") };
            match (operand(b, node, 1, y)?, operand(b, node, 2, y)?) {
                (Constant::F32(l), Constant::F32(r)) => Constant::F32(pick(&c, &l, &r)),
                (Constant::I64(l), Constant::I64(r)) => Constant::I64(pick(&c, &l, &r)),
                (Constant::I32(l), Constant::I32(r)) => Constant::I32(pick(&c, &l, &r)),
                (l, r) => return bad(format!("operands of types {:?} and {:?}", l.dtype(), r.dtype())),
            }
        }
    };
    b.set_constant(y, data)
}

fn pick<T: Copy>(c: &[bool], l: &[T], r: &[T]) -> Vec<T> {
    c.iter().zip(l.iter().zip(r)).map(|(&c, (&l, &r))| if c { l } else { r }).collect()
}

fn ints(c: &Constant) -> NodeResult<Vec<i64>> {
    match c {
        Constant::I64(v) => Ok(v.clone()),
        Constant::I32(v) => Ok(v.iter().map(|&x| x.into()).collect()),
        other => bad(format!("an operand of type {:?}", other.dtype())),
    }
}

/// Constant input `i` broadcast to the shape of `y`.
fn operand(b: &mut Builder, node: &NodeProto, i: usize, y: ValueId) -> NodeResult<Constant> {
    let id = b.required(node, i)?;
    let to = b.shape(y);
    let Some(data) = b.value(id).data.clone() else {
        return refuse(
            format!("{} on tensors that are not constant (`{}`)", node.op_type, b.value(id).name),
            "only shape computations may use it; move it outside the model",
        );
    };
    let from = b.shape(id);
    let Some(missing) = to.len().checked_sub(from.len()) else { return bad("operands do not broadcast") };
    let own = strides(&from);
    let mut step = vec![0isize; to.len()];
    for (axis, &d) in from.iter().enumerate() {
        if d != 1 {
            if d != to[axis + missing] {
                return bad(format!("{from:?} does not broadcast to {to:?}"));
            }
            step[axis + missing] = own[axis] as isize;
        }
    }
    Ok(gather_constant(&data, 0, &step, &to))
}

fn range(b: &mut Builder, node: &NodeProto, elements: usize) -> NodeResult<Constant> {
    let id = b.required(node, 0)?;
    if b.value(id).f32s().is_some() {
        let part = |b: &mut Builder, i| b.scalar(node, i).map(|v| v.unwrap_or(0.0));
        let (start, delta) = (part(b, 0)?, part(b, 2)?);
        return Ok(Constant::F32((0..elements).map(|i| start + i as f32 * delta).collect()));
    }
    let part = |b: &mut Builder, i| b.ints(node, i).map(|v| v.and_then(|v| v.first().copied()).unwrap_or(0));
    let (start, delta) = (part(b, 0)?, part(b, 2)?);
    let values = (0..elements as i64).map(|i| start.wrapping_add(i.wrapping_mul(delta)));
    Ok(match &b.value(id).data {
        Some(Constant::I32(_)) => Constant::I32(values.map(|v| v as i32).collect()),
        _ => Constant::I64(values.collect()),
    })
}
